//! Which requests fall to a canary: always the same ones, on every replica, for as long as it runs.
//! Draws nothing: a request's lot follows from what is asked by whom.

use lectern_schema::canary::Canary;
use lectern_schema::identifiers::{ContentHash, TenantId};

use crate::answer::question::Question;
use crate::sessions::id::SessionId;

/// What a request's generation is chosen by.
#[derive(Debug, Clone, Copy)]
pub enum Lot<'a> {
    /// A question on its own: equal questions of a tenant get equal answers, and caches go on working.
    Question(&'a TenantId, &'a Question),
    /// A conversation: no turn of it is answered by another generation than the one before.
    Session(SessionId),
}

impl Lot<'_> {
    /// Whether the request falls to `canary`. The larger share takes what the smaller one took, and more; another canary
    /// takes others, so that not always the same users are the ones it is tried on.
    pub fn falls_to(&self, canary: &Canary) -> bool {
        let generation = canary.generation.as_str();
        let hash = match self {
            Self::Question(tenant, question) => {
                ContentHash::of(&[generation, "question", tenant.as_str(), &question.folded()])
            }
            Self::Session(session) => ContentHash::of(&[generation, "session", &session.to_string()]),
        };
        hundredth(&hash) < u32::from(canary.share.percent())
    }
}

/// 0 to 99, evenly: 32 bits are so many that the remainder favours none by more than a part in forty million.
fn hundredth(hash: &ContentHash) -> u32 {
    let first = hash.as_str().get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    first.unwrap_or_default() % 100
}

#[cfg(test)]
mod tests {
    use super::*;
    use lectern_schema::canary::Share;
    use lectern_schema::identifiers::GenerationId;

    const QUESTIONS: u32 = 20_000;

    fn canary(generation: &str, percent: u8) -> Canary {
        let generation = GenerationId::parse(generation).unwrap();
        Canary { generation, share: Share::parse(percent).unwrap() }
    }

    fn of_tenant(tenant: &str, canary: &Canary) -> Vec<bool> {
        let tenant = TenantId::parse(tenant).unwrap();
        let falls = |n: u32| {
            let question = Question::parse(&format!("what is {n}?")).unwrap();
            Lot::Question(&tenant, &question).falls_to(canary)
        };
        (0..QUESTIONS).map(falls).collect()
    }

    /// Within four standard deviations of the share of so many draws.
    fn is_about(lots: &[bool], percent: u8) -> bool {
        let share = f64::from(percent) / 100.0;
        let draws = f64::from(u32::try_from(lots.len()).unwrap());
        let taken = f64::from(u32::try_from(lots.iter().filter(|taken| **taken).count()).unwrap());
        (taken / draws - share).abs() < 4.0 * (share * (1.0 - share) / draws).sqrt()
    }

    #[test]
    fn a_canary_takes_its_share() {
        for percent in [1, 5, 20, 50] {
            let lots = of_tenant("acme", &canary("docs@20261121T101500Z", percent));
            assert!(is_about(&lots, percent), "{percent}");
        }
    }

    #[test]
    fn sessions_fall_to_a_canary_by_its_share() {
        let canary = canary("docs@20261121T101500Z", 20);
        let lots: Vec<bool> =
            (0..QUESTIONS).map(|_| Lot::Session(SessionId::random()).falls_to(&canary)).collect();
        assert!(is_about(&lots, 20));
    }

    #[test]
    fn a_larger_share_takes_what_a_smaller_one_took() {
        let [small, large] =
            [5, 20].map(|percent| of_tenant("acme", &canary("docs@20261121T101500Z", percent)));
        assert!(small.iter().zip(&large).all(|(small, large)| *large || !*small));
    }

    #[test]
    fn another_tenant_and_another_canary_have_other_lots() {
        let lots = of_tenant("acme", &canary("docs@20261121T101500Z", 50));
        for other in [
            of_tenant("other", &canary("docs@20261121T101500Z", 50)),
            of_tenant("acme", &canary("docs@20261122T101500Z", 50)),
        ] {
            let equal: Vec<bool> = lots.iter().zip(&other).map(|(a, b)| a == b).collect();
            assert!(is_about(&equal, 50));
        }
    }

    #[test]
    fn white_space_does_not_change_the_lot() {
        let (tenant, canary) = (TenantId::public(), canary("docs@20261121T101500Z", 50));
        for n in 0..100 {
            let plain = Question::parse(&format!("a question {n}")).unwrap();
            let spaced = Question::parse(&format!("a  question\n{n}")).unwrap();
            let falls = |question| Lot::Question(&tenant, question).falls_to(&canary);
            assert_eq!(falls(&plain), falls(&spaced));
        }
    }
}
