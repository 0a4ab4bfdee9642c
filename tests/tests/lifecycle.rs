//! The life of generations in the embedded store with a registry in SQLite: published, rolled back, listed, pruned,
//! verified, and what becomes of them when a command dies half-way.
#![expect(clippy::unwrap_used, clippy::panic, reason = "this file is test code: a panic is a failed test")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join;
use jiff::Timestamp;
use lectern_ingest::lifecycle::lease::{Holder, Lease};
use lectern_ingest::lifecycle::prune::{Fate, Retention, Why};
use lectern_ingest::lifecycle::publish::{Published, Reason, Terms};
use lectern_ingest::lifecycle::shelf::WasLive;
use lectern_ingest::lifecycle::verify::Finding;
use lectern_ingest::lifecycle::{Lifecycle, LifecycleError};
use lectern_ingest::partition::{Assignment, Partition};
use lectern_ingest::registry::Registry;
use lectern_ingest::registry::error::RegistryError;
use lectern_ingest::registry::generations::GenerationState;
use lectern_ingest::registry::leases::LeaseName;
use lectern_ingest::registry::publications::PublicationKind;
use lectern_ingest::store::embedded::EmbeddedStore;
use lectern_ingest::store::{Point, StoreError, WriteStore};
use lectern_schema::canary::{Canary, Share};
use lectern_schema::chunk::ChunkPayload;
use lectern_schema::embedding::{DenseVector, SparseVector};
use lectern_schema::fingerprint::{Chunker, Embedding, Encoding, Fingerprint, Pooling};
use lectern_schema::generation::{BuildState, Counts, Manifest};
use lectern_schema::identifiers::{AliasName, ChunkId, ContentHash, DocumentId, GenerationId, TenantId};
use tempfile::TempDir;

/// A store, a registry, and the life of what is in them.
struct Shelter {
    folder: TempDir,
    store: Arc<EmbeddedStore>,
    registry: Registry,
    lifecycle: Lifecycle,
}

impl Shelter {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::new(folder.path()));
        let registry = registry_in(folder.path()).await;
        let lifecycle = Lifecycle::new(store.clone(), registry.clone(), Holder::this_process());
        Self { folder, store, registry, lifecycle }
    }

    /// As another process sees the same store and registry.
    async fn second_lifecycle(&self) -> Lifecycle {
        let registry = registry_in(self.folder.path()).await;
        Lifecycle::new(self.store.clone(), registry, Holder::this_process())
    }

    /// Builds a generation that was named `minutes` ago.
    async fn build(&self, minutes: i64, chunks: u32) -> GenerationId {
        let manifest = self.begin(minutes).await;
        self.registry
            .begin_generation(&manifest.generation, &manifest.fingerprint, Timestamp::now())
            .await
            .unwrap();
        let sealed = self.fill(&manifest, chunks).await;
        self.registry.complete_generation(&sealed).await.unwrap();
        sealed.generation
    }

    /// Builds a generation of which the registry never hears.
    async fn build_elsewhere(&self, minutes: i64) -> GenerationId {
        let manifest = self.begin(minutes).await;
        self.fill(&manifest, 10).await.generation
    }

    async fn begin(&self, minutes: i64) -> Manifest {
        let now = Timestamp::now();
        let named_at = now - jiff::SignedDuration::from_mins(minutes);
        let manifest = Manifest {
            generation: GenerationId::new(&docs(), named_at, 1),
            fingerprint: fingerprint(),
            state: BuildState::Building,
            written_at: now,
            written_by: "a test".to_owned(),
        };
        self.store.create(&manifest).await.unwrap();
        manifest
    }

    async fn fill(&self, manifest: &Manifest, chunks: u32) -> Manifest {
        let points = (0..chunks).map(point).collect();
        self.store.upsert(&manifest.generation, points).await.unwrap();
        let counts = Counts { documents: 1, chunks: chunks.into() };
        self.store.seal(manifest, counts).await.unwrap()
    }

    async fn publish(&self, generation: &GenerationId) -> Result<Published, LifecycleError> {
        self.lifecycle.publish(generation, &Terms::default()).await
    }

    async fn share(&self, generation: &GenerationId, percent: u8) -> Result<Published, LifecycleError> {
        let share = Some(Share::parse(percent).unwrap());
        self.lifecycle.publish(generation, &Terms { share, ..Terms::default() }).await
    }

    async fn canary(&self) -> Option<Canary> {
        self.store.canary(&docs()).await.unwrap()
    }

    /// The kinds of all publications, newest first.
    async fn history(&self) -> Vec<PublicationKind> {
        let publications = self.registry.publications(&docs(), 100).await.unwrap();
        publications.into_iter().map(|publication| publication.kind).collect()
    }

    async fn live(&self) -> Option<GenerationId> {
        self.store.live(&docs()).await.unwrap()
    }

    async fn stored(&self) -> Vec<GenerationId> {
        let stored = self.store.generations(&docs()).await.unwrap();
        stored.into_iter().map(|stored| stored.generation).collect()
    }

    async fn prune(&self, retention: Retention) -> Vec<(GenerationId, Fate)> {
        self.lifecycle.prune(&docs(), &retention).await.unwrap()
    }
}

async fn registry_in(folder: &Path) -> Registry {
    let url = format!("sqlite:{}", folder.join("lectern.db").display());
    let section = serde_json::from_value(serde_json::json!({ "url": url })).unwrap();
    Registry::open(&section).await.unwrap()
}

fn docs() -> AliasName {
    AliasName::parse("docs").unwrap()
}

fn fingerprint() -> Fingerprint {
    let embedding = Embedding { model: "a-model".to_owned(), dimension: 2, pooling: Pooling::Mean };
    let chunker = Chunker { version: 1, max_tokens: 256, overlap_tokens: 0 };
    Fingerprint { encoding: Encoding::current(embedding), chunker }
}

fn point(position: u32) -> Point {
    let document_id = DocumentId::parse("a.md").unwrap();
    let content_hash = ContentHash::of(&[&position.to_string()]);
    Point {
        id: ChunkId::derive(&document_id, position, &content_hash),
        dense: DenseVector::parse(vec![1.0, f32::from(u16::try_from(position).unwrap())]).unwrap(),
        sparse: SparseVector::parse(vec![position], vec![1.0]).unwrap(),
        payload: ChunkPayload {
            document_id,
            uri: "a.md".to_owned(),
            title: "A".to_owned(),
            heading_path: vec![],
            text: position.to_string(),
            position,
            tokens: 1,
            content_hash,
            tenant: TenantId::public(),
            metadata: serde_json::Map::new(),
        },
    }
}

/// Keeps nothing that it need not keep.
fn strict(keep: usize) -> Retention {
    Retention { keep, grace: Duration::ZERO, unpublished: Duration::ZERO }
}

fn moved(published: &Published) -> (Option<&GenerationId>, &GenerationId) {
    match published {
        Published::Moved { from, to, .. } => (from.as_ref(), to),
        Published::AlreadyLive(there) => panic!("{there} was live already"),
        Published::Sharing { canary, .. } => panic!("{canary} was only made the canary"),
    }
}

#[tokio::test]
async fn publishing_moves_the_alias_and_tells_from_where() {
    let shelter = Shelter::new().await;
    let (first, second) = (shelter.build(10, 3).await, shelter.build(5, 3).await);
    assert_eq!(moved(&shelter.publish(&first).await.unwrap()), (None, &first));
    assert_eq!(moved(&shelter.publish(&second).await.unwrap()), (Some(&first), &second));
    assert_eq!(shelter.live().await.as_ref(), Some(&second));

    let publications = shelter.registry.publications(&docs(), 10).await.unwrap();
    assert_eq!(publications.len(), 2);
    assert_eq!(
        (publications[0].kind, publications[0].from.as_ref()),
        (PublicationKind::Publish, Some(&first))
    );
    assert!(publications[0].verdicts.iter().all(|verdict| verdict.passed));
}

#[tokio::test]
async fn publishing_what_is_live_changes_nothing_and_says_so() {
    let shelter = Shelter::new().await;
    let generation = shelter.build(10, 3).await;
    shelter.publish(&generation).await.unwrap();
    assert_eq!(shelter.publish(&generation).await.unwrap(), Published::AlreadyLive(generation));
    assert_eq!(shelter.registry.publications(&docs(), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_generation_that_does_not_exist_is_refused_with_those_that_do() {
    let shelter = Shelter::new().await;
    let there = shelter.build(10, 3).await;
    let error = shelter.publish(&there.next()).await.unwrap_err();
    assert!(matches!(&error, LifecycleError::Unknown { .. }), "{error}");
    assert!(error.to_string().contains(there.as_str()), "{error}");
    assert_eq!(shelter.live().await, None);
}

#[tokio::test]
async fn a_generation_whose_build_has_not_ended_is_refused() {
    let shelter = Shelter::new().await;
    let manifest = shelter.begin(10).await;
    let error = shelter.publish(&manifest.generation).await.unwrap_err();
    assert!(matches!(error, LifecycleError::Incomplete(_)), "{error}");
    assert_eq!(shelter.live().await, None);
}

#[tokio::test]
async fn an_older_generation_does_not_go_live_by_publishing() {
    let shelter = Shelter::new().await;
    let (old, new) = (shelter.build(10, 3).await, shelter.build(5, 3).await);
    shelter.publish(&new).await.unwrap();
    let error = shelter.publish(&old).await.unwrap_err();
    assert!(matches!(error, LifecycleError::Older { .. }), "{error}");
    assert_eq!(shelter.live().await, Some(new));
}

#[tokio::test]
async fn a_shrunken_generation_goes_live_only_for_a_recorded_reason() {
    let shelter = Shelter::new().await;
    let (large, small) = (shelter.build(10, 10).await, shelter.build(5, 4).await);
    shelter.publish(&large).await.unwrap();
    let error = shelter.publish(&small).await.unwrap_err();
    assert!(matches!(error, LifecycleError::Gated { .. }), "{error}");
    assert!(error.to_string().contains("4 chunks where 10 are live"), "{error}");
    assert_eq!(shelter.live().await, Some(large));

    let force = Some(Reason::parse("the archive moved elsewhere").unwrap());
    shelter.lifecycle.publish(&small, &Terms { force, ..Terms::default() }).await.unwrap();
    assert_eq!(shelter.live().await, Some(small));
    let publications = shelter.registry.publications(&docs(), 1).await.unwrap();
    assert_eq!(publications[0].forced.as_deref(), Some("the archive moved elsewhere"));
}

#[tokio::test]
async fn counts_that_differ_from_the_record_cannot_be_forced() {
    let shelter = Shelter::new().await;
    let manifest = shelter.begin(10).await;
    let sealed = shelter.fill(&manifest, 3).await;
    let recorded = Manifest { state: BuildState::Complete(Counts { documents: 1, chunks: 4 }), ..sealed };
    shelter.registry.complete_generation(&recorded).await.unwrap();
    let terms = Terms { force: Some(Reason::parse("now").unwrap()), ..Terms::default() };
    let error = shelter.lifecycle.publish(&manifest.generation, &terms).await.unwrap_err();
    assert!(matches!(error, LifecycleError::Gated { .. }), "{error}");
    assert_eq!(shelter.lifecycle.verify(&docs()).await.unwrap(), [Finding::Changed(manifest.generation)]);
}

#[tokio::test]
async fn the_gates_say_beforehand_what_publishing_would_say() {
    let shelter = Shelter::new().await;
    let (large, small) = (shelter.build(10, 10).await, shelter.build(5, 4).await);
    shelter.publish(&large).await.unwrap();
    let verdicts = shelter.lifecycle.gate(&small, &Terms::default()).await.unwrap();
    let refused: Vec<_> =
        verdicts.iter().filter(|verdict| !verdict.passed).map(|verdict| verdict.gate.as_str()).collect();
    assert_eq!(refused, ["not_shrunk"]);
}

#[tokio::test]
async fn a_rollback_goes_to_the_newest_that_was_live_before() {
    let shelter = Shelter::new().await;
    let first = shelter.build(40, 3).await;
    let second = shelter.build(30, 3).await;
    let never_live = shelter.build(20, 3).await;
    let third = shelter.build(10, 3).await;
    for generation in [&first, &second, &third] {
        shelter.publish(generation).await.unwrap();
    }
    let back = shelter.lifecycle.rollback(&docs(), None).await.unwrap();
    assert_eq!(moved(&back), (Some(&third), &second));
    let further = shelter.lifecycle.rollback(&docs(), None).await.unwrap();
    assert_eq!(moved(&further), (Some(&second), &first));
    let error = shelter.lifecycle.rollback(&docs(), Some(&never_live)).await.unwrap_err();
    assert!(matches!(error, LifecycleError::NeverLive(_)), "{error}");
    let forward = shelter.lifecycle.rollback(&docs(), Some(&third)).await.unwrap();
    assert_eq!(moved(&forward), (Some(&first), &third));
}

#[tokio::test]
async fn a_rollback_without_a_way_back_names_what_there_is() {
    let shelter = Shelter::new().await;
    let error = shelter.lifecycle.rollback(&docs(), None).await.unwrap_err();
    assert!(matches!(error, LifecycleError::NothingLive(_)), "{error}");

    let elsewhere = shelter.build_elsewhere(20).await;
    let live = shelter.build(10, 10).await;
    shelter.publish(&live).await.unwrap();
    let error = shelter.lifecycle.rollback(&docs(), None).await.unwrap_err();
    assert!(matches!(error, LifecycleError::NothingBefore { .. }), "{error}");
    assert!(error.to_string().contains(elsewhere.as_str()), "{error}");
    shelter.lifecycle.rollback(&docs(), Some(&elsewhere)).await.unwrap();
    assert_eq!(shelter.live().await, Some(elsewhere));
}

/// The lease of a publisher that was killed makes both wait, so that they begin before either has moved the alias.
#[tokio::test]
async fn of_two_publishers_at_once_one_wins_and_the_other_is_told() {
    let shelter = Shelter::new().await;
    let (first, second) = (shelter.build(10, 3).await, shelter.build(5, 3).await);
    let (name, now) = (LeaseName::of_alias(&docs()), shelter.registry.now().await.unwrap());
    let killed = shelter.registry.take_lease(&name, "killed", now, Duration::from_secs(2)).await;
    assert!(killed.unwrap().is_some());

    let (one, other) = (shelter.lifecycle.clone(), shelter.second_lifecycle().await);
    let terms = Terms::default();
    let begun = Instant::now();
    let both = join(one.publish(&first, &terms), other.publish(&second, &terms)).await;
    assert!(Duration::from_secs(1) < begun.elapsed(), "nobody waited for the killed one's lease to end");

    let (winner, told) = match both {
        (Ok(won), Err(told)) | (Err(told), Ok(won)) => (won, told),
        neither => panic!("{neither:?}"),
    };
    assert_eq!(shelter.live().await.as_ref(), Some(moved(&winner).1));
    let clear = matches!(
        told,
        LifecycleError::Store(StoreError::Moved { .. })
            | LifecycleError::Registry(RegistryError::Held { .. })
    );
    assert!(clear, "{told}");
    assert_eq!(shelter.registry.publications(&docs(), 10).await.unwrap().len(), 1);
}

/// A killed publisher's lease makes the second wait after it has looked at the alias, for longer than the move takes.
#[tokio::test]
async fn a_publisher_whose_alias_moved_while_it_waited_is_told_and_changes_nothing() {
    let shelter = Shelter::new().await;
    let (first, second) = (shelter.build(10, 3).await, shelter.build(5, 3).await);
    let (name, now) = (LeaseName::of_alias(&docs()), shelter.registry.now().await.unwrap());
    shelter.registry.take_lease(&name, "killed", now, Duration::from_secs(3)).await.unwrap().unwrap();
    let moving = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        shelter.store.swap(&docs(), None, &first).await.unwrap();
    };
    let (told, ()) = join(shelter.publish(&second), moving).await;
    assert!(matches!(told, Err(LifecycleError::Store(StoreError::Moved { .. }))), "{told:?}");
    assert_eq!(shelter.live().await, Some(first));
}

#[tokio::test]
async fn a_publisher_at_work_is_named_to_the_next_one() {
    let shelter = Shelter::new().await;
    let generation = shelter.build(10, 3).await;
    let holder = Holder::this_process();
    let name = LeaseName::of_alias(&docs());
    let at_work = Lease::take(&shelter.registry, name, &holder).await.unwrap();
    let error = shelter.publish(&generation).await.unwrap_err();
    assert!(error.to_string().contains(holder.as_str()), "{error}");
    assert_eq!(shelter.live().await, None);
    at_work.release().await;
    shelter.publish(&generation).await.unwrap();
}

/// A crash between moving the alias and recording it leaves a store that is ahead of the registry.
#[tokio::test]
async fn a_move_that_was_never_recorded_can_still_be_rolled_back_to() {
    let shelter = Shelter::new().await;
    let (first, second) = (shelter.build(10, 3).await, shelter.build(5, 3).await);
    shelter.store.swap(&docs(), None, &first).await.unwrap();
    shelter.publish(&second).await.unwrap();
    let back = shelter.lifecycle.rollback(&docs(), None).await.unwrap();
    assert_eq!(moved(&back), (Some(&second), &first));
}

#[tokio::test]
async fn publishing_again_records_a_move_that_a_crash_lost() {
    let shelter = Shelter::new().await;
    let generation = shelter.build_elsewhere(10).await;
    shelter.store.swap(&docs(), None, &generation).await.unwrap();
    assert_eq!(shelter.publish(&generation).await.unwrap(), Published::AlreadyLive(generation.clone()));
    let shelf = shelter.lifecycle.list(&docs()).await.unwrap();
    assert_eq!(shelf.find(&generation).unwrap().was_live(), WasLive::Yes);
}

#[tokio::test]
async fn the_list_joins_what_store_and_registry_know() {
    let shelter = Shelter::new().await;
    let elsewhere = shelter.build_elsewhere(30).await;
    let live = shelter.build(20, 10).await;
    shelter.publish(&live).await.unwrap();
    let building = shelter.begin(10).await.generation;
    let lease = shelter.lifecycle.reserve_build(&building).await.unwrap();

    let shelf = shelter.lifecycle.list(&docs()).await.unwrap();
    let names: Vec<_> = shelf.generations.iter().map(|listed| listed.generation.clone()).collect();
    assert_eq!(names, [elsewhere.clone(), live.clone(), building.clone()]);
    assert_eq!(shelf.live, Some(live.clone()));
    let [unknown, known, staging] = &shelf.generations[..] else { panic!() };
    assert_eq!((unknown.was_live(), unknown.counts().unwrap().chunks), (WasLive::Unknown, 10));
    assert_eq!((known.was_live(), known.fingerprint()), (WasLive::Yes, Some(fingerprint().digest())));
    assert_eq!((staging.counts(), staging.holder.is_some()), (None, true));
    assert!(Duration::from_mins(29) < unknown.age(shelf.read_at));
    lease.release().await;

    assert_eq!(
        shelter.lifecycle.verify(&docs()).await.unwrap(),
        [Finding::Surplus(elsewhere), Finding::Abandoned(building)]
    );
}

#[tokio::test]
async fn pruning_keeps_the_live_one_the_newest_and_the_way_back() {
    let shelter = Shelter::new().await;
    let mut generations = Vec::new();
    for minutes in [50, 40, 30, 20, 10] {
        let generation = shelter.build(minutes, 3).await;
        shelter.publish(&generation).await.unwrap();
        generations.push(generation);
    }
    let [g1, g2, g3, g4, g5] = &generations[..] else { panic!() };
    shelter.lifecycle.rollback(&docs(), Some(g3)).await.unwrap();

    let fates = shelter.prune(strict(1)).await;
    let expected = [
        (g1.clone(), Fate::Deleted),
        (g2.clone(), Fate::Kept(Why::RollbackTarget)),
        (g3.clone(), Fate::Kept(Why::Live)),
        (g4.clone(), Fate::Deleted),
        (g5.clone(), Fate::Kept(Why::Retained(1))),
    ];
    assert_eq!(fates, expected);
    assert_eq!(shelter.stored().await, [g2.clone(), g3.clone(), g5.clone()]);
    let records = shelter.registry.generations(&docs()).await.unwrap();
    assert_eq!(records[0].state, GenerationState::Deleted);
    assert!(shelter.lifecycle.verify(&docs()).await.unwrap().is_empty());
}

#[tokio::test]
async fn pruning_spares_what_a_server_may_still_read() {
    let shelter = Shelter::new().await;
    let (old, live) = (shelter.build(20, 3).await, shelter.build(10, 3).await);
    shelter.publish(&old).await.unwrap();
    shelter.publish(&live).await.unwrap();
    let grace = Duration::from_hours(1);
    let fates = shelter.prune(Retention { grace, ..strict(0) }).await;
    assert_eq!(fates[0], (old.clone(), Fate::Kept(Why::Grace(grace))));
    assert_eq!(shelter.prune(strict(0)).await[0], (old, Fate::Deleted));
    assert_eq!(shelter.stored().await, [live]);
}

#[tokio::test]
async fn a_generation_whose_end_a_crash_did_not_record_has_its_grace_from_now() {
    let shelter = Shelter::new().await;
    let (old, live) = (shelter.build(20, 3).await, shelter.build(10, 3).await);
    shelter.publish(&old).await.unwrap();
    shelter.store.swap(&docs(), Some(&old), &live).await.unwrap();
    let grace = Duration::from_hours(1);
    let fates = shelter.prune(Retention { grace, ..strict(0) }).await;
    assert_eq!(fates[0], (old, Fate::Kept(Why::Grace(grace))));
}

#[tokio::test]
async fn pruning_deletes_abandoned_builds_once_they_are_old_and_nobody_builds_them() {
    let shelter = Shelter::new().await;
    let live = shelter.build(30, 3).await;
    shelter.publish(&live).await.unwrap();
    let abandoned = shelter.begin(20).await.generation;
    let candidate = shelter.build(10, 3).await;
    let hour = Duration::from_hours(1);
    let young = Fate::Kept(Why::Unpublished(hour));
    let fates = shelter.prune(Retention { unpublished: hour, ..strict(0) }).await;
    assert_eq!(fates[1..], [(abandoned.clone(), young.clone()), (candidate.clone(), young)]);

    let building = shelter.lifecycle.reserve_build(&abandoned).await.unwrap();
    let fates = shelter.prune(strict(0)).await;
    let in_use = Fate::Kept(Why::InUse(Holder::this_process().as_str().to_owned()));
    assert_eq!(fates[1..], [(abandoned.clone(), in_use), (candidate, Fate::Deleted)]);
    building.release().await;
    assert_eq!(shelter.prune(strict(0)).await[1], (abandoned, Fate::Deleted));
    assert_eq!(shelter.stored().await, [live]);
}

/// A build of two workers that was begun `minutes` ago.
async fn divided(shelter: &Shelter, minutes: i64) -> (GenerationId, Assignment) {
    let partition = Partition::new(0, 2).unwrap();
    let assignment = Assignment { alias: docs(), job: None, partition };
    let generation = shelter.begin(minutes).await.generation;
    let (registry, fingerprint) = (&shelter.registry, fingerprint());
    let opening = registry.open_division(&assignment, &generation, &fingerprint, Timestamp::now());
    assert!(opening.await.unwrap());
    shelter.registry.division_created(&generation).await.unwrap();
    (generation, assignment)
}

#[tokio::test]
async fn pruning_deletes_an_unfinished_build_of_several_workers_once_it_is_old_and_none_of_them_lives() {
    let shelter = Shelter::new().await;
    let live = shelter.build(30, 3).await;
    shelter.publish(&live).await.unwrap();
    let (unfinished, assignment) = divided(&shelter, 20).await;
    let hour = Duration::from_hours(1);
    let fates = shelter.prune(Retention { unpublished: hour, ..strict(0) }).await;
    assert_eq!(fates[1..], [(unfinished.clone(), Fate::Kept(Why::Unpublished(hour)))]);

    let holder = Holder::this_process();
    let name = LeaseName::of_partition(&assignment);
    let working = Lease::take_now(&shelter.registry, name, &holder).await.unwrap();
    let in_use = Fate::Kept(Why::InUse(holder.as_str().to_owned()));
    assert_eq!(shelter.prune(strict(0)).await[1..], [(unfinished.clone(), in_use)]);
    working.release().await;
    assert_eq!(shelter.prune(strict(0)).await[1..], [(unfinished, Fate::Deleted)]);
    assert_eq!(shelter.registry.division(&docs(), None).await.unwrap(), None);
}

#[tokio::test]
async fn a_build_of_several_workers_is_found_to_be_unfinished_unless_one_of_them_works() {
    let shelter = Shelter::new().await;
    let (generation, assignment) = divided(&shelter, 20).await;
    let missing = Partition::all(2).collect();
    let found = shelter.lifecycle.verify(&docs()).await.unwrap();
    assert_eq!(found, [Finding::Unfinished { generation, missing }]);
    assert!(found[0].to_string().contains("waits for 0/2 and 1/2: run them"), "{}", found[0]);
    let name = LeaseName::of_partition(&assignment);
    let working = Lease::take_now(&shelter.registry, name, &Holder::this_process()).await.unwrap();
    assert_eq!(shelter.lifecycle.verify(&docs()).await.unwrap(), []);
    working.release().await;
}

#[tokio::test]
async fn pruning_without_a_live_generation_keeps_all_that_were_live() {
    let shelter = Shelter::new().await;
    let elsewhere = shelter.build_elsewhere(10).await;
    assert_eq!(shelter.prune(strict(0)).await, [(elsewhere.clone(), Fate::Kept(Why::NothingLive))]);
    assert_eq!(shelter.stored().await, [elsewhere]);
}

#[tokio::test]
async fn a_generation_that_vanished_from_the_store_is_told_and_forgotten() {
    let shelter = Shelter::new().await;
    let (lost, live) = (shelter.build(20, 3).await, shelter.build(10, 3).await);
    shelter.publish(&live).await.unwrap();
    shelter.store.delete(&lost).await.unwrap();
    assert_eq!(shelter.lifecycle.verify(&docs()).await.unwrap(), [Finding::Missing(lost)]);
    shelter.prune(Retention::default()).await;
    assert!(shelter.lifecycle.verify(&docs()).await.unwrap().is_empty());
}

fn canary(generation: &GenerationId, percent: u8) -> Canary {
    Canary { generation: generation.clone(), share: Share::parse(percent).unwrap() }
}

#[tokio::test]
async fn a_canary_begins_without_moving_the_alias_and_is_promoted() {
    let shelter = Shelter::new().await;
    let (live, new) = (shelter.build(10, 3).await, shelter.build(5, 3).await);
    shelter.publish(&live).await.unwrap();
    let Published::Sharing { canary: begun, verdicts, .. } = shelter.share(&new, 5).await.unwrap() else {
        panic!("no canary")
    };
    assert_eq!((begun, verdicts.is_empty()), (canary(&new, 5), false));
    assert_eq!((shelter.live().await, shelter.canary().await), (Some(live.clone()), Some(canary(&new, 5))));

    let promoted = shelter.lifecycle.promote(&docs(), &Terms::default()).await.unwrap();
    assert_eq!(moved(&promoted), (Some(&live), &new));
    assert_eq!((shelter.live().await, shelter.canary().await), (Some(new), None));
    let expected = [PublicationKind::Promote, PublicationKind::Canary, PublicationKind::Publish];
    assert_eq!(shelter.history().await, expected);
}

#[tokio::test]
async fn a_canary_is_given_another_share_while_another_generation_is_refused() {
    let shelter = Shelter::new().await;
    let (live, new, newer) =
        (shelter.build(10, 3).await, shelter.build(5, 3).await, shelter.build(3, 3).await);
    shelter.publish(&live).await.unwrap();
    shelter.share(&new, 5).await.unwrap();
    shelter.share(&new, 20).await.unwrap();
    let refused = shelter.share(&newer, 5).await.unwrap_err();
    assert!(matches!(&refused, LifecycleError::CanaryRuns(runs) if *runs == new), "{refused}");
    assert_eq!(shelter.canary().await, Some(canary(&new, 20)));
}

#[tokio::test]
async fn a_canary_that_is_withdrawn_stays_whole_and_is_recorded_with_the_reason() {
    let shelter = Shelter::new().await;
    let (live, new) = (shelter.build(10, 3).await, shelter.build(5, 3).await);
    shelter.publish(&live).await.unwrap();
    shelter.share(&new, 5).await.unwrap();
    shelter.lifecycle.withdraw(&docs(), Some("worse".to_owned())).await.unwrap();
    assert_eq!((shelter.live().await, shelter.canary().await), (Some(live), None));
    let listing = shelter.lifecycle.list(&docs()).await.unwrap();
    let listed = listing.find(&new).unwrap();
    assert!(listed.is_complete() && listed.was_live() == WasLive::Never);
    let last = &shelter.registry.publications(&docs(), 1).await.unwrap()[0];
    assert_eq!((last.kind, last.reason.as_deref()), (PublicationKind::Withdraw, Some("worse")));

    for none in [
        shelter.lifecycle.withdraw(&docs(), None).await.map(drop),
        shelter.lifecycle.promote(&docs(), &Terms::default()).await.map(drop),
    ] {
        assert!(matches!(none, Err(LifecycleError::NoCanary(_))), "{none:?}");
    }
}

#[tokio::test]
async fn a_canary_is_asked_the_gates_and_needs_something_live() {
    let shelter = Shelter::new().await;
    let (live, shrunk) = (shelter.build(10, 10).await, shelter.build(5, 3).await);
    let alone = shelter.share(&live, 5).await.unwrap_err();
    assert!(matches!(alone, LifecycleError::NothingLive(_)), "{alone}");
    shelter.publish(&live).await.unwrap();
    let gated = shelter.share(&shrunk, 5).await.unwrap_err();
    assert!(matches!(gated, LifecycleError::Gated { .. }), "{gated}");
    assert_eq!(shelter.share(&live, 5).await.unwrap(), Published::AlreadyLive(live));
    assert_eq!(shelter.canary().await, None);
}

#[tokio::test]
async fn moving_the_alias_elsewhere_ends_the_canary() {
    let shelter = Shelter::new().await;
    let (old, live) = (shelter.build(20, 3).await, shelter.build(10, 3).await);
    let (new, newer) = (shelter.build(5, 3).await, shelter.build(3, 3).await);
    shelter.publish(&old).await.unwrap();
    shelter.publish(&live).await.unwrap();
    shelter.share(&new, 5).await.unwrap();
    shelter.publish(&newer).await.unwrap();
    assert_eq!((shelter.live().await, shelter.canary().await), (Some(newer.clone()), None));

    let newest = shelter.build(1, 3).await;
    shelter.share(&newest, 5).await.unwrap();
    shelter.lifecycle.rollback(&docs(), Some(&old)).await.unwrap();
    assert_eq!((shelter.live().await, shelter.canary().await), (Some(old), None));
    let expected = [PublicationKind::Rollback, PublicationKind::Withdraw];
    assert_eq!(shelter.history().await[..2], expected);
}

#[tokio::test]
async fn a_promotion_that_died_before_its_pointer_was_gone_is_finished_by_the_next() {
    let shelter = Shelter::new().await;
    let (live, new) = (shelter.build(10, 3).await, shelter.build(5, 3).await);
    shelter.publish(&live).await.unwrap();
    shelter.share(&new, 5).await.unwrap();
    shelter.store.swap(&docs(), Some(&live), &new).await.unwrap();
    let listing = shelter.lifecycle.list(&docs()).await.unwrap();
    assert_eq!(listing.canary_share(&new), None);
    let promoted = shelter.lifecycle.promote(&docs(), &Terms::default()).await.unwrap();
    assert_eq!(promoted, Published::AlreadyLive(new.clone()));
    assert_eq!((shelter.live().await, shelter.canary().await), (Some(new), None));
}

#[tokio::test]
async fn pruning_spares_the_canary_and_one_that_has_just_ended() {
    let shelter = Shelter::new().await;
    let (live, new) = (shelter.build(20, 3).await, shelter.build(10, 3).await);
    shelter.publish(&live).await.unwrap();
    shelter.share(&new, 5).await.unwrap();
    assert_eq!(shelter.prune(strict(0)).await[1], (new.clone(), Fate::Kept(Why::Canary)));
    shelter.lifecycle.withdraw(&docs(), None).await.unwrap();
    let grace = Duration::from_hours(1);
    let fates = shelter.prune(Retention { grace, ..strict(0) }).await;
    assert_eq!(fates[1], (new.clone(), Fate::Kept(Why::Grace(grace))));
    assert_eq!(shelter.prune(strict(0)).await[1], (new, Fate::Deleted));
}
