//! The canary of an alias: a generation that serves a share of the traffic beside the live one, and how stores write it down.
//! Never decides which request the canary serves.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::identifiers::{AliasName, GenerationId};

/// A canary's share of the traffic in percent, 1 to [`Share::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Share(u8);

/// The text or number is no share of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a canary's share is a whole number of percent from 1 to {max}", max = Share::MAX)]
pub struct BadShare;

impl Share {
    /// Largest share: with more than half of the traffic it is the live generation that would be on trial.
    pub const MAX: u8 = 50;

    /// Takes 1 to [`Self::MAX`].
    pub fn parse(percent: u8) -> Result<Self, BadShare> {
        if (1..=Self::MAX).contains(&percent) { Ok(Self(percent)) } else { Err(BadShare) }
    }

    /// The share in percent.
    pub fn percent(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Share {
    type Err = BadShare;

    /// Takes what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, BadShare> {
        let share = Self::parse(text.parse().map_err(|_| BadShare)?)?;
        if share.to_string() == text { Ok(share) } else { Err(BadShare) }
    }
}

impl TryFrom<u8> for Share {
    type Error = BadShare;

    fn try_from(percent: u8) -> Result<Self, BadShare> {
        Self::parse(percent)
    }
}

impl From<Share> for u8 {
    fn from(share: Share) -> Self {
        share.0
    }
}

/// A generation that serves a share of its alias's traffic beside the live one. Shown as the embedded store writes it:
/// `docs@20261121T101500Z 5`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Canary {
    /// The generation.
    pub generation: GenerationId,
    /// Its share of the traffic.
    pub share: Share,
}

/// The text does not name a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a canary: a generation and its share in percent, as in `docs@20261121T101500Z 5`")]
pub struct BadCanary;

impl Canary {
    /// Stands between an alias, this word and the share in the name of a canary's alias in Qdrant. No alias of ours has a
    /// tilde in its name, so that no user's alias is taken for one.
    const MARK: &str = "~canary~";

    /// Name of the Qdrant alias that makes the generation the canary: `docs~canary~5`.
    pub fn alias_name(&self) -> String {
        format!("{}{}{}", self.generation.alias(), Self::MARK, self.share)
    }

    /// The canary of `alias` that a Qdrant alias of this name, pointing at this collection, stands for.
    pub fn named(alias: &AliasName, alias_name: &str, collection: &str) -> Option<Self> {
        let share = alias_name.strip_prefix(alias.as_str())?.strip_prefix(Self::MARK)?.parse().ok()?;
        Self::of(alias, collection, share)
    }

    /// The one that counts of several, which an ingest that died between two calls may leave behind: the newest, and of one
    /// generation's two shares the smaller.
    pub fn newest(canaries: impl Iterator<Item = Self>) -> Option<Self> {
        canaries.max_by(|a, b| a.generation.cmp(&b.generation).then(b.share.cmp(&a.share)))
    }

    /// The canary of `alias` in what [`fmt::Display`] writes.
    pub fn read(alias: &AliasName, text: &str) -> Result<Self, BadCanary> {
        let (generation, share) = text.split_once(' ').ok_or(BadCanary)?;
        Self::of(alias, generation, share.parse().map_err(|_| BadCanary)?).ok_or(BadCanary)
    }

    fn of(alias: &AliasName, generation: &str, share: Share) -> Option<Self> {
        let generation = GenerationId::parse(generation).ok()?;
        (generation.alias() == alias).then_some(Self { generation, share })
    }
}

impl fmt::Display for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.generation, self.share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary() -> Canary {
        let generation = GenerationId::parse("docs@20261121T101500Z-2").unwrap();
        Canary { generation, share: Share::parse(5).unwrap() }
    }

    #[test]
    fn a_share_is_at_most_half_and_never_nothing() {
        let taken: Vec<u8> = (0..=u8::MAX).filter(|percent| Share::parse(*percent).is_ok()).collect();
        assert_eq!((taken.first(), taken.last(), taken.len()), (Some(&1), Some(&50), 50));
    }

    #[test]
    fn a_share_has_one_spelling() {
        assert_eq!("5".parse(), Share::parse(5));
        for other in ["05", "+5", "5.0", "", " 5", "256"] {
            assert_eq!(other.parse::<Share>(), Err(BadShare), "{other}");
        }
    }

    #[test]
    fn a_canary_is_read_back_from_its_file_and_from_its_alias() {
        let (docs, canary) = (AliasName::default(), canary());
        assert_eq!(Canary::read(&docs, &canary.to_string()), Ok(canary.clone()));
        assert_eq!(canary.alias_name(), "docs~canary~5");
        let collection = canary.generation.to_string();
        assert_eq!(Canary::named(&docs, &canary.alias_name(), &collection), Some(canary));
    }

    #[test]
    fn no_user_s_alias_and_no_other_alias_s_canary_is_taken_for_one() {
        let (docs, name) = (AliasName::default(), canary().alias_name());
        assert!(AliasName::parse(&name).is_err());
        let news = AliasName::parse("news").unwrap();
        let collection = canary().generation.to_string();
        assert_eq!(Canary::named(&news, &name, &collection), None);
        assert_eq!(Canary::named(&news, "news~canary~5", &collection), None);
        for other in ["docs", "docs-canary-5", "docs~canary~", "docs~canary~51", "docs2~canary~5"] {
            assert_eq!(Canary::named(&docs, other, &collection), None, "{other}");
        }
    }
}
