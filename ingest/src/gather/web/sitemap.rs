//! Reads sitemaps: the addresses of pages, or of more sitemaps.
//! Never fetches what it finds, and never expands more than a sitemap may hold.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};
use url::Url;

/// Largest sitemap, expanded: the protocol's own bound.
pub(super) const MOST_BYTES: u64 = 50 * 1024 * 1024;
/// How compressed files begin.
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// What a sitemap holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sitemap {
    /// Addresses of pages.
    Pages(Vec<Url>),
    /// Addresses of sitemaps.
    Index(Vec<Url>),
}

/// Why a file is no sitemap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoSitemap {
    #[error("is no sitemap: neither `urlset` nor `sitemapindex` is in it")]
    Other,
    #[error("is a sitemap of more than 50 MiB, which sitemaps may not have")]
    TooLarge,
    #[error("is a sitemap that cannot be expanded")]
    Torn,
}

/// Whether an address looks like that of a sitemap.
pub(super) fn is_named_so(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    let path = path.strip_suffix(".gz").unwrap_or(&path);
    Path::new(path).extension().is_some_and(|extension| extension == "xml")
}

/// Reads a sitemap found at `base`. What is no address is left out; what is torn is read as far as it goes.
pub(super) fn parse(bytes: &[u8], base: &Url) -> Result<Sitemap, NoSitemap> {
    let bytes = expanded(bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut reader = Reader::from_str(&text);
    let mut is_index = None;
    let mut location: Option<String> = None;
    let mut found = Vec::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => match tag.local_name().as_ref() {
                "urlset" => is_index = is_index.or(Some(false)),
                "sitemapindex" => is_index = is_index.or(Some(true)),
                "loc" => location = Some(String::new()),
                _ => {}
            },
            Ok(Event::Text(text)) => add(&mut location, &text.xml10_content()),
            Ok(Event::CData(text)) => add(&mut location, &text.xml10_content()),
            Ok(Event::GeneralRef(reference)) => add(&mut location, &resolved(&reference)),
            Ok(Event::End(_)) => {
                let ended = location.take();
                found.extend(ended.and_then(|address| base.join(address.trim()).ok()));
            }
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    match is_index {
        Some(true) => Ok(Sitemap::Index(found)),
        Some(false) => Ok(Sitemap::Pages(found)),
        None => Err(NoSitemap::Other),
    }
}

fn add(location: &mut Option<String>, text: &str) {
    if let Some(location) = location {
        location.push_str(text);
    }
}

fn resolved(reference: &BytesRef<'_>) -> String {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => character.to_string(),
        _ => resolve_predefined_entity(reference).unwrap_or_default().to_owned(),
    }
}

fn expanded(bytes: &[u8]) -> Result<Cow<'_, [u8]>, NoSitemap> {
    if !bytes.starts_with(&GZIP) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut expanded = Vec::new();
    let mut from = MultiGzDecoder::new(bytes).take(MOST_BYTES.saturating_add(1));
    let read = from.read_to_end(&mut expanded).map_err(|_| NoSitemap::Torn)?;
    if u64::try_from(read).is_ok_and(|read| read <= MOST_BYTES) {
        Ok(Cow::Owned(expanded))
    } else {
        Err(NoSitemap::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn base() -> Url {
        Url::parse("https://example.com/sitemap.xml").unwrap()
    }

    fn urls(texts: &[&str]) -> Vec<Url> {
        texts.iter().map(|text| Url::parse(text).unwrap()).collect()
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    const PAGES: &str = "<?xml version='1.0'?><urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>
        <url><loc> https://example.com/a?x=1&amp;y=2 </loc><lastmod>2026-01-01</lastmod></url>
        <url><loc><![CDATA[https://example.com/b]]></loc></url><url><loc>/c&#x2F;d</loc></url></urlset>";

    #[test]
    fn pages_are_found_plain_and_compressed() {
        let expected =
            urls(&["https://example.com/a?x=1&y=2", "https://example.com/b", "https://example.com/c/d"]);
        assert_eq!(parse(PAGES.as_bytes(), &base()), Ok(Sitemap::Pages(expected.clone())));
        assert_eq!(parse(&gzipped(PAGES.as_bytes()), &base()), Ok(Sitemap::Pages(expected)));
    }

    #[test]
    fn an_index_names_more_sitemaps() {
        let index =
            b"<sitemapindex><sitemap><loc>https://example.com/1.xml.gz</loc></sitemap></sitemapindex>";
        assert_eq!(parse(index, &base()), Ok(Sitemap::Index(urls(&["https://example.com/1.xml.gz"]))));
    }

    #[test]
    fn what_is_no_sitemap_is_said_to_be_none() {
        assert_eq!(parse(b"<rss><link>https://example.com/</link></rss>", &base()), Err(NoSitemap::Other));
        assert_eq!(parse(b"\x1F\x8Bnonsense", &base()), Err(NoSitemap::Torn));
        let bomb = gzipped(&vec![b' '; 51 * 1024 * 1024]);
        assert_eq!(parse(&bomb, &base()), Err(NoSitemap::TooLarge));
    }

    #[test]
    fn a_torn_sitemap_is_read_as_far_as_it_goes() {
        let torn = b"<urlset><url><loc>https://example.com/a</loc></url><url><loc>https://exam";
        assert_eq!(parse(torn, &base()), Ok(Sitemap::Pages(urls(&["https://example.com/a"]))));
    }
}
