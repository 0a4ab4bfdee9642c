//! Makes calls to one dependency by all policies at once: bulkhead, ceilings, breaker, retry budget, backoff.
//! Never knows what is called, and never waits past the deadline of the call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::Retryable;
use fastrand::Rng;
use tokio::time::timeout_at;

use crate::backoff::{Backoff, fitting};
use crate::breaker::{Breaker, BreakerState, Lane, Open};
use crate::bulkhead::{Bulkhead, NoPlace, Place};
use crate::call::{Allowance, CallError, Fault, Verdict};
use crate::config::RetrySection;
use crate::deadline::Deadline;
use crate::rate::{Ceilings, Rate, Reserved, Wait};
use crate::retry_budget::{RetryBudget, Try};

/// One dependency: an endpoint of a provider, or a store. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Upstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    backoff: Backoff,
    bulkhead: Bulkhead,
    policies: Mutex<Policies>,
}

#[derive(Debug)]
struct Policies {
    breaker: Breaker,
    budget: RetryBudget,
    rate: Rate,
    counts: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    calls: u64,
    retries: u64,
    failures: u64,
    given_up: u64,
    rejected: u64,
}

/// What a dependency takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most calls under way at once.
    pub concurrency: usize,
    /// Most calls that wait for their turn.
    pub queue: usize,
    /// Requests and tokens per minute.
    pub ceilings: Ceilings,
}

impl Bounds {
    /// Most calls that wait where nobody says otherwise: as many requests as the server lets wait.
    pub const QUEUE: usize = 1_024;

    /// So many calls at once, with no other bound.
    pub fn concurrency(concurrency: usize) -> Self {
        Self { concurrency, queue: Self::QUEUE, ceilings: Ceilings::default() }
    }
}

/// What a dependency looks like from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Whether it is called.
    pub breaker: BreakerState,
    /// Calls that were made, retries included.
    pub calls: u64,
    /// Calls that were made again.
    pub retries: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls whose caller went away.
    pub given_up: u64,
    /// Calls that the breaker did not let through.
    pub rejected: u64,
    /// Calls under way.
    pub running: usize,
    /// Calls that wait for their turn.
    pub waiting: usize,
}

impl Upstream {
    /// The dependency `name`, called by these rules.
    pub fn new(name: impl Into<String>, retry: &RetrySection, bounds: Bounds) -> Self {
        let now = Instant::now();
        let policies = Policies {
            breaker: retry.breaker(),
            budget: retry.budget(now),
            rate: Rate::new(now, bounds.ceilings),
            counts: Counts::default(),
        };
        Self(Arc::new(Inner {
            name: name.into(),
            backoff: retry.backoff(),
            bulkhead: Bulkhead::new(bounds.concurrency, bounds.queue),
            policies: Mutex::new(policies),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The result of `work`, made again where that may help. It is called once for each try, when the try may begin.
    pub async fn call<T, E: Fault, F: Future<Output = Result<T, E>>>(
        &self,
        allowance: Allowance,
        work: impl Fn(Deadline) -> F,
    ) -> Result<T, CallError<E>> {
        let (result, attempt) = self.begin(allowance, work).await?;
        attempt.succeeded();
        Ok(result)
    }

    /// Like [`Self::call`] for work that goes on after it has begun to succeed: the attempt holds its place until it ends.
    pub async fn begin<T, E: Fault, F: Future<Output = Result<T, E>>>(
        &self,
        allowance: Allowance,
        work: impl Fn(Deadline) -> F,
    ) -> Result<(T, Attempt), CallError<E>> {
        let mut next = Try::First;
        let attempt = || {
            let tried = std::mem::replace(&mut next, Try::Again);
            self.attempt(tried, allowance, &work)
        };
        attempt
            .retry(self.0.backoff.waits(Rng::new()))
            .when(is_worth_another)
            .adjust(|error, drawn| self.wait(error, drawn?, &allowance))
            .notify(|_, wait| tracing::debug!(upstream = %self.0.name, wait_ms = wait.as_millis(), "call retried"))
            .await
    }

    /// What it looks like now.
    pub fn snapshot(&self) -> Snapshot {
        let policies = self.0.policies();
        let counts = policies.counts;
        Snapshot {
            name: self.0.name.clone(),
            breaker: policies.breaker.state(Instant::now()),
            calls: counts.calls,
            retries: counts.retries,
            failures: counts.failures,
            given_up: counts.given_up,
            rejected: counts.rejected,
            running: self.0.bulkhead.running(),
            waiting: self.0.bulkhead.waiting(),
        }
    }

    async fn attempt<T, E: Fault, F: Future<Output = Result<T, E>>>(
        &self,
        tried: Try,
        allowance: Allowance,
        work: &impl Fn(Deadline) -> F,
    ) -> Result<(T, Attempt), CallError<E>> {
        let attempt = self.enter(tried, &allowance).await?;
        match timeout_at(allowance.deadline.instant().into(), work(allowance.deadline)).await {
            Ok(Ok(result)) => Ok((result, attempt)),
            Ok(Err(error)) => {
                attempt.failed(error.verdict());
                Err(CallError::Failed(error))
            }
            Err(_) => {
                attempt.failed(Verdict::TimedOut);
                Err(CallError::Late)
            }
        }
    }

    /// Waits until a call may be made.
    async fn enter<E>(&self, tried: Try, allowance: &Allowance) -> Result<Attempt, CallError<E>> {
        // Nobody queues for what is down.
        self.0.check(Instant::now())?;
        let place = self.0.bulkhead.enter(allowance.deadline).await.map_err(|reason| match reason {
            NoPlace::Full => CallError::Full,
            NoPlace::Late => CallError::Late,
        })?;
        loop {
            let now = Instant::now();
            let Wait(wait) = match self.0.admit(tried, allowance.tokens, now)? {
                Ok((lane, reserved)) => return Ok(Attempt::new(self, place, tried, lane, reserved)),
                Err(wait) => wait,
            };
            if wait >= allowance.patience(now) {
                return Err(CallError::Limited { retry_after: wait });
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// The wait before another try; none when it does not pay, or the budget does not.
    fn wait<E: Fault>(
        &self,
        error: &CallError<E>,
        drawn: Duration,
        allowance: &Allowance,
    ) -> Option<Duration> {
        let now = Instant::now();
        let retry_after = match error {
            CallError::Failed(error) => match error.verdict() {
                Verdict::Limited { retry_after } => retry_after,
                _ => None,
            },
            _ => None,
        };
        let wait = fitting(drawn, retry_after, allowance.patience(now))?;
        let mut policies = self.0.policies();
        let may_call = policies.breaker.check(now).is_ok();
        (may_call && policies.budget.withdraw(now)).then_some(wait)
    }
}

fn is_worth_another<E: Fault>(error: &CallError<E>) -> bool {
    match error {
        CallError::Failed(error) => matches!(error.verdict(), Verdict::Broken | Verdict::Limited { .. }),
        CallError::Open { .. } | CallError::Full | CallError::Limited { .. } | CallError::Late => false,
    }
}

impl Inner {
    fn policies(&self) -> MutexGuard<'_, Policies> {
        self.policies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check<E>(&self, now: Instant) -> Result<(), CallError<E>> {
        let mut policies = self.policies();
        let checked = policies.breaker.check(now);
        policies.counts.rejected += u64::from(checked.is_err());
        checked.map_err(|Open { retry_after }| CallError::Open { retry_after })
    }

    /// Lets a call through breaker and ceilings, or says how long to wait for the ceilings.
    fn admit<E>(
        &self,
        tried: Try,
        tokens: u64,
        now: Instant,
    ) -> Result<Result<(Lane, Reserved), Wait>, CallError<E>> {
        self.check(now)?;
        let mut policies = self.policies();
        let reserved = match policies.rate.reserve(now, tokens) {
            Ok(reserved) => reserved,
            Err(wait) => return Ok(Err(wait)),
        };
        let lane = policies.breaker.admit(now).map_err(|Open { retry_after }| {
            policies.counts.rejected += 1;
            CallError::Open { retry_after }
        })?;
        policies.counts.calls += 1;
        match tried {
            Try::First => policies.budget.called(now),
            Try::Again => policies.counts.retries += 1,
        }
        Ok(Ok((lane, reserved)))
    }
}

/// A call under way. Dropped before it has ended, its caller has gone.
#[derive(Debug)]
pub struct Attempt {
    upstream: Arc<Inner>,
    _place: Place,
    tried: Try,
    lane: Lane,
    reserved: Reserved,
    began: Instant,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Answering,
    Ended,
}

impl Attempt {
    /// A call that ran out of time before that says nothing about the dependency: its caller came with too little.
    const FAIR_CHANCE: Duration = Duration::from_millis(500);

    fn new(upstream: &Upstream, place: Place, tried: Try, lane: Lane, reserved: Reserved) -> Self {
        Self {
            upstream: Arc::clone(&upstream.0),
            _place: place,
            tried,
            lane,
            reserved,
            began: Instant::now(),
            stage: Stage::Waiting,
        }
    }

    /// The dependency has begun to answer: from here on there is no other try, and a probe has succeeded.
    pub fn answering(&mut self) {
        if self.stage == Stage::Waiting {
            self.stage = Stage::Answering;
            let mut policies = self.upstream.policies();
            policies.breaker.answered(self.lane);
            policies.budget.succeeded(Instant::now());
            drop(policies);
            self.lane = Lane::Normal;
        }
    }

    /// The call spent so many tokens in all.
    pub fn spent(&self, tokens: u64) {
        self.upstream.policies().rate.settle(Instant::now(), self.reserved, tokens);
    }

    /// The call ended well.
    pub fn succeeded(mut self) {
        self.answering();
        self.stage = Stage::Ended;
        self.upstream.policies().breaker.succeeded(self.lane);
    }

    /// The call failed, before or while the dependency answered.
    pub fn failed(mut self, verdict: Verdict) {
        let now = Instant::now();
        let is_unfair = verdict == Verdict::TimedOut
            && (self.stage == Stage::Answering || now.duration_since(self.began) < Self::FAIR_CHANCE);
        let mut policies = self.upstream.policies();
        policies.counts.failures += 1;
        let before = policies.breaker.state(now);
        match verdict {
            Verdict::TimedOut if is_unfair => policies.breaker.abandoned(self.lane),
            Verdict::Broken | Verdict::Stalled | Verdict::TimedOut => policies.breaker.failed(self.lane, now),
            Verdict::Limited { .. } | Verdict::Final => policies.breaker.answered(self.lane),
        }
        if let Verdict::Limited { retry_after: Some(pause) } = verdict {
            policies.rate.hold(now, pause);
        }
        if self.stage == Stage::Waiting {
            // Who failed has generated nothing; who was given up unheard may have, and what was reserved stays spent.
            if verdict != Verdict::TimedOut {
                policies.rate.settle(now, self.reserved, 0);
            }
            if verdict != Verdict::Final && !is_unfair {
                policies.budget.failed(self.tried, now);
            }
        }
        let opened = before != BreakerState::Open && policies.breaker.state(now) == BreakerState::Open;
        drop(policies);
        self.stage = Stage::Ended;
        if opened {
            tracing::warn!(upstream = %self.upstream.name, "breaker opened");
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.stage != Stage::Ended {
            let mut policies = self.upstream.policies();
            policies.counts.given_up += 1;
            policies.breaker.abandoned(self.lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::{NonZeroU32, NonZeroU64};
    use std::sync::atomic::{AtomicU32, Ordering};

    impl Fault for Verdict {
        fn verdict(&self) -> Verdict {
            *self
        }
    }

    fn patient() -> Allowance {
        Allowance::until(Deadline::after(Instant::now(), Duration::from_secs(20)))
    }

    fn quick() -> RetrySection {
        RetrySection {
            base: Duration::from_millis(1),
            cap: Duration::from_millis(4),
            breaker_failures: NonZeroU32::new(3).unwrap(),
            breaker_open: Duration::from_millis(50),
            ..RetrySection::default()
        }
    }

    fn upstream(retry: &RetrySection) -> Upstream {
        Upstream::new("test", retry, Bounds::concurrency(2))
    }

    /// Fails with the verdict until so many calls were made.
    async fn failing(
        upstream: &Upstream,
        times: u32,
        verdict: Verdict,
        allowance: Allowance,
    ) -> (Result<u32, CallError<Verdict>>, u32) {
        let calls = AtomicU32::new(0);
        let result = upstream
            .call(allowance, |_| {
                let call = calls.fetch_add(1, Ordering::SeqCst);
                async move { if call < times { Err(verdict) } else { Ok(call) } }
            })
            .await;
        (result, calls.into_inner())
    }

    #[tokio::test]
    async fn passing_failures_are_tried_again_and_others_are_not() {
        for (verdict, calls) in [
            (Verdict::Broken, 3),
            (Verdict::Limited { retry_after: None }, 3),
            (Verdict::Stalled, 1),
            (Verdict::Final, 1),
        ] {
            let (result, made) = failing(&upstream(&quick()), 2, verdict, patient()).await;
            assert_eq!((result.is_ok(), made), (calls == 3, calls), "{verdict:?}");
        }
    }

    #[tokio::test]
    async fn there_are_no_more_calls_than_attempts() {
        let retry = RetrySection { breaker_failures: NonZeroU32::MAX, ..quick() };
        let (result, made) = failing(&upstream(&retry), 99, Verdict::Broken, patient()).await;
        assert_eq!((result, made), (Err(CallError::Failed(Verdict::Broken)), 6));
    }

    #[tokio::test]
    async fn a_wait_that_does_not_fit_is_not_begun_and_holds_others_back() {
        let upstream = upstream(&quick());
        let verdict = Verdict::Limited { retry_after: Some(Duration::from_secs(30)) };
        let (result, made) = failing(&upstream, 9, verdict, patient()).await;
        assert_eq!((result, made), (Err(CallError::Failed(verdict)), 1));
        let (result, made) = failing(&upstream, 0, verdict, patient()).await;
        let Err(CallError::Limited { retry_after }) = result else { panic!("{result:?}") };
        assert!(retry_after > Duration::from_secs(25) && made == 0, "{retry_after:?} {made}");
    }

    #[tokio::test]
    async fn a_named_wait_is_waited_out() {
        let began = Instant::now();
        let verdict = Verdict::Limited { retry_after: Some(Duration::from_millis(120)) };
        let (result, made) = failing(&upstream(&quick()), 1, verdict, patient()).await;
        assert_eq!((result, made), (Ok(1), 2));
        assert!(began.elapsed() >= Duration::from_millis(120));
    }

    #[tokio::test]
    async fn an_open_breaker_rejects_and_recovers_by_one_probe() {
        let upstream = upstream(&quick());
        let (result, made) = failing(&upstream, 99, Verdict::Broken, patient()).await;
        assert_eq!(result, Err(CallError::Failed(Verdict::Broken)));
        assert!(matches!(
            failing(&upstream, 0, Verdict::Broken, patient()).await.0,
            Err(CallError::Open { .. })
        ));
        assert_eq!((made, upstream.snapshot().breaker), (3, BreakerState::Open));
        while upstream.snapshot().breaker == BreakerState::Open {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (probe, second) = tokio::join!(
            upstream.call(patient(), |_| async {
                tokio::time::sleep(Duration::from_millis(30)).await;
                Ok::<_, Verdict>(())
            }),
            upstream.call(patient(), |_| async { Ok::<_, Verdict>(()) }),
        );
        assert_eq!(probe, Ok(()));
        assert!(matches!(second, Err(CallError::Open { .. })), "{second:?}");
        assert_eq!(upstream.snapshot().breaker, BreakerState::Closed);
        assert_eq!(upstream.snapshot().rejected, 2);
    }

    #[tokio::test]
    async fn a_dropped_probe_leaves_its_place_to_the_next() {
        let upstream = upstream(&quick());
        let _ = failing(&upstream, 99, Verdict::Broken, patient()).await;
        while upstream.snapshot().breaker == BreakerState::Open {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let stuck = upstream.call(patient(), |_| std::future::pending::<Result<(), Verdict>>());
        assert!(tokio::time::timeout(Duration::from_millis(10), stuck).await.is_err());
        assert_eq!(upstream.snapshot().running, 0);
        assert_eq!(failing(&upstream, 0, Verdict::Broken, patient()).await.0, Ok(0));
    }

    #[tokio::test]
    async fn callers_with_too_little_time_do_not_open_the_breaker() {
        let upstream = upstream(&quick());
        for _ in 0..20 {
            let hurried = Allowance::until(Deadline::after(Instant::now(), Duration::from_millis(2)));
            let late = upstream.call(hurried, |_| std::future::pending::<Result<(), Verdict>>()).await;
            assert_eq!(late, Err(CallError::Late));
        }
        assert_eq!(upstream.snapshot().breaker, BreakerState::Closed);
    }

    #[tokio::test]
    async fn a_failed_call_has_spent_nothing_and_one_that_was_not_waited_for_what_it_reserved() {
        let ceilings = Ceilings { tokens: NonZeroU64::new(100), ..Ceilings::default() };
        let upstream = Upstream::new("test", &quick(), Bounds { ceilings, ..Bounds::concurrency(2) });
        let within = |milliseconds| {
            let deadline = Deadline::after(Instant::now(), Duration::from_millis(milliseconds));
            Allowance::until(deadline).spending(60)
        };
        assert_eq!(failing(&upstream, 1, Verdict::Final, within(2_000)).await.1, 1);
        let late = upstream.call(within(20), |_| std::future::pending::<Result<(), Verdict>>()).await;
        assert_eq!(late, Err(CallError::Late));
        let (third, made) = failing(&upstream, 0, Verdict::Final, within(2_000)).await;
        assert!(matches!(third, Err(CallError::Limited { .. })) && made == 0, "{third:?}");
    }

    #[tokio::test]
    async fn a_call_that_has_begun_keeps_its_place_until_it_ends() {
        let upstream = upstream(&quick());
        let begun = upstream.begin(patient(), |_| async { Ok::<_, Verdict>(()) }).await;
        let ((), attempt) = begun.unwrap();
        assert_eq!(upstream.snapshot().running, 1);
        drop(attempt);
        assert_eq!((upstream.snapshot().running, upstream.snapshot().given_up), (0, 1));
    }

    #[tokio::test]
    async fn when_all_calls_fail_calls_stay_under_a_tenth_more_than_questions() {
        let retry = RetrySection { breaker_failures: NonZeroU32::MAX, ..quick() };
        let upstream = Upstream::new("test", &retry, Bounds::concurrency(50));
        let questions = (0..300).map(|_| failing(&upstream, 99, Verdict::Broken, patient()));
        futures_join(questions).await;
        let calls = upstream.snapshot().calls;
        assert!((300..330).contains(&calls), "{calls}");
    }

    /// Runs all at once; the crate has no `futures`.
    async fn futures_join<F: Future>(work: impl Iterator<Item = F>) {
        let mut work: Vec<_> = work.map(Box::pin).collect();
        std::future::poll_fn(|context| {
            work.retain_mut(|one| one.as_mut().poll(context).is_pending());
            if work.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }

    #[test]
    fn calls_can_be_spawned() {
        fn is_send(_: &impl Send) {}
        let upstream = upstream(&quick());
        is_send(&upstream.call(patient(), |_| async { Ok::<_, Verdict>(()) }));
    }
}
