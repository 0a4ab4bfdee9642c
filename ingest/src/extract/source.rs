//! Finds the files to ingest below the given paths, names their documents, and counts what is not supported.
//! Never opens a file and never follows a link to a folder, so that no walk runs in circles.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::overrides::{Override, OverrideBuilder};
use lectern_schema::identifiers::DocumentId;

use crate::extract::format::Format;
use crate::extract::{Skipped, Source};
use crate::gather::Spool;
use crate::partition::Partition;

/// What stands below the given paths.
#[derive(Debug, Default)]
pub struct Sources {
    /// The documents, ordered by id.
    pub documents: Vec<Source>,
    /// Files that should be documents and cannot be.
    pub skipped: Vec<Skipped>,
    /// Files of formats that are not supported, counted by extension.
    pub unsupported: BTreeMap<String, u64>,
    /// Keeps the files that were made for documents which were none.
    pub spool: Option<Spool>,
}

/// File that tells, in each folder, which files below it are no documents.
const IGNORE_FILE: &str = ".lecternignore";

/// Why nothing can be ingested from the given paths.
#[derive(Debug, thiserror::Error)]
pub enum BadSource {
    /// A path that was named does not exist, or may not be read.
    #[error("cannot read `{path}`")]
    Root {
        /// The path as it was given.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The same files would be two documents each.
    #[error("`{inner}` lies inside `{outer}`: name only one of them")]
    Nested {
        /// The path within the other.
        inner: PathBuf,
        /// The path around it.
        outer: PathBuf,
    },
    /// Two files would be one document.
    #[error("`{first}` and `{second}` would both be the document `{id}`: rename one of the folders")]
    Collision {
        /// The id of both.
        id: DocumentId,
        /// One file.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
    /// A pattern of files to leave out is none.
    #[error("`ingest.ignore` has a pattern that cannot be read")]
    Ignore(#[source] ignore::Error),
    /// No document at all.
    #[error("nothing to ingest in {}{}: supported are {}", shown(.paths), also(.unsupported), Format::extensions())]
    Nothing {
        /// The paths as they were given.
        paths: Vec<PathBuf>,
        /// What was there instead, counted by extension.
        unsupported: BTreeMap<String, u64>,
    },
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

fn also(unsupported: &BTreeMap<String, u64>) -> String {
    if unsupported.is_empty() {
        return String::new();
    }
    let counts: Vec<String> =
        unsupported.iter().map(|(extension, count)| format!("{count} {extension}")).collect();
    format!(" (only {})", counts.join(", "))
}

/// Finds all documents below `paths` but for those that fit a pattern of `ignore`. Blocks while it walks the folders.
pub fn find(paths: &[PathBuf], ignore: &[String]) -> Result<Sources, BadSource> {
    let roots = canonical_roots(paths)?;
    let mut found = Sources::default();
    for root in &roots {
        found.walk(root, ignored(root, ignore).map_err(BadSource::Ignore)?);
    }
    Ok(found)
}

/// The patterns as rules for what lies below `root`, written as in `.gitignore`.
pub fn ignored(root: &Path, patterns: &[String]) -> Result<Override, ignore::Error> {
    let mut rules = OverrideBuilder::new(root);
    for pattern in patterns {
        // Among overrides, the ones that begin so leave files out, and all others leave out what does not fit them.
        rules.add(&format!("!{pattern}"))?;
    }
    rules.build()
}

fn canonical_roots(paths: &[PathBuf]) -> Result<Vec<PathBuf>, BadSource> {
    let mut roots: Vec<(PathBuf, &PathBuf)> = Vec::new();
    for path in paths {
        let root = path.canonicalize().map_err(|source| BadSource::Root { path: path.clone(), source })?;
        for (other, given) in &roots {
            if root.starts_with(other) {
                return Err(BadSource::Nested { inner: path.clone(), outer: (*given).clone() });
            }
            if other.starts_with(&root) {
                return Err(BadSource::Nested { inner: (*given).clone(), outer: path.clone() });
            }
        }
        roots.push((root, path));
    }
    Ok(roots.into_iter().map(|(root, _)| root).collect())
}

fn refuse_collisions(documents: &[Source]) -> Result<(), BadSource> {
    let mut seen: HashMap<&DocumentId, &Path> = HashMap::with_capacity(documents.len());
    for document in documents {
        if let Some(first) = seen.insert(&document.document_id, &document.path) {
            return Err(BadSource::Collision {
                id: document.document_id.clone(),
                first: first.to_owned(),
                second: document.path.clone(),
            });
        }
    }
    Ok(())
}

impl Sources {
    /// Puts the documents in order, and refuses what cannot be ingested as it is. `paths` are named when there is nothing.
    pub fn settled(self, paths: &[PathBuf]) -> Result<Self, BadSource> {
        if self.is_empty() {
            return Err(BadSource::Nothing { paths: paths.to_vec(), unsupported: self.unsupported });
        }
        self.ordered()
    }

    /// Puts the documents in order, and refuses two of one name.
    pub fn ordered(mut self) -> Result<Self, BadSource> {
        self.documents.sort_by(|a, b| a.document_id.cmp(&b.document_id));
        refuse_collisions(&self.documents)?;
        Ok(self)
    }

    /// Whether there is nothing that is or should be a document.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.skipped.is_empty()
    }

    /// What of it falls into a part. What is not supported is told with the first one.
    #[must_use]
    pub fn part(mut self, partition: Partition) -> Self {
        self.documents.retain(|source| partition.owns(&source.document_id));
        self.skipped.retain(|skipped| partition.owns_source(&skipped.document));
        if partition.index() != 0 {
            self.unsupported.clear();
        }
        self
    }

    fn walk(&mut self, root: &Path, ignored: Override) {
        let walk = WalkBuilder::new(root)
            .add_custom_ignore_filename(IGNORE_FILE)
            .overrides(ignored)
            // What a repository ignores is ignored without it, too, but rules above the folder do not reach into it.
            .require_git(false)
            .parents(false)
            .git_global(false)
            .git_exclude(false)
            .follow_links(false)
            .sort_by_file_path(Path::cmp)
            .build();
        for entry in walk {
            match entry {
                Ok(entry) => self.take(root, entry.path(), entry.file_type()),
                Err(error) => {
                    self.skipped.push(Skipped::new(root.display().to_string(), &error.to_string()));
                }
            }
        }
    }

    fn take(&mut self, root: &Path, path: &Path, kind: Option<std::fs::FileType>) {
        let is_file = kind.is_some_and(|kind| kind.is_file());
        let is_link = kind.is_some_and(|kind| kind.is_symlink());
        // A link to nothing is taken, too: reading it tells the user that it is broken.
        let is_linked = is_link && path.metadata().map_or(true, |target| target.is_file());
        if !is_file && !is_linked {
            return;
        }
        let Some(format) = Format::of(path) else {
            *self.unsupported.entry(extension(path)).or_default() += 1;
            return;
        };
        match document_id(root, path) {
            Ok(document_id) => {
                let uri = document_id.to_string();
                self.documents.push(Source { document_id, uri, path: path.to_owned(), format });
            }
            Err(reason) => self.skipped.push(Skipped::new(path.display().to_string(), &reason)),
        }
    }
}

/// The name of the root's folder and the path below it, with `/` between them on every system.
fn document_id(root: &Path, path: &Path) -> Result<DocumentId, String> {
    let folder = if root.is_file() { root.parent().unwrap_or(root) } else { root };
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts = folder.file_name().into_iter().chain(below.iter());
    let parts: Option<Vec<&str>> = parts.map(std::ffi::OsStr::to_str).collect();
    let parts = parts.ok_or("has a name that is not UTF-8: rename it")?;
    DocumentId::parse(&parts.join("/")).map_err(|error| format!("cannot be named: {error}"))
}

fn extension(path: &Path) -> String {
    path.extension().map_or_else(
        || "without extension".to_owned(),
        |extension| format!(".{}", extension.to_string_lossy().to_lowercase()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(paths: &[PathBuf]) -> Result<Sources, BadSource> {
        super::find(paths, &[])?.settled(paths)
    }

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        folder
    }

    fn ids(sources: &Sources) -> Vec<&str> {
        sources.documents.iter().map(|source| source.document_id.as_str()).collect()
    }

    #[test]
    fn documents_are_named_by_folder_and_path_and_ordered() {
        let folder = folder(&["docs/b.md", "docs/a/z.HTML", "docs/a/c.txt", "docs/x.bin", "docs/Makefile"]);
        let found = find(&[folder.path().join("docs")]).unwrap();
        assert_eq!(ids(&found), ["docs/a/c.txt", "docs/a/z.HTML", "docs/b.md"]);
        assert_eq!(Vec::from_iter(found.unsupported), [(".bin".into(), 1), ("without extension".into(), 1)]);
    }

    #[test]
    fn a_single_file_has_the_same_name_as_within_its_folder() {
        let folder = folder(&["docs/b.md"]);
        assert_eq!(ids(&find(&[folder.path().join("docs/b.md")]).unwrap()), ["docs/b.md"]);
    }

    #[test]
    fn hidden_and_ignored_files_and_linked_folders_are_left_out() {
        let folder = folder(&["docs/a.md", "docs/.b.md", "docs/draft/c.md"]);
        std::fs::write(folder.path().join("docs/.gitignore"), "draft/\n").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("docs/loop")).unwrap();
        std::os::unix::fs::symlink("a.md", folder.path().join("docs/link.md")).unwrap();
        assert_eq!(ids(&find(&[folder.path().join("docs")]).unwrap()), ["docs/a.md", "docs/link.md"]);
    }

    #[test]
    fn files_that_the_user_leaves_out_are_left_out() {
        let folder = folder(&["docs/a.md", "docs/b.md", "docs/old/c.md", "docs/deep/old/d.md", "docs/e.txt"]);
        std::fs::write(folder.path().join("docs/.lecternignore"), "/b.md\n").unwrap();
        let ignore = ["old/".to_owned(), "*.txt".to_owned()];
        let found = super::find(&[folder.path().join("docs")], &ignore).unwrap();
        assert_eq!(ids(&found), ["docs/a.md"]);
    }

    #[test]
    fn an_empty_folder_has_nothing_to_ingest() {
        let folder = folder(&["docs/x.bin"]);
        let error = find(&[folder.path().join("docs")]).unwrap_err().to_string();
        assert!(error.starts_with("nothing to ingest in `"), "{error}");
        assert!(error.contains("docs` (only 1 .bin): supported are .md"), "{error}");
    }

    #[test]
    fn roots_that_overlap_or_collide_are_refused() {
        let folder = folder(&["a/docs/x.md", "b/docs/x.md"]);
        let (a, b) = (folder.path().join("a/docs"), folder.path().join("b/docs"));
        assert!(matches!(find(&[a.clone(), b]), Err(BadSource::Collision { .. })));
        assert!(matches!(find(&[folder.path().join("a"), a.clone()]), Err(BadSource::Nested { .. })));
        assert!(matches!(find(&[a.clone(), a]), Err(BadSource::Nested { .. })));
        assert!(matches!(find(&["/no/such".into()]), Err(BadSource::Root { .. })));
    }
}
