//! What a generation holds: good ones pass, and each poison is found by its gate.

use lectern_ingest::chunk::represented::embedded;
use lectern_schema::embedding::DenseVector;
use lectern_tests::world::World;

use crate::staging::{published, read, refusing, staged, vector};

pub(crate) async fn a_copy_of_the_live_generation_is_let_through(world: World) {
    let (manifest, points) = read(&world, &published(&world).await).await;
    let staging = staged(&world, &manifest, points).await;
    assert_eq!(refusing(&world, &staging).await, [""; 0]);
}

pub(crate) async fn vectors_shuffled_between_chunks_are_refused(world: World) {
    let (manifest, mut points) = read(&world, &published(&world).await).await;
    let mut vectors: Vec<DenseVector> = points.iter().map(|point| point.dense.clone()).collect();
    vectors.rotate_left(1);
    for (point, vector) in points.iter_mut().zip(vectors) {
        point.dense = vector;
    }
    let staging = staged(&world, &manifest, points).await;
    assert_eq!(refusing(&world, &staging).await, ["vectors_match_texts"]);
}

pub(crate) async fn vectors_of_texts_with_another_prefix_are_refused(world: World) {
    let (manifest, mut points) = read(&world, &published(&world).await).await;
    for point in &mut points {
        let text = embedded(&point.payload, manifest.fingerprint.chunker.max_tokens).unwrap();
        point.dense = vector(&world, &format!("passage: {text}")).await;
    }
    let staging = staged(&world, &manifest, points).await;
    assert_eq!(refusing(&world, &staging).await, ["vectors_match_texts"]);
}

pub(crate) async fn constant_vectors_are_refused(world: World) {
    let (manifest, mut points) = read(&world, &published(&world).await).await;
    let constant = points[0].dense.clone();
    for point in &mut points {
        point.dense = constant.clone();
    }
    let staging = staged(&world, &manifest, points).await;
    assert_eq!(refusing(&world, &staging).await, ["vectors_differ", "vectors_match_texts"]);
}

pub(crate) async fn truncated_texts_are_refused(world: World) {
    let (manifest, mut points) = read(&world, &published(&world).await).await;
    for point in &mut points {
        let half = point.payload.text.chars().count() / 2;
        point.payload.text = point.payload.text.chars().take(half).collect();
    }
    let staging = staged(&world, &manifest, points).await;
    assert_eq!(refusing(&world, &staging).await, ["texts_whole"]);
}

pub(crate) async fn texts_swapped_between_chunks_are_refused(world: World) {
    let (manifest, mut points) = read(&world, &published(&world).await).await;
    let first = points[0].payload.clone();
    points[0].payload = points[1].payload.clone();
    points[1].payload = first;
    let staging = staged(&world, &manifest, points).await;
    assert_eq!(refusing(&world, &staging).await, ["texts_whole", "vectors_match_texts"]);
}

pub(crate) async fn half_of_the_documents_missing_is_refused(world: World) {
    let (manifest, points) = read(&world, &published(&world).await).await;
    let half = points.into_iter().step_by(2).collect();
    let staging = staged(&world, &manifest, half).await;
    assert_eq!(refusing(&world, &staging).await, ["not_shrunk", "sources_kept"]);
}

pub(crate) async fn a_source_that_is_missing_is_refused_by_name(world: World) {
    let (manifest, points) = read(&world, &published(&world).await).await;
    let is_blog = |id: &str| id.starts_with("blog/");
    let blog = points.into_iter().filter(|point| is_blog(point.payload.document_id.as_str())).collect();
    let staging = staged(&world, &manifest, blog).await;
    assert_eq!(refusing(&world, &staging).await, ["sources_kept"]);
    let told = world.ingest(&["publish", staging.as_str()]).await.stderr;
    assert!(told.contains("source `handbook` of tenant `public` has vanished"), "{told}");
}

pub(crate) async fn a_generation_of_another_model_is_refused_and_cannot_be_forced(world: World) {
    let (mut manifest, points) = read(&world, &published(&world).await).await;
    "another-model".clone_into(&mut manifest.fingerprint.encoding.embedding.model);
    let staging = staged(&world, &manifest, points).await;
    assert_eq!(refusing(&world, &staging).await, ["encoding_as_configured", "encoding_as_live"]);
    let forced = world.ingest(&["publish", staging.as_str(), "--force", "we want it"]).await;
    assert_eq!(forced.code, 3, "{forced:?}");
}

/// Too few for the texts that are embedded again: found by comparing with what the build knew.
pub(crate) async fn two_vectors_swapped_are_refused(world: World) {
    let (manifest, mut points) = read(&world, &published(&world).await).await;
    let first = points[0].dense.clone();
    points[0].dense = points[9].dense.clone();
    points[9].dense = first;
    let staging = staged(&world, &manifest, points).await;
    assert_eq!(refusing(&world, &staging).await, ["vectors_match_texts"]);
}

/// With an empty registry no vector is known: found by embedding texts again.
#[tokio::test]
async fn vectors_that_nobody_knows_are_compared_with_what_the_embedder_says_now() {
    let mut world = World::embedded().await;
    let (manifest, mut points) = read(&world, &published(&world).await).await;
    for point in &mut points {
        let mut elements = point.dense.as_slice().to_vec();
        elements.rotate_left(1);
        point.dense = DenseVector::parse(elements).unwrap();
    }
    let staging = staged(&world, &manifest, points).await;
    let empty = format!("sqlite:{}", world.path().join("empty.db").display());
    world.set("LECTERN_SQL__URL", &empty);
    assert_eq!(refusing(&world, &staging).await, ["vectors_match_texts"]);
}

/// The engine is told after the build that even small segments are to have an index.
#[tokio::test]
async fn a_generation_that_lacks_its_index_is_refused() {
    let world = World::embedded().await;
    let (manifest, points) = read(&world, &published(&world).await).await;
    let staging = staged(&world, &manifest, points).await;
    let shard = world.path().join("data/collections").join(staging.as_str()).join("shard");
    let settings = shard.join("edge_config.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&settings).unwrap()).unwrap();
    json["optimizers"]["indexing_threshold"] = serde_json::json!(1);
    std::fs::write(&settings, json.to_string()).unwrap();
    assert_eq!(refusing(&world, &staging).await, ["index_built"]);
}

mod in_qdrant {
    //! What the ingest would never write, and Qdrant may hold all the same.

    use lectern_schema::identifiers::GenerationId;
    use qdrant_client::Qdrant;
    use qdrant_client::qdrant::{
        DeletePointsBuilder, NamedVectors, PointStruct, PointsIdsList, UpsertPointsBuilder, Vector,
    };

    use super::*;

    fn client(world: &World) -> Qdrant {
        let url = world.qdrant.as_ref().unwrap().url();
        Qdrant::from_url(&url).skip_compatibility_check().build().unwrap()
    }

    async fn copy(world: &World) -> (GenerationId, Vec<lectern_ingest::store::Point>) {
        let (manifest, points) = read(world, &published(world).await).await;
        (staged(world, &manifest, points.clone()).await, points)
    }

    #[tokio::test]
    async fn a_chunk_that_was_lost_after_sealing_is_refused_and_cannot_be_forced() {
        let world = World::remote().await;
        let (staging, points) = copy(&world).await;
        let ids = PointsIdsList { ids: vec![points[0].id.to_string().into()] };
        let deleting = DeletePointsBuilder::new(staging.as_str()).points(ids).wait(true);
        client(&world).delete_points(deleting).await.unwrap();
        assert_eq!(refusing(&world, &staging).await, ["counts_as_sealed"]);
        let forced = world.ingest(&["publish", staging.as_str(), "--force", "we want it"]).await;
        assert_eq!(forced.code, 3, "{forced:?}");
    }

    #[tokio::test]
    async fn what_is_no_number_is_refused() {
        let world = World::remote().await;
        let (staging, points) = copy(&world).await;
        let payload = serde_json::to_value(&points[0].payload).unwrap();
        let payload = qdrant_client::Payload::try_from(payload).unwrap();
        let vectors = NamedVectors::default().add_vector("dense", Vector::new_dense(vec![f32::NAN; 64]));
        let point = PointStruct::new(points[0].id.to_string(), vectors, payload);
        let writing = UpsertPointsBuilder::new(staging.as_str(), vec![point]).wait(true);
        client(&world).upsert_points(writing).await.unwrap();
        let refusing = refusing(&world, &staging).await;
        assert_eq!(refusing, ["vectors_sane", "vectors_differ", "vectors_match_texts"]);
    }
}
