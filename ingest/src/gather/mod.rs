//! Gathers what is to be ingested: files below folders, records from the standard input, pages from the web.
//! Never looks into a document; what is not a file yet becomes one in a folder that is removed afterwards.

use std::path::{Path, PathBuf};

use url::Url;

use crate::extract::source::{self, BadSource, Sources};
use crate::gather::web::config::WebSection;
use crate::partition::Partition;

mod spool;
mod stdin;
pub mod web;

pub use self::spool::Spool;

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// Folders, files, `-` for the standard input, and addresses of sitemaps and pages.
    pub paths: Vec<PathBuf>,
    /// A file with one address per line.
    pub urls: Option<PathBuf>,
    /// The part of all that is wanted.
    pub partition: Partition,
}

/// How sources are gathered.
#[derive(Debug, Clone, PartialEq)]
pub struct Gathering {
    /// Patterns of files to leave out.
    pub ignore: Vec<String>,
    /// Most bytes of the standard input.
    pub max_stdin_bytes: u64,
    /// How the web is visited.
    pub web: WebSection,
    /// Folder for what is not a file yet; the system's for temporary files if there is none.
    pub spool: Option<PathBuf>,
}

/// Why nothing is gathered.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The files and folders are not as they should be.
    #[error(transparent)]
    Source(#[from] BadSource),
    /// The folder for what is not a file yet cannot be used.
    #[error("what is ingested cannot be kept in a temporary folder: check its space and permissions")]
    Spool(#[source] std::io::Error),
    /// The standard input cannot be read.
    #[error("the standard input cannot be read")]
    Stdin(#[source] std::io::Error),
    /// There is too much of it.
    #[error("the standard input has more bytes than `ingest.max_file_bytes` = {0}")]
    StdinTooLarge(u64),
    /// Records from the standard input are in a format that this program was built without.
    #[error("the standard input is read as JSON Lines, which this program does not support")]
    StdinFormat,
    /// The list of addresses cannot be read.
    #[error("cannot read the list of addresses `{path}`")]
    Urls {
        /// The list.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A line of the list is no address.
    #[error("`{path}` line {line} is not an address that begins with http:// or https://")]
    Url {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An address that the user gave may not be fetched from.
    #[error("`{url}` is not fetched: add its host to `ingest.web.hosts` if you trust it")]
    NotListed {
        /// The address.
        url: Url,
    },
    /// The HTTP client cannot be made.
    #[error("no HTTP client can be made: check the system's certificates")]
    Client(#[source] reqwest::Error),
    /// Everything from the web was refused.
    #[error("nothing could be fetched; `{document}` {reason}")]
    NothingFetched {
        /// The first address.
        document: String,
        /// Why not.
        reason: String,
    },
    /// Walking the folders broke down.
    #[error("searching the folders broke down: this is a bug, please report it")]
    Panicked(#[from] tokio::task::JoinError),
}

/// Finds and fetches everything that `inputs` name, or their part of it.
pub async fn gather(inputs: &Inputs, gathering: &Gathering) -> Result<Sources, GatherError> {
    let asked = Asked::of(inputs)?;
    let partition = inputs.partition;
    gathering.web.refuse_unlisted(&asked.urls)?;
    let (files, ignore) = (asked.files.clone(), gathering.ignore.clone());
    let found = tokio::task::spawn_blocking(move || source::find(&files, &ignore)).await??.ordered()?;
    // Pages that are left to other workers are something, too.
    let is_any = !found.is_empty() || !partition.is_whole() && !asked.urls.is_empty();
    let mut sources = found.part(partition);
    if asked.stdin || !asked.urls.is_empty() {
        let folder = gathering.spool.clone();
        let spool = tokio::task::spawn_blocking(move || Spool::new(folder.as_deref())).await?;
        let spool = spool.map_err(GatherError::Spool)?;
        if asked.stdin {
            sources.documents.push(stdin::spooled(spool.path(), gathering.max_stdin_bytes).await?);
        }
        let fetched = web::fetch(asked.urls, &gathering.web, spool.path(), partition).await?;
        sources.documents.extend(fetched.documents);
        // That nothing falls into a part is no fault.
        if let (true, true, Some(first)) =
            (partition.is_whole(), sources.documents.is_empty(), fetched.skipped.first())
        {
            let (document, reason) = (first.document.clone(), first.reason.clone());
            return Err(GatherError::NothingFetched { document, reason });
        }
        sources.skipped.extend(fetched.skipped);
        sources.spool = Some(spool);
    }
    Ok(if is_any { sources.ordered()? } else { sources.settled(&inputs.paths)? })
}

/// The inputs, told apart.
#[derive(Debug, Default)]
struct Asked {
    files: Vec<PathBuf>,
    urls: Vec<Url>,
    stdin: bool,
}

impl Asked {
    fn of(inputs: &Inputs) -> Result<Self, GatherError> {
        let mut asked = Self::default();
        for path in &inputs.paths {
            match path.to_str().and_then(address) {
                Some(url) => asked.urls.push(url),
                None if path == Path::new("-") => asked.stdin = true,
                None => asked.files.push(path.clone()),
            }
        }
        if let Some(list) = &inputs.urls {
            asked.urls.extend(listed(list)?);
        }
        Ok(asked)
    }
}

fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// The addresses of a list; empty lines and lines that begin with `#` are left out.
fn listed(path: &Path) -> Result<Vec<Url>, GatherError> {
    let source = |source| GatherError::Urls { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(source)?;
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(index, line)| {
            address(line).ok_or_else(|| GatherError::Url { path: path.to_owned(), line: index + 1 })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_addresses_and_the_standard_input_are_told_apart() {
        let paths = ["docs", "-", "https://example.com/sitemap.xml", "c:/docs"].map(PathBuf::from).to_vec();
        let asked = Asked::of(&Inputs { paths, urls: None, partition: Partition::whole() }).unwrap();
        assert_eq!(asked.files, [PathBuf::from("docs"), PathBuf::from("c:/docs")]);
        assert_eq!(asked.urls, [Url::parse("https://example.com/sitemap.xml").unwrap()]);
        assert!(asked.stdin);
    }

    #[test]
    fn a_list_has_one_address_per_line_and_faults_are_named_by_their_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "# pages\nhttps://a.example/\n\n  http://b.example/x  \n").unwrap();
        assert_eq!(listed(file.path()).unwrap().len(), 2);
        std::fs::write(&file, "https://a.example/\nftp://a.example/\n").unwrap();
        assert!(matches!(listed(file.path()), Err(GatherError::Url { line: 2, .. })));
    }
}
