//! Goes once through all chunks of a generation: what it holds by tenant and source, and which of its chunks to look at.
//! Never keeps more than the sample in memory, however large the generation.

use std::collections::BinaryHeap;
use std::time::Instant;

use lectern_resilience::deadline::Deadline;
use lectern_schema::identifiers::{ChunkId, ContentHash, GenerationId};
use lectern_search::Collection;
use lectern_search::error::SearchError;
use lectern_search::stored::StoredChunk;

use super::BOUND;
use crate::lifecycle::gate::sources::Tally;

/// Chunks that are fetched together with their vectors: less than a megabyte at 3,072 dimensions.
const FETCHED: usize = 64;

/// What one pass found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) tally: Tally,
    /// Chunks whose payload cannot be read.
    pub(super) unreadable: u64,
    /// Chunks to look at, in no order of meaning.
    pub(super) sample: Vec<ChunkId>,
}

/// Counts all chunks and draws `most` of them. The draw is the same for the same generation, another one for the next.
pub(super) async fn scan(collection: &dyn Collection, most: usize) -> Result<Scan, SearchError> {
    let seed = seed(&collection.manifest().generation);
    let mut scan = Scan::default();
    let mut lowest: BinaryHeap<(u64, ChunkId)> = BinaryHeap::with_capacity(most + 1);
    let mut from = None;
    loop {
        let page = collection.page(from, Deadline::after(Instant::now(), BOUND)).await?;
        for (id, origin) in page.chunks {
            match origin {
                Some(origin) => scan.tally.add(&origin.tenant, &origin.document_id, origin.position),
                None => scan.unreadable += 1,
            }
            lowest.push((rank(id, seed), id));
            if most < lowest.len() {
                lowest.pop();
            }
        }
        from = page.next;
        if from.is_none() {
            scan.sample = lowest.into_sorted_vec().into_iter().map(|(_, id)| id).collect();
            return Ok(scan);
        }
    }
}

/// The sampled chunks, in the order of their ids in `ids`.
pub(super) async fn fetch(
    collection: &dyn Collection,
    ids: &[ChunkId],
) -> Result<Vec<StoredChunk>, SearchError> {
    let mut chunks = Vec::with_capacity(ids.len());
    for some in ids.chunks(FETCHED) {
        chunks.extend(collection.chunks(some, Deadline::after(Instant::now(), BOUND)).await?);
    }
    Ok(chunks)
}

fn seed(generation: &GenerationId) -> u64 {
    let hash = ContentHash::of(&[generation.as_str()]);
    hash.as_str().get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// Scatters ids anew for every seed, by the finisher of `SplitMix64`.
fn rank(id: ChunkId, seed: u64) -> u64 {
    let (high, low) = id.as_uuid().as_u64_pair();
    let mut mixed = high.rotate_left(32) ^ low ^ seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_has_a_draw_of_its_own() {
        let ids: Vec<ChunkId> =
            (0..100_u128).map(|n| ChunkId::parse(&format!("{:032x}", n * n)).unwrap()).collect();
        let drawn = |generation: &str| {
            let seed = seed(&GenerationId::parse(generation).unwrap());
            let mut ranked: Vec<(u64, ChunkId)> = ids.iter().map(|id| (rank(*id, seed), *id)).collect();
            ranked.sort_unstable();
            ranked.into_iter().take(10).map(|(_, id)| id).collect::<Vec<_>>()
        };
        let (one, other) = (drawn("docs@20261121T101500Z"), drawn("docs@20261121T101501Z"));
        assert_eq!(one, drawn("docs@20261121T101500Z"));
        assert!(one.iter().filter(|id| other.contains(id)).count() < 6);
    }
}
