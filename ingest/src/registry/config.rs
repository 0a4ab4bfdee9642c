//! The `sql` section of the configuration.
//! Never parses the address: the registry does, when it opens.

use secrecy::SecretString;
use serde::Deserialize;

/// Which SQL database holds the registry.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqlSection {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`. Secret, because it can carry a password.
    pub url: SecretString,
}

impl Default for SqlSection {
    fn default() -> Self {
        Self { url: SecretString::from("sqlite:./data/lectern.db") }
    }
}
