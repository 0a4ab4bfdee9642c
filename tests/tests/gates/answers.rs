//! Golden questions: what is refused for its answers, and what is said where they cannot tell.

use lectern_tests::world::World;
use serde_json::json;

use crate::staging::{detail, live, published, refusals, run, word, write};

/// Writes golden questions on the first `count` entries of the blog.
fn golden(world: &World, count: usize) {
    let line = |number| {
        let question = format!("How many litres of {} per hour?", word(number));
        json!({"question": question, "expected": [format!("blog/{number}.md")]}).to_string()
    };
    let lines: Vec<String> = (0..count).map(line).collect();
    std::fs::write(world.path().join("golden.jsonl"), lines.join("\n")).unwrap();
}

/// Rewrites entries of the blog so that they answer nothing any more.
fn forget(world: &World, numbers: std::ops::Range<usize>) {
    for number in numbers {
        write(world, "blog", number, &format!("Notes on the summer party, part {number}, with cake."));
    }
}

pub(crate) async fn answers_that_got_lost_are_refused_and_published_for_a_reason(world: World) {
    let before = published(&world).await;
    golden(&world, 20);
    forget(&world, 0..10);
    let refused = run(&world, &["--golden", "golden.jsonl"]).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    let told = refused.json();
    assert_eq!(refusals(&told["verdicts"]), ["golden_ndcg", "golden_recall"]);
    assert_eq!(live(&world).await, json!(before));

    let staging = told["generation"].as_str().unwrap();
    let force = ["publish", staging, "--golden", "golden.jsonl", "--force", "the party is over"];
    world.ingest(&force).await.ok();
    let list = world.ingest(&["list", "--json"]).await.ok().json();
    let listed = list["generations"].as_array().unwrap().last().unwrap();
    assert_eq!((&list["live"], &listed["gates"]["forced"]), (&json!(staging), &json!("the party is over")));
}

pub(crate) async fn answers_as_good_as_the_live_ones_are_let_through(mut world: World) {
    published(&world).await;
    golden(&world, 20);
    forget(&world, 20..24);
    world.set("LECTERN_INGEST__GOLDEN", "golden.jsonl");
    let told = run(&world, &[]).await.ok().json();
    assert!(detail(&told["verdicts"], "golden_ndcg").contains("of 20 questions"));
    assert_eq!(live(&world).await, told["generation"]);
}

pub(crate) async fn a_first_generation_that_answers_too_little_is_refused(world: World) {
    forget(&world, 0..24);
    write(&world, "handbook", 0, "How to rest.");
    golden(&world, 20);
    let refused = run(&world, &["--golden", "golden.jsonl"]).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    assert_eq!(refusals(&refused.json()["verdicts"]), ["golden_recall"]);
    assert_eq!(live(&world).await, json!(null));
}

/// One lost answer of four is a quarter of the average: refused without a test that could not tell anyway.
#[tokio::test]
async fn few_questions_say_that_they_are_few() {
    let world = World::embedded().await;
    published(&world).await;
    golden(&world, 4);
    let told = run(&world, &["--golden", "golden.jsonl"]).await.ok().json();
    let said = detail(&told["verdicts"], "golden_ndcg");
    assert!(said.contains("fewer than 6 questions cannot tell a loss from chance"), "{said}");
    forget(&world, 0..1);
    assert_eq!(run(&world, &["--golden", "golden.jsonl"]).await.code, 3);
}

#[tokio::test]
async fn a_bad_line_of_golden_questions_is_named_before_anything_is_built() {
    let world = World::embedded().await;
    write(&world, "blog", 0, "A text.");
    write(&world, "handbook", 0, "A text.");
    std::fs::write(
        world.path().join("golden.jsonl"),
        "{\"question\": \"x\", \"expected\": [\"a\"]}\n{\"q\": 1}",
    )
    .unwrap();
    let failed = run(&world, &["--golden", "golden.jsonl"]).await;
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("`golden.jsonl` line 2: unknown field `q`"), "{failed:?}");
    let list = world.ingest(&["list", "--json"]).await.ok().json();
    assert_eq!(list["generations"], json!([]));
}

/// The server holds the live generation, and another model cannot ask it: what was recorded of it is compared with.
#[tokio::test]
async fn another_model_is_published_only_when_golden_questions_speak_for_it() {
    let mut world = World::embedded().await;
    published(&world).await;
    golden(&world, 20);
    run(&world, &["--golden", "golden.jsonl"]).await.ok();
    world.set("LECTERN_EMBEDDER__MODEL", "hashed-words-2");
    let refused = run(&world, &[]).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    assert_eq!(refusals(&refused.json()["verdicts"]), ["encoding_as_live"]);
    let told = run(&world, &["--golden", "golden.jsonl"]).await.ok().json();
    let said = detail(&told["verdicts"], "golden_ndcg");
    assert!(said.contains("of 20 questions") && said.contains("as recorded when it was examined"), "{said}");
}

/// One process may have an embedded generation open, and a server that serves it has.
#[tokio::test]
async fn a_live_generation_that_a_server_holds_is_compared_with_as_it_was_recorded() {
    let world = World::embedded().await;
    published(&world).await;
    golden(&world, 20);
    let live = run(&world, &["--golden", "golden.jsonl"]).await.ok().json();
    let server = world.serve();
    server.ready().await.serves(live["generation"].as_str().unwrap()).await;

    let told = run(&world, &["--golden", "golden.jsonl"]).await.ok().json();
    for gate in ["sources_kept", "golden_ndcg", "golden_recall", "latency"] {
        let said = detail(&told["verdicts"], gate);
        assert!(said.contains("as recorded when it was examined"), "{said}");
    }
    server.serves(told["generation"].as_str().unwrap()).await;
    std::fs::remove_dir_all(world.path().join("handbook")).unwrap();
    let refused = world.ingest(&["run", "blog", "--json"]).await;
    assert_eq!(refusals(&refused.json()["verdicts"]), ["sources_kept"]);
}
