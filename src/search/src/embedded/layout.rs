//! Where the embedded store keeps what: `collections/GENERATION/{manifest.json,LOCK,shard/}` and `aliases/NAME` with
//! `aliases/NAME.canary`.
//! Reads manifests and aliases for both sides; never writes a file.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use lectern_schema::canary::Canary;
use lectern_schema::generation::Manifest;
use lectern_schema::identifiers::{AliasName, GenerationId};

/// What the system said about a file or directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct FileFault {
    /// What was tried.
    pub action: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
    /// The system's reason. `InvalidData` when the content is not what it should be.
    #[source]
    pub source: io::Error,
}

impl FileFault {
    /// For `map_err`: adds to a system's error what was tried, and on what.
    pub fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }
}

/// The directory of an embedded store.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The store in `root`, which need not exist yet.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Directory of all generations.
    pub fn collections(&self) -> PathBuf {
        self.root.join("collections")
    }

    /// Directory of one generation.
    pub fn generation(&self, generation: &GenerationId) -> PathBuf {
        self.collections().join(generation.as_str())
    }

    /// The engine's own directory in a generation.
    pub fn shard(&self, generation: &GenerationId) -> PathBuf {
        self.generation(generation).join("shard")
    }

    /// The file whose lock is held by the one process that has the generation open.
    pub fn generation_lock(&self, generation: &GenerationId) -> PathBuf {
        self.generation(generation).join("LOCK")
    }

    /// The generation's manifest.
    pub fn manifest_file(&self, generation: &GenerationId) -> PathBuf {
        self.generation(generation).join(Manifest::FILE_NAME)
    }

    /// Directory of all aliases.
    pub fn aliases(&self) -> PathBuf {
        self.root.join("aliases")
    }

    /// The file that holds the name of the alias's generation.
    pub fn alias_file(&self, alias: &AliasName) -> PathBuf {
        self.aliases().join(alias.as_str())
    }

    /// The file that holds the name and the share of the alias's canary. No alias has a dot in its name.
    pub fn canary_file(&self, alias: &AliasName) -> PathBuf {
        self.aliases().join(format!("{alias}.canary"))
    }

    /// The file whose lock is held while the alias or its canary is compared and moved.
    pub fn alias_lock(&self, alias: &AliasName) -> PathBuf {
        self.aliases().join(format!("{alias}.lock"))
    }

    /// The generation that `alias` points at, `None` when there is no such alias.
    pub fn alias_target(&self, alias: &AliasName) -> Result<Option<GenerationId>, FileFault> {
        let path = self.alias_file(alias);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        match GenerationId::parse(text.trim_end()) {
            Ok(generation) => Ok(Some(generation)),
            Err(fault) => Err(FileFault::at("read", &path)(io::Error::new(ErrorKind::InvalidData, fault))),
        }
    }

    /// The canary of `alias`, `None` when there is none.
    pub fn canary(&self, alias: &AliasName) -> Result<Option<Canary>, FileFault> {
        let path = self.canary_file(alias);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let canary = Canary::read(alias, String::from_utf8_lossy(&bytes).trim_end());
        let invalid = |fault| FileFault::at("read", &path)(io::Error::new(ErrorKind::InvalidData, fault));
        canary.map(Some).map_err(invalid)
    }

    /// The generation's manifest, `None` when it has none.
    pub fn manifest(&self, generation: &GenerationId) -> Result<Option<Manifest>, FileFault> {
        let path = self.manifest_file(generation);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        match crate::manifest::parse(generation, &bytes) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(fault) => Err(FileFault::at("read", &path)(io::Error::new(ErrorKind::InvalidData, fault))),
        }
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, FileFault> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(FileFault::at("read", path)(fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_that_does_not_hold_a_generations_name_is_told_from_a_missing_one() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        let alias = AliasName::parse("docs").unwrap();
        assert_eq!(layout.alias_target(&alias).unwrap(), None);
        fs::create_dir(layout.aliases()).unwrap();
        fs::write(layout.alias_file(&alias), "../../etc").unwrap();
        assert_eq!(layout.alias_target(&alias).unwrap_err().source.kind(), ErrorKind::InvalidData);
        fs::write(layout.alias_file(&alias), "docs@20261121T101500Z\n").unwrap();
        assert_eq!(layout.alias_target(&alias).unwrap().unwrap().as_str(), "docs@20261121T101500Z");
    }

    #[test]
    fn a_canary_s_file_that_holds_something_else_is_told_from_a_missing_one() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        let alias = AliasName::parse("docs").unwrap();
        assert_eq!(layout.canary(&alias).unwrap(), None);
        fs::create_dir(layout.aliases()).unwrap();
        fs::write(layout.canary_file(&alias), "docs@20261121T101500Z 51\n").unwrap();
        assert_eq!(layout.canary(&alias).unwrap_err().source.kind(), ErrorKind::InvalidData);
        fs::write(layout.canary_file(&alias), "docs@20261121T101500Z 5\n").unwrap();
        assert_eq!(layout.canary(&alias).unwrap().unwrap().share.percent(), 5);
    }
}
