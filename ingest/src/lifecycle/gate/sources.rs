//! The sources gate: whether every tenant and every source of the live generation is still there, and large enough.
//! Never minds what is new.

use std::collections::BTreeMap;

use lectern_schema::generation::Counts;
use lectern_schema::identifiers::{DocumentId, TenantId};
use serde::{Deserialize, Serialize};
use url::Url;

use super::counts::keeps;
use super::{Live, Percent, Verdict};

/// Losses that are told by name; the rest is counted.
const TOLD: usize = 5;

/// Where a document comes from: the top-level folder of its id, or the host of its address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source(String);

impl Source {
    /// Documents that were named one by one have no folder: together they are one source.
    const SINGLE: &str = "(single files)";

    /// The source of a document.
    pub fn of(document: &DocumentId) -> Self {
        let id = document.as_str();
        let host = || Url::parse(id).ok()?.host_str().map(str::to_owned);
        let folder = || id.split_once('/').map(|(folder, _)| folder.to_owned());
        Self(host().or_else(folder).unwrap_or_else(|| Self::SINGLE.to_owned()))
    }
}

/// What a generation holds by tenant and source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct Tally(BTreeMap<(TenantId, Source), Counts>);

/// One row of a tally.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    tenant: TenantId,
    source: Source,
    #[serde(flatten)]
    counts: Counts,
}

impl From<Vec<Entry>> for Tally {
    fn from(entries: Vec<Entry>) -> Self {
        Self(entries.into_iter().map(|entry| ((entry.tenant, entry.source), entry.counts)).collect())
    }
}

impl From<Tally> for Vec<Entry> {
    fn from(tally: Tally) -> Self {
        tally.0.into_iter().map(|((tenant, source), counts)| Entry { tenant, source, counts }).collect()
    }
}

impl Tally {
    /// Counts a chunk. A document is counted with its first one, so that no list of documents need be kept.
    pub(crate) fn add(&mut self, tenant: &TenantId, document: &DocumentId, position: u32) {
        let counts = self.0.entry((tenant.clone(), Source::of(document))).or_default();
        counts.chunks += 1;
        counts.documents += u64::from(position == 0);
    }

    /// Everything together.
    pub fn total(&self) -> Counts {
        self.0.values().copied().fold(Counts::default(), sum)
    }

    fn tenants(&self) -> BTreeMap<&TenantId, Counts> {
        let mut tenants: BTreeMap<&TenantId, Counts> = BTreeMap::new();
        for ((tenant, _), counts) in &self.0 {
            let all = tenants.entry(tenant).or_default();
            *all = sum(*all, *counts);
        }
        tenants
    }
}

fn sum(one: Counts, other: Counts) -> Counts {
    Counts { documents: one.documents + other.documents, chunks: one.chunks + other.chunks }
}

/// Whether each tenant and each source keeps at least `smallest` of what is live of it.
pub fn sources(candidate: &Tally, live: &Live<Tally>, smallest: Percent) -> Verdict {
    const GATE: &str = "sources_kept";
    let (live, whose) = match live.known() {
        Ok(known) => known,
        Err(reason) => return Verdict::new(GATE, true, reason),
    };
    let losses = losses(candidate, live, smallest);
    if losses.is_empty() {
        let detail = format!(
            "all {} tenants and {} sources that are {whose} keep at least {smallest}",
            live.tenants().len(),
            live.0.len()
        );
        return Verdict::new(GATE, true, detail);
    }
    let more = losses.len().saturating_sub(TOLD);
    let mut told: Vec<String> = losses.into_iter().take(TOLD).collect();
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    let detail = format!("compared with what is {whose}, at least {smallest} required: {}", told.join("; "));
    Verdict::new(GATE, false, detail)
}

fn losses(candidate: &Tally, live: &Tally, smallest: Percent) -> Vec<String> {
    let now = candidate.tenants();
    let tenants = live.tenants().into_iter().filter_map(|(tenant, before)| {
        let left = now.get(tenant).copied().unwrap_or_default();
        (!keeps(left, before, smallest)).then(|| loss(&format!("tenant `{tenant}`"), left, before))
    });
    let sources = live.0.iter().filter_map(|(key, before)| {
        let left = candidate.0.get(key).copied().unwrap_or_default();
        let (tenant, source) = key;
        let name = || format!("source `{}` of tenant `{tenant}`", source.0);
        (!keeps(left, *before, smallest)).then(|| loss(&name(), left, *before))
    });
    tenants.chain(sources).collect()
}

fn loss(name: &str, left: Counts, before: Counts) -> String {
    let what = if left.chunks == 0 { "has vanished" } else { "has shrunk" };
    let Counts { documents, chunks } = before;
    format!(
        "{name} {what}: {} chunks of {} documents where {chunks} of {documents} are live",
        left.chunks, left.documents
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(chunks: &[(&str, &str, u32)]) -> Tally {
        let mut tally = Tally::default();
        for (tenant, folder, count) in chunks {
            let tenant = TenantId::parse(tenant).unwrap();
            for number in 0..*count {
                let document = DocumentId::parse(&format!("{folder}/{number}.md")).unwrap();
                tally.add(&tenant, &document, 0);
                tally.add(&tenant, &document, 1);
            }
        }
        tally
    }

    fn judged(candidate: &Tally, live: &Tally) -> Verdict {
        sources(candidate, &Live::Now(live.clone()), Percent::default())
    }

    #[test]
    fn the_source_of_a_document_is_its_folder_or_its_host() {
        let source = |id: &str| Source::of(&DocumentId::parse(id).unwrap()).0;
        assert_eq!(source("handbook/travel/a.md"), "handbook");
        assert_eq!(source("https://docs.example.com/a/b"), "docs.example.com");
        assert_eq!((source("a.md"), source("b.md")), (Source::SINGLE.to_owned(), Source::SINGLE.to_owned()));
    }

    #[test]
    fn a_source_that_vanished_is_named_although_the_whole_has_grown() {
        let live = tally(&[("public", "handbook", 4), ("public", "blog", 100)]);
        let verdict = judged(&tally(&[("public", "blog", 200)]), &live);
        assert!(!verdict.passed);
        assert!(verdict.detail.contains("source `handbook` of tenant `public` has vanished"), "{verdict}");
        assert!(!verdict.detail.contains("blog"), "{verdict}");
    }

    #[test]
    fn a_tenant_that_shrank_is_named_although_no_source_of_it_shrank_alone() {
        let live = tally(&[("acme", "a", 100), ("other", "a", 100)]);
        let verdict = judged(&tally(&[("acme", "a", 70), ("other", "a", 100)]), &live);
        assert!(!verdict.passed);
        assert!(verdict.detail.contains("tenant `acme` has shrunk: 140 chunks of 70 documents"), "{verdict}");
        assert!(!verdict.detail.contains("other"), "{verdict}");
    }

    #[test]
    fn what_is_new_is_welcome_and_nothing_live_is_nothing_lost() {
        let live = tally(&[("public", "a", 2)]);
        assert!(judged(&tally(&[("public", "a", 2), ("public", "b", 1)]), &live).passed);
        assert!(sources(&live, &Live::nothing(), Percent::default()).passed);
    }

    #[test]
    fn many_losses_are_counted() {
        let folders: Vec<String> = (0..9).map(|n| format!("f{n}")).collect();
        let live: Vec<(&str, &str, u32)> = folders.iter().map(|f| ("public", f.as_str(), 1)).collect();
        let verdict = judged(&Tally::default(), &tally(&live));
        assert!(!verdict.passed && verdict.detail.ends_with("and 5 more"), "{verdict}");
    }

    #[test]
    fn a_tally_survives_its_json() {
        let tally = tally(&[("public", "a", 2), ("acme", "b", 1)]);
        let json = serde_json::to_string(&tally).unwrap();
        assert_eq!(serde_json::from_str::<Tally>(&json).unwrap(), tally);
        assert_eq!(tally.total(), Counts { documents: 3, chunks: 6 });
    }
}
