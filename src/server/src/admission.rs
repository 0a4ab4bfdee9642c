//! Decides whether work may begin: for each class of work a bounded number at once and a bounded number waiting, tenants
//! in turn, nobody who could not be served within their deadline.
//! Does no work itself, and never looks at what is asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lectern_resilience::deadline::Deadline;
use lectern_resilience::fair_queue::{FairQueue, Pushed};
use lectern_schema::identifiers::TenantId;
use tokio::sync::oneshot;

use crate::answer::error::AnswerError;
use crate::config::LimitsSection;

/// Classes of work. Each has places and a queue of its own, so that slow answers never keep quick searches out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Hits without an answer: milliseconds.
    Search,
    /// An answer: as long as the language model takes.
    Ask,
}

impl Work {
    /// All classes.
    pub const ALL: [Self; 2] = [Self::Search, Self::Ask];

    /// The class's name in metrics and in readiness.
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Ask => "ask",
        }
    }
}

/// The door to searches and answers.
#[derive(Debug)]
pub struct Admission {
    search: Arc<Class>,
    ask: Arc<Class>,
}

/// How full a class is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Requests that have a place.
    pub running: usize,
    /// Requests that wait for one.
    pub waiting: usize,
    /// For how long requests have been turned away without a pause.
    pub saturated: Duration,
}

impl Admission {
    /// As many places and waiting places as the section says.
    pub fn new(limits: &LimitsSection) -> Self {
        Self {
            search: Class::new(limits.search_concurrency.get(), limits.search_queue),
            ask: Class::new(limits.concurrency.get(), limits.queue),
        }
    }

    /// Waits for a place until `deadline`, if there is room to wait and a place can be expected by then.
    pub async fn admit(
        &self,
        work: Work,
        tenant: &TenantId,
        deadline: Deadline,
    ) -> Result<Admitted, AnswerError> {
        let class = self.class(work);
        let waiter = match class.enter(tenant, deadline, Instant::now())? {
            Entered::Admitted(admitted) => return Ok(admitted),
            Entered::Waiting(waiter) => waiter,
        };
        let until = tokio::time::Instant::from_std(deadline.instant());
        match tokio::time::timeout_at(until, waiter).await {
            Ok(Ok(admitted)) => Ok(admitted),
            Ok(Err(_)) => {
                Err(AnswerError::ShareUsed { retry_after: class.lock().expected_wait(class.places) })
            }
            Err(_) => Err(AnswerError::Overloaded { retry_after: class.lock().expected_wait(class.places) }),
        }
    }

    /// How full a class is now.
    pub fn load(&self, work: Work, now: Instant) -> Load {
        let class = self.class(work);
        let state = class.lock();
        Load {
            running: class.places - state.free,
            waiting: state.queue.len(),
            saturated: state
                .refusing_since
                .map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
        }
    }

    fn class(&self, work: Work) -> &Arc<Class> {
        match work {
            Work::Search => &self.search,
            Work::Ask => &self.ask,
        }
    }
}

/// Proof that the work may be done; its place is free again when this is dropped.
#[derive(Debug)]
pub struct Admitted {
    /// None once the place was handed back.
    class: Option<Arc<Class>>,
    began: Instant,
}

impl Admitted {
    /// Whether there is room for work that nobody waits for: no request waits or was just turned away, and half of the
    /// places are free.
    pub fn has_spare_room(&self) -> bool {
        self.class.as_ref().is_some_and(|class| {
            let state = class.lock();
            let half_free = class.places <= state.free.saturating_mul(2);
            half_free && state.queue.is_empty() && state.refusing_since.is_none()
        })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(class) = self.class.take() {
            class.leave(self.began.elapsed(), Instant::now());
        }
    }
}

#[derive(Debug)]
struct Class {
    places: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    queue: FairQueue<TenantId, oneshot::Sender<Admitted>>,
    /// Moving mean of how long a place was held, zero before the first.
    held: Duration,
    refusing_since: Option<Instant>,
}

enum Entered {
    Admitted(Admitted),
    Waiting(oneshot::Receiver<Admitted>),
}

impl Class {
    fn new(places: usize, queue: usize) -> Arc<Self> {
        let state =
            State { free: places, queue: FairQueue::new(queue), held: Duration::ZERO, refusing_since: None };
        Arc::new(Self { places, state: Mutex::new(state) })
    }

    fn enter(
        self: &Arc<Self>,
        tenant: &TenantId,
        deadline: Deadline,
        now: Instant,
    ) -> Result<Entered, AnswerError> {
        let mut state = self.lock();
        self.hand_out(&mut state, now);
        if state.free > 0 {
            state.free -= 1;
            state.refusing_since = None;
            return Ok(Entered::Admitted(self.place(now)));
        }
        let wait = state.expected_wait(self.places);
        if state.queue.is_full() {
            state.queue.purge(now, |waiter| !waiter.is_closed());
        }
        if deadline.remaining(now) < state.expected_turn(self.places) {
            return Err(state.refuse(now, wait));
        }
        let (place, waiter) = oneshot::channel();
        match state.queue.push(tenant, place, deadline) {
            Pushed::Queued | Pushed::Displaced(_) => Ok(Entered::Waiting(waiter)),
            Pushed::Full(_) => Err(state.refuse(now, wait)),
        }
    }

    fn leave(self: &Arc<Self>, held: Duration, now: Instant) {
        let mut state = self.lock();
        state.free += 1;
        state.held = if state.held.is_zero() { held } else { (state.held * 9 + held) / 10 };
        self.hand_out(&mut state, now);
    }

    /// Gives free places to those who wait. Who has gone meanwhile gets none.
    fn hand_out(self: &Arc<Self>, state: &mut State, now: Instant) {
        while state.free > 0 {
            let Some(waiter) = state.queue.pop(now) else {
                state.refusing_since = None;
                return;
            };
            match waiter.send(self.place(now)) {
                Ok(()) => state.free -= 1,
                // Not given back through its drop, which would take the lock that is held here.
                Err(mut unused) => unused.class = None,
            }
        }
    }

    fn place(self: &Arc<Self>, now: Instant) -> Admitted {
        Admitted { class: Some(Arc::clone(self)), began: now }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What a client is told to wait at most: the queue may be empty long before.
    const LONGEST_WAIT: Duration = Duration::from_secs(30);

    fn refuse(&mut self, now: Instant, wait: Duration) -> AnswerError {
        self.refusing_since.get_or_insert(now);
        // Others wait, too: then it is this tenant's own share that is used up, not the server.
        if self.queue.parties() > 1 {
            AnswerError::ShareUsed { retry_after: wait }
        } else {
            AnswerError::Overloaded { retry_after: wait }
        }
    }

    /// When the next one to come would have a place, by the mean of the past.
    fn expected_turn(&self, places: usize) -> Duration {
        let ahead = u32::try_from(self.queue.len() + 1).unwrap_or(u32::MAX);
        self.held.saturating_mul(ahead) / u32::try_from(places.max(1)).unwrap_or(u32::MAX)
    }

    /// What to tell a client that is turned away: whole seconds, since `Retry-After` knows no less.
    fn expected_wait(&self, places: usize) -> Duration {
        self.expected_turn(places).clamp(Duration::from_secs(1), Self::LONGEST_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    fn door(places: usize, queue: usize) -> Admission {
        let concurrency = NonZeroUsize::new(places).unwrap();
        Admission::new(&LimitsSection { concurrency, queue, ..LimitsSection::default() })
    }

    fn within(millis: u64) -> Deadline {
        Deadline::after(Instant::now(), Duration::from_millis(millis))
    }

    async fn ask(door: &Admission, deadline: Deadline) -> Result<Admitted, AnswerError> {
        door.admit(Work::Ask, &TenantId::public(), deadline).await
    }

    fn is_pending<F: Future>(future: &mut Pin<Box<F>>) -> bool {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_the_work_ends() {
        let door = door(1, 0);
        let first = ask(&door, within(5_000)).await.unwrap();
        assert!(matches!(ask(&door, within(5_000)).await, Err(AnswerError::Overloaded { .. })));
        drop(first);
        assert!(ask(&door, within(5_000)).await.is_ok());
    }

    #[tokio::test]
    async fn there_is_spare_room_while_half_of_the_places_are_free() {
        let door = door(4, 0);
        let first = ask(&door, within(5_000)).await.unwrap();
        let _second = ask(&door, within(5_000)).await.unwrap();
        assert!(first.has_spare_room());
        let third = ask(&door, within(5_000)).await.unwrap();
        assert!(!first.has_spare_room());
        drop(third);
        assert!(first.has_spare_room());
    }

    #[tokio::test]
    async fn one_class_of_work_leaves_the_places_of_the_other_alone() {
        let door = door(1, 0);
        let _busy = ask(&door, within(5_000)).await.unwrap();
        assert!(door.admit(Work::Search, &TenantId::public(), within(5_000)).await.is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_past_their_deadline_and_a_waiting_place_comes_back() {
        let door = door(1, 1);
        let first = ask(&door, within(5_000)).await.unwrap();
        assert!(matches!(ask(&door, within(20)).await, Err(AnswerError::Overloaded { .. })));
        let waits = ask(&door, within(60_000));
        let frees = async { drop(first) };
        let (admitted, ()) = tokio::join!(waits, frees);
        assert!(admitted.is_ok());
    }

    #[tokio::test]
    async fn who_left_the_queue_costs_no_place() {
        let door = door(1, 2);
        let first = ask(&door, within(5_000)).await.unwrap();
        {
            let mut leaver = Box::pin(ask(&door, within(60_000)));
            assert!(is_pending(&mut leaver));
        }
        drop(first);
        assert!(ask(&door, within(5_000)).await.is_ok());
        assert_eq!(door.load(Work::Ask, Instant::now()).running, 0);
    }

    #[tokio::test]
    async fn who_could_not_be_served_in_time_is_turned_away_at_once() {
        let door = door(1, 100);
        let class = door.class(Work::Ask);
        class.lock().held = Duration::from_secs(2);
        let _first = ask(&door, within(5_000)).await.unwrap();
        let refused = ask(&door, within(1_000)).await;
        assert!(
            matches!(refused, Err(AnswerError::Overloaded { retry_after }) if retry_after == Duration::from_secs(2)),
            "{refused:?}"
        );
        assert_eq!(door.load(Work::Ask, Instant::now()).waiting, 0);
    }

    #[tokio::test]
    async fn a_tenant_that_floods_the_queue_makes_room_for_another() {
        let door = door(1, 2);
        let (flood, modest) = (TenantId::parse("flood").unwrap(), TenantId::parse("modest").unwrap());
        let busy = door.admit(Work::Ask, &flood, within(5_000)).await.unwrap();
        let mut first = Box::pin(door.admit(Work::Ask, &flood, within(60_000)));
        let mut second = Box::pin(door.admit(Work::Ask, &flood, within(60_000)));
        assert!(is_pending(&mut first) && is_pending(&mut second));
        let mut other = Box::pin(door.admit(Work::Ask, &modest, within(60_000)));
        assert!(is_pending(&mut other));
        assert!(matches!(second.await, Err(AnswerError::ShareUsed { .. })));
        drop(busy);
        drop(first.await.unwrap());
        assert!(other.await.is_ok());
    }

    #[tokio::test]
    async fn saturation_lasts_from_the_first_refusal_to_the_first_free_place() {
        let door = door(1, 0);
        let first = ask(&door, within(5_000)).await.unwrap();
        let before = Instant::now();
        assert!(ask(&door, within(5_000)).await.is_err());
        let load = door.load(Work::Ask, before + Duration::from_mins(1));
        assert!(load.saturated > Duration::from_secs(50), "{load:?}");
        drop(first);
        assert_eq!(door.load(Work::Ask, Instant::now()).saturated, Duration::ZERO);
    }
}
