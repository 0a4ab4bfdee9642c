//! The configuration: built-in defaults, then a TOML file, then the environment, decoded section by section.
//! Knows no section's content, and never stops at the first fault: all are reported together.

mod decode;
mod environment;
mod fault;
mod fields;
mod file;
mod secret;
mod setting;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use serde::de::DeserializeOwned;

pub use self::fault::{Fault, Faults};
pub use self::fields::fields_of;
pub use self::setting::Origin;

use self::decode::{Reason, Rejection};
use self::setting::Setting;

/// Hands out the sections of a configuration, then says everything that is wrong with it.
///
/// ```
/// #[derive(Debug, Default, serde::Deserialize)]
/// #[serde(default, deny_unknown_fields)]
/// struct Http {
///     bind: String,
/// }
///
/// let variables = [("LECTERN_HTTP__BIND".into(), "127.0.0.1:0".into())];
/// let mut loader = lectern_boot::config::Loader::new(None, variables);
/// let http: Http = loader.section("http");
/// loader.ignore(&["ingest"]);
/// loader.finish()?;
/// assert_eq!(http.bind, "127.0.0.1:0");
/// # Ok::<(), lectern_boot::config::Faults>(())
/// ```
#[derive(Debug)]
pub struct Loader {
    root: Setting,
    known: BTreeSet<&'static str>,
    not_keys: Vec<String>,
    faults: Vec<Fault>,
}

impl Loader {
    /// Reads the file, if one is given, and this process's environment.
    pub fn from_environment(file: Option<&Path>) -> Self {
        Self::new(file, std::env::vars_os())
    }

    /// Reads the file, if one is given, and lays `variables` over it. What is wrong with either waits for [`Self::finish`].
    pub fn new(file: Option<&Path>, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut root = Setting::table("", Origin::Default);
        let mut faults = file.map_or_else(Vec::new, |path| file::overlay(&mut root, path));
        let remarks = environment::overlay(&mut root, variables);
        faults.extend(remarks.faults);
        Self { root, known: BTreeSet::new(), not_keys: remarks.not_keys, faults }
    }

    /// The section `name`. Where it is at fault, its default stands in until [`Self::finish`] says so: nothing may be
    /// done with a section before.
    pub fn section<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> T {
        self.checked(name, |_| Vec::<(String, String)>::new())
    }

    /// The section `name`, with what `check` finds wrong in it: keys below the section, and reasons that read on after
    /// the key (`("url", "is needed when `kind` is `qdrant`")`). A section that cannot be decoded is not checked.
    pub fn checked<T, K, R>(&mut self, name: &'static str, check: impl FnOnce(&T) -> Vec<(K, R)>) -> T
    where
        T: DeserializeOwned + Default,
        K: AsRef<str>,
        R: Into<String>,
    {
        self.known.insert(name);
        let faults_before = self.faults.len();
        let section = self.decode::<T>(name);
        if self.faults.len() == faults_before {
            for (key, reason) in check(&section) {
                self.refuse(&format!("{name}.{}", key.as_ref()), reason);
            }
        }
        section
    }

    /// Notes a fault that only the caller can see, e.g. between two sections; `key` is the full one.
    pub fn refuse(&mut self, key: &str, reason: impl Into<String>) {
        let origin = self.root.find(key).map(|setting| setting.origin.clone());
        self.faults.push(Fault { key: key.to_owned(), reason: reason.into(), origin });
    }

    /// Accepts sections that are another binary's.
    pub fn ignore(&mut self, sections: &[&'static str]) {
        self.known.extend(sections);
    }

    /// Ends the reading: everything that is wrong, unknown sections included.
    pub fn finish(mut self) -> Result<(), Faults> {
        let known = self.known.clone();
        let written: Vec<String> =
            self.root.entries().into_iter().flat_map(|sections| sections.keys().cloned()).collect();
        for name in written.iter().filter(|name| !known.contains(name.as_str())) {
            self.refuse(name, fault::unknown("section", name, known.iter().copied()));
        }
        Faults::of(self.faults).map_or(Ok(()), Err)
    }

    /// Decodes what is good of a section: a fault takes its setting out, so that the next one shows.
    fn decode<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> T {
        let mut section = self.root.remove(name).unwrap_or_else(|| Setting::table(name, Origin::Default));
        self.near_misses::<T>(name);
        let decoded = loop {
            match T::deserialize(&section) {
                Ok(decoded) => break decoded,
                Err(rejection) if self.set_aside(&mut section, &rejection) => {}
                Err(_) => break T::default(),
            }
        };
        if let Some(sections) = self.root.entries() {
            sections.insert(name.to_owned(), section);
        }
        decoded
    }

    /// Notes the fault and takes its setting out, or resolves `KEY_file`; `false` when nothing is left to take out.
    fn set_aside(&mut self, section: &mut Setting, rejection: &Rejection) -> bool {
        let key = rejection.key.clone().unwrap_or_else(|| section.key.clone());
        let origin = section.find(&key).map(|setting| setting.origin.clone());
        match &rejection.reason {
            Reason::Unknown { field, known } if secret::names_file_of(field, known) => {
                if let Err(reason) = secret::resolve(section, &key) {
                    self.faults.push(Fault { key, reason, origin });
                }
                return true;
            }
            Reason::Missing(field) => {
                let missing = format!("{key}.{field}");
                // Once its own fault has taken it out, that it is missing is no news.
                if self.faults.iter().all(|fault| fault.key != missing) {
                    self.faults.push(Fault { key: missing, reason: "is required".to_owned(), origin });
                }
            }
            _ => self.faults.push(Fault { key: key.clone(), reason: rejection.to_string(), origin }),
        }
        section.remove(&key).is_some()
    }

    /// Notes variables that would set a key of this section if they had two underscores where they have one.
    fn near_misses<T: DeserializeOwned>(&mut self, section: &str) {
        let fields = fields_of::<T>();
        for variable in &self.not_keys {
            let field = variable
                .strip_prefix(environment::PREFIX)
                .map(str::to_ascii_lowercase)
                .and_then(|name| Some(name.strip_prefix(section)?.strip_prefix('_')?.to_owned()));
            let Some(field) = field else { continue };
            if fields.contains(&field.as_str()) || secret::names_file_of(&field, fields) {
                let meant = format!("{section}__{field}").to_ascii_uppercase();
                self.faults.push(Fault {
                    key: format!("{section}.{field}"),
                    reason: format!("is not set by {variable}: write {}{meant}", environment::PREFIX),
                    origin: Some(Origin::Environment { variable: variable.clone() }),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
