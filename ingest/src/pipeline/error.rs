//! Why a build did not come to its end. In every case the staging generation stays unpublished.

use lectern_models::error::ModelError;
use lectern_schema::embedding::BadVector;
use lectern_schema::identifiers::GenerationId;

use crate::lifecycle::LifecycleError;
use crate::partition::Partition;
use crate::reading::CannotStart;
use crate::registry::error::RegistryError;
use crate::store::StoreError;

/// Why a build, or the planning of one, failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// All documents were skipped.
    #[error("none of the {0} documents could be read: see the reasons above")]
    NothingReadable(usize),
    /// The embedder failed, after as many tries as there was time for.
    #[error(
        "the chunks could not be embedded: check the `embedder` section and its endpoint, then run the command again; what was embedded so far is kept"
    )]
    Embedder(#[from] ModelError),
    /// The embedder answered with something that is no vector.
    #[error("the embedder's answer cannot be used: check `embedder.model`")]
    Vector(#[from] BadVector),
    /// The embedder's vectors have another length.
    #[error(
        "the embedder gives vectors of {found} elements, but `embedder.dimension` is {configured}: correct it"
    )]
    Dimension {
        /// As configured.
        configured: u32,
        /// As the embedder answered.
        found: usize,
    },
    /// The embedder lost or invented a text.
    #[error("the embedder gave {vectors} vectors for {texts} texts: report it to its provider")]
    VectorCount {
        /// Texts sent.
        texts: usize,
        /// Vectors received.
        vectors: usize,
    },
    /// The store failed.
    #[error("the generation could not be written")]
    Store(#[from] StoreError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// What an interrupted build left behind could not be looked through.
    #[error(transparent)]
    Leftover(#[from] LifecycleError),
    /// No reader could be started.
    #[error(transparent)]
    Readers(#[from] CannotStart),
    /// A reader or a batch broke down.
    #[error("reading or embedding documents broke down: this is a bug, please report it with the log")]
    Panicked(#[source] tokio::task::JoinError),
    /// A later stage has failed; its own error is reported instead of this one.
    #[error("a later stage stopped")]
    StageGone,
    /// Start all workers alike.
    #[error(
        "generation `{generation}` is written in {of} partitions: start all its workers with `--partition I/{of}`, or name another build with `--job NAME`"
    )]
    OtherDivision {
        /// What is written.
        generation: GenerationId,
        /// In how many partitions.
        of: u32,
    },
    /// Start all workers alike.
    #[error(
        "generation `{0}` is written with another embedder or other settings of chunks: start all its workers with the same configuration, or name another build with `--job NAME`"
    )]
    OtherSettings(GenerationId),
    /// Run the others, or begin another build.
    #[error(
        "partition {partition} of generation `{generation}` is written already, but not {}: run those, or name another build with `--job NAME`", Partition::named(.missing)
    )]
    AlreadyWritten {
        /// What is written.
        generation: GenerationId,
        /// Which part of it was asked for.
        partition: Partition,
        /// The parts that are not done.
        missing: Vec<Partition>,
    },
    /// Begin another build.
    #[error(
        "the build of generation `{0}` has ended: it was deleted, or could not be completed; begin another one, with another `--job` if you name them"
    )]
    Ended(GenerationId),
    /// The user or the system asked for the end.
    #[error("stopped as asked: nothing was published; the next run reuses what was embedded")]
    Stopped,
}
