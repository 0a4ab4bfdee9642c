//! The walls between the crates: who may depend on whom, who may know a vector store, who may read the environment.
//! Never compiles anything: it reads what cargo says and what the sources say.
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// Crates of the product, and what of ours each depends on: the design's arrows, exactly.
const ARROWS: [(&str, &[&str]); 7] = [
    ("lectern-schema", &[]),
    ("lectern-boot", &[]),
    ("lectern-resilience", &[]),
    ("lectern-models", &["lectern-resilience"]),
    ("lectern-search", &["lectern-resilience", "lectern-schema"]),
    ("lectern-server", &BELOW_THE_BINARIES),
    ("lectern-ingest", &BELOW_THE_BINARIES),
];

const BELOW_THE_BINARIES: [&str; 5] =
    ["lectern-boot", "lectern-models", "lectern-resilience", "lectern-schema", "lectern-search"];

/// Crates that can write a collection, and those that may name them: search hides them, ingest writes, tests imitate.
const WRITERS: [&str; 2] = ["qdrant-client", "qdrant-edge"];
const MAY_NAME_A_WRITER: [&str; 4] =
    ["lectern-search", "lectern-ingest", "lectern-test-qdrant", "lectern-tests"];

/// The one crate that reads the environment.
const READS_ENVIRONMENT: &str = "lectern-boot";

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

impl Package {
    fn is_product(&self) -> bool {
        ARROWS.iter().any(|(name, _)| *name == self.name)
    }

    fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap()
    }
}

fn packages() -> Vec<Package> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Metadata>(&output.stdout).unwrap().packages
}

#[test]
fn dependencies_point_one_way() {
    let ours = |package: &Package| -> BTreeSet<String> {
        let built_in = package.dependencies.iter().filter(|dependency| dependency.kind.is_none());
        built_in.map(|it| it.name.clone()).filter(|name| name.starts_with("lectern-")).collect()
    };
    let found: BTreeMap<String, BTreeSet<String>> = packages()
        .iter()
        .filter(|package| package.is_product())
        .map(|package| (package.name.clone(), ours(package)))
        .collect();
    let drawn: BTreeMap<String, BTreeSet<String>> = ARROWS
        .iter()
        .map(|(name, below)| ((*name).to_owned(), below.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    assert_eq!(found, drawn);
}

#[test]
fn not_even_the_tests_of_a_crate_reach_around_a_wall() {
    for package in packages().iter().filter(|package| package.is_product()) {
        let (_, below) = ARROWS.iter().find(|(name, _)| *name == package.name).unwrap();
        let ours = package.dependencies.iter().filter(|it| it.name.starts_with("lectern-"));
        let around: Vec<&Dependency> = ours.filter(|it| !below.contains(&it.name.as_str())).collect();
        assert!(around.is_empty(), "{} depends on {around:?}", package.name);
    }
}

#[test]
fn only_search_and_ingest_know_a_vector_store() {
    let knows = |package: &Package| {
        package.dependencies.iter().any(|dependency| WRITERS.contains(&dependency.name.as_str()))
    };
    let found: BTreeSet<String> = packages().into_iter().filter(knows).map(|package| package.name).collect();
    let strangers: Vec<&String> =
        found.iter().filter(|name| !MAY_NAME_A_WRITER.contains(&name.as_str())).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    assert!(found.contains("lectern-search") && found.contains("lectern-ingest"), "{found:?}");
}

#[test]
fn no_type_of_a_vector_store_is_public() {
    for package in packages().iter().filter(|package| package.is_product()) {
        for (path, source) in sources(package) {
            let leak = source.lines().find(|line| {
                let line = line.trim_start();
                line.starts_with("pub ") && (line.contains("qdrant_client") || line.contains("qdrant_edge"))
            });
            assert_eq!(leak, None, "{}", path.display());
        }
    }
}

#[test]
fn versions_lints_and_licence_are_declared_once() {
    let packages = packages();
    assert_eq!(packages.len(), ARROWS.len() + 2, "a crate is missing from the drawing of the walls");
    for package in packages {
        let manifest: toml::Table = fs::read_to_string(&package.manifest_path).unwrap().parse().unwrap();
        let inherits = |table: &toml::Value, key: &str| {
            table.get(key).and_then(|it| it.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
        };
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            assert!(inherits(&manifest["package"], key), "{}: {key}", package.name);
        }
        let lints = manifest["lints"].get("workspace").and_then(toml::Value::as_bool);
        assert_eq!(lints, Some(true), "{}: lints", package.name);
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(section) else { continue };
            for name in dependencies.as_table().unwrap().keys() {
                assert!(inherits(dependencies, name), "{}: {name} has a version of its own", package.name);
            }
        }
    }
}

#[test]
fn the_environment_is_read_in_one_crate() {
    let readers: BTreeSet<String> = packages()
        .iter()
        .filter(|package| package.is_product())
        .flat_map(|package| {
            let reading = sources(package).into_iter().filter(|(_, source)| reads_environment(source));
            reading.map(|(path, _)| format!("{}: {}", package.name, path.display()))
        })
        .collect();
    let elsewhere: Vec<&String> =
        readers.iter().filter(|reader| !reader.starts_with(READS_ENVIRONMENT)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    assert!(!readers.is_empty(), "the scan finds nothing any more");
}

#[test]
fn the_scan_for_the_environment_sees_its_spellings() {
    for source in ["std::env::vars_os()", "use std::{env, fs};", "use std::env;", "{ env::var(\"X\") }"] {
        assert!(reads_environment(source), "{source}");
    }
    for source in ["env!(\"CARGO_PKG_VERSION\")", "boot_env::x", "the environment"] {
        assert!(!reads_environment(source), "{source}");
    }
}

fn reads_environment(source: &str) -> bool {
    let word_before = |at: usize| {
        source[..at].chars().next_back().is_some_and(|before| before.is_alphanumeric() || before == '_')
    };
    source.contains("std::env")
        || source.match_indices("env::").any(|(at, _)| !word_before(at))
        || source.lines().any(|line| line.trim_start().starts_with("use std::{") && line.contains("env"))
}

/// The sources of a package without its tests and comments.
fn sources(package: &Package) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![package.folder().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
                let source = fs::read_to_string(&path).unwrap();
                found.push((path, without_tests_and_comments(&source)));
            }
        }
    }
    assert!(!found.is_empty(), "{} has no sources", package.name);
    found
}

fn without_tests_and_comments(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}
