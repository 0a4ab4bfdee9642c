//! What a host's `robots.txt` allows, by RFC 9309: the longest rule that fits decides, and `Allow` wins a tie.
//! Never fetches it.

use std::time::Duration;

/// Name that rules for us are under.
pub(super) const AGENT: &str = "lectern-ingest";
/// Most of a file that counts; the RFC asks for at least 500 KiB.
pub(super) const MOST_BYTES: u64 = 512 * 1024;

/// The rules for us.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Robots {
    rules: Vec<Rule>,
    /// What is to lie between two requests.
    pub(super) delay: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    pattern: String,
    allows: bool,
}

/// A group of the file: the agents that it is for, and its rules.
#[derive(Debug, Default)]
struct Group {
    agents: Vec<String>,
    robots: Robots,
    /// Whether a rule has been read: the next agent begins another group.
    is_closed: bool,
}

impl Robots {
    /// Reads a file. Groups for us count together; those for all (`*`) only where there is none for us.
    pub(super) fn parse(text: &str) -> Self {
        let groups = groups(text);
        let of = |name: &str| -> Vec<&Group> {
            groups.iter().filter(|group| group.agents.iter().any(|agent| agent == name)).collect()
        };
        let ours = of(AGENT);
        let ours = if ours.is_empty() { of("*") } else { ours };
        Self {
            rules: ours.iter().flat_map(|group| group.robots.rules.clone()).collect(),
            delay: ours.iter().filter_map(|group| group.robots.delay).max(),
        }
    }

    /// Whether this path, with its query, may be fetched.
    pub(super) fn allow(&self, path: &str) -> bool {
        let fitting = self.rules.iter().filter(|rule| fits(&rule.pattern, path));
        fitting.max_by_key(|rule| (rule.pattern.len(), rule.allows)).is_none_or(|rule| rule.allows)
    }
}

fn groups(text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((field, value)) = line.split_once(':') else { continue };
        let (field, value) = (field.trim().trim_start_matches('\u{FEFF}').to_ascii_lowercase(), value.trim());
        if field == "user-agent" {
            if groups.last().is_none_or(|group| group.is_closed) {
                groups.push(Group::default());
            }
            if let Some(group) = groups.last_mut() {
                group.agents.push(value.to_ascii_lowercase());
            }
        } else if let Some(group) = groups.last_mut() {
            group.take(&field, value);
        }
    }
    groups
}

impl Group {
    fn take(&mut self, field: &str, value: &str) {
        match field {
            "allow" | "disallow" => {
                self.is_closed = true;
                // An empty rule is none.
                if !value.is_empty() {
                    let rule = Rule { pattern: value.to_owned(), allows: field == "allow" };
                    self.robots.rules.push(rule);
                }
            }
            "crawl-delay" => {
                self.is_closed = true;
                let delay = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                self.robots.delay = self.robots.delay.max(delay);
            }
            _ => {}
        }
    }
}

/// Whether a path begins as the pattern says: `*` stands for anything, `$` at the end for the path's end.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, is_whole) = pattern.strip_suffix('$').map_or((pattern, false), |pattern| (pattern, true));
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        last = Some((part, rest));
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    // The last star may stand for more than was needed to find what follows it.
    !is_whole || rest.is_empty() || last.is_some_and(|(part, before)| before.ends_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_rule_decides_and_allow_wins_a_tie() {
        let robots = Robots::parse("User-agent: *\nDisallow: /a\nAllow: /a/b\nDisallow: /c\nAllow: /c\n");
        for (path, allowed) in [("/", true), ("/a", false), ("/a/x", false), ("/a/b/x", true), ("/c", true)] {
            assert_eq!(robots.allow(path), allowed, "{path}");
        }
    }

    #[test]
    fn rules_for_us_replace_those_for_all() {
        let text =
            "User-agent: *\nDisallow: /\n\nUser-agent: Other\nUser-Agent: Lectern-Ingest\nDisallow: /x\n";
        let robots = Robots::parse(text);
        assert!(robots.allow("/y") && !robots.allow("/x"));
        assert!(!Robots::parse("User-agent: *\nDisallow: /\n").allow("/y"));
        assert!(Robots::parse("User-agent: Other\nDisallow: /\n").allow("/y"));
    }

    #[test]
    fn stars_stand_for_anything_and_a_dollar_for_the_end() {
        for (pattern, path, expected) in [
            ("/*.pdf$", "/a/b.pdf", true),
            ("/*.pdf$", "/a.pdf/b.pdf", true),
            ("/*.pdf$", "/a.pdf?x", false),
            ("/a*/c", "/a/b/c/d", true),
            ("/a$", "/a", true),
            ("/a$", "/ab", false),
            ("*", "/x", true),
            ("/a*b*c", "/a-c-b", false),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn empty_rules_comments_and_nonsense_are_nothing() {
        let robots =
            Robots::parse("nonsense\nDisallow: /early\nUser-agent: * # all\nDisallow:\nCrawl-delay: 2.5\n");
        assert!(robots.allow("/early"));
        assert_eq!(robots.delay, Some(Duration::from_millis(2_500)));
        assert_eq!(Robots::parse("User-agent: *\nCrawl-delay: -1").delay, None);
    }
}
