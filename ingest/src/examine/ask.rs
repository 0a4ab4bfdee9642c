//! Asks generations questions, as the server does: what is found for golden questions, and how long searches take.
//! Never judges an answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lectern_resilience::deadline::Deadline;
use lectern_schema::embedding::DenseVector;
use lectern_schema::identifiers::{ContentHash, DocumentId};
use lectern_search::Collection;
use lectern_search::bm25::Bm25;
use lectern_search::error::SearchError;
use lectern_search::query::{Arms, Limit, Query};
use lectern_search::stored::StoredChunk;

use super::golden::{DEPTH, Golden};
use super::{BOUND, ExamineError};
use crate::lifecycle::gate::latency::Latency;

/// Chunks that are asked for per golden question: enough for ten documents of five chunks each.
const GOLDEN_CHUNKS: u64 = 50;
/// Chunks that are asked for when only the time counts: as many as a search has that names no limit.
const PROBE_CHUNKS: u64 = 10;
/// Searches of each generation whose time is not counted: the first ones read from the disk.
const WARM_UP: usize = 3;
/// Words of a chunk that make a question of it.
const PROBE_WORDS: usize = 12;

/// A search that is made of both generations.
pub(super) type Probe = (DenseVector, String);

/// The documents found for each golden question, best first.
pub(super) async fn rankings(
    collection: &dyn Collection,
    bm25: &Bm25,
    questions: &[(&Golden, DenseVector)],
) -> Result<BTreeMap<ContentHash, Vec<DocumentId>>, ExamineError> {
    let mut rankings = BTreeMap::new();
    for (question, dense) in questions {
        let query = query(dense, &question.text, bm25, GOLDEN_CHUNKS)?;
        let hits = collection.search(&query, Deadline::after(Instant::now(), BOUND)).await?;
        let mut ranking: Vec<DocumentId> = Vec::with_capacity(DEPTH);
        for hit in hits {
            if ranking.len() < DEPTH && !ranking.contains(&hit.payload.document_id) {
                ranking.push(hit.payload.document_id);
            }
        }
        rankings.insert(question.key(), ranking);
    }
    Ok(rankings)
}

/// Searches to time: the golden questions, and the first words of sampled chunks as far as those are too few.
pub(super) fn probes(
    questions: &[(&Golden, DenseVector)],
    chunks: &[StoredChunk],
    most: usize,
) -> Vec<Probe> {
    let golden = questions.iter().map(|(question, dense)| (dense.clone(), question.text.clone()));
    let sampled = chunks.iter().filter_map(|chunk| {
        let words: Vec<&str> = chunk.payload.as_ref()?.text.split_whitespace().take(PROBE_WORDS).collect();
        Some((DenseVector::parse(chunk.dense.clone()).ok()?, words.join(" ")))
    });
    golden.chain(sampled).take(most).collect()
}

/// Times the searches of both generations by turns, so that what else the machine does slows both.
pub(super) async fn latencies(
    candidate: &dyn Collection,
    live: Option<&dyn Collection>,
    bm25: &Bm25,
    probes: &[Probe],
) -> Result<(Option<Latency>, Option<Latency>), ExamineError> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let warm_up = probes.iter().take(WARM_UP).map(|probe| (probe, false));
    for ((dense, text), counted) in warm_up.chain(probes.iter().map(|probe| (probe, true))) {
        let query = query(dense, text, bm25, PROBE_CHUNKS)?;
        let took = timed(candidate, &query).await?;
        let live_took = match live {
            Some(live) => Some(timed(live, &query).await?),
            None => None,
        };
        if counted {
            ours.push(took);
            theirs.extend(live_took);
        }
    }
    Ok((Latency::of(ours), Latency::of(theirs)))
}

async fn timed(collection: &dyn Collection, query: &Query) -> Result<Duration, SearchError> {
    let begun = Instant::now();
    collection.search(query, Deadline::after(begun, BOUND)).await?;
    Ok(begun.elapsed())
}

fn query(dense: &DenseVector, text: &str, bm25: &Bm25, chunks: u64) -> Result<Query, ExamineError> {
    let arms = Arms::Hybrid(dense.clone(), bm25.question(text));
    Ok(Query { arms, filter: None, limit: Limit::parse(chunks)? })
}
