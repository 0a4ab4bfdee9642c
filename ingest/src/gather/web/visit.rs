//! Fetches single pages, politely: allowed hosts only, by their `robots.txt`, at their pace, within bounds.
//! Never follows a redirect to where it would not have gone by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use url::Url;

use crate::causes::in_one_line;
use crate::gather::GatherError;
use crate::gather::web::address::Resolver;
use crate::gather::web::config::WebSection;
use crate::gather::web::robots::{self, Robots};

/// Redirects that are followed; browsers follow 20, honest sites need two.
const MOST_REDIRECTS: usize = 5;
/// Times that a host that asks for patience is asked again.
const TRIES: usize = 3;
/// Wait when a busy host does not say how long.
const BUSY: Duration = Duration::from_secs(5);
/// Longest wait that a host may ask for: beyond it the page is skipped.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// A page as it was sent.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) bytes: Vec<u8>,
    /// What it says that it is, in lower case and without parameters.
    pub(super) media_type: Option<String>,
}

/// Why a page is not there, reading on after its address.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("leads to `{0}`, whose host is not in `ingest.web.hosts`")]
    NotListed(Url),
    #[error("may not be fetched: the host's robots.txt forbids it")]
    Forbidden,
    #[error("may not be fetched: the host's robots.txt could not be read")]
    RobotsUnknown,
    #[error("was not fetched: its host asks for {0} s between requests, more than 60")]
    TooSlow(u64),
    #[error("was answered with {0}")]
    Status(StatusCode),
    #[error("has more bytes than `{key}` = {most}")]
    TooLarge { key: &'static str, most: u64 },
    #[error("is redirected more than {MOST_REDIRECTS} times")]
    Redirects,
    #[error("is redirected to what is no address")]
    Nowhere,
    #[error("cannot be fetched: {0}")]
    Network(String),
}

impl From<reqwest::Error> for Refusal {
    fn from(error: reqwest::Error) -> Self {
        Self::Network(in_one_line(&error.without_url()))
    }
}

/// Largest answer that is taken, and what sets it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) key: &'static str,
    pub(super) bytes: u64,
}

enum Answer {
    Page(Page),
    Moved(Url),
}

/// Visits hosts.
#[derive(Debug)]
pub(super) struct Visitor {
    client: Client,
    section: Arc<WebSection>,
    /// By the beginning of the address, up to the port.
    robots: HashMap<String, Option<Robots>>,
    /// When each host may be asked again.
    next: HashMap<String, Instant>,
}

impl Visitor {
    pub(super) fn new(section: &WebSection) -> Result<Self, GatherError> {
        let section = Arc::new(section.clone());
        let client = Client::builder()
            .user_agent(concat!("lectern-ingest/", env!("CARGO_PKG_VERSION")))
            .timeout(section.timeout())
            .redirect(Policy::none())
            // A proxy would look the names up itself, past the check of addresses.
            .no_proxy()
            .dns_resolver(Arc::new(Resolver(Arc::clone(&section))))
            .build()
            .map_err(GatherError::Client)?;
        Ok(Self { client, section, robots: HashMap::new(), next: HashMap::new() })
    }

    /// Fetches a page of at most `most` bytes.
    pub(super) async fn page(&mut self, url: &Url, most: Most) -> Result<Page, Refusal> {
        let mut url = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            self.check_robots(&url).await?;
            match self.ask(&url, most).await? {
                Answer::Page(page) => return Ok(page),
                Answer::Moved(to) => url = to,
            }
        }
        Err(Refusal::Redirects)
    }

    async fn check_robots(&mut self, url: &Url) -> Result<(), Refusal> {
        self.check_host(url)?;
        let origin = origin(url);
        if !self.robots.contains_key(&origin) {
            let robots = self.robots_of(url).await;
            self.robots.insert(origin.clone(), robots);
        }
        let Some(Some(robots)) = self.robots.get(&origin) else { return Err(Refusal::RobotsUnknown) };
        let path =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        if !robots.allow(&path) {
            return Err(Refusal::Forbidden);
        }
        match robots.delay {
            Some(delay) if delay > LONGEST_WAIT => Err(Refusal::TooSlow(delay.as_secs())),
            _ => Ok(()),
        }
    }

    /// A host's rules; `None` when it cannot tell, which forbids everything: RFC 9309, 2.3.1.
    async fn robots_of(&mut self, url: &Url) -> Option<Robots> {
        let mut at = url.join("/robots.txt").ok()?;
        let most = Most { key: "robots.txt", bytes: robots::MOST_BYTES };
        for _ in 0..=MOST_REDIRECTS {
            match self.ask(&at, most).await {
                Ok(Answer::Page(page)) => return Some(Robots::parse(&String::from_utf8_lossy(&page.bytes))),
                Ok(Answer::Moved(to)) => at = to,
                Err(Refusal::Status(status)) if status.is_client_error() => return Some(Robots::default()),
                Err(_) => return None,
            }
        }
        None
    }

    fn check_host(&self, url: &Url) -> Result<(), Refusal> {
        let is_web = matches!(url.scheme(), "http" | "https");
        if is_web && self.section.lists(url) { Ok(()) } else { Err(Refusal::NotListed(url.clone())) }
    }

    /// Asks once, and again where the host asks for patience.
    async fn ask(&mut self, url: &Url, most: Most) -> Result<Answer, Refusal> {
        self.check_host(url)?;
        let mut tries = 1;
        loop {
            self.keep_pace(url).await;
            let answer = self.client.get(url.clone()).send().await;
            self.note_pace(url);
            let answer = answer?;
            let status = answer.status();
            let is_busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            let wait = retry_after(answer.headers()).unwrap_or(BUSY);
            if !is_busy || tries == TRIES || wait > LONGEST_WAIT {
                return taken(answer, url, most).await;
            }
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }

    async fn keep_pace(&self, url: &Url) {
        if let Some(next) = self.next.get(&origin(url)) {
            tokio::time::sleep_until((*next).into()).await;
        }
    }

    fn note_pace(&mut self, url: &Url) {
        let origin = origin(url);
        let asked = self.robots.get(&origin).and_then(|robots| robots.as_ref()?.delay).unwrap_or_default();
        let delay = self.section.delay().max(asked.min(LONGEST_WAIT));
        self.next.insert(origin, Instant::now() + delay);
    }
}

async fn taken(mut answer: Response, url: &Url, most: Most) -> Result<Answer, Refusal> {
    let status = answer.status();
    if status.is_redirection() {
        let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let to = to.and_then(|to| url.join(to).ok()).ok_or(Refusal::Nowhere)?;
        return Ok(Answer::Moved(to));
    }
    if !status.is_success() {
        return Err(Refusal::Status(status));
    }
    let media_type = media_type(answer.headers());
    let too_large = || Refusal::TooLarge { key: most.key, most: most.bytes };
    let room = usize::try_from(most.bytes).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    while let Some(block) = answer.chunk().await? {
        if bytes.len() + block.len() > room {
            return Err(too_large());
        }
        bytes.extend_from_slice(&block);
    }
    Ok(Answer::Page(Page { bytes, media_type }))
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let whole = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = whole.split(';').next().unwrap_or_default().trim();
    (!essence.is_empty()).then(|| essence.to_ascii_lowercase())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}
