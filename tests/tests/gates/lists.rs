//! What is recorded and shown of verdicts, and what becomes of two who publish at once.

use lectern_tests::world::World;
use serde_json::json;

use crate::staging::{live, published, read, staged};

pub(crate) async fn of_two_publishers_at_once_one_wins_and_the_other_is_told(world: World) {
    let (manifest, points) = read(&world, &published(&world).await).await;
    let first = staged(&world, &manifest, points.clone()).await;
    let like = lectern_schema::generation::Manifest { generation: first.clone(), ..manifest };
    let second = staged(&world, &like, points).await;
    let publish = |staging: &str| world.ingest_command(&["publish", staging]);
    let (one, other) = (publish(first.as_str()), publish(second.as_str()));
    let wait =
        |mut command: std::process::Command| tokio::task::spawn_blocking(move || command.output().unwrap());
    let (one, other) = tokio::join!(wait(one), wait(other));
    let (one, other) = (one.unwrap(), other.unwrap());
    let codes = [one.status.code().unwrap(), other.status.code().unwrap()];
    let winner = match codes {
        [0, 1] => &first,
        // Both are done when one was finished before the other began: then the moves were made forward.
        [1 | 0, 0] => &second,
        _ => panic!("{one:?} {other:?}"),
    };
    assert_eq!(live(&world).await, json!(winner), "{one:?} {other:?}");
    let told = if codes[0] == 1 { &one.stderr } else { &other.stderr };
    let told = String::from_utf8_lossy(told);
    let clear = ["somebody else moved it", "is held by", "is older than the live"];
    assert!(codes == [0, 0] || clear.iter().any(|reason| told.contains(reason)), "{told}");
}

pub(crate) async fn the_list_shows_what_the_gates_said_without_publishing(world: World) {
    let (manifest, points) = read(&world, &published(&world).await).await;
    let blog = points.into_iter().filter(|point| point.payload.document_id.as_str().starts_with("blog"));
    let staging = staged(&world, &manifest, blog.collect()).await;
    assert_eq!(world.ingest(&["gate", staging.as_str()]).await.code, 3);
    let list = world.ingest(&["list", "--json"]).await.ok().json();
    let [published, refused] = &list["generations"].as_array().unwrap()[..] else { panic!("{list}") };
    assert_eq!((&published["gates"]["passed"], &refused["gates"]["passed"]), (&json!(true), &json!(false)));
    assert_eq!(refused["gates"]["live"], json!(manifest.generation));
    let text = world.ingest(&["list"]).await.ok().stdout;
    assert!(text.contains("passed") && text.contains("refused by sources_kept"), "{text}");
}
