//! The `ingest.web` section of the configuration: where pages may be fetched from, and how politely.
//! Never trusts a host that is not named.

use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;
use url::{Host, Url};

use crate::gather::GatherError;

/// How the web is visited.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSection {
    /// Hosts that may be fetched from, as addresses name them. One with a private address needs that named, too.
    pub hosts: Vec<String>,
    /// Time between two requests to one host; its `robots.txt` can ask for more.
    pub delay_ms: u64,
    /// Most pages of a run.
    pub max_pages: NonZeroUsize,
    /// Largest page that is taken, in bytes.
    pub max_page_bytes: NonZeroU64,
    /// Longest time that one request may take.
    pub timeout_ms: NonZeroU64,
}

impl Default for WebSection {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            // What search engines are content with.
            delay_ms: 1_000,
            max_pages: NonZeroUsize::new(10_000).unwrap_or(NonZeroUsize::MIN),
            max_page_bytes: NonZeroU64::new(16 * 1024 * 1024).unwrap_or(NonZeroU64::MIN),
            timeout_ms: NonZeroU64::new(30_000).unwrap_or(NonZeroU64::MIN),
        }
    }
}

impl WebSection {
    /// What is wrong with the section: keys below it, and reasons.
    pub(crate) fn faults(&self) -> Vec<(&'static str, String)> {
        let bad = self.hosts.iter().filter(|host| Host::parse(&bracketed(host)).is_err());
        bad.map(|host| {
            (
                "web.hosts",
                format!("has `{host}`, which is no host: write `docs.example.com`, without `https://`"),
            )
        })
        .collect()
    }

    /// Whether pages may be fetched from the host of this address.
    pub(super) fn lists(&self, url: &Url) -> bool {
        let Some(host) = url.host() else { return false };
        self.hosts
            .iter()
            .any(|listed| Host::parse(&bracketed(listed)).is_ok_and(|listed| listed == host.to_owned()))
    }

    /// Whether a private address was named itself; `localhost` names the machine's own.
    pub(super) fn lists_address(&self, address: IpAddr) -> bool {
        let is_named = |listed: &String| listed.parse() == Ok(address);
        let is_local = |listed: &String| address.is_loopback() && listed.eq_ignore_ascii_case("localhost");
        self.hosts.iter().any(|listed| is_named(listed) || is_local(listed))
    }

    /// Refuses addresses that a user gave and whose hosts are not listed.
    pub(in crate::gather) fn refuse_unlisted(&self, urls: &[Url]) -> Result<(), GatherError> {
        match urls.iter().find(|url| !self.lists(url)) {
            Some(url) => Err(GatherError::NotListed { url: url.clone() }),
            None => Ok(()),
        }
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.get())
    }
}

/// Addresses of version 6 stand in brackets in a URL and without them everywhere else.
fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(hosts: &[&str]) -> WebSection {
        WebSection { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..WebSection::default() }
    }

    #[test]
    fn only_hosts_that_are_named_are_listed() {
        let section = section(&["Docs.Example.com", "127.0.0.1", "::1"]);
        for url in ["https://docs.example.com/a", "http://127.0.0.1:8080/", "http://[::1]/"] {
            assert!(section.lists(&Url::parse(url).unwrap()), "{url}");
        }
        for url in ["https://example.com/", "https://docs.example.com.evil.example/", "http://127.0.0.2/"] {
            assert!(!section.lists(&Url::parse(url).unwrap()), "{url}");
        }
    }

    #[test]
    fn what_is_no_host_is_a_fault() {
        assert_eq!(section(&["a.example", "::1"]).faults(), []);
        assert_eq!(section(&["https://a.example"]).faults().len(), 1);
    }
}
