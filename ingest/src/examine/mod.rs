//! Measures a staging generation and the live one for the gates, through the code that the server reads with.
//! Never judges and never publishes: it hands what it found to the gates, and what they said to its caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lectern_resilience::deadline::Deadline;
use lectern_schema::embedding::DenseVector;
use lectern_schema::generation::Manifest;
use lectern_search::error::OpenError;
use lectern_search::stored::StoredChunk;
use lectern_search::{Collection, Search};

use crate::config::IngestSection;
use crate::examine::golden::Golden;
use crate::examine::live::LiveSide;
use crate::examine::measured::Measured;
use crate::examine::sample::Sample;
use crate::examine::scan::Scan;
use crate::lifecycle::gate::golden::Answered;
use crate::lifecycle::gate::section::GatesSection;
use crate::lifecycle::gate::{
    Percent, Verdict, alike, counts, embedding, fingerprint, index, latency, sources, texts, vectors,
};
use crate::lifecycle::publish::{Contest, Examined};
use crate::pipeline::Encoder;
use crate::pipeline::embed::Vectors;
use crate::registry::Registry;
use crate::store::WriteStore;

pub use crate::examine::error::ExamineError;

mod ask;
mod error;
pub mod golden;
mod live;
pub mod measured;
mod sample;
mod scan;

/// Longest wait for one call to the store.
const BOUND: Duration = Duration::from_mins(1);

/// How much is looked at, and what is good enough.
#[derive(Debug, Clone)]
pub struct Care {
    /// The section of the gates.
    pub gates: GatesSection,
    /// Smallest share of the live generation that is left.
    pub smallest: Percent,
    /// How long embedding a batch may take, all tries together.
    pub patience: Duration,
}

impl Care {
    /// As configured.
    pub fn new(gates: GatesSection, ingest: &IngestSection) -> Self {
        let patience = sample::patience(ingest.embed_seconds);
        Self { gates, smallest: ingest.least_percent, patience }
    }
}

/// Examines generations.
#[derive(Debug)]
pub struct Examiner {
    reader: Arc<dyn Search>,
    store: Arc<dyn WriteStore>,
    encoder: Encoder,
    vectors: Vectors,
    care: Care,
}

/// A candidate that was opened and gone through.
struct Opened {
    collection: Arc<dyn Collection>,
    scan: Scan,
    chunks: Vec<StoredChunk>,
}

impl Examiner {
    /// Reads by `reader`, looks at indexes by `store`, keeps what it measures in `registry`.
    pub fn new(
        reader: Arc<dyn Search>,
        store: Arc<dyn WriteStore>,
        registry: Registry,
        encoder: Encoder,
        care: Care,
    ) -> Self {
        let vectors = Vectors::new(&encoder, registry, care.patience);
        Self { reader, store, encoder, vectors, care }
    }

    /// What the gates say about a candidate, compared with what is live. What it holds comes first: a generation that is
    /// refused for that is not searched any more.
    pub async fn examine(&self, contest: &Contest, questions: &[Golden]) -> Result<Examined, ExamineError> {
        let index_state = self.store.index(&contest.candidate.generation).await?;
        let opened = self.open(&contest.candidate).await?;
        let mut verdicts = vec![index::index(&index_state)];
        verdicts.extend(self.judge_content(contest, &opened, !questions.is_empty()).await?);
        let live = LiveSide::open(self.reader.as_ref(), &self.vectors.registry, contest).await?;
        let tally = live.tally().await?;
        verdicts.push(sources::sources(&opened.scan.tally, &tally, self.care.smallest));
        let mut measured = Measured { tally: opened.scan.tally.clone(), ..Measured::default() };
        if verdicts.iter().all(|verdict| verdict.passed) {
            verdicts.extend(self.judge_answers(&opened, &live, questions, &mut measured).await?);
        }
        self.keep(&contest.candidate, measured).await?;
        Ok(Examined { live: contest.live.clone(), verdicts })
    }

    async fn open(&self, candidate: &Manifest) -> Result<Opened, ExamineError> {
        let encoding = &candidate.fingerprint.encoding;
        let deadline = Deadline::after(Instant::now(), BOUND);
        let collection = self.reader.open(&candidate.generation, encoding, deadline).await?;
        let scan = scan::scan(collection.as_ref(), self.care.gates.sample).await?;
        let chunks = scan::fetch(collection.as_ref(), &scan.sample).await?;
        Ok(Opened { collection, scan, chunks })
    }

    async fn judge_content(
        &self,
        contest: &Contest,
        opened: &Opened,
        has_golden: bool,
    ) -> Result<Vec<Verdict>, ExamineError> {
        let Contest { candidate, live_manifest, .. } = contest;
        let print = &candidate.fingerprint;
        let live = live_manifest.as_ref().map(|live| &live.fingerprint);
        let configured = fingerprint::as_configured(print, &self.encoder.encoding);
        let sample = Sample { chunks: &opened.chunks, chunker: &print.chunker, vectors: &self.vectors };
        let (text, agreement) = if configured.passed {
            let found = opened.scan.tally.total().chunks;
            (sample.texts(), sample.agreement(self.care.gates.reembed, found).await?)
        } else {
            let reason = || "not checked: this configuration encodes otherwise".to_owned();
            (Err(reason()), Err(reason()))
        };
        let dense: Vec<&[f32]> = opened.chunks.iter().map(|chunk| chunk.dense.as_slice()).collect();
        let sealed = candidate.counts().unwrap_or_default();
        Ok(vec![
            counts::as_sealed(opened.scan.tally.total(), opened.scan.unreadable, sealed),
            configured,
            fingerprint::as_live(print, live, has_golden),
            vectors::vectors(&dense, print.encoding.embedding.dimension),
            alike::alike(&sample.different(), self.care.gates.most_alike),
            texts::texts(&text),
            embedding::embedding(&agreement, self.care.gates.least_cosine),
        ])
    }

    async fn judge_answers(
        &self,
        opened: &Opened,
        live: &LiveSide,
        questions: &[Golden],
        measured: &mut Measured,
    ) -> Result<Vec<Verdict>, ExamineError> {
        let asked = self.embedded(questions).await?;
        let mut verdicts = Vec::new();
        let candidate = opened.collection.as_ref();
        if !asked.is_empty() {
            measured.rankings = ask::rankings(candidate, &self.encoder.bm25, &asked).await?;
            let theirs = live.scores(&self.encoder.bm25, &asked).await?;
            let ours = asked.iter().map(|(question, _)| {
                let ranking = measured.rankings.get(&question.key());
                question.score(ranking.map_or(&[], Vec::as_slice))
            });
            let answered = Answered { candidate: ours.collect(), live: theirs };
            verdicts.extend(crate::lifecycle::gate::golden::golden(&answered, &self.care.gates));
        }
        let probes = ask::probes(&asked, &opened.chunks, self.care.gates.latency_queries);
        let (ours, theirs) =
            ask::latencies(candidate, live.comparable(), &self.encoder.bm25, &probes).await?;
        measured.latency = ours;
        verdicts.push(latency::latency(ours, &live.latency(theirs), &self.care.gates));
        Ok(verdicts)
    }

    /// The questions with their vectors, embedded anew: a model that has changed behind its name must show here.
    async fn embedded<'a>(
        &self,
        questions: &'a [Golden],
    ) -> Result<Vec<(&'a Golden, DenseVector)>, ExamineError> {
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        let texts = questions.iter().map(|question| question.text.clone()).collect();
        let vectors = self.vectors.patiently(texts).await?;
        let parsed = questions
            .iter()
            .zip(vectors)
            .map(|(question, vector)| Ok((question, DenseVector::parse(vector)?)));
        parsed.collect()
    }

    /// Keeps what was measured, for the time when this generation is the live one.
    async fn keep(&self, candidate: &Manifest, measured: Measured) -> Result<(), ExamineError> {
        let registry = &self.vectors.registry;
        let earlier = registry.measured(&candidate.generation).await?.unwrap_or_default();
        let now = registry.now().await?;
        Ok(registry.record_measured(&candidate.generation, &measured.or(earlier), now).await?)
    }
}
