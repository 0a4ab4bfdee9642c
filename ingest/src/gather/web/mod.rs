//! Fetches sitemaps and pages into files, so that they are read as any other file is.
//! Never goes where it was not sent: links in pages are not followed, only the addresses in sitemaps.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};

use lectern_schema::identifiers::DocumentId;
use url::Url;

use crate::extract::format::Format;
use crate::extract::{Skipped, Source};
use crate::gather::GatherError;
use crate::gather::web::config::WebSection;
use crate::gather::web::sitemap::Sitemap;
use crate::gather::web::visit::{Most, Page, Visitor};
use crate::partition::Partition;

mod address;
pub mod config;
mod robots;
mod sitemap;
mod visit;

/// Sitemaps of one run: an index names at most 50,000, and nobody splits a site so finely.
const MOST_SITEMAPS: usize = 1_000;
/// After so many pages it is logged how far the fetching has come.
const LOGGED_PAGES: usize = 100;
/// Longest part of an address that becomes the name of a file.
const NAME_CHARS: usize = 100;

/// What came of the addresses.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) documents: Vec<Source>,
    pub(super) skipped: Vec<Skipped>,
}

/// Fetches the part of `urls`, and of what the sitemaps among them name, into files of `folder`.
pub(super) async fn fetch(
    urls: Vec<Url>,
    section: &WebSection,
    folder: &Path,
    partition: Partition,
) -> Result<Fetched, GatherError> {
    if urls.is_empty() {
        return Ok(Fetched::default());
    }
    let mut tour = Tour::new(Visitor::new(section)?, section, folder, partition);
    for url in urls {
        tour.add(url);
    }
    tour.go().await?;
    Ok(tour.fetched)
}

/// A visit of all pages.
#[derive(Debug)]
struct Tour<'a> {
    visitor: Visitor,
    section: &'a WebSection,
    folder: &'a Path,
    partition: Partition,
    waiting: VecDeque<Url>,
    known: HashSet<Url>,
    sitemaps: usize,
    /// Pages that were left to other workers.
    passed: usize,
    fetched: Fetched,
}

impl<'a> Tour<'a> {
    fn new(visitor: Visitor, section: &'a WebSection, folder: &'a Path, partition: Partition) -> Self {
        let (waiting, known, fetched) = (VecDeque::new(), HashSet::new(), Fetched::default());
        Self { visitor, section, folder, partition, waiting, known, sitemaps: 0, passed: 0, fetched }
    }

    /// Notes an address, once; what follows `#` is a place in the page.
    fn add(&mut self, mut url: Url) {
        url.set_fragment(None);
        if self.known.insert(url.clone()) {
            self.waiting.push_back(url);
        }
    }

    async fn go(&mut self) -> Result<(), GatherError> {
        while let Some(url) = self.waiting.pop_front() {
            let ended =
                if sitemap::is_named_so(&url) { self.sitemap(&url).await } else { self.page(&url).await? };
            if let Err(reason) = ended {
                self.fetched.skipped.push(Skipped::new(url.as_str(), &reason));
            }
        }
        Ok(())
    }

    async fn sitemap(&mut self, url: &Url) -> Result<(), String> {
        self.sitemaps += 1;
        if self.sitemaps > MOST_SITEMAPS {
            return Err(format!("is the sitemap after {MOST_SITEMAPS} others: that is too many"));
        }
        let most = Most { key: "sitemaps may have", bytes: sitemap::MOST_BYTES };
        let page = self.visitor.page(url, most).await.map_err(|refusal| refusal.to_string())?;
        let base = url.clone();
        let parsed = tokio::task::spawn_blocking(move || sitemap::parse(&page.bytes, &base)).await;
        let parsed = parsed.map_err(|_| "made the reading of sitemaps crash: please report it".to_owned())?;
        match parsed.map_err(|error| error.to_string())? {
            Sitemap::Pages(urls) | Sitemap::Index(urls) => urls.into_iter().for_each(|url| self.add(url)),
        }
        Ok(())
    }

    /// Fetches a page. What is wrong with it is told; only the folder can fail.
    async fn page(&mut self, url: &Url) -> Result<Result<(), String>, GatherError> {
        let most = self.section.max_pages.get();
        // All workers together fetch no more pages than one would.
        let is_full = self.fetched.documents.len() + self.passed >= most;
        if !self.partition.owns_source(url.as_str()) {
            self.passed += usize::from(!is_full);
            return Ok(Ok(()));
        }
        if is_full {
            return Ok(Err(format!("was not fetched: `ingest.web.max_pages` = {most} are there already")));
        }
        let most = Most { key: "ingest.web.max_page_bytes", bytes: self.section.max_page_bytes.get() };
        let page = match self.visitor.page(url, most).await {
            Ok(page) => page,
            Err(refusal) => return Ok(Err(refusal.to_string())),
        };
        let format = match format_of(page.media_type.as_deref(), url) {
            Ok(format) => format,
            Err(reason) => return Ok(Err(reason)),
        };
        let Ok(document_id) = DocumentId::parse(url.as_str()) else {
            return Ok(Err(format!("has an address of more than {} bytes", DocumentId::MAX_BYTES)));
        };
        let path = self.keep(url, page).await.map_err(GatherError::Spool)?;
        self.fetched.documents.push(Source { document_id, uri: url.to_string(), path, format });
        let pages = self.fetched.documents.len();
        if pages.is_multiple_of(LOGGED_PAGES) {
            tracing::info!(pages, waiting = self.waiting.len(), "fetching pages");
        }
        Ok(Ok(()))
    }

    /// Each page has a folder of its own, so that its file can be called as it is.
    async fn keep(&self, url: &Url, page: Page) -> std::io::Result<PathBuf> {
        let folder = self.folder.join(self.fetched.documents.len().to_string());
        let path = folder.join(name(url));
        let kept = path.clone();
        let keeping = tokio::task::spawn_blocking(move || {
            std::fs::create_dir(&folder)?;
            std::fs::write(&path, &page.bytes)
        });
        keeping.await.map_err(std::io::Error::other)??;
        Ok(kept)
    }
}

/// What the page is called where it has no title: the end of its address.
fn name(url: &Url) -> String {
    let last = url.path_segments().into_iter().flatten().rfind(|segment| !segment.is_empty());
    let last = last.or(url.host_str()).unwrap_or("page");
    let plain: String =
        last.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.%".contains(*c)).take(NAME_CHARS).collect();
    if plain.starts_with('.') || plain.is_empty() { format!("page{plain}") } else { plain }
}

/// By what the host says of it; where that is nothing in particular, by the extension of its address.
fn format_of(media_type: Option<&str>, url: &Url) -> Result<Format, String> {
    let extension = |extension: &str| Format::of(Path::new(&format!("page.{extension}")));
    let by_name = || Format::of(Path::new(url.path()));
    let found = match media_type {
        Some("text/plain") => by_name().or_else(|| extension("txt")),
        None | Some("application/octet-stream" | "binary/octet-stream") => by_name(),
        Some(media_type) => extension_of(media_type).and_then(extension),
    };
    let said = media_type.unwrap_or("of no type");
    found.ok_or_else(|| format!("is {said}, which is not a supported format"))
}

fn extension_of(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "text/html" | "application/xhtml+xml" => "html",
        "text/markdown" | "text/x-markdown" => "md",
        "text/csv" => "csv",
        "text/tab-separated-values" => "tsv",
        "text/x-rst" | "text/prs.fallenstein.rst" => "rst",
        "text/asciidoc" => "adoc",
        "text/rtf" | "application/rtf" => "rtf",
        "application/pdf" => "pdf",
        "application/epub+zip" => "epub",
        "application/jsonl" | "application/x-ndjson" => "jsonl",
        "message/rfc822" => "eml",
        "application/mbox" => "mbox",
        "application/vnd.oasis.opendocument.text" => "odt",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation" => "pptx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn the_host_s_word_counts_before_the_extension_unless_it_says_nothing() {
        let of = |media_type, address: &str| format_of(media_type, &url(address)).map(Format::name);
        assert_eq!(of(Some("text/html"), "https://a.example/x.txt"), Ok("html"));
        assert_eq!(of(Some("text/plain"), "https://a.example/x.md"), Ok("markdown"));
        assert_eq!(of(Some("text/plain"), "https://a.example/x"), Ok("text"));
        assert_eq!(of(None, "https://a.example/x.html"), Ok("html"));
        assert_eq!(
            of(Some("image/png"), "https://a.example/x.md"),
            Err("is image/png, which is not a supported format".to_owned())
        );
    }

    #[test]
    fn a_page_s_file_is_called_by_the_end_of_its_address_and_stays_in_its_folder() {
        assert_eq!(name(&url("https://a.example/guide/intro.html?x=1")), "intro.html");
        assert_eq!(name(&url("https://a.example/guide/")), "guide");
        assert_eq!(name(&url("https://a.example/")), "a.example");
        assert_eq!(name(&url("https://a.example/%2e%2e%2fetc/..%2f")), "..%2f".replace("..", "page.."));
    }
}
