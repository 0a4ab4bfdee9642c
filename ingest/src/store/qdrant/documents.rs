//! Which documents a collection holds, and their deletion.
//! Never reads a chunk's text or vector.

use std::collections::BTreeMap;

use lectern_schema::chunk::key;
use lectern_schema::identifiers::{DocumentId, GenerationId};
use lectern_search::qdrant::filter::convert;
use qdrant_client::Qdrant;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{
    Condition, DeletePoints, Filter, PayloadIncludeSelector, PointsSelector, RetrievedPoint, ScrollPoints,
    points_selector::PointsSelectorOneOf, with_payload_selector::SelectorOptions,
};

use super::call::bounded;
use super::point;
use crate::store::{StoreError, tally};

/// Points read at a time: far below a message's limit, since only a document's name is read of each.
const PAGE: u32 = 4_096;
/// Documents deleted with one filter.
const DOCUMENTS_PER_DELETION: usize = 256;

/// How many chunks of which documents the collection holds that pass the filter.
pub(super) async fn tallied(
    client: &Qdrant,
    generation: &GenerationId,
    filter: Option<&lectern_search::filter::Filter>,
) -> Result<BTreeMap<DocumentId, u64>, StoreError> {
    let fields = PayloadIncludeSelector { fields: vec![key::DOCUMENT_ID.to_owned()] };
    let mut found = BTreeMap::new();
    let mut offset = None;
    loop {
        let request = ScrollPoints {
            collection_name: generation.to_string(),
            filter: filter.map(convert),
            offset: offset.take(),
            limit: Some(PAGE),
            with_payload: Some(SelectorOptions::Include(fields.clone()).into()),
            with_vectors: Some(false.into()),
            ..ScrollPoints::default()
        };
        let page = bounded("read chunks back", client.scroll(request))
            .await
            .map_err(|fault| fault.of_generation(generation))?;
        for point in &page.result {
            tally(&mut found, document_of(point))?;
        }
        offset = page.next_page_offset;
        if offset.is_none() {
            return Ok(found);
        }
    }
}

/// Deletes all chunks of these documents.
pub(super) async fn delete(
    client: &Qdrant,
    generation: &GenerationId,
    documents: &[DocumentId],
) -> Result<(), StoreError> {
    for batch in documents.chunks(DOCUMENTS_PER_DELETION) {
        let names: Vec<String> = batch.iter().map(ToString::to_string).collect();
        let filter = Filter::must([Condition::matches(key::DOCUMENT_ID, names)]);
        let request = DeletePoints {
            collection_name: generation.to_string(),
            wait: Some(true),
            points: Some(PointsSelector {
                points_selector_one_of: Some(PointsSelectorOneOf::Filter(filter)),
            }),
            ..DeletePoints::default()
        };
        let response = bounded("delete chunks", client.delete_points(request))
            .await
            .map_err(|fault| fault.of_generation(generation))?;
        point::written(&response)?;
    }
    Ok(())
}

fn document_of(point: &RetrievedPoint) -> Option<&str> {
    match &point.payload.get(key::DOCUMENT_ID)?.kind {
        Some(Kind::StringValue(name)) => Some(name),
        _ => None,
    }
}
