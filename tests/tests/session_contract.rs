//! What the session store promises, as one suite against SQLite and a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use lectern_boot::database::SqlSection;
use lectern_resilience::deadline::Deadline;
use lectern_schema::identifiers::TenantId;
use lectern_server::sessions::error::SessionError;
use lectern_server::sessions::history::Past;
use lectern_server::sessions::id::SessionId;
use lectern_server::sessions::store::{Session, SessionStore};
use lectern_server::sessions::turns::{NewTurn, Outcome, Terms, TurnKey, TurnRow};
use lectern_tests::sql_contract;
use sqlx::{AnyConnection, Connection};

sql_contract! {
    a_session_is_its_tenants_alone,
    an_expired_session_is_unknown_before_it_is_swept,
    a_session_that_is_used_lives_on,
    an_erased_session_leaves_no_turn_behind,
    turns_begun_at_once_have_different_places,
    an_open_turn_holds_back_those_behind_it_until_its_lease_ends,
    a_lease_is_prolonged_by_its_holder_alone_and_not_for_ever,
    a_turn_is_ended_once,
    a_turn_that_was_given_up_is_not_saved_later,
    the_past_is_what_was_answered_before_newest_first,
    only_the_newest_turns_are_kept,
    a_session_takes_few_questions_at_once,
    what_was_said_comes_back_to_the_letter,
    turns_come_in_pages,
    many_replicas_open_a_new_database_at_once,
    the_clock_is_that_of_the_database,
}

const HOUR: Duration = Duration::from_hours(1);
const LEASE: Duration = Duration::from_secs(10);

fn terms() -> Terms {
    Terms { ttl: HOUR, max_turns: 100, lease: LEASE }
}

fn soon() -> Deadline {
    Deadline::after(Instant::now(), Duration::from_secs(30))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

async fn open(url: &str) -> SessionStore {
    let section: SqlSection = serde_json::from_value(serde_json::json!({ "url": url })).unwrap();
    SessionStore::open(section.database().unwrap(), 4).await.unwrap()
}

async fn begun(store: &SessionStore, tenant: &TenantId) -> SessionId {
    let id = SessionId::random();
    let session = Session {
        id,
        tenant: tenant.clone(),
        created_at: at(0),
        used_at: at(0),
        expires_at: at(0) + HOUR,
        turns: 0,
    };
    store.create(&session, soon()).await.unwrap();
    assert_eq!(store.get(id, tenant, at(1), soon()).await.unwrap(), session);
    id
}

fn question(session: SessionId, text: &str) -> NewTurn {
    NewTurn {
        session,
        tenant: TenantId::public(),
        request_id: "r".to_owned(),
        question: text.to_owned(),
        holder: "one".to_owned(),
        closes_at: at(60),
    }
}

async fn ask(store: &SessionStore, session: SessionId, text: &str, second: i64) -> TurnKey {
    store.begin_turn(&question(session, text), terms(), at(second), soon()).await.unwrap()
}

fn answer(text: &str) -> Outcome {
    Outcome { answer: text.to_owned(), citations: "[]".into(), degraded: "[]".into(), ..Outcome::default() }
}

async fn answered(store: &SessionStore, session: SessionId, text: &str, second: i64) -> TurnKey {
    let turn = ask(store, session, text, second).await;
    store.finish_turn(turn, &answer(&format!("{text}!")), at(second), soon()).await.unwrap();
    turn
}

async fn rows(store: &SessionStore, session: SessionId) -> Vec<TurnRow> {
    store.turns(session, 0, 1_000, soon()).await.unwrap()
}

async fn counted(url: &str, statement: &'static str) -> i64 {
    let url = if url.starts_with("sqlite:") { url.replace('%', "%25") } else { url.to_owned() };
    let mut session = AnyConnection::connect(&url).await.unwrap();
    let count = sqlx::query_scalar(statement).fetch_one(&mut session).await.unwrap();
    session.close().await.unwrap();
    count
}

fn unknown<T>(result: &Result<T, SessionError>) -> bool {
    matches!(result, Err(SessionError::Unknown))
}

async fn a_session_is_its_tenants_alone(url: &str) {
    let store = open(url).await;
    let (ours, theirs) = (TenantId::public(), TenantId::parse("acme").unwrap());
    let id = begun(&store, &ours).await;
    assert!(unknown(&store.get(id, &theirs, at(1), soon()).await));
    assert!(unknown(&store.erase(id, &theirs, soon()).await));
    let turn = NewTurn { tenant: theirs, ..question(id, "q") };
    assert!(unknown(&store.begin_turn(&turn, terms(), at(1), soon()).await));
    assert!(unknown(&store.get(SessionId::random(), &ours, at(1), soon()).await));
    assert_eq!(store.get(id, &ours, at(1), soon()).await.unwrap().turns, 0);
}

async fn an_expired_session_is_unknown_before_it_is_swept(url: &str) {
    let store = open(url).await;
    let (expired, tenant) = (begun(&store, &TenantId::public()).await, TenantId::public());
    answered(&store, expired, "q", 0).await;
    assert!(unknown(&store.get(expired, &tenant, at(3_600), soon()).await));
    assert!(unknown(&store.begin_turn(&question(expired, "q"), terms(), at(3_600), soon()).await));
    assert_eq!(store.sweep(at(3_599), soon()).await.unwrap(), 0);
    assert_eq!(store.sweep(at(3_600), soon()).await.unwrap(), 1);
    assert!(rows(&store, expired).await.is_empty());
    store.tidy(soon()).await.unwrap();
}

async fn a_session_that_is_used_lives_on(url: &str) {
    let store = open(url).await;
    let id = begun(&store, &TenantId::public()).await;
    answered(&store, id, "q", 3_000).await;
    assert_eq!(store.sweep(at(3_600), soon()).await.unwrap(), 0);
    let session = store.get(id, &TenantId::public(), at(3_600), soon()).await.unwrap();
    assert_eq!((session.turns, session.used_at, session.expires_at), (1, at(3_000), at(3_000) + HOUR));
}

async fn an_erased_session_leaves_no_turn_behind(url: &str) {
    let store = open(url).await;
    let (id, other) = (begun(&store, &TenantId::public()).await, begun(&store, &TenantId::public()).await);
    answered(&store, id, "q", 0).await;
    let open = ask(&store, id, "q", 1).await;
    answered(&store, other, "q", 0).await;
    store.erase(id, &TenantId::public(), soon()).await.unwrap();
    assert!(unknown(&store.erase(id, &TenantId::public(), soon()).await));
    let late = store.finish_turn(open, &answer("late"), at(2), soon()).await;
    assert!(matches!(late, Err(SessionError::Lost)), "{late:?}");
    assert_eq!(counted(url, "SELECT COUNT(*) FROM turns").await, 1);
    assert_eq!(rows(&store, other).await.len(), 1);
}

async fn turns_begun_at_once_have_different_places(url: &str) {
    let (one, two) = (open(url).await, open(url).await);
    let id = begun(&one, &TenantId::public()).await;
    let asks = (0..8).map(|n| ask(if n % 2 == 0 { &one } else { &two }, id, "q", 1));
    let places: BTreeSet<u64> = join_all(asks).await.into_iter().map(|turn| turn.number).collect();
    assert_eq!(places, (1..=8).collect());
}

async fn an_open_turn_holds_back_those_behind_it_until_its_lease_ends(url: &str) {
    let store = open(url).await;
    let id = begun(&store, &TenantId::public()).await;
    let (first, second) = (ask(&store, id, "1", 0).await, ask(&store, id, "2", 1).await);
    assert_eq!(store.held_until(first, soon()).await.unwrap(), None);
    assert_eq!(store.held_until(second, soon()).await.unwrap(), Some(at(10)));
    store.give_up_before(second, at(9), soon()).await.unwrap();
    assert_eq!(store.held_until(second, soon()).await.unwrap(), Some(at(10)));
    store.give_up_before(second, at(10), soon()).await.unwrap();
    assert_eq!(store.held_until(second, soon()).await.unwrap(), None);
    let states: Vec<String> = rows(&store, id).await.into_iter().map(|row| row.state).collect();
    assert_eq!(states, ["failed", "open"]);
    assert_eq!(store.give_up_abandoned(at(11), soon()).await.unwrap(), 1);
}

async fn a_lease_is_prolonged_by_its_holder_alone_and_not_for_ever(url: &str) {
    let store = open(url).await;
    let id = begun(&store, &TenantId::public()).await;
    ask(&store, id, "1", 0).await;
    let second = ask(&store, id, "2", 0).await;
    store.renew_turns("another", LEASE, at(5), soon()).await.unwrap();
    assert_eq!(store.held_until(second, soon()).await.unwrap(), Some(at(10)));
    store.renew_turns("one", LEASE, at(5), soon()).await.unwrap();
    assert_eq!(store.held_until(second, soon()).await.unwrap(), Some(at(15)));
    store.renew_turns("one", LEASE, at(60), soon()).await.unwrap();
    assert_eq!(store.held_until(second, soon()).await.unwrap(), Some(at(15)));
}

async fn a_turn_is_ended_once(url: &str) {
    let store = open(url).await;
    let id = begun(&store, &TenantId::public()).await;
    let turn = answered(&store, id, "q", 0).await;
    let twice = store.finish_turn(turn, &answer("another"), at(2), soon()).await;
    assert!(matches!(twice, Err(SessionError::Lost)), "{twice:?}");
    store.fail_turn(turn, at(2), soon()).await.unwrap();
    let row = rows(&store, id).await.pop().unwrap();
    assert_eq!((row.state.as_str(), row.answer.as_deref()), ("answered", Some("q!")));
}

async fn a_turn_that_was_given_up_is_not_saved_later(url: &str) {
    let store = open(url).await;
    let id = begun(&store, &TenantId::public()).await;
    let turn = ask(&store, id, "q", 0).await;
    assert_eq!(store.give_up_abandoned(at(10), soon()).await.unwrap(), 1);
    let late = store.finish_turn(turn, &answer("late"), at(11), soon()).await;
    assert!(matches!(late, Err(SessionError::Lost)), "{late:?}");
    assert_eq!(rows(&store, id).await.pop().unwrap().answer, None);
}

async fn the_past_is_what_was_answered_before_newest_first(url: &str) {
    let store = open(url).await;
    let id = begun(&store, &TenantId::public()).await;
    answered(&store, id, "one", 0).await;
    let failed = ask(&store, id, "two", 1).await;
    store.fail_turn(failed, at(1), soon()).await.unwrap();
    let rewritten = ask(&store, id, "three", 2).await;
    let outcome = Outcome { standalone: Some("three, in full".into()), ..answer("three!") };
    store.finish_turn(rewritten, &outcome, at(2), soon()).await.unwrap();
    let last = ask(&store, id, "four", 3).await;
    ask(&store, id, "five", 3).await;
    let past = store.past(last, soon()).await.unwrap();
    let three = Past::new("three".into(), Some("three, in full".into()), "three!");
    assert_eq!(past, [three, Past::new("one".into(), None, "one!")]);
}

async fn only_the_newest_turns_are_kept(url: &str) {
    let store = open(url).await;
    let id = begun(&store, &TenantId::public()).await;
    let few = Terms { max_turns: 2, ..terms() };
    for n in 0..5 {
        let turn = store.begin_turn(&question(id, "q"), few, at(n), soon()).await.unwrap();
        store.finish_turn(turn, &answer("a"), at(n), soon()).await.unwrap();
    }
    let kept: Vec<i64> = rows(&store, id).await.into_iter().map(|row| row.number).collect();
    assert_eq!(kept, [4, 5]);
}

async fn a_session_takes_few_questions_at_once(url: &str) {
    let store = open(url).await;
    let id = begun(&store, &TenantId::public()).await;
    for _ in 0..SessionStore::MOST_OPEN {
        ask(&store, id, "q", 0).await;
    }
    let crowded = store.begin_turn(&question(id, "q"), terms(), at(1), soon()).await;
    assert!(matches!(crowded, Err(SessionError::Crowded)), "{crowded:?}");
    assert_eq!(i64::try_from(rows(&store, id).await.len()).unwrap(), SessionStore::MOST_OPEN);
    ask(&store, id, "after their leases", 10).await;
}

async fn what_was_said_comes_back_to_the_letter(url: &str) {
    let store = open(url).await;
    let id = begun(&store, &TenantId::public()).await;
    let text = "'; DROP TABLE turns; -- $1 ? \u{1f4da} \\ \"quoted\" \n\t ende";
    let turn = ask(&store, id, text, 0).await;
    let outcome = Outcome {
        standalone: Some(text.into()),
        answer: format!("{text}\0"),
        citations: r#"[{"marker":1}]"#.into(),
        generation: "docs@1".into(),
        model: "m".into(),
        degraded: r#"["x"]"#.into(),
        prompt_tokens: 7,
        completion_tokens: u64::MAX,
    };
    store.finish_turn(turn, &outcome, at(5), soon()).await.unwrap();
    let row = rows(&store, id).await.pop().unwrap();
    let expected = TurnRow {
        number: 1,
        state: "answered".into(),
        request_id: "r".into(),
        question: text.into(),
        standalone: Some(text.into()),
        answer: Some(format!("{text}\u{fffd}")),
        citations: Some(outcome.citations),
        generation: Some(outcome.generation),
        model: Some(outcome.model),
        degraded: Some(outcome.degraded),
        prompt_tokens: 7,
        completion_tokens: i64::MAX,
        began_at: at(0).as_millisecond(),
        ended_at: Some(at(5).as_millisecond()),
    };
    assert_eq!(row, expected);
}

async fn turns_come_in_pages(url: &str) {
    let store = open(url).await;
    let id = begun(&store, &TenantId::public()).await;
    for n in 0..12 {
        answered(&store, id, "q", n).await;
    }
    let page = async |behind, limit| -> Vec<i64> {
        let rows = store.turns(id, behind, limit, soon()).await.unwrap();
        rows.into_iter().map(|row| row.number).collect()
    };
    assert_eq!(page(0, 5).await, [1, 2, 3, 4, 5]);
    assert_eq!(page(9, 5).await, [10, 11, 12]);
    assert!(page(12, 5).await.is_empty());
}

async fn many_replicas_open_a_new_database_at_once(url: &str) {
    let stores = join_all((0..6).map(|_| open(url))).await;
    join_all(stores.iter().map(|store| async {
        for _ in 0..10 {
            let id = begun(store, &TenantId::public()).await;
            answered(store, id, "q", 1).await;
        }
    }))
    .await;
    assert_eq!(counted(url, "SELECT COUNT(*) FROM turns WHERE state = 'answered'").await, 60);
}

async fn the_clock_is_that_of_the_database(url: &str) {
    let store = open(url).await;
    let (before, now) = (Timestamp::now(), store.now(soon()).await.unwrap());
    assert!(before.duration_since(now).abs() < jiff::SignedDuration::from_secs(5), "{before} {now}");
}
