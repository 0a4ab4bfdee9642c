//! What a configuration does: order of sources, types, secrets, and every fault at once.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

use super::{Fault, Loader, Origin};

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Store {
    kind: Kind,
    path: PathBuf,
    api_key: Option<String>,
    replicas: NonZeroUsize,
    weight: f32,
    port: u16,
    fast: bool,
    hosts: Vec<String>,
    fallback: Vec<Fallback>,
}

#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Embedded,
    Qdrant,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fallback {
    url: String,
    api_key: Option<String>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            kind: Kind::Embedded,
            path: PathBuf::from("./data"),
            api_key: None,
            replicas: NonZeroUsize::MIN,
            weight: 1.0,
            port: 80,
            fast: false,
            hosts: Vec::new(),
            fallback: Vec::new(),
        }
    }
}

/// A folder with a configuration file, and variables.
struct Given {
    folder: TempDir,
    variables: Vec<(OsString, OsString)>,
}

impl Given {
    fn toml(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lectern.toml"), text).unwrap();
        Self { folder, variables: Vec::new() }
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn with(mut self, variable: &str, value: &str) -> Self {
        self.variables.push((variable.into(), value.into()));
        self
    }

    fn with_path(self, variable: &str, path: &Path) -> Self {
        self.with(variable, path.to_str().unwrap())
    }

    fn loader(&self) -> Loader {
        Loader::new(Some(&self.folder.path().join("lectern.toml")), self.variables.clone())
    }

    fn store(&self) -> Store {
        let mut loader = self.loader();
        let store = loader.section("store");
        loader.finish().unwrap();
        store
    }

    fn faults(&self) -> Vec<Fault> {
        let mut loader = self.loader();
        let _: Store = loader.section("store");
        loader.finish().unwrap_err().all().to_vec()
    }

    /// Key and message of each fault.
    fn told(&self) -> Vec<String> {
        let folder = self.folder.path().to_str().unwrap();
        self.faults().iter().map(|fault| fault.to_string().replace(folder, "FOLDER")).collect()
    }
}

#[test]
fn defaults_give_way_to_the_file_and_the_file_to_the_environment() {
    let given = Given::toml("[store]\npath = 'from-file'\nport = 1\n").with("LECTERN_STORE__PORT", "2");
    let store = given.store();
    assert_eq!((store.path, store.port, store.fast), (PathBuf::from("from-file"), 2, false));
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(Given::toml("").store(), Store::default());
}

#[test]
fn the_type_of_the_key_decides_what_a_variable_means() {
    let store = Given::toml("")
        .with("LECTERN_STORE__KIND", "qdrant")
        .with("LECTERN_STORE__API_KEY", "12345")
        .with("LECTERN_STORE__REPLICAS", "1_000")
        .with("LECTERN_STORE__WEIGHT", "2")
        .with("LECTERN_STORE__FAST", "1")
        .with("LECTERN_STORE__HOSTS", "a, b,,c")
        .store();
    assert_eq!(store.kind, Kind::Qdrant);
    assert_eq!(store.api_key.as_deref(), Some("12345"));
    assert_eq!(store.replicas.get(), 1_000);
    assert!((store.weight - 2.0).abs() < f32::EPSILON);
    assert!(store.fast);
    assert_eq!(store.hosts, ["a", "b", "c"]);
}

#[test]
fn a_variable_reaches_into_a_list_of_tables() {
    let store = Given::toml("[[store.fallback]]\nurl = 'one'\n[[store.fallback]]\nurl = 'two'\n")
        .with("LECTERN_STORE__FALLBACK__1__URL", "second")
        .with("LECTERN_STORE__FALLBACK__2__URL", "third")
        .store();
    let urls: Vec<&str> = store.fallback.iter().map(|fallback| fallback.url.as_str()).collect();
    assert_eq!(urls, ["one", "second", "third"]);
}

#[test]
fn an_empty_variable_is_not_set() {
    assert_eq!(Given::toml("").with("LECTERN_STORE__PORT", "").store().port, 80);
}

#[test]
fn a_secret_comes_from_a_file_without_its_line_end() {
    let given = Given::toml("[store]\napi_key = 'of the file'\n[[store.fallback]]\nurl = 'one'\n");
    let (key, other) = (given.file("key", "hunter2\r\n"), given.file("other", " spaced "));
    let store = given
        .with_path("LECTERN_STORE__API_KEY_FILE", &key)
        .with_path("LECTERN_STORE__FALLBACK__0__API_KEY_FILE", &other)
        .store();
    assert_eq!(store.api_key.as_deref(), Some("hunter2"));
    assert_eq!(store.fallback[0].api_key.as_deref(), Some(" spaced "));
}

#[test]
fn a_variable_wins_over_the_secret_file_that_the_configuration_file_names() {
    let given = Given::toml("[store]\napi_key_file = '/nowhere'\n").with("LECTERN_STORE__API_KEY", "value");
    assert_eq!(given.store().api_key.as_deref(), Some("value"));
}

#[test]
fn a_secret_and_its_file_at_once_contradict_each_other() {
    let given = Given::toml("")
        .with("LECTERN_STORE__API_KEY", "hunter2")
        .with("LECTERN_STORE__API_KEY_FILE", "/somewhere");
    assert_eq!(
        given.told(),
        [
            "`store.api_key_file` contradicts environment variable LECTERN_STORE__API_KEY: give the value or the file, not both \
          (environment variable LECTERN_STORE__API_KEY_FILE)"
        ]
    );
}

#[test]
fn a_secret_file_that_is_missing_or_empty_is_named() {
    let given = Given::toml("[store]\napi_key_file = '/does/not/exist'\n");
    let empty = given.file("empty", "\n");
    assert!(given.told()[0].contains("names `/does/not/exist`, which cannot be read: No such file"));
    let told = given.with_path("LECTERN_STORE__API_KEY_FILE", &empty).told();
    assert!(
        told[0].contains("which is empty (environment variable LECTERN_STORE__API_KEY_FILE)"),
        "{told:?}"
    );
}

#[test]
fn all_faults_are_told_at_once_each_with_its_key_and_place() {
    let given = Given::toml(
        "[store]\nkind = 'redis'\nprot = 1\nport = 70_000\nreplicas = 0\nfast = 'yes'\n\
         [[store.fallback]]\napi_key = 'x'\n[[store.fallback]]\nurl = 5\n[stroe]\n",
    )
    .with("LECTERN_STORE__WEIGHT", "heavy")
    .with("LECTERN_STORE_HOSTS", "a,b")
    .with("LECTERN_STORE__", "x");
    let mut told = given.told();
    told.sort();
    assert_eq!(
        told,
        [
            "`store.` is no key: write LECTERN_SECTION__KEY (environment variable LECTERN_STORE__)",
            "`store.fallback.0.url` is required (FOLDER/lectern.toml, line 7)",
            "`store.fallback.1.url` must be a string, not a whole number (FOLDER/lectern.toml, line 10)",
            "`store.fast` must be a boolean, not a text (FOLDER/lectern.toml, line 6)",
            "`store.hosts` is not set by LECTERN_STORE_HOSTS: write LECTERN_STORE__HOSTS (environment variable LECTERN_STORE_HOSTS)",
            "`store.kind` must be one of `embedded`, `qdrant`, not `redis` (FOLDER/lectern.toml, line 2)",
            "`store.port` must be a whole number from 0 to 65535, not 70000 (FOLDER/lectern.toml, line 4)",
            "`store.prot` is an unknown key: did you mean `port`? (FOLDER/lectern.toml, line 3)",
            "`store.replicas` must be a whole number, 1 or more, not 0 (FOLDER/lectern.toml, line 5)",
            "`store.weight` must be a number (environment variable LECTERN_STORE__WEIGHT)",
            "`stroe` is an unknown section: did you mean `store`? (FOLDER/lectern.toml, line 11)",
        ]
    );
}

#[test]
fn what_is_not_toml_is_told_by_line_without_its_text() {
    let given = Given::toml("[store]\napi_key = hunter2\n[store\n").with("LECTERN_STORE__PORT", "x");
    let told = given.told();
    assert!(told.iter().any(|fault| fault.contains("not TOML") && fault.ends_with("line 2)")), "{told:?}");
    assert!(told.iter().any(|fault| fault.contains("not TOML") && fault.ends_with("line 3)")), "{told:?}");
    assert!(told.iter().any(|fault| fault.starts_with("`store.port`")), "{told:?}");
    assert!(!told.join("").contains("hunter2"), "{told:?}");
}

#[test]
fn a_missing_configuration_file_is_a_fault() {
    let mut loader =
        Loader::new(Some(Path::new("/does/not/exist.toml")), [("LECTERN_STORE__PORT".into(), "x".into())]);
    let _: Store = loader.section("store");
    let told = loader.finish().unwrap_err().to_string();
    assert!(told.contains("`store.port`"), "{told}");
    assert!(told.contains("`/does/not/exist.toml` cannot be read: No such file"), "{told}");
}

#[test]
fn a_value_and_a_table_from_the_environment_contradict_each_other() {
    let given = Given::toml("[store]\nfallback = []\n")
        .with("LECTERN_STORE__FALLBACK", "x")
        .with("LECTERN_STORE__FALLBACK__0__URL", "y");
    let told = given.told();
    assert!(told[0].contains("contradicts environment variable LECTERN_STORE__FALLBACK,"), "{told:?}");
}

#[test]
fn sections_of_the_other_binary_are_ignored() {
    let given = Given::toml("[cache]\nanything = 1\n");
    let mut loader = given.loader();
    loader.ignore(&["cache"]);
    assert_eq!(loader.finish(), Ok(()));
}

#[test]
fn what_kubernetes_puts_into_the_environment_is_no_fault() {
    let given = Given::toml("")
        .with("LECTERN_SERVICE_HOST", "10.0.0.1")
        .with("LECTERN_PORT_8080_TCP_ADDR", "10.0.0.1")
        .with("LECTERN_STORE_SERVICE_HOST", "10.0.0.2");
    assert_eq!(given.store(), Store::default());
}

#[test]
fn a_section_reports_what_only_it_can_see_with_the_place() {
    let given = Given::toml("[store]\nkind = 'qdrant'\n");
    let mut loader = given.loader();
    let _: Store = loader.checked("store", |store: &Store| {
        assert_eq!(store.kind, Kind::Qdrant);
        vec![("url", "is needed when `kind` is `qdrant`"), ("kind", "is not built in")]
    });
    let faults = loader.finish().unwrap_err();
    let line = Origin::File { path: given.folder.path().join("lectern.toml"), line: 2 };
    assert_eq!((faults.all()[0].key.as_str(), &faults.all()[0].origin), ("store.url", &None));
    assert_eq!((faults.all()[1].key.as_str(), &faults.all()[1].origin), ("store.kind", &Some(line)));
}

#[test]
fn a_section_that_cannot_be_decoded_is_not_checked() {
    let given = Given::toml("[store]\nport = 'x'\n");
    let mut loader = given.loader();
    let _: Store = loader.checked("store", |_: &Store| vec![("port", "was checked")]);
    assert_eq!(loader.finish().unwrap_err().all().len(), 1);
}

#[test]
fn a_section_that_is_no_table_is_a_fault() {
    let told = Given::toml("store = 5\n").told();
    assert_eq!(told, ["`store` must be a table of keys, not a whole number (FOLDER/lectern.toml, line 1)"]);
}
