//! What an ingest does per second, and how much memory it takes: beside the embedder alone where the local model is used,
//! and with a mock that answers at once where the rest shall show.
//! Compare rows of one run with each other; the machine decides the absolute figures.
//!
//! `LECTERN_BENCH_SCALE=0.01` makes a hundredth of the chunks: it shows that everything works, and measures nothing.
//! `LECTERN_TEST_MODEL` is the directory of the local model; without it, its table is left out.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a panic is a failed test"
)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lectern_models::config::EmbedderSection;
use lectern_models::embedder::Embedder;
use lectern_models::http::Http;
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_tests::process::Family;
use lectern_tests::world::World;
use serde_json::Value;

/// Chunks of one document of the rates and of memory.
const CHUNKS_PER_DOCUMENT: usize = 10;
/// Chunks of the rates.
const CHUNKS: usize = 20_000;
/// Chunks by which memory is seen to stay flat.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Chunks that the local model embeds, each a document.
const LOCAL_CHUNKS: usize = 1_500;
/// Words of a chunk: a page's section.
const WORDS: usize = 110;
/// How often memory is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// So many of a count that is meant for a full run.
fn scaled(count: usize) -> usize {
    let scale = std::env::var("LECTERN_BENCH_SCALE").map_or(1.0, |scale| scale.parse::<f64>().unwrap());
    let scaled = f64::from(u32::try_from(count).unwrap()) * scale;
    (1..=count).rev().find(|n| f64::from(u32::try_from(*n).unwrap()) <= scaled).unwrap_or(1)
}

/// The word of this rank: the lower, the more frequent.
fn word(rank: usize) -> String {
    const SYLLABLES: [&str; 16] = [
        "ta", "re", "mo", "li", "sen", "por", "ka", "du", "ven", "ni", "gra", "so", "bel", "tu", "mar", "fi",
    ];
    let places = [rank % 16, rank / 16 % 16, rank / 256 % 16];
    places.iter().map(|place| SYLLABLES[*place]).collect()
}

/// A text of its own for each number, of 4,096 words whose frequency falls with their rank, as in natural language (Zipf's
/// law): how long the lists of an index are depends on it.
fn section(number: usize, words: usize) -> String {
    let mut state = number.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut text = format!("Section {number}.");
    for _ in 0..words {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
        // 2 to the power of an even spread over 0 to 12: density falls as 1 / rank.
        let octave = (state >> 8) % 12;
        let rank = (1 << octave) + (state >> 16) % (1 << octave);
        text.push(' ');
        text.push_str(&word(rank));
        if state.is_multiple_of(13) {
            write!(text, " {}.", state % 1_000).unwrap();
        }
    }
    text
}

fn write_documents(world: &World, chunks: usize) {
    for document in 0..chunks.div_ceil(CHUNKS_PER_DOCUMENT) {
        let mut text = format!("# Page {document}\n");
        for part in 0..CHUNKS_PER_DOCUMENT {
            let number = document * CHUNKS_PER_DOCUMENT + part;
            write!(text, "\n## Part {part}\n\n{}\n", section(number, WORDS)).unwrap();
        }
        world.write(&format!("{}/page-{document}.md", document / 500), &text);
    }
}

/// What one run of the ingest did and took.
struct Took {
    report: Value,
    wall: Duration,
    cpu_seconds: f64,
    /// The ingest alone, and with its readers, in MiB.
    peak: (u64, u64),
}

impl Took {
    fn count(&self, key: &str) -> f64 {
        self.report[key].as_f64().unwrap()
    }

    fn rate(&self, key: &str) -> f64 {
        self.count(key) / self.wall.as_secs_f64()
    }
}

/// Runs the ingest of all documents, looking at its memory all the time.
async fn run(world: &World) -> Took {
    let mut command = world.ingest_command(&["run", "documents", "--json"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let began = Instant::now();
    let child = command.spawn().unwrap();
    let mut family = Family::of(child.id());
    let mut ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = loop {
        tokio::select! {
            output = &mut ended => break output.unwrap(),
            () = tokio::time::sleep(GLANCE) => family.look(),
        }
    };
    let wall = began.elapsed();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["moved"], true, "{report}");
    Took { report, wall, cpu_seconds: family.cpu_seconds(), peak: (family.peak_of_head(), family.peak()) }
}

async fn rates() {
    println!(
        "| store | documents | chunks | s | documents / s | chunks / s | CPU s | peak MiB | with readers |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (store, world) in [("embedded", World::embedded().await), ("qdrant protocol", World::remote().await)]
    {
        write_documents(&world, scaled(CHUNKS));
        println!("| {store} | {} |", columns(&run(&world).await));
    }
}

async fn memory() {
    println!(
        "\n| store | documents | chunks | s | documents / s | chunks / s | CPU s | peak MiB | with readers |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for size in SIZES {
        for (store, world) in
            [("embedded", World::embedded().await), ("qdrant protocol", World::remote().await)]
        {
            write_documents(&world, scaled(size));
            println!("| {store} | {} |", columns(&run(&world).await));
        }
    }
}

fn columns(took: &Took) -> String {
    format!(
        "{} | {} | {:.1} | {:.0} | {:.0} | {:.1} | {} | {}",
        took.count("documents"),
        took.count("chunks"),
        took.wall.as_secs_f64(),
        took.rate("documents"),
        took.rate("chunks"),
        took.cpu_seconds,
        took.peak.0,
        took.peak.1,
    )
}

/// The local model alone, on the texts that the ingest embeds, and the ingest.
async fn local(model: PathBuf) {
    let texts: Vec<String> = (0..scaled(LOCAL_CHUNKS)).map(|n| section(n, WORDS * (1 + n % 3) / 7)).collect();
    let section = EmbedderSection { path: model.clone(), ..EmbedderSection::default() };
    let embedder = Embedder::new(&section, &RetrySection::default(), &Http::new().unwrap()).unwrap();
    let began = Instant::now();
    let deadline = Deadline::after(began, Duration::from_hours(1));
    embedder.embed(texts.clone(), deadline).await.unwrap();
    let alone = began.elapsed();
    drop(embedder);

    println!("\n| local model | chunks | s | chunks / s | peak MiB | with readers |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let rate = |took: Duration| f64::from(u32::try_from(texts.len()).unwrap()) / took.as_secs_f64();
    println!("| alone | {} | {:.1} | {:.1} | | |", texts.len(), alone.as_secs_f64(), rate(alone));
    for (store, mut world) in
        [("embedded", World::embedded().await), ("qdrant protocol", World::remote().await)]
    {
        world.set("LECTERN_EMBEDDER__KIND", "local");
        world.set("LECTERN_EMBEDDER__MODEL", &section.model);
        world.set("LECTERN_EMBEDDER__DIMENSION", &section.dimension.to_string());
        world.set("LECTERN_EMBEDDER__PATH", model.to_str().unwrap());
        for (number, text) in texts.iter().enumerate() {
            world.write(&format!("{number}.txt"), text);
        }
        let took = run(&world).await;
        assert_eq!(
            took.report["chunks"], took.report["documents"],
            "a text is one chunk, as it was embedded alone"
        );
        let (head, all) = took.peak;
        let (wall, rate) = (took.wall.as_secs_f64(), took.rate("chunks"));
        println!("| ingest, {store} | {} | {wall:.1} | {rate:.1} | {head} | {all} |", took.count("chunks"));
    }
}

/// The tables; arguments choose among them: `cargo bench --workspace --bench ingesting -- memory`.
const TABLES: [&str; 3] = ["rates", "memory", "local"];

fn wanted(table: &str) -> bool {
    let named: Vec<String> =
        std::env::args().skip(1).filter(|name| TABLES.contains(&name.as_str())).collect();
    named.is_empty() || named.iter().any(|name| name == table)
}

async fn tables() {
    if wanted("rates") {
        rates().await;
    }
    if wanted("memory") {
        memory().await;
    }
    if let Some(model) = std::env::var_os("LECTERN_TEST_MODEL").filter(|_| wanted("local")) {
        local(model.into()).await;
    }
}

fn main() {
    tokio::runtime::Runtime::new().unwrap().block_on(tables());
}
