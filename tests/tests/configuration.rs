//! The configuration reference is complete and true, and both programs take it.
//! Never looks at what a setting does.
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lectern_boot::config::{Loader, fields_of};
use lectern_boot::database::SqlSection;
use lectern_boot::telemetry::TelemetrySection;
use lectern_ingest::config::IngestSection;
use lectern_ingest::extract::records::RecordFields;
use lectern_ingest::gather::web::config::WebSection;
use lectern_ingest::lifecycle::gate::section::GatesSection;
use lectern_ingest::store::qdrant::settings::QdrantSection;
use lectern_models::config::{EmbedderSection, LlmSection};
use lectern_resilience::config::RetrySection;
use lectern_search::config::StoreSection;
use lectern_server::config::{CacheSection, HttpSection, LimitsSection};
use lectern_server::sessions::config::SessionSection;
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;

fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/config.reference.toml")
}

/// The key that a line sets, and whether it is commented out.
fn key_of(line: &str) -> Option<(&str, bool)> {
    let (assignment, commented) = line.strip_prefix("# ").map_or((line, false), |rest| (rest, true));
    let (key, _) = assignment.split_once(" = ")?;
    let plain = key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    plain.then_some((key, commented))
}

/// The keys of the reference by section, those without a default included.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in fs::read_to_string(reference()).unwrap().lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
            if let Some((above, key)) = section.rsplit_once('.') {
                found.entry(above.to_owned()).or_default().insert(key.to_owned());
            }
            found.entry(section.clone()).or_default();
        } else if let Some((key, _)) = key_of(line) {
            assert!(found.entry(section.clone()).or_default().insert(key.to_owned()), "{section}.{key}");
        }
    }
    found
}

/// Looks at one section of the reference through the type that reads it.
struct Reader {
    loader: Loader,
    read: BTreeMap<String, BTreeSet<String>>,
}

impl Reader {
    fn of(file: &Path) -> Self {
        Self { loader: Loader::new(Some(file), []), read: BTreeMap::new() }
    }

    /// The section as the reference has it, and its default.
    fn section<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> (T, T) {
        let fields = fields_of::<T>().iter().map(|field| (*field).to_owned()).collect();
        self.read.insert(name.to_owned(), fields);
        (self.loader.section(name), T::default())
    }

    /// A section within a section.
    fn nested<T: DeserializeOwned>(&mut self, outer: &str, name: &str) {
        let fields = fields_of::<T>().iter().map(|field| (*field).to_owned()).collect();
        self.read.insert(format!("{outer}.{name}"), fields);
        assert!(self.read.get(outer).unwrap().contains(name), "{outer}.{name}");
    }

    fn all(&mut self) -> Vec<(String, String)> {
        vec![
            shown(&self.section::<HttpSection>("http")),
            shown(&self.section::<StoreSection>("store")),
            shown(&self.section::<EmbedderSection>("embedder")),
            shown(&self.section::<LlmSection>("llm")),
            shown(&self.section::<RetrySection>("retry")),
            shown(&self.section::<CacheSection>("cache")),
            shown(&self.section::<LimitsSection>("limits")),
            shown(&self.section::<SqlSection>("sql")),
            shown(&self.section::<SessionSection>("session")),
            shown(&self.section::<IngestSection>("ingest")),
            shown(&self.section::<GatesSection>("gates")),
            shown(&self.section::<TelemetrySection>("telemetry")),
        ]
    }
}

fn shown<T: Debug>((found, default): &(T, T)) -> (String, String) {
    (format!("{found:#?}"), format!("{default:#?}"))
}

#[test]
fn the_reference_gives_every_default_as_it_is() {
    let mut reader = Reader::of(&reference());
    for (found, default) in reader.all() {
        assert_eq!(found, default);
    }
    reader.loader.finish().unwrap();
}

/// A secret does not show in what is compared above.
#[test]
fn the_reference_gives_the_default_registry() {
    let (found, default) = Reader::of(&reference()).section::<SqlSection>("sql");
    assert_eq!(found.url.expose_secret(), default.url.expose_secret());
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let mut reader = Reader::of(&reference());
    reader.all();
    reader.nested::<RecordFields>("ingest", "records");
    reader.nested::<QdrantSection>("ingest", "qdrant");
    reader.nested::<WebSection>("ingest", "web");
    let mut documented = documented();
    // A table of the user's own names.
    documented.remove("ingest.qdrant.index");
    assert_eq!(documented, reader.read);
}

#[test]
fn the_examples_of_the_reference_are_good_too() {
    let text = fs::read_to_string(reference()).unwrap();
    let examples: Vec<&str> = text
        .lines()
        .map(|line| match key_of(line) {
            Some((_, true)) => &line[2..],
            _ => line,
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.toml");
    fs::write(&file, examples.join("\n")).unwrap();
    let mut reader = Reader::of(&file);
    reader.all();
    reader.loader.finish().unwrap();
}

/// Exit code and standard error of `lectern check-config` with these variables and no others of ours.
fn check_config(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(lectern_tests::binaries::path("lectern"))
        .args(["check-config", "--config"])
        .arg(reference())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_server_takes_the_reference() {
    assert_eq!(check_config(&[]), (Some(0), String::new()));
}

#[test]
fn the_server_tells_every_fault_with_its_key_and_place() {
    let (code, told) = check_config(&[
        ("LECTERN_HTTP__BIND", "everywhere"),
        ("LECTERN_LIMITS__QUEUE", "long"),
        ("LECTERN_STORE__PTH", "x"),
        ("LECTERN_LLM__FALLBACK__0__MODEL", "fine"),
        ("LECTERN_LLM__FALLBACK__1__UR", "x"),
        ("LECTERN_RETRY__CAP_MS", "5"),
    ]);
    assert_eq!(code, Some(2), "{told}");
    for line in [
        "`http.bind`",
        "`limits.queue` must be a whole number (environment variable LECTERN_LIMITS__QUEUE)",
        "`store.pth` is an unknown key: did you mean `path`?",
        "`llm.fallback.1.ur` is an unknown key: did you mean `url`?",
        "`retry.cap_ms` must be at least `retry.base_ms`",
    ] {
        assert!(told.contains(line), "{told}");
    }
}
