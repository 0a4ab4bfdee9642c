//! What a collection is made of: its configuration as the engine takes it, as a request changes it, as it is shown.
//! Never keeps quiet about a setting that would change answers: it is applied or refused. Settings that change only
//! cost (memory placement, quantization, replication) are kept and shown, and have no effect.

use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    self, CollectionConfig, CollectionParams, CreateCollection, HnswConfigDiff, OptimizersConfigDiff,
    UpdateCollection, WalConfigDiff,
};
use qdrant_edge::{
    DEFAULT_VECTOR_NAME, Distance, EdgeConfig, EdgeOptimizersConfig, EdgeSparseVectorParams,
    EdgeVectorParams, HnswIndexConfig, Modifier, VectorStorageDatatype, WalOptions,
};
use tonic::Status;

use super::size;
use super::vectors::{Shape, Space};
use crate::status::{bad_value, refuse, unsupported, wrong_input};

/// Largest dimension that Qdrant takes.
const MAX_DIMENSION: u64 = 65_536;
/// The engine allocates this much per collection at once; the default of 32 MiB is much for tests with many of them.
const WAL_SEGMENT_BYTES: usize = 4 * 1024 * 1024;

pub(crate) fn engine_config(create: &CreateCollection) -> Result<EdgeConfig, Status> {
    refuse("custom sharding", create.sharding_method == Some(qdrant::ShardingMethod::Custom.into()))?;
    let strict = create.strict_mode_config.as_ref().and_then(|strict| strict.enabled);
    refuse("strict mode", strict == Some(true))?;
    let mut builder = EdgeConfig::builder()
        .hnsw_config(hnsw(create.hnsw_config.as_ref())?)
        .optimizers(optimizers(create.optimizers_config.as_ref())?)
        .wal_options(WalOptions { segment_capacity: WAL_SEGMENT_BYTES, ..WalOptions::default() });
    for (name, params) in dense_params(create)? {
        builder = builder.vector(name, dense(params)?);
    }
    for (name, params) in create.sparse_vectors_config.iter().flat_map(|sparse| &sparse.map) {
        builder = builder.sparse_vector(name, sparse(params)?);
    }
    Ok(builder.build())
}

pub(crate) fn shape(create: &CreateCollection) -> Result<Shape, Status> {
    let mut shape = Shape::default();
    for (name, params) in dense_params(create)? {
        shape.0.insert(name.to_owned(), Space::Dense(size(params.size)?));
    }
    for name in create.sparse_vectors_config.iter().flat_map(|sparse| sparse.map.keys()) {
        if shape.0.insert(name.clone(), Space::Sparse).is_some() {
            return Err(wrong_input(format!("dense and sparse vectors are both called `{name}`")));
        }
    }
    Ok(shape)
}

fn dense_params(create: &CreateCollection) -> Result<Vec<(&str, &qdrant::VectorParams)>, Status> {
    match create.vectors_config.as_ref().map(|vectors| vectors.config.as_ref()) {
        None => Ok(Vec::new()),
        Some(None) => Err(Status::invalid_argument("VectorsConfig has no config")),
        Some(Some(Config::Params(params))) => Ok(vec![(DEFAULT_VECTOR_NAME, params)]),
        Some(Some(Config::ParamsMap(named))) => {
            Ok(named.map.iter().map(|(name, params)| (name.as_str(), params)).collect())
        }
    }
}

fn dense(params: &qdrant::VectorParams) -> Result<EdgeVectorParams, Status> {
    if params.size == 0 || MAX_DIMENSION < params.size {
        return Err(bad_value("vectors.size", "value invalid, must be from 1 to 65536"));
    }
    refuse("multi-vectors", params.multivector_config.is_some())?;
    let distance = match params.distance() {
        qdrant::Distance::Cosine => Distance::Cosine,
        qdrant::Distance::Euclid => Distance::Euclid,
        qdrant::Distance::Dot => Distance::Dot,
        qdrant::Distance::Manhattan => Distance::Manhattan,
        qdrant::Distance::UnknownDistance => return Err(Status::invalid_argument("Unknown distance")),
    };
    let mut built = EdgeVectorParams::builder(size(params.size)?, distance);
    if params.datatype.is_some() {
        built = built.datatype(datatype(params.datatype())?);
    }
    if params.hnsw_config.is_some() {
        built = built.hnsw_config(hnsw(params.hnsw_config.as_ref())?);
    }
    Ok(built.build())
}

fn sparse(params: &qdrant::SparseVectorParams) -> Result<EdgeSparseVectorParams, Status> {
    let mut built = EdgeSparseVectorParams::builder();
    if params.modifier() == qdrant::Modifier::Idf {
        built = built.modifier(Modifier::Idf);
    }
    if let Some(index) = &params.index {
        if let Some(threshold) = index.full_scan_threshold {
            built = built.full_scan_threshold(size(threshold)?);
        }
        if index.datatype.is_some() {
            built = built.datatype(datatype(index.datatype())?);
        }
    }
    Ok(built.build())
}

fn datatype(datatype: qdrant::Datatype) -> Result<VectorStorageDatatype, Status> {
    match datatype {
        qdrant::Datatype::Default | qdrant::Datatype::Float32 => Ok(VectorStorageDatatype::Float32),
        qdrant::Datatype::Float16 => Ok(VectorStorageDatatype::Float16),
        qdrant::Datatype::Uint8 => Ok(VectorStorageDatatype::Uint8),
        other => Err(unsupported(&format!("the datatype {}", other.as_str_name()))),
    }
}

pub(crate) fn hnsw(diff: Option<&HnswConfigDiff>) -> Result<HnswIndexConfig, Status> {
    let mut config = HnswIndexConfig::default();
    let Some(diff) = diff else { return Ok(config) };
    set(&mut config.m, diff.m)?;
    set(&mut config.ef_construct, diff.ef_construct)?;
    set(&mut config.full_scan_threshold, diff.full_scan_threshold)?;
    set(&mut config.max_indexing_threads, diff.max_indexing_threads)?;
    config.payload_m = diff.payload_m.map(size).transpose()?;
    Ok(config)
}

pub(crate) fn optimizers(diff: Option<&OptimizersConfigDiff>) -> Result<EdgeOptimizersConfig, Status> {
    let mut config = EdgeOptimizersConfig::default();
    let Some(diff) = diff else { return Ok(config) };
    refuse("prevent_unoptimized", diff.prevent_unoptimized == Some(true))?;
    config.deleted_threshold = diff.deleted_threshold;
    config.vacuum_min_vector_number = diff.vacuum_min_vector_number.map(size).transpose()?;
    config.default_segment_number = diff.default_segment_number.map(size).transpose()?;
    config.max_segment_size = diff.max_segment_size.map(size).transpose()?;
    config.indexing_threshold = diff.indexing_threshold.map(size).transpose()?;
    Ok(config)
}

fn set(field: &mut usize, value: Option<u64>) -> Result<(), Status> {
    if let Some(value) = value {
        *field = size(value)?;
    }
    Ok(())
}

/// Changes a collection's configuration as an update asks for; metadata is merged key by key.
pub(crate) fn merge(settings: &mut CreateCollection, update: UpdateCollection) -> Result<(), Status> {
    refuse("updates of vector parameters", update.vectors_config.is_some())?;
    refuse("updates of sparse vector parameters", update.sparse_vectors_config.is_some())?;
    refuse("updates of quantization", update.quantization_config.is_some())?;
    refuse("strict mode", update.strict_mode_config.and_then(|strict| strict.enabled) == Some(true))?;
    settings.metadata.extend(update.metadata);
    if let Some(params) = update.params {
        overlay(&mut settings.replication_factor, params.replication_factor);
        overlay(&mut settings.write_consistency_factor, params.write_consistency_factor);
        overlay(&mut settings.payload, params.payload);
        overlay(&mut settings.id_tracker, params.id_tracker);
    }
    if let Some(diff) = update.hnsw_config {
        overlay_hnsw(settings.hnsw_config.get_or_insert_default(), diff);
    }
    if let Some(diff) = update.optimizers_config {
        overlay_optimizers(settings.optimizers_config.get_or_insert_default(), diff);
    }
    Ok(())
}

fn overlay<T>(base: &mut Option<T>, change: Option<T>) {
    if change.is_some() {
        *base = change;
    }
}

fn overlay_hnsw(base: &mut HnswConfigDiff, change: HnswConfigDiff) {
    overlay(&mut base.m, change.m);
    overlay(&mut base.ef_construct, change.ef_construct);
    overlay(&mut base.full_scan_threshold, change.full_scan_threshold);
    overlay(&mut base.max_indexing_threads, change.max_indexing_threads);
    overlay(&mut base.payload_m, change.payload_m);
    overlay(&mut base.memory, change.memory);
}

fn overlay_optimizers(base: &mut OptimizersConfigDiff, change: OptimizersConfigDiff) {
    overlay(&mut base.deleted_threshold, change.deleted_threshold);
    overlay(&mut base.vacuum_min_vector_number, change.vacuum_min_vector_number);
    overlay(&mut base.default_segment_number, change.default_segment_number);
    overlay(&mut base.max_segment_size, change.max_segment_size);
    overlay(&mut base.indexing_threshold, change.indexing_threshold);
    overlay(&mut base.flush_interval_sec, change.flush_interval_sec);
    overlay(&mut base.max_optimization_threads, change.max_optimization_threads);
}

/// A collection's whole configuration, with Qdrant's defaults where the request that created it said nothing.
#[expect(deprecated, reason = "clients still send these fields, and Qdrant shows them")]
pub(crate) fn shown(settings: &CreateCollection) -> CollectionConfig {
    CollectionConfig {
        params: Some(CollectionParams {
            shard_number: settings.shard_number.unwrap_or(1),
            on_disk_payload: settings.on_disk_payload.unwrap_or(true),
            vectors_config: settings.vectors_config.clone(),
            replication_factor: Some(settings.replication_factor.unwrap_or(1)),
            write_consistency_factor: Some(settings.write_consistency_factor.unwrap_or(1)),
            sparse_vectors_config: settings.sparse_vectors_config.clone(),
            payload: settings.payload,
            id_tracker: settings.id_tracker,
            ..CollectionParams::default()
        }),
        hnsw_config: Some(shown_hnsw(settings.hnsw_config)),
        optimizer_config: Some(shown_optimizers(settings.optimizers_config)),
        wal_config: Some(WalConfigDiff {
            wal_capacity_mb: Some(32),
            wal_segments_ahead: Some(0),
            wal_retain_closed: Some(1),
        }),
        quantization_config: settings.quantization_config,
        strict_mode_config: settings.strict_mode_config.clone(),
        metadata: settings.metadata.clone(),
    }
}

fn shown_hnsw(given: Option<HnswConfigDiff>) -> HnswConfigDiff {
    let mut shown = HnswConfigDiff {
        m: Some(16),
        ef_construct: Some(100),
        full_scan_threshold: Some(10_000),
        max_indexing_threads: Some(0),
        ..HnswConfigDiff::default()
    };
    overlay_hnsw(&mut shown, given.unwrap_or_default());
    shown
}

fn shown_optimizers(given: Option<OptimizersConfigDiff>) -> OptimizersConfigDiff {
    let mut shown = OptimizersConfigDiff {
        deleted_threshold: Some(0.2),
        vacuum_min_vector_number: Some(1_000),
        default_segment_number: Some(0),
        indexing_threshold: Some(10_000),
        flush_interval_sec: Some(5),
        ..OptimizersConfigDiff::default()
    };
    overlay_optimizers(&mut shown, given.unwrap_or_default());
    shown
}
