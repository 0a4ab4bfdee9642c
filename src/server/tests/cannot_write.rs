//! The server cannot write, skip a step or make up a caller: code that tries does not compile, and for the right reason.
//! Each case in `cannot_write/` is compiled with what the server may depend on, and names the error that it must meet.
//!
//! The compiler is called directly: a harness that resolves dependencies anew checks all of them once more, in minutes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The names that the server's code may use: its own library and its direct dependencies.
fn names() -> Vec<String> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let server = packages.iter().find(|package| package["name"] == "lectern-server").unwrap();
    let normal = server["dependencies"].as_array().unwrap().iter().filter(|one| one["kind"].is_null());
    let direct = normal.map(|one| one["name"].as_str().unwrap().replace('-', "_"));
    direct.chain(["lectern_server".to_owned()]).collect()
}

/// Where the tests of this workspace, this one among them, have their libraries.
fn deps() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// The library that was built last under each name: what this test was built with. A case that uses no name but the
/// server's own loads that one alone; the others only have to be there for a case that should not find them.
fn externs() -> BTreeMap<String, PathBuf> {
    let mut newest = BTreeMap::new();
    let names = names();
    for entry in fs::read_dir(deps()).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let library = path.extension().is_some_and(|kind| kind == "rlib" || kind == "so");
        let name =
            file.strip_prefix("lib").and_then(|rest| rest.rsplit_once('-')).map(|(name, _)| name.to_owned());
        if let Some(name) = name.filter(|name| library && names.contains(name)) {
            let built = fs::metadata(&path).unwrap().modified().unwrap();
            let best = newest.entry(name).or_insert((built, path.clone()));
            if best.0 < built {
                *best = (built, path);
            }
        }
    }
    newest.into_iter().map(|(name, (_, path))| (name, path)).collect()
}

/// Codes and texts of the errors that a case meets.
fn errors(case: &Path, externs: &BTreeMap<String, PathBuf>) -> Vec<(String, String)> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "--crate-type", "bin", "--emit", "metadata", "--error-format", "json"]);
    rustc.arg("-o").arg(std::env::temp_dir().join(format!("cannot-write-{}", std::process::id())));
    rustc.arg("-L").arg(format!("dependency={}", deps().display())).arg(case);
    for (name, file) in externs {
        rustc.arg("--extern").arg(format!("{name}={}", file.display()));
    }
    let output = rustc.output().unwrap();
    let messages = String::from_utf8(output.stderr).unwrap();
    let messages = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let coded = messages.filter(|message| message["level"] == "error" && !message["code"].is_null());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    coded.map(|message| (text(&message["code"]["code"]), text(&message["message"]))).collect()
}

#[test]
fn code_that_writes_or_skips_a_step_does_not_compile() {
    let externs = externs();
    assert!(externs.contains_key("lectern_server") && externs.contains_key("lectern_search"), "{externs:?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cannot_write");
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let case = entry.unwrap().path();
        let source = fs::read_to_string(&case).unwrap();
        let expected: Vec<(&str, &str)> =
            source.lines().filter_map(|line| line.strip_prefix("// error: ")?.split_once(' ')).collect();
        assert!(!expected.is_empty(), "{} names no error", case.display());
        let met = errors(&case, &externs);
        let met: Vec<(&str, &str)> = met.iter().map(|(code, text)| (code.as_str(), text.as_str())).collect();
        assert_eq!(met, expected, "{}", case.display());
        cases += 1;
    }
    assert_eq!(cases, 7, "a case was added or lost");
}

#[test]
fn code_that_does_neither_compiles() {
    let case = std::env::temp_dir().join(format!("can-read-{}.rs", std::process::id()));
    fs::write(
        &case,
        "use lectern_server::generations::Served;\nfn main() { let _: Option<Served> = None; }\n",
    )
    .unwrap();
    let met = errors(&case, &externs());
    fs::remove_file(&case).unwrap();
    assert!(met.is_empty(), "{met:?}");
}
