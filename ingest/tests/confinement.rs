//! What a reader cannot do any more once it is confined. Each look is taken in a process of its own.
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lectern_ingest::reading::confine::confine;

const MIB: u64 = 1024 * 1024;

/// Runs one of the ignored tests below, with something it is told.
fn confined(test: &str, told: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("TOLD", told).output().unwrap()
}

fn told() -> String {
    std::env::var("TOLD").unwrap()
}

#[test]
fn a_reader_writes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("written");
    confined("writes_a_file", file.to_str().unwrap());
    assert!(fs::read(&file).map_or(true, |content| content.is_empty()));
}

#[test]
#[ignore = "run by the test of the same look"]
fn writes_a_file() {
    confine(64 * MIB).unwrap();
    let _ = fs::write(told(), "text");
}

#[test]
fn a_reader_reads_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "text").unwrap();
    assert!(confined("reads_a_file", file.to_str().unwrap()).status.success());
}

#[test]
#[ignore = "run by the test of the same look"]
fn reads_a_file() {
    confine(64 * MIB).unwrap();
    assert_eq!(fs::read_to_string(told()).unwrap(), "text");
}

#[test]
fn a_reader_connects_to_nobody_where_the_kernel_has_landlock() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = confined("connects", &listener.local_addr().unwrap().to_string());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let has_landlock =
        fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|all| all.contains("landlock"));
    assert!(!has_landlock || said.contains("could not connect"), "{said}");
}

#[test]
#[ignore = "run by the test of the same look"]
fn connects() {
    confine(64 * MIB).unwrap();
    let connected = TcpStream::connect(told());
    println!("{}", if connected.is_err() { "could not connect" } else { "connected" });
}

#[test]
fn a_reader_gets_no_more_memory_than_it_was_granted() {
    let output = confined("grows", "");
    assert!(String::from_utf8_lossy(&output.stdout).contains("refused"), "{output:?}");
}

#[test]
#[ignore = "run by the test of the same look"]
fn grows() {
    confine(64 * MIB).unwrap();
    let mut all: Vec<Vec<u8>> = Vec::new();
    for _ in 0..65 {
        let mut block = Vec::new();
        if block.try_reserve_exact(1024 * 1024).is_err() {
            println!("refused after {}", all.len());
            return;
        }
        all.push(block);
    }
}

/// It does not look at its line, so that the kernel must end it.
#[test]
fn a_reader_that_hangs_ends_with_its_program() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "starts_one_that_hangs", "--ignored", "--nocapture"]);
    let mut program = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(program.stdout.take().unwrap()).lines().map_while(Result::ok);
    let reader = said.find_map(|line| Some(line.split_once("hangs: ")?.1.to_owned()));
    program.kill().unwrap();
    program.wait().unwrap();
    let command_line = format!("/proc/{}/cmdline", reader.unwrap());
    let begun = Instant::now();
    let is_there = || fs::read(&command_line).is_ok_and(|line| !line.is_empty());
    while is_there() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
    assert!(!is_there());
}

#[test]
#[ignore = "run by the test of the same look"]
fn starts_one_that_hangs() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "hangs", "--ignored", "--nocapture"]).stdout(Stdio::piped());
    let mut reader = command.spawn().unwrap();
    let mut said = BufReader::new(reader.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("confined")));
    println!("hangs: {}", reader.id());
    reader.wait().unwrap();
}

#[test]
#[ignore = "run by the test of the same look"]
fn hangs() {
    confine(64 * MIB).unwrap();
    println!("confined");
    std::thread::sleep(Duration::from_mins(2));
}
