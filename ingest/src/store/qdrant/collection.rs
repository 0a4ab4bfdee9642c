//! What a generation looks like as a Qdrant collection.
//! Never sends a request: it only writes and reads them.

use lectern_schema::chunk::key;
use lectern_schema::embedding::{DENSE_VECTOR, SPARSE_VECTOR};
use lectern_schema::generation::Manifest;
use lectern_schema::identifiers::GenerationId;
use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    BinaryQuantization, CollectionInfo, CreateCollection, CreateFieldIndexCollection, Distance,
    HnswConfigDiff, KeywordIndexParams, Memory, Modifier, PayloadIndexParams, QuantizationConfig,
    QuantizationType, ScalarQuantization, SparseVectorConfig, SparseVectorParams, UpdateCollection, Value,
    VectorParams, VectorParamsMap, VectorsConfig, quantization_config,
};

use super::settings::{FieldKind, QdrantSection, Quantization};
use crate::store::StoreError;

/// The request that makes the collection of a generation.
pub(super) fn creation(
    manifest: &Manifest,
    settings: &QdrantSection,
) -> Result<CreateCollection, StoreError> {
    let dense = VectorParams {
        size: u64::from(manifest.fingerprint.encoding.embedding.dimension),
        distance: Distance::Cosine.into(),
        memory: settings.vectors_on_disk.then_some(Memory::Cold.into()),
        ..VectorParams::default()
    };
    let sparse = SparseVectorParams { modifier: Some(Modifier::Idf.into()), ..SparseVectorParams::default() };
    let dense = VectorParamsMap { map: [(DENSE_VECTOR.to_owned(), dense)].into() };
    let sparse = SparseVectorConfig { map: [(SPARSE_VECTOR.to_owned(), sparse)].into() };
    let links = if settings.defer_index { 0 } else { settings.links };
    Ok(CreateCollection {
        collection_name: manifest.generation.to_string(),
        vectors_config: Some(VectorsConfig { config: Some(Config::ParamsMap(dense)) }),
        sparse_vectors_config: Some(sparse),
        hnsw_config: Some(graph(links)),
        shard_number: Some(settings.shards).filter(|shards| 0 < *shards),
        replication_factor: Some(settings.replicas).filter(|replicas| 0 < *replicas),
        quantization_config: quantization(settings.quantization),
        metadata: metadata(manifest)?.into(),
        ..CreateCollection::default()
    })
}

/// The request that has the graph built which [`creation`] has put off.
pub(super) fn graph_building(generation: &GenerationId, settings: &QdrantSection) -> UpdateCollection {
    UpdateCollection {
        collection_name: generation.to_string(),
        hnsw_config: Some(graph(settings.links)),
        ..UpdateCollection::default()
    }
}

/// Without links there is no graph to build: that is how Qdrant's manual on bulk upload puts it off.
fn graph(links: u64) -> HnswConfigDiff {
    HnswConfigDiff { m: Some(links), ..HnswConfigDiff::default() }
}

fn quantization(wanted: Quantization) -> Option<QuantizationConfig> {
    // In memory, whatever becomes of the originals: this is what is searched.
    let memory = Some(Memory::Pinned.into());
    let quantization = match wanted {
        Quantization::None => return None,
        Quantization::Scalar => quantization_config::Quantization::Scalar(ScalarQuantization {
            r#type: QuantizationType::Int8.into(),
            memory,
            ..ScalarQuantization::default()
        }),
        Quantization::Binary => quantization_config::Quantization::Binary(BinaryQuantization {
            memory,
            ..BinaryQuantization::default()
        }),
    };
    Some(QuantizationConfig { quantization: Some(quantization) })
}

/// The requests that index payload fields: those which every deployment filters on, and the configured ones. Of tenants
/// Qdrant keeps the points together, since nobody searches in two.
pub(super) fn indexes(
    generation: &GenerationId,
    settings: &QdrantSection,
) -> Vec<CreateFieldIndexCollection> {
    let index = |name: String, kind: FieldKind, params| CreateFieldIndexCollection {
        collection_name: generation.to_string(),
        wait: Some(true),
        field_name: name,
        field_type: Some(kind.of_qdrant().into()),
        field_index_params: params,
        ..CreateFieldIndexCollection::default()
    };
    let tenants = KeywordIndexParams { is_tenant: Some(true), ..KeywordIndexParams::default() };
    let tenants = PayloadIndexParams { index_params: Some(IndexParams::KeywordIndexParams(tenants)) };
    let always = [
        index(key::DOCUMENT_ID.to_owned(), FieldKind::Keyword, None),
        index(key::TENANT.to_owned(), FieldKind::Keyword, Some(tenants)),
    ];
    let configured = settings.indexed_keys().map(|(name, kind)| index(name, kind, None));
    always.into_iter().chain(configured).collect()
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
