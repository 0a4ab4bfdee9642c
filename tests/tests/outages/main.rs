//! What clients see when a dependency is down, slow or lying, alone and in pairs, at every endpoint. The table of it stands in
//! the README, and is checked against what is seen here.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

use std::sync::Arc;

use futures::stream::{self, StreamExt};

use outage::Outage;
use scene::{Row, play};
use stage::Stage;

mod outage;
mod scene;
mod stage;
mod table;

/// Outages that are played at once: most of their time is waiting.
const AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_alone_or_in_pairs_clients_see_what_the_readme_says() {
    let stage = Arc::new(Stage::set().await);
    let outages: Vec<Outage> =
        [Outage::none()].into_iter().chain(Outage::singles()).chain(Outage::pairs()).collect();
    let rows: Vec<Row> = stream::iter(outages)
        .map(|outage| tokio::spawn(play(Arc::clone(&stage), outage)))
        .buffered(AT_ONCE)
        .map(Result::unwrap)
        .collect()
        .await;
    let amiss: Vec<String> = rows.iter().flat_map(|row| table::amiss(row, &rows)).collect();
    assert!(amiss.is_empty(), "{}", amiss.join("\n"));
    let shown = rows.iter().filter(|row| row.outage.is_shown());
    table::check_readme(&table::markdown(shown));
}
