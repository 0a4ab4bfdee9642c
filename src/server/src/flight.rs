//! Work under way, shared by all who asked the same: it runs once, its events are kept for whoever joins late, and it
//! is given up when the last of them has gone.
//! Never outlives its listeners and never mixes two keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use futures::FutureExt as _;
use lectern_models::llm::Delivery;
use lectern_resilience::deadline::Deadline;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::answer::event::Event;
use crate::cache::answers::{AnswerCache, AnswerKey, Kept};

/// The answers that are being made.
#[derive(Debug)]
pub struct Flights {
    running: Mutex<HashMap<AnswerKey, Weak<Flight>>>,
    runtime: Handle,
    tasks: TaskTracker,
}

/// One answer that is being made. Held by those who wait for it.
#[derive(Debug)]
struct Flight {
    events: watch::Receiver<Vec<Event>>,
    /// When the work ends at the latest.
    deadline: Deadline,
    _given_up: DropGuard,
}

impl Flight {
    /// Whether somebody with this deadline may rely on the flight: it has at least half as much time left. Who has more
    /// would be let down with the one who began it.
    fn has_time_for(&self, deadline: Deadline, now: Instant) -> bool {
        self.deadline.remaining(now) >= deadline.remaining(now) / 2
    }
}

/// Where the work reports what happens.
#[derive(Debug, Clone)]
pub struct EventSink(Arc<watch::Sender<Vec<Event>>>);

impl EventSink {
    /// Tells all who listen, now or later.
    pub fn push(&self, event: Event) {
        self.0.send_modify(|events| events.push(event));
    }

    /// Whether any text of the answer was told.
    pub fn has_text(&self) -> bool {
        self.0.borrow().iter().any(|event| matches!(event, Event::Delta(_)))
    }
}

/// What a client had been sent before a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Delivered {
    /// The text so far.
    pub answer: String,
    /// How many citations came with it.
    pub citations: usize,
}

/// One listener. Dropping the last one of a flight gives the work up.
#[derive(Debug)]
pub struct Subscription {
    _flight: Arc<Flight>,
    events: watch::Receiver<Vec<Event>>,
    read: usize,
}

impl Subscription {
    fn to(flight: Arc<Flight>) -> Self {
        let events = flight.events.clone();
        Self { _flight: flight, events, read: 0 }
    }

    /// The newest event, read or not.
    pub fn newest(&self) -> Option<Event> {
        self.events.borrow().last().cloned()
    }

    /// The next event, from the first one on; `None` after the last, or when the work ended without one.
    /// Safe to cancel: an event is either returned or still there.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.borrow_and_update().get(self.read).cloned() {
                self.read += 1;
                return Some(event);
            }
            self.events.changed().await.ok()?;
        }
    }

    /// The next event for whom the answer is read in this way: each, or the last one alone. Safe to cancel.
    pub async fn next_for(&mut self, delivery: Delivery) -> Option<Event> {
        match delivery {
            Delivery::Streamed => self.next().await,
            Delivery::Whole => self.last().await,
        }
    }

    /// The last event; `None` when the work ended without one.
    async fn last(&mut self) -> Option<Event> {
        let events = self.events.wait_for(|events| events.last().is_some_and(Event::is_last)).await.ok()?;
        self.read = events.len();
        events.last().cloned()
    }

    /// What this listener has read so far.
    pub fn delivered(&self) -> Delivered {
        let mut delivered = Delivered::default();
        for event in self.events.borrow().iter().take(self.read) {
            match event {
                Event::Delta(text) => delivered.answer.push_str(text),
                Event::Citation(_) => delivered.citations += 1,
                Event::Sources(_) | Event::Done(_) | Event::Failed(_) => {}
            }
        }
        delivered
    }
}

/// How an ask found its answer.
#[derive(Debug)]
pub enum Found {
    /// It was there already.
    Cached(Kept),
    /// Somebody else had asked the same.
    Joined(Subscription),
    /// Nobody had.
    Started(Subscription),
}

impl Flights {
    /// Answers are made in the runtime of whoever begins them, where their calls are cheapest; what comes afterwards runs
    /// on `runtime`, whose end is the server's.
    pub fn new(runtime: Handle) -> Self {
        Self { running: Mutex::default(), runtime, tasks: TaskTracker::new() }
    }

    /// Finds the answer in the cache, joins the flight that makes it, or starts one with `work`, which ends by `deadline`.
    ///
    /// `work` puts its answer into the cache before it reports the last event: then an answer is made twice only for
    /// somebody who has much more time than the flight under way, since a flight is started only when, under the lock,
    /// neither its answer nor one that can be joined is there.
    pub fn find<F>(
        self: &Arc<Self>,
        key: AnswerKey,
        deadline: Deadline,
        cache: &AnswerCache,
        work: impl FnOnce(EventSink) -> F,
    ) -> Found
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut running = self.lock();
        let under_way = running.get(&key).and_then(Weak::upgrade);
        if let Some(flight) = under_way.filter(|flight| flight.has_time_for(deadline, Instant::now())) {
            return Found::Joined(Subscription::to(flight));
        }
        if let Some(kept) = cache.get(&key) {
            return Found::Cached(kept);
        }
        Found::Started(self.launch(&mut running, key, deadline, work))
    }

    /// Starts a flight for an answer that is to be made anew, unless it is being made already. Nobody waits for it: it runs
    /// to its end, which its own deadline bounds.
    pub fn renew<F>(self: &Arc<Self>, key: AnswerKey, deadline: Deadline, work: impl FnOnce(EventSink) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut running = self.lock();
        if running.get(&key).and_then(Weak::upgrade).is_some() {
            return;
        }
        let mut subscription = self.launch(&mut running, key, deadline, work);
        self.afterwards(async move { while subscription.next().await.is_some() {} });
    }

    fn launch<F>(
        self: &Arc<Self>,
        running: &mut HashMap<AnswerKey, Weak<Flight>>,
        key: AnswerKey,
        deadline: Deadline,
        work: impl FnOnce(EventSink) -> F,
    ) -> Subscription
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sink, flight, given_up) = Self::prepare(deadline);
        let (work, weak, flights) = (work(sink).boxed(), Arc::downgrade(&flight), Arc::clone(self));
        running.insert(key.clone(), Weak::clone(&weak));
        self.tasks.spawn(async move {
            given_up.run_until_cancelled(work).await;
            flights.land(&key, &weak);
        });
        Subscription::to(flight)
    }

    /// Starts work that nobody else can join.
    pub fn start_alone<F>(&self, deadline: Deadline, work: impl FnOnce(EventSink) -> F) -> Subscription
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sink, flight, given_up) = Self::prepare(deadline);
        let work = work(sink).boxed();
        self.tasks.spawn(async move { given_up.run_until_cancelled(work).await });
        Subscription::to(flight)
    }

    /// Runs what nobody waits for: its end is waited for at shutdown. It must bound itself.
    pub fn afterwards(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(work, &self.runtime);
    }

    /// Waits until all work has ended. Nothing new may be started from here on.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn prepare(deadline: Deadline) -> (EventSink, Arc<Flight>, CancellationToken) {
        let (sender, events) = watch::channel(Vec::new());
        let given_up = CancellationToken::new();
        let flight = Flight { events, deadline, _given_up: given_up.clone().drop_guard() };
        (EventSink(Arc::new(sender)), Arc::new(flight), given_up)
    }

    /// Removes a flight that has ended, unless another one has taken its place.
    fn land(&self, key: &AnswerKey, flight: &Weak<Flight>) {
        let mut running = self.lock();
        if running.get(key).is_some_and(|there| Weak::ptr_eq(there, flight)) {
            running.remove(key);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AnswerKey, Weak<Flight>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::question::Question;
    use crate::cache::answers::AnswerKeyParts;
    use crate::config::CacheSection;
    use lectern_schema::identifiers::{GenerationId, TenantId};
    use lectern_search::query::{Limit, Mode};
    use std::time::Duration;
    use tokio::sync::oneshot;

    fn key(question: &str) -> AnswerKey {
        AnswerKey::of(&AnswerKeyParts {
            tenant: &TenantId::public(),
            generation: &GenerationId::parse("docs@20261121T101500Z").unwrap(),
            question: &Question::parse(question).unwrap(),
            history: "",
            mode: Mode::Hybrid,
            limit: Limit::parse(1).unwrap(),
            filter: "",
            model: "",
        })
    }

    fn nothing_cached() -> AnswerCache {
        AnswerCache::new(&CacheSection::default())
    }

    fn within(seconds: u64) -> Deadline {
        Deadline::after(Instant::now(), Duration::from_secs(seconds))
    }

    async fn text(mut subscription: Subscription) -> String {
        let mut text = String::new();
        while let Some(Event::Delta(more)) = subscription.next().await {
            text.push_str(&more);
        }
        text
    }

    #[tokio::test]
    async fn who_joins_late_reads_from_the_beginning() {
        let flights = Arc::new(Flights::new(Handle::current()));
        let (go, gone) = oneshot::channel::<()>();
        let first = flights.find(key("q"), within(9), &nothing_cached(), |sink| async move {
            sink.push(Event::Delta("a".into()));
            gone.await.unwrap();
            sink.push(Event::Delta("b".into()));
        });
        let Found::Started(mut first) = first else { panic!("{first:?}") };
        assert!(matches!(first.next().await, Some(Event::Delta(a)) if a == "a"));
        let Found::Joined(second) =
            flights.find(key("q"), within(9), &nothing_cached(), |_| async { unreachable!() })
        else {
            panic!("a second flight was started")
        };
        go.send(()).unwrap();
        assert_eq!((text(first).await, text(second).await), ("b".into(), "ab".into()));
    }

    #[tokio::test]
    async fn nobody_with_much_time_joins_a_flight_with_little() {
        let flights = Arc::new(Flights::new(Handle::current()));
        let start =
            |seconds| flights.find(key("q"), within(seconds), &nothing_cached(), |_| std::future::pending());
        let (hurried, patient, like_it) = (start(2), start(60), start(50));
        assert!(matches!((&hurried, &patient), (Found::Started(_), Found::Started(_))));
        assert!(matches!(like_it, Found::Joined(_)));
    }

    #[tokio::test]
    async fn another_key_is_another_flight() {
        let flights = Arc::new(Flights::new(Handle::current()));
        let start = |q: &str| flights.find(key(q), within(9), &nothing_cached(), |_| std::future::pending());
        let (one, two) = (start("one"), start("two"));
        assert!(matches!((one, two), (Found::Started(_), Found::Started(_))));
    }

    #[tokio::test]
    async fn the_work_is_given_up_when_the_last_listener_has_gone() {
        struct Report(Option<oneshot::Sender<()>>);
        impl Drop for Report {
            fn drop(&mut self) {
                let _ = self.0.take().unwrap().send(());
            }
        }
        let flights = Arc::new(Flights::new(Handle::current()));
        let (dropped, was_dropped) = oneshot::channel();
        let report = Report(Some(dropped));
        let first = flights.find(key("q"), within(9), &nothing_cached(), |_| async move {
            let _report = report;
            std::future::pending::<()>().await;
        });
        let second = flights.find(key("q"), within(9), &nothing_cached(), |_| async {});
        drop(first);
        tokio::task::yield_now().await;
        assert!(matches!(second, Found::Joined(_)));
        drop(second);
        was_dropped.await.unwrap();
        flights.drain().await;
        assert!(flights.lock().is_empty());
    }
}
