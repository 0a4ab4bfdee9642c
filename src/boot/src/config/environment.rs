//! Lays the variables `LECTERN_SECTION__KEY` over the settings of the file.
//! Never reads the process's environment itself: the variables are an argument.

use std::ffi::OsString;

use super::fault::Fault;
use super::setting::{Origin, Setting, Value};

/// What every variable of ours starts with.
pub(super) const PREFIX: &str = "LECTERN_";
/// What separates the parts of a key; one underscore can be a part of a name.
const SEPARATOR: &str = "__";

/// What the environment says besides its settings.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    /// What is wrong.
    pub(super) faults: Vec<Fault>,
    /// Variables with our prefix that name no key. Not faults: Kubernetes makes `LECTERN_SERVICE_HOST` and the like for
    /// a service called `lectern`. They are held against the sections' keys later.
    pub(super) not_keys: Vec<String>,
}

/// Puts the variables that name a key under `root`. Empty ones count as not set, as `${NAME:-}` in compose files gives them.
pub(super) fn overlay(
    root: &mut Setting,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Remarks {
    let mut remarks = Remarks::default();
    let mut ours: Vec<(String, OsString)> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
        .collect();
    ours.sort();
    for (variable, value) in ours {
        if variable.contains(SEPARATOR) {
            remarks.faults.extend(put(root, &variable, value));
        } else {
            remarks.not_keys.push(variable);
        }
    }
    remarks
}

/// Puts one variable; returns what is wrong with it.
fn put(root: &mut Setting, variable: &str, value: OsString) -> Option<Fault> {
    let lower = variable.strip_prefix(PREFIX)?.to_ascii_lowercase();
    let path: Vec<&str> = lower.split(SEPARATOR).collect();
    let origin = Origin::Environment { variable: variable.to_owned() };
    let key = path.join(".");
    let fault = |reason: String| Some(Fault { key: key.clone(), reason, origin: Some(origin.clone()) });
    if path.iter().any(|part| part.is_empty()) {
        return fault(format!("is no key: write {PREFIX}SECTION{SEPARATOR}KEY"));
    }
    let Ok(text) = value.into_string() else {
        return fault("is not UTF-8".to_owned());
    };
    match root.put(&path, &origin, Value::Untyped(text)) {
        Ok(()) => None,
        Err(other) => fault(format!("contradicts {other}, which sets the whole of it")),
    }
}
