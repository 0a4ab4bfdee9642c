//! Readers as processes: the real one within its limits, and made-up ones that misbehave in every way.
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lectern_ingest::extract::format::Format;
use lectern_ingest::extract::records::RecordFields;
use lectern_ingest::extract::{Part, Settings, Source};
use lectern_ingest::reading::reader::DocumentReader;
use lectern_ingest::reading::{COMMAND, Limits, Program};
use lectern_schema::identifiers::DocumentId;
use tempfile::TempDir;

const INGEST: &str = env!("CARGO_BIN_EXE_lectern-ingest");
const LONG: Duration = Duration::from_mins(1);

fn reader(program: Program, limits: Limits) -> DocumentReader {
    let settings =
        Settings { max_file_bytes: 64 << 20, max_expanded_bytes: 64 << 20, records: RecordFields::default() };
    DocumentReader::new(program, limits, settings)
}

fn real(mib: u64) -> DocumentReader {
    reader(Program::at(INGEST), Limits { patience: LONG, mib })
}

fn source(folder: &Path, name: &str, content: &str) -> Source {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    Source {
        document_id: DocumentId::parse(name).unwrap(),
        uri: format!("https://example.com/{name}"),
        format: Format::of(&path).unwrap(),
        path,
    }
}

fn parts(reader: &mut DocumentReader, source: &Source) -> Vec<Part> {
    let mut parts = Vec::new();
    reader.read(source, &mut || true, &mut |part| parts.push(part)).unwrap();
    parts
}

/// What a person reads about the only thing that came of it.
fn reason(reader: &mut DocumentReader, source: &Source) -> String {
    let mut parts = parts(reader, source);
    assert_eq!(parts.len(), 1, "{parts:?}");
    parts.remove(0).unwrap_err().reason
}

/// A reader made of shell commands; its line to the program is descriptor 0, in both directions.
fn made_up(folder: &TempDir, commands: &str) -> Program {
    let path = folder.path().join("reader.sh");
    fs::write(
        &path,
        format!("#!/bin/sh\nread -r terms\necho '\"Ready\"' >&0\nread -r request\n{commands}\n"),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Program::at(path)
}

fn reason_of_made_up(commands: &str, patience: Duration) -> String {
    let folder = TempDir::new().unwrap();
    let source = source(folder.path(), "a.txt", "text");
    reason(&mut reader(made_up(&folder, commands), Limits { patience, mib: 64 }), &source)
}

#[test]
fn documents_are_read_one_after_the_other_in_one_process() {
    let folder = TempDir::new().unwrap();
    let mut reader = real(64);
    for name in ["a.md", "b.txt", "c.html"] {
        let read = parts(&mut reader, &source(folder.path(), name, "The text."));
        let document = read[0].as_ref().unwrap();
        assert_eq!(document.sections[0].text, "The text.");
        assert_eq!(document.uri, format!("https://example.com/{name}"));
    }
}

#[test]
fn a_document_that_needs_too_much_memory_is_left_out_and_the_next_one_read() {
    let folder = TempDir::new().unwrap();
    let mut reader = real(8);
    let large = source(folder.path(), "large.txt", &"word ".repeat(2_000_000));
    let reason = reason(&mut reader, &large);
    assert!(reason.starts_with("needs more memory to be read than `ingest.extract_mib`"), "{reason}");
    let small = source(folder.path(), "small.txt", "word");
    assert!(parts(&mut reader, &small)[0].is_ok());
}

#[test]
fn what_a_document_needs_does_not_depend_on_those_before_it() {
    let folder = TempDir::new().unwrap();
    let large = source(folder.path(), "large.txt", &"word ".repeat(800_000));
    let mut reader = real(24);
    for _ in 0..20 {
        assert!(parts(&mut reader, &large)[0].is_ok());
    }
}

#[test]
fn a_document_that_takes_too_long_is_left_out() {
    let patience = Duration::from_secs(1);
    assert_eq!(
        reason_of_made_up("exec /bin/sleep 600", patience),
        "took longer than `ingest.extract_seconds` = 1: its reader was stopped"
    );
}

#[test]
fn what_was_read_before_the_fault_is_kept() {
    let folder = TempDir::new().unwrap();
    let one = source(folder.path(), "a.txt", "text");
    let document = serde_json::to_string(parts(&mut real(64), &one)[0].as_ref().unwrap()).unwrap();
    let commands = format!("echo '{{\"Document\":{document}}}' >&0\nkill -KILL $$");
    let read = parts(&mut reader(made_up(&folder, &commands), Limits { patience: LONG, mib: 64 }), &one);
    assert_eq!(read[0].as_ref().unwrap().sections[0].text, "text");
    assert!(read[1].as_ref().unwrap_err().reason.starts_with("its reader was killed by signal 9"));
}

#[test]
fn every_way_to_die_has_its_reason() {
    for (commands, expected) in [
        ("kill -KILL $$", "its reader was killed by signal 9, perhaps by the system for want of memory"),
        ("kill -SEGV $$", "made its reader crash (signal 11): please report it"),
        ("exit 7", "made its reader crash (exit code 7): please report it"),
        (
            "echo 'thread reader has overflowed its stack' >&2; kill -ABRT $$",
            "is nested too deeply to be read",
        ),
        (
            "echo 'panicked at src/a.rs:1:2' >&2; exit 101",
            "made its reader crash (src/a.rs:1:2): please report it",
        ),
        ("echo '{\"Surprise\":1}' >&0", "made its reader answer nonsense: please report it"),
        (
            "exec 0>&-; exec /bin/sleep 600",
            "its reader was killed by signal 9, perhaps by the system for want of memory",
        ),
    ] {
        assert_eq!(reason_of_made_up(commands, LONG), expected, "{commands}");
    }
}

#[test]
fn an_endless_reply_is_not_swallowed() {
    let folder = TempDir::new().unwrap();
    let one = source(folder.path(), "a.txt", "text");
    let limits = Limits { patience: LONG, mib: 64 };
    let settings =
        Settings { max_file_bytes: 1 << 20, max_expanded_bytes: 1, records: RecordFields::default() };
    let mut reader = DocumentReader::new(made_up(&folder, "exec /bin/cat /dev/zero >&0"), limits, settings);
    assert_eq!(
        reason(&mut reader, &one),
        "holds a document whose text is longer than `ingest.max_file_bytes` allows"
    );
}

#[test]
fn a_reader_that_prints_without_end_is_not_waited_for_because_of_it() {
    let print = "i=0; while [ $i -lt 20000 ]; do echo 'noise noise noise noise noise' >&2; i=$((i+1)); done";
    let folder = TempDir::new().unwrap();
    let one = source(folder.path(), "a.txt", "text");
    let program = made_up(&folder, &format!("{print}; echo '\"Done\"' >&0; read -r next"));
    assert_eq!(parts(&mut reader(program, Limits { patience: LONG, mib: 64 }), &one), []);
}

#[test]
fn nobody_waits_for_documents_that_nobody_wants() {
    let folder = TempDir::new().unwrap();
    let one = source(folder.path(), "a.txt", "text");
    let mut reader = reader(made_up(&folder, "exec /bin/sleep 600"), Limits { patience: LONG, mib: 64 });
    let mut parts = 0;
    reader.read(&one, &mut || false, &mut |_| parts += 1).unwrap();
    assert_eq!(parts, 0);
}

#[test]
fn a_program_that_is_not_there_is_no_fault_of_the_document() {
    let folder = TempDir::new().unwrap();
    let one = source(folder.path(), "a.txt", "text");
    let mut reader = reader(Program::at("/no/such/program"), Limits { patience: LONG, mib: 64 });
    let error = reader.read(&one, &mut || true, &mut |_| {}).unwrap_err();
    assert!(error.to_string().starts_with("no process can be started"), "{error}");
}

#[test]
fn a_reader_gets_none_of_the_program_s_variables() {
    let folder = TempDir::new().unwrap();
    let one = source(folder.path(), "a.txt", "text");
    let seen = folder.path().join("seen");
    let look =
        format!("/usr/bin/tr '\\0' '\\n' < /proc/$$/environ > {}; echo '\"Done\"' >&0", seen.display());
    parts(&mut reader(made_up(&folder, &look), Limits { patience: LONG, mib: 64 }), &one);
    assert_eq!(fs::read_to_string(seen).unwrap(), "MIMALLOC_DISALLOW_ARENA_ALLOC=1\n");
}

#[test]
fn a_person_who_starts_a_reader_is_told_what_to_start_instead() {
    for stdin in [Stdio::null(), Stdio::piped()] {
        let ran = Command::new(INGEST).arg(COMMAND).stdin(stdin).output().unwrap();
        assert_eq!(ran.status.code(), Some(2));
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(said.contains("run `lectern-ingest run PATH`"), "{said}");
    }
}

#[test]
fn help_does_not_speak_of_readers() {
    let ran = Command::new(INGEST).arg("--help").output().unwrap();
    assert!(!String::from_utf8(ran.stdout).unwrap().contains(COMMAND));
}
