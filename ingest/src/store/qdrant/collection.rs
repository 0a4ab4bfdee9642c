//! What a generation looks like as a Qdrant collection.
//! Never sends a request: it only writes and reads them.

use lectern_schema::chunk::key;
use lectern_schema::embedding::{DENSE_VECTOR, SPARSE_VECTOR};
use lectern_schema::generation::Manifest;
use lectern_schema::identifiers::GenerationId;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionInfo, CreateCollection, CreateFieldIndexCollection, Distance, FieldType, Modifier,
    SparseVectorConfig, SparseVectorParams, Value, VectorParams, VectorParamsMap, VectorsConfig,
};

use crate::store::StoreError;

/// The request that makes the collection of a generation.
pub(super) fn creation(manifest: &Manifest) -> Result<CreateCollection, StoreError> {
    let dense = VectorParams {
        size: u64::from(manifest.fingerprint.encoding.embedding.dimension),
        distance: Distance::Cosine.into(),
        ..VectorParams::default()
    };
    let sparse = SparseVectorParams { modifier: Some(Modifier::Idf.into()), ..SparseVectorParams::default() };
    let dense = VectorParamsMap { map: [(DENSE_VECTOR.to_owned(), dense)].into() };
    let sparse = SparseVectorConfig { map: [(SPARSE_VECTOR.to_owned(), sparse)].into() };
    Ok(CreateCollection {
        collection_name: manifest.generation.to_string(),
        vectors_config: Some(VectorsConfig { config: Some(Config::ParamsMap(dense)) }),
        sparse_vectors_config: Some(sparse),
        metadata: metadata(manifest)?.into(),
        ..CreateCollection::default()
    })
}

/// The requests that index the payload fields which every deployment filters on.
pub(super) fn indexes(generation: &GenerationId) -> [CreateFieldIndexCollection; 2] {
    [key::DOCUMENT_ID, key::TENANT].map(|name| CreateFieldIndexCollection {
        collection_name: generation.to_string(),
        wait: Some(true),
        field_name: name.to_owned(),
        field_type: Some(FieldType::Keyword.into()),
        ..CreateFieldIndexCollection::default()
    })
}

/// The manifest as an entry of the collection's metadata.
pub(super) fn metadata(manifest: &Manifest) -> Result<[(String, Value); 1], StoreError> {
    let json = serde_json::to_string(manifest)
        .map_err(|fault| StoreError::Refused { action: "write the manifest", source: fault.into() })?;
    Ok([(Manifest::METADATA_KEY.to_owned(), json.into())])
}

/// The manifest in a collection's metadata, if there is one that can be read.
pub(super) fn manifest(generation: &GenerationId, info: &CollectionInfo) -> Option<Manifest> {
    match &info.config.as_ref()?.metadata.get(Manifest::METADATA_KEY)?.kind {
        Some(Kind::StringValue(json)) => lectern_search::manifest::parse(generation, json.as_bytes()).ok(),
        _ => None,
    }
}
