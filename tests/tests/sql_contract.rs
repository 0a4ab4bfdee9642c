//! What the registry promises, as one suite against SQLite and a real PostgreSQL.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "this file is test code: a panic is a failed test, and its figures are for the reader"
)]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use lectern_boot::database::SqlSection;
use lectern_ingest::examine::measured::Measured;
use lectern_ingest::lifecycle::gate::Verdict;
use lectern_ingest::lifecycle::lease::{Holder, Lease};
use lectern_ingest::partition::{Assignment, JobName, Partition};
use lectern_ingest::registry::Registry;
use lectern_ingest::registry::divisions::{BegunPartition, Division, Turn};
use lectern_ingest::registry::documents::{DocumentRecord, DocumentState};
use lectern_ingest::registry::embeddings::EmbeddingDigest;
use lectern_ingest::registry::error::RegistryError;
use lectern_ingest::registry::examinations::Examination;
use lectern_ingest::registry::generations::{GenerationRecord, GenerationState};
use lectern_ingest::registry::leases::LeaseName;
use lectern_ingest::registry::publications::{Publication, PublicationKind};
use lectern_ingest::registry::runs::{RunCounts, RunEnd, RunOutcome};
use lectern_ingest::registry::tombstones::Tombstone;
use lectern_ingest::registry::written::WrittenDocument;
use lectern_schema::canary::Share;
use lectern_schema::embedding::DenseVector;
use lectern_schema::fingerprint::{Chunker, Embedding, Encoding, Fingerprint, Pooling};
use lectern_schema::generation::{BuildState, Counts, Manifest};
use lectern_schema::identifiers::{AliasName, ContentHash, DocumentId, GenerationId};
use lectern_tests::{postgres, sql_contract};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, Connection};

sql_contract! {
    a_run_is_remembered_from_beginning_to_end,
    a_document_is_what_the_last_run_made_of_it,
    all_documents_come_back_in_the_order_of_their_names,
    a_generation_becomes_complete_and_then_deleted,
    a_complete_generation_of_somebody_else_is_adopted,
    a_publication_tells_what_went_live_and_what_ceased_to_be,
    the_last_examination_of_each_generation_is_told,
    what_was_measured_is_kept_until_the_generation_is_deleted,
    a_canary_that_ends_was_never_live,
    a_canary_that_is_promoted_goes_live,
    what_was_published_before_there_were_canaries_is_still_known,
    a_cached_vector_comes_back_bit_by_bit_for_its_embedding_alone,
    a_cached_vector_is_replaced_by_a_later_one,
    embeddings_that_no_generation_uses_are_forgotten,
    documents_written_into_a_generation_are_remembered_counted_and_forgotten,
    a_digest_depends_on_the_documents_and_not_on_their_order,
    a_document_that_was_erased_is_found_in_the_generations_that_hold_it,
    a_derived_generation_holds_and_was_what_its_original_did,
    a_run_that_died_is_told_by_its_generation_and_buried,
    an_announced_generation_is_withdrawn_when_its_name_was_taken,
    a_run_forgets_the_unseen_documents_of_its_partition_alone,
    of_many_workers_at_once_one_names_the_generation,
    a_name_that_is_taken_is_given_to_no_build,
    a_build_is_known_by_its_job_and_its_partitions_by_who_is_done,
    a_named_build_is_known_after_its_end_and_a_nameless_one_is_over,
    a_partition_is_done_by_the_run_that_began_it_last,
    a_build_that_ends_buries_its_dead_runs_and_is_joined_by_nobody,
    a_build_is_given_up_when_none_of_its_workers_lives,
    of_giving_up_and_joining_at_once_one_comes_first,
    the_lease_of_a_process_that_died_here_is_free_at_once,
    a_lease_has_one_holder_until_its_time_is_over,
    only_its_holder_renews_and_releases_a_lease,
    of_many_takers_at_once_one_has_the_lease,
    a_living_holder_is_named_to_whom_it_keeps_waiting,
    the_lease_of_a_dead_holder_is_taken_when_it_ends,
    a_lease_outlasts_its_length_while_its_holder_lives,
    who_lost_a_lease_is_told,
    a_released_lease_is_free,
    many_processes_open_a_new_database_at_once,
    opening_again_changes_nothing,
    a_database_of_a_newer_lectern_is_refused,
    content_that_was_not_written_by_us_is_damage,
    the_clock_is_that_of_the_database,
}

/// Short, so that a test can wait for its end; long enough for a renewal on a busy machine.
const SHORT: Duration = Duration::from_millis(1_500);

fn section(url: &str) -> SqlSection {
    serde_json::from_value(serde_json::json!({ "url": url })).unwrap()
}

async fn open(url: &str) -> Registry {
    Registry::open(&section(url)).await.unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn docs() -> AliasName {
    AliasName::parse("docs").unwrap()
}

fn generation(second: i64) -> GenerationId {
    GenerationId::new(&docs(), at(second), 1)
}

fn embedding(model: &str) -> Embedding {
    Embedding { model: model.to_owned(), dimension: 3, pooling: Pooling::Mean }
}

fn fingerprint(model: &str) -> Fingerprint {
    let chunker = Chunker { version: 1, max_tokens: 256, overlap_tokens: 0 };
    Fingerprint { encoding: Encoding::current(embedding(model)), chunker }
}

fn manifest(generation: &GenerationId, chunks: u64) -> Manifest {
    Manifest {
        generation: generation.clone(),
        fingerprint: fingerprint("a-model"),
        state: BuildState::Complete(Counts { documents: 2, chunks }),
        written_at: at(60),
        written_by: "a test".to_owned(),
    }
}

fn document(id: &str, state: DocumentState) -> DocumentRecord {
    DocumentRecord {
        document_id: DocumentId::parse(id).unwrap(),
        uri: format!("file:///{id}"),
        content_hash: Some(ContentHash::of(&[id])),
        state,
    }
}

fn vector(elements: &[f32]) -> DenseVector {
    DenseVector::parse(elements.to_vec()).unwrap()
}

fn lease() -> LeaseName {
    LeaseName::of_alias(&docs())
}

async fn recorded(registry: &Registry, generation: &GenerationId) -> GenerationRecord {
    let all = registry.generations(&docs()).await.unwrap();
    all.into_iter().find(|record| record.generation == *generation).unwrap()
}

async fn execute(url: &str, statement: &'static str) {
    let url = if url.starts_with("sqlite:") { url.replace('%', "%25") } else { url.to_owned() };
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn a_run_is_remembered_from_beginning_to_end(url: &str) {
    let registry = open(url).await;
    let run = registry.begin_run(&docs(), at(0)).await.unwrap();
    registry.run_builds(run, &generation(0)).await.unwrap();
    let begun = registry.runs(&docs(), 10).await.unwrap();
    assert_eq!((begun[0].outcome, begun[0].finished_at), (RunOutcome::Running, None));

    let counts = RunCounts { documents: 5, skipped: 1, chunks: 50, embedded: 40, reused: 10 };
    let report = serde_json::json!({ "skipped": ["a\u{0}b.md"] });
    let end = RunEnd { outcome: RunOutcome::Published, counts, report: report.clone() };
    registry.finish_run(run, &end, at(9)).await.unwrap();
    let later = registry.begin_run(&docs(), at(10)).await.unwrap();

    let runs = registry.runs(&docs(), 10).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.id).collect::<Vec<_>>(), [later, run]);
    assert_eq!((runs[1].started_at, runs[1].finished_at), (at(0), Some(at(9))));
    assert_eq!((runs[1].outcome, runs[1].counts), (RunOutcome::Published, counts));
    assert_eq!(runs[1].generation, Some(generation(0)));
    assert_eq!(serde_json::from_str::<serde_json::Value>(runs[1].report.as_ref().unwrap()).unwrap(), report);
    assert!(registry.runs(&AliasName::parse("other").unwrap(), 10).await.unwrap().is_empty());
}

async fn a_document_is_what_the_last_run_made_of_it(url: &str) {
    let registry = open(url).await;
    let first = registry.begin_run(&docs(), at(0)).await.unwrap();
    let ingested = |id| document(id, DocumentState::Ingested { chunks: 3 });
    registry.record_documents(&docs(), first, &[ingested("b"), ingested("a"), ingested("c")]).await.unwrap();

    let second = registry.begin_run(&docs(), at(1)).await.unwrap();
    let unreadable = DocumentRecord {
        content_hash: None,
        ..document("b", DocumentState::Skipped { reason: "NUL\0 in it".to_owned() })
    };
    registry.record_documents(&docs(), second, &[unreadable.clone(), ingested("a")]).await.unwrap();
    assert_eq!(registry.documents(&docs()).await.unwrap().len(), 3);
    assert_eq!(registry.forget_documents_unseen_by(&docs(), second, Partition::whole()).await.unwrap(), 1);

    let left = registry.documents(&docs()).await.unwrap();
    let shown = DocumentState::Skipped { reason: "NUL\u{fffd} in it".to_owned() };
    assert_eq!(left, [ingested("a"), DocumentRecord { state: shown, ..unreadable }]);
}

async fn all_documents_come_back_in_the_order_of_their_names(url: &str) {
    let registry = open(url).await;
    let run = registry.begin_run(&docs(), at(0)).await.unwrap();
    let name = |number: u32| match number % 4 {
        0 => format!("a{number}"),
        1 => format!("B{number}"),
        2 => format!("ä{number}"),
        _ => format!("_{number}"),
    };
    let many: Vec<_> = (0..5_500)
        .map(|number| document(&name(number), DocumentState::Ingested { chunks: number.into() }))
        .collect();
    let begun = std::time::Instant::now();
    registry.record_documents(&docs(), run, &many).await.unwrap();
    eprintln!("documents recorded per second: {:.0}", 5_500.0 / begun.elapsed().as_secs_f64());
    let mut expected = many;
    expected.sort_by(|a, b| a.document_id.cmp(&b.document_id));
    assert_eq!(registry.documents(&docs()).await.unwrap(), expected);
}

async fn a_generation_becomes_complete_and_then_deleted(url: &str) {
    let registry = open(url).await;
    let id = generation(0);
    registry.begin_generation(&id, &fingerprint("a-model"), at(5)).await.unwrap();
    let begun = recorded(&registry, &id).await;
    assert_eq!((begun.state, begun.counts, begun.begun_at), (GenerationState::Staging, None, at(5)));
    registry.fail_generation(&id).await.unwrap();
    assert_eq!(recorded(&registry, &id).await.state, GenerationState::Failed);

    registry.complete_generation(&manifest(&id, 7)).await.unwrap();
    let built = recorded(&registry, &id).await;
    assert_eq!(built.state, GenerationState::Complete);
    assert_eq!(built.counts, Some(Counts { documents: 2, chunks: 7 }));
    assert_eq!(built.fingerprint, fingerprint("a-model").digest());
    assert_eq!((built.begun_at, built.built_at), (at(5), Some(at(60))));
    assert_eq!((built.published_at, built.superseded_at), (None, None));

    registry.delete_generation(&id).await.unwrap();
    assert_eq!(recorded(&registry, &id).await.state, GenerationState::Deleted);
}

async fn a_complete_generation_of_somebody_else_is_adopted(url: &str) {
    let registry = open(url).await;
    registry.complete_generation(&manifest(&generation(0), 7)).await.unwrap();
    let adopted = recorded(&registry, &generation(0)).await;
    assert_eq!((adopted.state, adopted.begun_at), (GenerationState::Complete, at(0)));
}

async fn a_publication_tells_what_went_live_and_what_ceased_to_be(url: &str) {
    let registry = open(url).await;
    let (old, new) = (generation(0), generation(100));
    registry.complete_generation(&manifest(&old, 7)).await.unwrap();
    registry.complete_generation(&manifest(&new, 8)).await.unwrap();
    let verdict =
        Verdict { gate: "not_empty".into(), passed: false, detail: "0 chunks".into(), forcible: true };
    let forward = Publication {
        kind: PublicationKind::Publish,
        from: Some(old.clone()),
        to: new.clone(),
        at: at(200),
        program: "lectern-ingest".to_owned(),
        forced: Some("wanted".to_owned()),
        verdicts: vec![verdict],
        share: None,
        reason: None,
    };
    registry.record_publication(&forward).await.unwrap();
    let ended = recorded(&registry, &old).await;
    assert_eq!((ended.published_at, ended.superseded_at), (Some(at(200)), Some(at(200))));
    let live = recorded(&registry, &new).await;
    assert_eq!((live.published_at, live.superseded_at), (Some(at(200)), None));

    let back = Publication {
        kind: PublicationKind::Rollback,
        from: Some(new.clone()),
        to: old.clone(),
        at: at(300),
        program: "lectern-ingest".to_owned(),
        forced: None,
        verdicts: vec![],
        share: None,
        reason: None,
    };
    registry.record_publication(&back).await.unwrap();
    let live = recorded(&registry, &old).await;
    assert_eq!((live.published_at, live.superseded_at), (Some(at(300)), None));
    assert_eq!(recorded(&registry, &new).await.superseded_at, Some(at(300)));
    assert_eq!(registry.publications(&docs(), 10).await.unwrap(), [back, forward]);
}

async fn the_last_examination_of_each_generation_is_told(url: &str) {
    let registry = open(url).await;
    let examination = |second, of, passed, forced: Option<&str>| Examination {
        generation: generation(of),
        live: (of > 1).then(|| generation(1)),
        at: at(second),
        program: "a test".to_owned(),
        forced: forced.map(str::to_owned),
        verdicts: vec![Verdict {
            gate: "not_empty".to_owned(),
            passed,
            detail: "nul \0 is no text".to_owned(),
            forcible: true,
        }],
    };
    for one in [
        examination(10, 1, true, None),
        examination(20, 2, true, None),
        examination(30, 2, false, None),
        examination(30, 2, false, Some("wanted")),
    ] {
        registry.record_examination(&one).await.unwrap();
    }
    let last = registry.last_examinations(&docs()).await.unwrap();
    assert_eq!(last.keys().cloned().collect::<Vec<_>>(), [generation(1), generation(2)]);
    assert_eq!((last[&generation(1)].live.as_ref(), last[&generation(1)].verdicts[0].passed), (None, true));
    let second = &last[&generation(2)];
    assert_eq!((second.live.as_ref(), second.forced.as_deref()), (Some(&generation(1)), Some("wanted")));
    assert!(registry.last_examinations(&AliasName::parse("other").unwrap()).await.unwrap().is_empty());
}

async fn what_was_measured_is_kept_until_the_generation_is_deleted(url: &str) {
    let registry = open(url).await;
    let ranking = vec![DocumentId::parse("docs/a.md").unwrap()];
    let rankings = [(ContentHash::of(&["why?"]), ranking)].into();
    let measured = Measured { rankings, ..Measured::default() };
    registry.record_measured(&generation(1), &Measured::default(), at(1)).await.unwrap();
    registry.record_measured(&generation(1), &measured, at(2)).await.unwrap();
    assert_eq!(registry.measured(&generation(1)).await.unwrap(), Some(measured));
    registry.delete_generation(&generation(1)).await.unwrap();
    assert_eq!(registry.measured(&generation(1)).await.unwrap(), None);
}

fn canary_step(
    kind: PublicationKind,
    (from, to): (&GenerationId, &GenerationId),
    second: i64,
) -> Publication {
    Publication {
        kind,
        from: Some(from.clone()),
        to: to.clone(),
        at: at(second),
        program: "lectern-ingest".to_owned(),
        forced: None,
        verdicts: vec![],
        share: Some(Share::parse(5).unwrap()),
        reason: Some("worse".to_owned()),
    }
}

async fn a_canary_that_ends_was_never_live(url: &str) {
    let registry = open(url).await;
    let (live, canary) = (generation(0), generation(100));
    for generation in [&live, &canary] {
        registry.complete_generation(&manifest(generation, 7)).await.unwrap();
    }
    let begun = canary_step(PublicationKind::Canary, (&live, &canary), 200);
    registry.record_publication(&begun).await.unwrap();
    assert_eq!(recorded(&registry, &live).await.superseded_at, None);
    let withdrawn = canary_step(PublicationKind::Withdraw, (&canary, &live), 300);
    registry.record_publication(&withdrawn).await.unwrap();
    let was = recorded(&registry, &canary).await;
    assert_eq!((was.published_at, was.superseded_at), (None, Some(at(300))));
    assert_eq!(recorded(&registry, &live).await.published_at, None);
    assert_eq!(registry.publications(&docs(), 10).await.unwrap(), [withdrawn, begun]);
}

async fn a_canary_that_is_promoted_goes_live(url: &str) {
    let registry = open(url).await;
    let (live, canary) = (generation(0), generation(100));
    for generation in [&live, &canary] {
        registry.complete_generation(&manifest(generation, 7)).await.unwrap();
    }
    registry.record_publication(&canary_step(PublicationKind::Promote, (&live, &canary), 200)).await.unwrap();
    let promoted = recorded(&registry, &canary).await;
    assert_eq!((promoted.published_at, promoted.superseded_at), (Some(at(200)), None));
    assert_eq!(recorded(&registry, &live).await.superseded_at, Some(at(200)));
}

/// The migrations before the one that made room for canaries, in a folder of their own.
fn earlier_migrations(url: &str) -> tempfile::TempDir {
    let dialect = if url.starts_with("sqlite:") { "sqlite" } else { "postgres" };
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/migrations").join(dialect);
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(all).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name.as_str() < "0005" {
            std::fs::copy(entry.path(), folder.path().join(name)).unwrap();
        }
    }
    folder
}

async fn what_was_published_before_there_were_canaries_is_still_known(url: &str) {
    const PUBLISHED: &str = "
        INSERT INTO publications
            (publication_id, alias, kind, from_generation, to_generation, moved_at, program, forced, verdicts)
        VALUES ('an-id', 'docs', 'publish', NULL, 'docs@20270115T080000Z', 1800000200000, 'old', 'wanted', '[]')";
    // Opens and closes once, so that a database whose folder is not there yet is made by who knows how.
    let migrations = Migrator::new(earlier_migrations(url).path()).await.unwrap();
    let url_escaped = if url.starts_with("sqlite:") {
        let file = url.strip_prefix("sqlite:").unwrap();
        std::fs::create_dir_all(Path::new(file).parent().unwrap()).unwrap();
        format!("{}?mode=rwc", url.replace('%', "%25"))
    } else {
        url.to_owned()
    };
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&url_escaped).await.unwrap();
    migrations.run(&mut connection).await.unwrap();
    sqlx::query(PUBLISHED).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let known = open(url).await.publications(&docs(), 10).await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].kind, known[0].at), (PublicationKind::Publish, at(200)));
    assert_eq!((known[0].forced.as_deref(), known[0].share), (Some("wanted"), None));
}

async fn a_cached_vector_comes_back_bit_by_bit_for_its_embedding_alone(url: &str) {
    let registry = open(url).await;
    let (ours, other) = (EmbeddingDigest::of(&embedding("ours")), EmbeddingDigest::of(&embedding("other")));
    let rows: Vec<(ContentHash, DenseVector)> = (0..3_001_u16)
        .map(|number| {
            let elements = (0..384_u16).map(|at| f32::from(at) * 0.1 - f32::from(number) * 1e-3 - 1e-7);
            (ContentHash::of(&[&number.to_string()]), DenseVector::parse(elements.collect()).unwrap())
        })
        .collect();
    let begun = std::time::Instant::now();
    registry.cache_vectors(&ours, &rows).await.unwrap();
    eprintln!("vectors cached per second: {:.0}", 3_001.0 / begun.elapsed().as_secs_f64());

    let mut wanted: Vec<ContentHash> = rows.iter().map(|(hash, _)| hash.clone()).collect();
    wanted.push(ContentHash::of(&["never seen"]));
    let begun = std::time::Instant::now();
    let found = registry.cached_vectors(&ours, &wanted).await.unwrap();
    eprintln!("vectors looked up per second: {:.0}", 3_002.0 / begun.elapsed().as_secs_f64());
    assert_eq!(found, rows.into_iter().collect());
    assert!(registry.cached_vectors(&other, &wanted).await.unwrap().is_empty());
    assert!(registry.cached_vectors(&ours, &[]).await.unwrap().is_empty());
}

async fn a_cached_vector_is_replaced_by_a_later_one(url: &str) {
    let registry = open(url).await;
    let digest = EmbeddingDigest::of(&embedding("a-model"));
    let hash = ContentHash::of(&["text"]);
    let (first, second) = (vector(&[1.0, 0.0]), vector(&[0.0, 1.0]));
    let twice = [(hash.clone(), first.clone()), (hash.clone(), first)];
    registry.cache_vectors(&digest, &twice).await.unwrap();
    registry.cache_vectors(&digest, &[(hash.clone(), second.clone())]).await.unwrap();
    let found = registry.cached_vectors(&digest, &[hash.clone(), hash.clone()]).await.unwrap();
    assert_eq!(found[&hash], second);
}

async fn embeddings_that_no_generation_uses_are_forgotten(url: &str) {
    let registry = open(url).await;
    let hash = ContentHash::of(&["text"]);
    for model in ["building", "complete", "deleted", "never"] {
        let row = [(hash.clone(), vector(&[1.0]))];
        registry.cache_vectors(&EmbeddingDigest::of(&embedding(model)), &row).await.unwrap();
    }
    registry.begin_generation(&generation(0), &fingerprint("building"), at(0)).await.unwrap();
    let complete = Manifest { fingerprint: fingerprint("complete"), ..manifest(&generation(1), 1) };
    registry.complete_generation(&complete).await.unwrap();
    registry.begin_generation(&generation(2), &fingerprint("deleted"), at(2)).await.unwrap();
    registry.delete_generation(&generation(2)).await.unwrap();

    assert_eq!(registry.forget_unused_embeddings().await.unwrap(), 2);
    for (model, kept) in [("building", 1), ("complete", 1), ("deleted", 0), ("never", 0)] {
        let digest = EmbeddingDigest::of(&embedding(model));
        let found = registry.cached_vectors(&digest, std::slice::from_ref(&hash)).await.unwrap();
        assert_eq!(found.len(), kept, "{model}");
    }
}

fn written(id: &str, content: &str, chunks: u64) -> WrittenDocument {
    WrittenDocument {
        document_id: DocumentId::parse(id).unwrap(),
        content_hash: ContentHash::of(&[content]),
        chunks,
    }
}

async fn documents_written_into_a_generation_are_remembered_counted_and_forgotten(url: &str) {
    let registry = open(url).await;
    let (one, other) = (generation(0), generation(1));
    let mut many: Vec<_> = (0..5_100).map(|n| written(&format!("{n:05}"), "text", 2)).collect();
    registry.record_written(&one, &many).await.unwrap();
    registry.record_written(&other, &many[..3]).await.unwrap();
    assert_eq!(registry.written(&one).await.unwrap(), many);
    many[0].chunks = 7;
    registry.record_written(&one, &many[..1]).await.unwrap();
    let counts = registry.written_counts(&one).await.unwrap();
    assert_eq!(counts, Counts { documents: 5_100, chunks: 10_205 });
    registry.forget_written(&one, &[many[0].document_id.clone()]).await.unwrap();
    assert_eq!(registry.written(&one).await.unwrap(), many[1..]);
    registry.delete_generation(&one).await.unwrap();
    assert_eq!(registry.written_counts(&one).await.unwrap(), Counts::default());
    assert_eq!(registry.written_counts(&other).await.unwrap().documents, 3);
}

async fn a_digest_depends_on_the_documents_and_not_on_their_order(url: &str) {
    let registry = open(url).await;
    let (one, other) = (generation(0), generation(1));
    let mut documents: Vec<_> = ["B", "a", "ä", "_"].map(|id| written(id, id, 1)).into();
    registry.record_written(&one, &documents).await.unwrap();
    documents.reverse();
    for document in &documents {
        registry.record_written(&other, std::slice::from_ref(document)).await.unwrap();
    }
    let digest = registry.content_digest(&one).await.unwrap();
    assert_eq!(registry.content_digest(&other).await.unwrap(), digest);
    registry.record_written(&other, &[written("a", "changed", 1)]).await.unwrap();
    assert_ne!(registry.content_digest(&other).await.unwrap(), digest);
}

async fn a_document_that_was_erased_is_found_in_the_generations_that_hold_it(url: &str) {
    let registry = open(url).await;
    let run = registry.begin_run(&docs(), at(0)).await.unwrap();
    registry
        .record_documents(&docs(), run, &[document("a", DocumentState::Ingested { chunks: 1 })])
        .await
        .unwrap();
    registry.record_written(&generation(0), &[written("a", "a", 1), written("b", "b", 1)]).await.unwrap();
    let name = DocumentId::parse("a").unwrap();
    let tombstone = Tombstone { erased_at: at(5), reason: "asked for".to_owned() };
    registry.bury_documents(&docs(), std::slice::from_ref(&name), &tombstone).await.unwrap();
    let later = Tombstone { erased_at: at(9), reason: "again".to_owned() };
    registry.bury_documents(&docs(), std::slice::from_ref(&name), &later).await.unwrap();
    assert_eq!(registry.tombstones(&docs()).await.unwrap(), [(name.clone(), tombstone)].into());
    assert_eq!(registry.erased_but_written(&generation(0)).await.unwrap(), std::slice::from_ref(&name));
    assert!(registry.erased_but_written(&generation(1)).await.unwrap().is_empty());
    assert!(registry.documents(&docs()).await.unwrap().is_empty());

    let unknown = DocumentId::parse("b").unwrap();
    let told = registry.allow_documents(&docs(), &[name, unknown.clone()]).await.unwrap();
    assert_eq!(told, [unknown]);
    assert!(registry.erased_but_written(&generation(0)).await.unwrap().is_empty());
}

async fn a_derived_generation_holds_and_was_what_its_original_did(url: &str) {
    let registry = open(url).await;
    registry.complete_generation(&manifest(&generation(0), 7)).await.unwrap();
    registry.note_live(&generation(0), at(100)).await.unwrap();
    registry.record_written(&generation(0), &[written("a", "a", 1)]).await.unwrap();
    registry.record_measured(&generation(0), &Measured::default(), at(101)).await.unwrap();
    let derived = manifest(&generation(0).next(), 6);
    for _ in 0..2 {
        registry.derive_generation(&generation(0), &derived).await.unwrap();
    }
    let found = recorded(&registry, &derived.generation).await;
    assert_eq!((found.state, found.published_at), (GenerationState::Complete, Some(at(100))));
    assert_eq!(found.counts, derived.counts());
    assert_eq!(registry.written(&derived.generation).await.unwrap(), [written("a", "a", 1)]);
    assert_eq!(registry.measured(&derived.generation).await.unwrap(), Some(Measured::default()));
}

async fn a_run_that_died_is_told_by_its_generation_and_buried(url: &str) {
    let registry = open(url).await;
    let run = registry.begin_run(&docs(), at(0)).await.unwrap();
    registry.run_builds(run, &generation(0)).await.unwrap();
    assert_eq!(registry.unreported_generations(&docs()).await.unwrap(), [generation(0)]);
    registry.bury_runs(&generation(0), at(9)).await.unwrap();
    assert!(registry.unreported_generations(&docs()).await.unwrap().is_empty());
    let buried = &registry.runs(&docs(), 1).await.unwrap()[0];
    assert_eq!((buried.outcome, buried.finished_at), (RunOutcome::Failed, Some(at(9))));
}

async fn an_announced_generation_is_withdrawn_when_its_name_was_taken(url: &str) {
    let registry = open(url).await;
    let (fresh, known) = (generation(0), generation(1));
    registry.complete_generation(&manifest(&known, 7)).await.unwrap();
    assert!(registry.announce_generation(&fresh, &fingerprint("a-model"), at(0)).await.unwrap());
    assert!(!registry.announce_generation(&known, &fingerprint("a-model"), at(0)).await.unwrap());
    assert_eq!(recorded(&registry, &known).await.state, GenerationState::Complete);
    registry.withdraw_generation(&fresh).await.unwrap();
    registry.withdraw_generation(&known).await.unwrap();
    let left = registry.generations(&docs()).await.unwrap();
    assert_eq!(left.into_iter().map(|record| record.generation).collect::<Vec<_>>(), [known]);
}

async fn a_run_forgets_the_unseen_documents_of_its_partition_alone(url: &str) {
    let registry = open(url).await;
    let partition = Partition::new(1, 3).unwrap();
    let before = registry.begin_run(&docs(), at(0)).await.unwrap();
    let names: Vec<String> = (0..50).map(|n| format!("d{n}")).collect();
    let documents: Vec<DocumentRecord> =
        names.iter().map(|name| document(name, DocumentState::Ingested { chunks: 1 })).collect();
    registry.record_documents(&docs(), before, &documents).await.unwrap();
    let (ours, others): (Vec<_>, Vec<_>) =
        documents.into_iter().partition(|one| partition.owns(&one.document_id));
    let run = registry.begin_run(&docs(), at(1)).await.unwrap();
    registry.record_documents(&docs(), run, &ours[..2]).await.unwrap();
    let forgotten = registry.forget_documents_unseen_by(&docs(), run, partition).await.unwrap();
    assert_eq!(usize::try_from(forgotten).unwrap(), ours.len() - 2);
    let mut left: Vec<DocumentRecord> = [&ours[..2], &others].concat();
    left.sort_by(|a, b| a.document_id.cmp(&b.document_id));
    assert_eq!(registry.documents(&docs()).await.unwrap(), left);
}

fn assignment(job: Option<&str>, partition: &str) -> Assignment {
    Assignment {
        alias: docs(),
        job: job.map(|job| JobName::parse(job).unwrap()),
        partition: Partition::parse(partition).unwrap(),
    }
}

async fn opened(registry: &Registry, job: Option<&str>, second: i64) -> bool {
    let (generation, fingerprint) = (generation(second), fingerprint("a-model"));
    registry.open_division(&assignment(job, "0/2"), &generation, &fingerprint, at(second)).await.unwrap()
}

async fn division(registry: &Registry, job: Option<&str>) -> Option<Division> {
    let job = job.map(|job| JobName::parse(job).unwrap());
    registry.division(&docs(), job.as_ref()).await.unwrap()
}

/// Has a new run write the partition: whether it still was its own at the end.
async fn wrote(registry: &Registry, generation: &GenerationId, partition: &str) -> bool {
    let partition = Partition::parse(partition).unwrap();
    let run = registry.begin_run(&docs(), at(0)).await.unwrap();
    registry.begin_partition(generation, partition, run, at(0)).await.unwrap().unwrap();
    let report = serde_json::json!({ "embedded": partition.index() });
    registry.finish_partition(generation, partition, run, &report, at(1)).await.unwrap()
}

async fn of_many_workers_at_once_one_names_the_generation(url: &str) {
    let registry = open(url).await;
    let opening = join_all((0..8).map(|second| opened(&registry, None, second))).await;
    assert_eq!(opening.into_iter().filter(|opened| *opened).count(), 1);
    assert_eq!(registry.generations(&docs()).await.unwrap().len(), 1);
}

async fn a_name_that_is_taken_is_given_to_no_build(url: &str) {
    let registry = open(url).await;
    registry.announce_generation(&generation(0), &fingerprint("a-model"), at(0)).await.unwrap();
    assert!(!opened(&registry, None, 0).await);
    assert_eq!(division(&registry, None).await, None);
    assert!(opened(&registry, None, 1).await);
    registry.withdraw_division(&generation(1)).await.unwrap();
    assert_eq!(division(&registry, None).await, None);
    assert_eq!(registry.generations(&docs()).await.unwrap().len(), 1);
}

async fn a_build_is_known_by_its_job_and_its_partitions_by_who_is_done(url: &str) {
    let registry = open(url).await;
    assert!(opened(&registry, None, 0).await && opened(&registry, Some("uid"), 1).await);
    registry.division_created(&generation(1)).await.unwrap();
    assert!(wrote(&registry, &generation(1), "1/2").await);
    let nameless = division(&registry, None).await.unwrap();
    assert_eq!((nameless.generation.clone(), nameless.is_created), (generation(0), false));
    assert_eq!(nameless.turn(Partition::parse("1/2").unwrap()), Turn::Write);
    let named = division(&registry, Some("uid")).await.unwrap();
    assert_eq!((named.of, named.begun_at, named.is_created), (2, at(1), true));
    assert_eq!(named.fingerprint, fingerprint("a-model").digest());
    assert_eq!(named.missing(), [Partition::parse("0/2").unwrap()]);
    assert_eq!(named.turn(Partition::parse("1/2").unwrap()), Turn::Wait);
    assert!(wrote(&registry, &generation(1), "0/2").await);
    let named = division(&registry, Some("uid")).await.unwrap();
    assert_eq!(named.turn(Partition::parse("1/2").unwrap()), Turn::Finish);
    let reports = registry.partition_reports(&generation(1)).await.unwrap();
    assert_eq!(reports, ["{\"embedded\":0}", "{\"embedded\":1}"]);
    assert_eq!(division(&registry, Some("other")).await, None);
}

async fn a_named_build_is_known_after_its_end_and_a_nameless_one_is_over(url: &str) {
    let registry = open(url).await;
    assert!(opened(&registry, None, 0).await && opened(&registry, Some("uid"), 1).await);
    for second in [0, 1] {
        registry.end_division(&generation(second), RunOutcome::Published, at(9)).await.unwrap();
    }
    assert_eq!(division(&registry, None).await, None);
    let named = division(&registry, Some("uid")).await.unwrap();
    assert_eq!(named.turn(Partition::parse("0/2").unwrap()), Turn::Over(RunOutcome::Published));
    assert!(opened(&registry, None, 2).await);
    assert_eq!(division(&registry, None).await.unwrap().generation, generation(2));
}

async fn a_partition_is_done_by_the_run_that_began_it_last(url: &str) {
    let registry = open(url).await;
    assert!(opened(&registry, None, 0).await);
    let partition = Partition::parse("0/2").unwrap();
    let first = registry.begin_run(&docs(), at(0)).await.unwrap();
    let begun = registry.begin_partition(&generation(0), partition, first, at(0)).await.unwrap();
    assert_eq!(begun, Some(BegunPartition { previous: None }));
    let second = registry.begin_run(&docs(), at(1)).await.unwrap();
    let begun = registry.begin_partition(&generation(0), partition, second, at(1)).await.unwrap();
    assert_eq!(begun, Some(BegunPartition { previous: Some(first) }));
    let report = serde_json::json!({});
    let staging = generation(0);
    let done = |run| registry.finish_partition(&staging, partition, run, &report, at(2));
    assert!(!done(first).await.unwrap());
    assert!(done(second).await.unwrap());
}

async fn a_build_that_ends_buries_its_dead_runs_and_is_joined_by_nobody(url: &str) {
    let registry = open(url).await;
    assert!(opened(&registry, None, 0).await);
    let partition = Partition::parse("0/2").unwrap();
    let run = registry.begin_run(&docs(), at(0)).await.unwrap();
    registry.run_builds(run, &generation(0)).await.unwrap();
    registry.begin_partition(&generation(0), partition, run, at(0)).await.unwrap();
    registry.end_division(&generation(0), RunOutcome::Built, at(9)).await.unwrap();
    assert!(registry.unreported_generations(&docs()).await.unwrap().is_empty());
    assert_eq!(registry.begin_partition(&generation(0), partition, run, at(9)).await.unwrap(), None);
    let report = serde_json::json!({});
    assert!(!registry.finish_partition(&generation(0), partition, run, &report, at(9)).await.unwrap());
}

async fn a_build_is_given_up_when_none_of_its_workers_lives(url: &str) {
    let registry = open(url).await;
    assert!(opened(&registry, None, 0).await && opened(&registry, Some("uid"), 1).await);
    let minute = Duration::from_mins(1);
    let worker = LeaseName::of_partition(&assignment(Some("uid"), "1/2"));
    let token = registry.take_lease(&worker, "a worker", at(0), minute).await.unwrap().unwrap();
    registry.sign_lease(&worker, token, "its process").await.unwrap();
    let generations = [0, 1, 5].map(generation);
    let give_up = |n: usize, has_died| registry.give_up_division(&generations[n], at(30), has_died);
    // The leases of one build are not those of another.
    assert_eq!(give_up(0, |_| false).await.unwrap(), None);
    assert_eq!(division(&registry, None).await, None);
    assert_eq!(give_up(1, |_| false).await.unwrap(), Some("a worker".to_owned()));
    assert_eq!(division(&registry, Some("uid")).await.unwrap().outcome, None);
    assert_eq!(give_up(1, |_| true).await.unwrap(), None);
    assert_eq!(division(&registry, Some("uid")).await.unwrap().outcome, Some(RunOutcome::Failed));
    // What one process builds is none of this.
    assert_eq!(give_up(2, |_| false).await.unwrap(), None);
}

async fn of_giving_up_and_joining_at_once_one_comes_first(url: &str) {
    let registry = open(url).await;
    for second in 0..20 {
        assert!(opened(&registry, None, second).await);
        let ours = assignment(None, "0/2");
        let joining = async {
            let (name, minute) = (LeaseName::of_partition(&ours), Duration::from_mins(1));
            registry.take_lease(&name, "a worker", at(0), minute).await.unwrap();
            let run = registry.begin_run(&docs(), at(0)).await.unwrap();
            registry.begin_partition(&generation(second), ours.partition, run, at(0)).await.unwrap().is_some()
        };
        let staging = generation(second);
        let giving_up = registry.give_up_division(&staging, at(1), |_| false);
        let (joined, kept) = futures::join!(joining, giving_up);
        assert_eq!(joined, kept.unwrap().is_some());
        registry.end_division(&generation(second), RunOutcome::Failed, at(1)).await.unwrap();
        execute(url, "DELETE FROM leases").await;
    }
}

/// The process that signed is this one with another beginning: one that had its number before.
async fn the_lease_of_a_process_that_died_here_is_free_at_once(url: &str) {
    let registry = open(url).await;
    let ours = Lease::take_now(&registry, lease(), &Holder::this_process()).await.unwrap();
    let now = registry.now().await.unwrap();
    let signed = registry.lease_holder(&lease(), now).await.unwrap().unwrap().process.unwrap();
    ours.release().await;
    let token = registry.take_lease(&lease(), "killed", now, Duration::from_hours(1)).await.unwrap().unwrap();
    let (before, _) = signed.rsplit_once(' ').unwrap();
    registry.sign_lease(&lease(), token, &format!("{before} 1")).await.unwrap();
    Lease::take_now(&registry, lease(), &Holder::this_process()).await.unwrap().release().await;
}

async fn a_lease_has_one_holder_until_its_time_is_over(url: &str) {
    let registry = open(url).await;
    let minute = Duration::from_mins(1);
    assert!(registry.take_lease(&lease(), "one", at(0), minute).await.unwrap().is_some());
    assert!(registry.take_lease(&lease(), "two", at(59), minute).await.unwrap().is_none());
    let holding = registry.lease_holder(&lease(), at(59)).await.unwrap().unwrap();
    assert_eq!((holding.holder.as_str(), holding.until), ("one", at(60)));
    assert_eq!(registry.lease_holder(&lease(), at(60)).await.unwrap(), None);
    assert!(registry.take_lease(&lease(), "two", at(60), minute).await.unwrap().is_some());
    let other = LeaseName::of_generation(&generation(0));
    assert!(registry.take_lease(&other, "one", at(60), minute).await.unwrap().is_some());
}

async fn only_its_holder_renews_and_releases_a_lease(url: &str) {
    let registry = open(url).await;
    let minute = Duration::from_mins(1);
    let first = registry.take_lease(&lease(), "one", at(0), minute).await.unwrap().unwrap();
    assert!(registry.renew_lease(&lease(), first, at(61), minute).await.unwrap(), "late, but nobody took it");
    let second = registry.take_lease(&lease(), "two", at(121), minute).await.unwrap().unwrap();
    assert!(!registry.renew_lease(&lease(), first, at(122), minute).await.unwrap());
    registry.release_lease(&lease(), first).await.unwrap();
    assert!(registry.lease_holder(&lease(), at(123)).await.unwrap().is_some());
    registry.release_lease(&lease(), second).await.unwrap();
    assert_eq!(registry.lease_holder(&lease(), at(123)).await.unwrap(), None);
}

async fn of_many_takers_at_once_one_has_the_lease(url: &str) {
    let registries = join_all((0..6).map(|_| open(url))).await;
    let name = lease();
    let takers = registries.iter().map(|registry| registry.take_lease(&name, "one of many", at(0), SHORT));
    let taken = join_all(takers).await;
    assert_eq!(taken.into_iter().filter(|taken| taken.as_ref().unwrap().is_some()).count(), 1);
}

async fn a_living_holder_is_named_to_whom_it_keeps_waiting(url: &str) {
    let registry = open(url).await;
    let holder = Holder::this_process();
    let held = Lease::take_for(&registry, lease(), &holder, SHORT).await.unwrap();
    let refused = Lease::take_for(&registry, lease(), &holder, SHORT).await.unwrap_err();
    assert!(matches!(&refused, RegistryError::Held { .. }), "{refused}");
    assert!(refused.to_string().contains(holder.as_str()), "{refused}");
    held.confirm().await.unwrap();
    held.release().await;
}

async fn the_lease_of_a_dead_holder_is_taken_when_it_ends(url: &str) {
    let registry = open(url).await;
    let now = registry.now().await.unwrap();
    registry.take_lease(&lease(), "killed", now, SHORT).await.unwrap().unwrap();
    let holder = Holder::this_process();
    let refused = Lease::take_now(&registry, lease(), &holder).await.unwrap_err();
    assert!(refused.to_string().contains("killed"), "{refused}");
    let taken = Lease::take_for(&registry, lease(), &holder, SHORT).await.unwrap();
    assert!(now + SHORT <= registry.now().await.unwrap());
    taken.release().await;
}

async fn a_lease_outlasts_its_length_while_its_holder_lives(url: &str) {
    let registry = open(url).await;
    let holder = Holder::this_process();
    let held = Lease::take_for(&registry, lease(), &holder, SHORT).await.unwrap();
    assert!(tokio::time::timeout(SHORT * 2, held.lost()).await.is_err(), "told that it was lost");
    let refused = Lease::take_now(&registry, lease(), &holder).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Held { .. }), "{refused}");
    held.release().await;
}

async fn who_lost_a_lease_is_told(url: &str) {
    let registry = open(url).await;
    let held = Lease::take_for(&registry, lease(), &Holder::this_process(), SHORT).await.unwrap();
    let far = registry.now().await.unwrap() + Duration::from_hours(1);
    registry.take_lease(&lease(), "a thief", far, SHORT).await.unwrap().unwrap();
    assert!(matches!(held.confirm().await, Err(RegistryError::Lost { .. })));
    let told = tokio::time::timeout(SHORT * 10, held.lost()).await.unwrap();
    assert!(matches!(told, RegistryError::Lost { .. }));
    held.release().await;
    assert!(registry.lease_holder(&lease(), far).await.unwrap().is_some(), "the thief's stays");
}

async fn a_released_lease_is_free(url: &str) {
    let registry = open(url).await;
    let holder = Holder::this_process();
    Lease::take(&registry, lease(), &holder).await.unwrap().release().await;
    Lease::take_now(&registry, lease(), &holder).await.unwrap().release().await;
}

async fn many_processes_open_a_new_database_at_once(url: &str) {
    let registries = join_all((0..6).map(|_| open(url))).await;
    let runs = join_all(registries.iter().map(|registry| async {
        for second in 0..20 {
            registry.begin_run(&docs(), at(second)).await.unwrap();
        }
    }));
    runs.await;
    assert_eq!(registries[0].runs(&docs(), 1_000).await.unwrap().len(), 120);
}

async fn opening_again_changes_nothing(url: &str) {
    let registry = open(url).await;
    registry.begin_run(&docs(), at(0)).await.unwrap();
    registry.close().await;
    assert_eq!(open(url).await.runs(&docs(), 10).await.unwrap().len(), 1);
}

async fn a_database_of_a_newer_lectern_is_refused(url: &str) {
    const MIGRATE: &str = "
        INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        SELECT 9001, description, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
    open(url).await.close().await;
    execute(url, MIGRATE).await;
    let refused = Registry::open(&section(url)).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Newer { version: 9001, .. }), "{refused}");
    assert!(refused.to_string().contains("newer Lectern"), "{refused}");
}

async fn content_that_was_not_written_by_us_is_damage(url: &str) {
    const FORGE: &str = "
        INSERT INTO generations (generation, alias, state, fingerprint, embedding, begun_at)
        VALUES ('../../etc', 'docs', 'staging', 'f', 'e', 0)";
    let registry = open(url).await;
    execute(url, FORGE).await;
    let damaged = registry.generations(&docs()).await.unwrap_err();
    assert!(matches!(damaged, RegistryError::Damaged { .. }), "{damaged}");

    execute(url, "DROP TABLE generations").await;
    let damaged = registry.generations(&docs()).await.unwrap_err();
    assert!(matches!(damaged, RegistryError::Damaged { .. }), "{damaged}");
}

async fn the_clock_is_that_of_the_database(url: &str) {
    let registry = open(url).await;
    let (before, now) = (Timestamp::now(), registry.now().await.unwrap());
    assert!(before.duration_since(now).abs() < jiff::SignedDuration::from_secs(5), "{before} {now}");
    assert!(now <= registry.now().await.unwrap());
}

/// The message with all its causes, as a log shows it.
fn chain(error: &RegistryError) -> String {
    let mut shown = vec![format!("{error} {error:?}")];
    let mut cause = error.source();
    while let Some(error) = cause {
        shown.push(format!("{error} {error:?}"));
        cause = error.source();
    }
    shown.join(": ")
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_shown_nowhere() {
    let url = postgres::database().await.url.replace(postgres::PASSWORD, "guessed-secret");
    let refused = Registry::open(&section(&url)).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Refused { .. }), "{refused}");
    assert!(!chain(&refused).contains("guessed-secret"), "{}", chain(&refused));
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_without_its_password() {
    let url = "postgres://lectern:planted-secret@127.0.0.1:1/registry";
    let down = Registry::open(&section(url)).await.unwrap_err();
    assert!(matches!(down, RegistryError::Unavailable { .. }), "{down}");
    assert!(down.to_string().contains("postgres://lectern@127.0.0.1:1/registry"), "{down}");
    assert!(!chain(&down).contains("planted-secret"), "{}", chain(&down));
}

#[tokio::test]
async fn a_debug_print_of_an_open_registry_has_no_password() {
    let registry = open(&postgres::database().await.url).await;
    assert!(!format!("{registry:?}").contains(postgres::PASSWORD));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damage_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lectern.db");
    let text = "not a database, but somebody's only copy of something".repeat(100);
    std::fs::write(&file, &text).unwrap();
    let refused = Registry::open(&section(&format!("sqlite:{}", file.display()))).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Damaged { .. }), "{}", chain(&refused));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "in the way").unwrap();
    let url = format!("sqlite:{}/file/lectern.db", folder.path().display());
    let refused = Registry::open(&section(&url)).await.unwrap_err();
    assert!(refused.to_string().contains(&url), "{refused}");
}
