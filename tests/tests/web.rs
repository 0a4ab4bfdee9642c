//! The real `lectern-ingest` on the web: sitemaps and pages from a server of the test's own, and the rules that it keeps.
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::io::Write;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use lectern_tests::world::{Ran, World};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What is asked for, in order: path and User-Agent.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A site of a few pages, each of which is something in particular.
struct Site {
    port: u16,
    asked: Asked,
}

impl Site {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Asked::default();
        let router = Router::new().fallback(page).with_state((port, Arc::clone(&asked)));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(path, _)| path.clone()).collect()
    }
}

fn html(text: &str) -> Response {
    let page = format!(
        "<html><head><title>{text}</title></head><body><main><p>{text} is here.</p></main></body></html>"
    );
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

fn urlset(port: u16, paths: &[&str]) -> Response {
    let entry = |path: &&str| format!("<url><loc>http://127.0.0.1:{port}{path}</loc></url>");
    let entries: String = paths.iter().map(entry).collect();
    ([(CONTENT_TYPE, "application/xml")], format!("<urlset>{entries}</urlset>")).into_response()
}

async fn page(
    State((port, asked)): State<(u16, Asked)>,
    uri: Uri,
    headers: HeaderMap,
    _: Request,
) -> Response {
    let agent = headers.get("user-agent").map(|agent| agent.to_str().unwrap().to_owned());
    asked.lock().unwrap().push((uri.path().to_owned(), agent.unwrap_or_default()));
    match uri.path() {
        "/robots.txt" => "User-agent: *\nDisallow: /private/\n".into_response(),
        "/index.xml" => {
            let index = format!(
                "<sitemapindex><sitemap><loc>http://127.0.0.1:{port}/pages.xml</loc></sitemap></sitemapindex>"
            );
            ([(CONTENT_TYPE, "application/xml")], index).into_response()
        }
        "/pages.xml" => urlset(
            port,
            &[
                "/valve",
                "/valve#top",
                "/pump.md",
                "/missing",
                "/private/key",
                "/away",
                "/moved",
                "/huge",
                "/picture",
            ],
        ),
        "/valve" => html("The outlet valve"),
        "/moved" => (StatusCode::FOUND, [(LOCATION, "/target")]).into_response(),
        "/target" => html("The outlet gauge"),
        "/pump.md" => {
            ([(CONTENT_TYPE, "text/plain")], "# Pump\n\nThe outlet pump is here.\n").into_response()
        }
        "/away" => {
            (StatusCode::FOUND, [(LOCATION, format!("http://localhost:{port}/secret"))]).into_response()
        }
        "/huge" => html(&"x".repeat(20_000)),
        "/picture" => ([(CONTENT_TYPE, "image/png")], "x").into_response(),
        "/busy" => busy(&asked),
        "/slow" => {
            tokio::time::sleep(Duration::from_mins(5)).await;
            html("Late")
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Busy the first time, then not.
fn busy(asked: &Asked) -> Response {
    if asked.lock().unwrap().iter().filter(|(path, _)| path == "/busy").count() == 1 {
        return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "0")]).into_response();
    }
    html("The busy page")
}

fn settings() -> [(&'static str, &'static str); 3] {
    [
        ("LECTERN_INGEST__WEB__HOSTS", "127.0.0.1"),
        ("LECTERN_INGEST__WEB__DELAY_MS", "0"),
        ("LECTERN_INGEST__WEB__MAX_PAGE_BYTES", "10000"),
    ]
}

async fn world() -> World {
    let mut world = World::embedded().await;
    for (name, value) in settings() {
        world.set(name, value);
    }
    world
}

fn reason(ran: &Value, address: &str) -> String {
    let skipped = ran["skipped"].as_array().unwrap();
    let one = skipped.iter().find(|one| one["document"].as_str() == Some(address));
    assert!(one.is_some(), "{address} in {ran}");
    one.unwrap()["reason"].as_str().unwrap().to_owned()
}

/// The site's whole index, ingested.
async fn ingested(site: &Site) -> (World, Value) {
    let world = world().await;
    let ran = world.ingest(&["run", &site.url("/index.xml"), "--json"]).await;
    assert_eq!(ran.code, 4, "{ran:?}");
    let report = ran.json();
    (world, report)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_sitemap_index_are_found_under_their_addresses() {
    let site = Site::start().await;
    let (world, report) = ingested(&site).await;
    assert_eq!(report["documents"], 3, "{report}");
    let server = world.serve();
    server.ready().await;
    let reply = server.post("/v1/search", &json!({ "query": "outlet", "mode": "sparse" })).await;
    let hits = reply.body["hits"].as_array().unwrap();
    let mut found: Vec<(&str, &str)> =
        hits.iter().map(|hit| (hit["uri"].as_str().unwrap(), hit["title"].as_str().unwrap())).collect();
    found.sort_unstable();
    let expected = [
        (site.url("/moved"), "The outlet gauge"),
        (site.url("/pump.md"), "Pump"),
        (site.url("/valve"), "The outlet valve"),
    ];
    assert_eq!(found, expected.each_ref().map(|(url, title)| (url.as_str(), *title)));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_that_is_left_out_is_named_with_its_reason() {
    let site = Site::start().await;
    let (_world, report) = ingested(&site).await;
    for (path, expected) in [
        ("/missing", "was answered with 404 Not Found"),
        ("/private/key", "may not be fetched: the host's robots.txt forbids it"),
        ("/huge", "has more bytes than `ingest.web.max_page_bytes` = 10000"),
        ("/picture", "is image/png, which is not a supported format"),
    ] {
        assert_eq!(reason(&report, &site.url(path)), expected);
    }
    let away = reason(&report, &site.url("/away"));
    assert!(away.starts_with("leads to `http://localhost:") && away.contains("ingest.web.hosts"), "{away}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forbidden_is_not_even_asked_for_and_every_request_says_who_asks() {
    let site = Site::start().await;
    ingested(&site).await;
    let asked = site.asked();
    assert!(!asked.iter().any(|path| path == "/private/key" || path == "/secret"), "{asked:?}");
    assert_eq!(asked.iter().filter(|path| *path == "/valve").count(), 1, "{asked:?}");
    assert_eq!(asked[0], "/robots.txt");
    let agents = site.asked.lock().unwrap();
    assert!(agents.iter().all(|(_, agent)| agent.starts_with("lectern-ingest/")), "{agents:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_listed_is_not_asked_and_the_remedy_told() {
    let site = Site::start().await;
    let mut world = world().await;
    world.set("LECTERN_INGEST__WEB__HOSTS", "docs.example.com");
    let ran = world.ingest(&["run", &site.url("/valve")]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("add its host to `ingest.web.hosts`"), "{ran:?}");
    assert_eq!(site.asked(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_host_is_waited_for() {
    let site = Site::start().await;
    let world = world().await;
    let ran = world.ingest(&["run", &site.url("/busy"), "--json"]).await.ok();
    assert_eq!(ran.json()["documents"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_one_host_keep_their_distance() {
    let site = Site::start().await;
    let mut world = world().await;
    world.set("LECTERN_INGEST__WEB__DELAY_MS", "300");
    let begun = Instant::now();
    world.ingest(&["plan", &site.url("/valve"), &site.url("/target"), "--json"]).await.ok();
    // robots.txt and two pages: two pauses.
    assert!(begun.elapsed() >= Duration::from_millis(600));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_come_from_a_list_and_beside_folders_too() {
    let site = Site::start().await;
    let world = world().await;
    world.write("a.md", "# A\n\nFrom a folder.\n");
    let list = world.path().join("urls.txt");
    std::fs::write(&list, format!("# pages\n{}\n{}\n", site.url("/valve"), site.url("/target"))).unwrap();
    let ran = world.ingest(&["run", "documents", "--urls", list.to_str().unwrap(), "--json"]).await.ok();
    assert_eq!(ran.json()["documents"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_is_fetched_by_one_of_several_workers() {
    let site = Site::start().await;
    let one = world().await.ingest(&["build", &site.url("/index.xml"), "--json"]).await.json();
    let alone = site.asked();
    site.asked.lock().unwrap().clear();

    let mut world = World::remote().await;
    for (name, value) in settings() {
        world.set(name, value);
    }
    let mut told = Vec::new();
    for partition in ["0/3", "1/3", "2/3"] {
        let line = ["build", &site.url("/index.xml"), "--partition", partition, "--json"];
        told.push(world.ingest(&line).await);
    }
    assert_eq!(told.iter().map(|ran| ran.code).collect::<Vec<_>>(), [0, 0, 4], "{told:?}");
    let several = told[2].json();
    assert_eq!(several["content"], one["content"]);
    let names = |ran: &Value| {
        let skipped = ran["skipped"].as_array().unwrap().iter();
        let mut names: Vec<String> = skipped.map(|one| one["document"].to_string()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&several), names(&one));
    let pages = |asked: Vec<String>| {
        let mut pages: Vec<String> =
            asked.into_iter().filter(|path| !path.ends_with("xml") && path != "/robots.txt").collect();
        pages.sort();
        pages
    };
    assert_eq!(pages(site.asked()), pages(alone));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_is_gone_afterwards() {
    let site = Site::start().await;
    let (world, _) = ingested(&site).await;
    assert_eq!(std::fs::read_dir(world.path().join("data/spool")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fetching_stops_when_asked_to() {
    let site = Site::start().await;
    let world = world().await;
    let mut command = world.ingest_command(&["run", &site.url("/slow")]);
    let mut ingest = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !site.asked().contains(&"/slow".to_owned()) {
        assert_eq!(ingest.try_wait().unwrap(), None);
        tokio::task::yield_now().await;
    }
    let pid = ingest.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || ingest.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_the_standard_input_are_ingested_under_their_names() {
    let world = world().await;
    let mut command = world.ingest_command(&["run", "-", "--json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran: Ran = tokio::task::spawn_blocking(move || {
        let mut ingest = command.spawn().unwrap();
        let mut stdin = ingest.stdin.take().unwrap();
        stdin
            .write_all(
                b"{\"id\":\"one\",\"text\":\"The outlet valve.\"}\n{\"id\":\"one\",\"text\":\"Again.\"}\n",
            )
            .unwrap();
        drop(stdin);
        ingest.wait_with_output().unwrap().into()
    })
    .await
    .unwrap();
    let report = ran.json();
    assert_eq!(report["documents"], 1, "{ran:?}");
    assert!(reason(&report, "stdin#one (line 2)").starts_with("has the id of an earlier record"));
}
