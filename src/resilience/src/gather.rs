//! Lets those who ask at the same time share a call, where one call for several costs less than a call for each.
//! Never makes anybody wait while a call may begin at once, never past a deadline, and works on for nobody who has gone.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};

use crate::deadline::Deadline;

/// What can be asked for one, or for several in one call.
pub trait Shareable: Send + Sync + 'static {
    /// What is asked.
    type Ask: Send + Sync;
    /// What is answered.
    type Reply: Send;
    /// Why it is not.
    type Error: Send;

    /// The call for one; ends by the deadline.
    fn alone(
        &self,
        ask: Self::Ask,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Self::Reply, Self::Error>> + Send;

    /// The call for several: one reply for each, in their order; ends by the deadline.
    fn together(
        &self,
        asks: &[&Self::Ask],
        deadline: Deadline,
    ) -> impl Future<Output = Result<Vec<Self::Reply>, Self::Error>> + Send;

    /// Whether one of several may be at fault, so that each is to be asked for alone.
    fn may_blame_one(&self, error: &Self::Error) -> bool;

    /// The same error for each of several.
    fn copies(&self, error: Self::Error) -> impl Fn() -> Self::Error + Send;

    /// The deadline of who asked has passed.
    fn late(&self) -> Self::Error;

    /// The task that made the call has ended, as all do at shutdown.
    fn ended(&self) -> Self::Error;
}

/// How asks gather.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most asks in a call.
    pub asks: NonZeroUsize,
    /// While fewer calls than this are under way, an ask is sent at once and alone: it could wait for others in vain.
    pub eager: NonZeroUsize,
    /// Most calls at once.
    pub calls: NonZeroUsize,
    /// How long an ask waits for others, unless a call ends or the batch is full before. What finds all calls under way
    /// waits until one has ended.
    pub wait: Duration,
}

/// The way of asks to whom they are sent. Dropping it gives up the calls under way.
pub struct Gather<T: Shareable> {
    shared: Arc<Shared<T>>,
    /// Owns the calls that nobody's own task makes. They run in the runtime of whoever begins them.
    calls: Mutex<JoinSet<()>>,
}

impl<T: Shareable> fmt::Debug for Gather<T> {
    /// Leaves out what is asked, and of whom: both may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").field("bounds", &self.shared.bounds).finish_non_exhaustive()
    }
}

struct Shared<T: Shareable> {
    work: T,
    bounds: Bounds,
    waiting: Mutex<Waiting<T>>,
}

struct Waiting<T: Shareable> {
    asks: VecDeque<Asked<T>>,
    calls: usize,
}

/// An ask, and who waits for its reply.
struct Asked<T: Shareable> {
    ask: T::Ask,
    deadline: Deadline,
    reply: oneshot::Sender<Result<T::Reply, T::Error>>,
}

/// What becomes of an ask.
enum Entry<T: Shareable> {
    /// It may be sent at once.
    Leaves(Asked<T>),
    /// It waits; `is_full` when those who wait now may not wait for more.
    Waits { is_full: bool },
}

impl<T: Shareable> Gather<T> {
    /// Gathers asks for `work`.
    pub fn new(work: T, bounds: Bounds) -> Self {
        let waiting = Mutex::new(Waiting { asks: VecDeque::new(), calls: 0 });
        Self { shared: Arc::new(Shared { work, bounds, waiting }), calls: Mutex::default() }
    }

    /// The reply to `ask`.
    pub async fn ask(&self, ask: T::Ask, deadline: Deadline) -> Result<T::Reply, T::Error> {
        let (sender, reply) = oneshot::channel();
        match self.shared.enter(Asked { ask, deadline, reply: sender }) {
            Entry::Leaves(asked) => {
                let _turn = Turn(self);
                self.shared.work.alone(asked.ask, deadline).await
            }
            Entry::Waits { is_full } => {
                if is_full {
                    self.begin_calling();
                }
                match timeout_at(deadline.instant().into(), self.wait(reply)).await {
                    Ok(Ok(answered)) => answered,
                    Ok(Err(_)) => Err(self.shared.work.ended()),
                    Err(_) => Err(self.shared.work.late()),
                }
            }
        }
    }

    async fn wait<R>(&self, mut reply: oneshot::Receiver<R>) -> Result<R, oneshot::error::RecvError> {
        let Bounds { eager, calls, wait, .. } = self.shared.bounds;
        if eager < calls {
            tokio::select! {
                biased;
                answered = &mut reply => return answered,
                () = sleep(wait) => if self.shared.may_call() { self.begin_calling() },
            }
        }
        reply.await
    }

    /// Begins the call that was counted already.
    fn begin_calling(&self) {
        let work = Arc::clone(&self.shared).call();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        while calls.try_join_next().is_some() {}
        calls.spawn(work);
    }
}

/// The right to a call. Whoever is done with it leaves it to those who wait meanwhile.
struct Turn<'a, T: Shareable>(&'a Gather<T>);

impl<T: Shareable> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        if !self.0.shared.is_done() {
            self.0.begin_calling();
        }
    }
}

impl<T: Shareable> Shared<T> {
    fn enter(&self, asked: Asked<T>) -> Entry<T> {
        let mut waiting = self.lock();
        if waiting.calls < self.bounds.eager.get() {
            waiting.calls += 1;
            return Entry::Leaves(asked);
        }
        waiting.asks.push_back(asked);
        let is_full = self.bounds.asks.get() <= waiting.asks.len() && waiting.calls < self.bounds.calls.get();
        waiting.calls += usize::from(is_full);
        Entry::Waits { is_full }
    }

    /// Counts a call more for those who have waited long enough, if there may be one.
    fn may_call(&self) -> bool {
        let mut waiting = self.lock();
        let may_call = !waiting.asks.is_empty() && waiting.calls < self.bounds.calls.get();
        waiting.calls += usize::from(may_call);
        may_call
    }

    /// Whether nobody waits: then there is a call less.
    fn is_done(&self) -> bool {
        let mut waiting = self.lock();
        let is_done = waiting.asks.is_empty();
        waiting.calls -= usize::from(is_done);
        is_done
    }

    /// Makes calls as long as somebody waits.
    async fn call(self: Arc<Self>) {
        loop {
            let batch = self.next_batch(Instant::now());
            if !batch.is_empty() {
                self.answer(batch).await;
            }
            if self.is_done() {
                return;
            }
        }
    }

    /// Who is asked for next; nobody when nobody waits. Who has gone or is late costs the others nothing.
    fn next_batch(&self, now: Instant) -> Vec<Asked<T>> {
        let mut waiting = self.lock();
        waiting.asks.retain(|asked| !asked.reply.is_closed() && !asked.deadline.has_passed(now));
        let most = self.bounds.asks.get().min(waiting.asks.len());
        waiting.asks.drain(..most).collect()
    }

    async fn answer(&self, batch: Vec<Asked<T>>) {
        let alone = if batch.len() > 1 { self.answer_together(batch).await } else { batch };
        join_all(alone.into_iter().map(|asked| self.answer_alone(asked))).await;
    }

    async fn answer_alone(&self, mut asked: Asked<T>) {
        let answered = tokio::select! {
            answered = self.work.alone(asked.ask, asked.deadline) => answered,
            () = asked.reply.closed() => return,
        };
        // Who has gone meanwhile does not take it.
        let _ = asked.reply.send(answered);
    }

    /// Makes one call for all; returns those who are left to be asked for alone. Takes until the last of their deadlines:
    /// each waits only for its own.
    async fn answer_together(&self, mut batch: Vec<Asked<T>>) -> Vec<Asked<T>> {
        let Some(deadline) = batch.iter().map(|asked| asked.deadline).max() else { return batch };
        let (asks, replies): (Vec<&T::Ask>, Vec<_>) =
            batch.iter_mut().map(|asked| (&asked.ask, &mut asked.reply)).unzip();
        let all_gone = join_all(replies.into_iter().map(oneshot::Sender::closed));
        let answered = tokio::select! {
            answered = self.work.together(&asks, deadline) => answered,
            _ = all_gone => return Vec::new(),
        };
        match answered {
            Ok(replies) => give(batch, replies.into_iter().map(Ok)),
            Err(error) if self.work.may_blame_one(&error) => return batch,
            Err(error) => give(batch, std::iter::repeat_with(self.work.copies(error)).map(Err)),
        }
        Vec::new()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn give<T: Shareable>(batch: Vec<Asked<T>>, replies: impl Iterator<Item = Result<T::Reply, T::Error>>) {
    for (asked, reply) in batch.into_iter().zip(replies) {
        // Who has gone meanwhile does not take it.
        let _ = asked.reply.send(reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    /// Doubles numbers, refuses odd ones, and does nothing before it is let go. Notes the calls that it gets.
    struct Doubler {
        calls: Mutex<Vec<Vec<u64>>>,
        go: Semaphore,
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Fault {
        Odd,
        Late,
        Ended,
    }

    impl Doubler {
        async fn double(&self, numbers: Vec<u64>) -> Result<Vec<u64>, Fault> {
            self.calls.lock().unwrap().push(numbers.clone());
            self.go.acquire().await.unwrap().forget();
            if numbers.iter().any(|number| number % 2 == 1) {
                return Err(Fault::Odd);
            }
            Ok(numbers.into_iter().map(|number| number * 2).collect())
        }
    }

    impl Shareable for Arc<Doubler> {
        type Ask = u64;
        type Reply = u64;
        type Error = Fault;

        async fn alone(&self, ask: u64, deadline: Deadline) -> Result<u64, Fault> {
            let doubled = timeout_at(deadline.instant().into(), self.double(vec![ask])).await;
            doubled.unwrap_or(Err(Fault::Late)).map(|numbers| numbers[0])
        }

        async fn together(&self, asks: &[&u64], _: Deadline) -> Result<Vec<u64>, Fault> {
            self.double(asks.iter().map(|ask| **ask).collect()).await
        }

        fn may_blame_one(&self, error: &Fault) -> bool {
            *error == Fault::Odd
        }

        fn copies(&self, error: Fault) -> impl Fn() -> Fault + Send {
            move || error.clone()
        }

        fn late(&self) -> Fault {
            Fault::Late
        }

        fn ended(&self) -> Fault {
            Fault::Ended
        }
    }

    fn number(number: usize) -> NonZeroUsize {
        NonZeroUsize::new(number).unwrap()
    }

    fn bounds(eager: usize, calls: usize) -> Bounds {
        Bounds {
            asks: number(3),
            eager: number(eager),
            calls: number(calls),
            wait: Duration::from_millis(20),
        }
    }

    fn gather(bounds: Bounds) -> (Arc<Doubler>, Arc<Gather<Arc<Doubler>>>) {
        let doubler = Arc::new(Doubler { calls: Mutex::default(), go: Semaphore::new(0) });
        (Arc::clone(&doubler), Arc::new(Gather::new(doubler, bounds)))
    }

    fn within(time: Duration) -> Deadline {
        Deadline::after(Instant::now(), time)
    }

    /// Asks for each number in a task of its own, in their order.
    async fn asked(
        gather: &Arc<Gather<Arc<Doubler>>>,
        numbers: &[u64],
    ) -> Vec<tokio::task::JoinHandle<Result<u64, Fault>>> {
        let mut tasks = Vec::new();
        for number in numbers {
            let (gather, number) = (Arc::clone(gather), *number);
            let asking = async move { gather.ask(number, within(Duration::from_secs(9))).await };
            tasks.push(tokio::spawn(asking));
            tokio::task::yield_now().await;
        }
        tasks
    }

    /// Waits for what others do meanwhile.
    async fn until(holds: impl Fn() -> bool) {
        while !holds() {
            tokio::task::yield_now().await;
        }
    }

    async fn all(tasks: Vec<tokio::task::JoinHandle<Result<u64, Fault>>>) -> Vec<Result<u64, Fault>> {
        join_all(tasks).await.into_iter().map(Result::unwrap).collect()
    }

    #[tokio::test]
    async fn who_finds_a_call_free_leaves_alone_and_the_others_share_the_next_one() {
        let (doubler, gather) = gather(bounds(1, 1));
        let tasks = asked(&gather, &[2, 4, 6]).await;
        doubler.go.add_permits(2);
        assert_eq!(all(tasks).await, [Ok(4), Ok(8), Ok(12)]);
        assert_eq!(*doubler.calls.lock().unwrap(), [vec![2], vec![4, 6]]);
    }

    #[tokio::test]
    async fn a_batch_leaves_after_its_wait_while_a_call_is_under_way() {
        let (doubler, gather) = gather(bounds(1, 2));
        let tasks = asked(&gather, &[2, 4, 6]).await;
        until(|| *doubler.calls.lock().unwrap() == [vec![2], vec![4, 6]]).await;
        doubler.go.add_permits(2);
        all(tasks).await;
    }

    #[tokio::test]
    async fn a_full_batch_does_not_wait() {
        let (doubler, gather) = gather(Bounds { wait: Duration::from_secs(9), ..bounds(1, 2) });
        let tasks = asked(&gather, &[2, 4, 6, 8]).await;
        until(|| *doubler.calls.lock().unwrap() == [vec![2], vec![4, 6, 8]]).await;
        doubler.go.add_permits(2);
        all(tasks).await;
    }

    #[tokio::test]
    async fn one_at_fault_costs_the_others_nothing_but_a_call_of_their_own() {
        let (doubler, gather) = gather(bounds(1, 1));
        let tasks = asked(&gather, &[2, 3, 4]).await;
        doubler.go.add_permits(9);
        assert_eq!(all(tasks).await, [Ok(4), Err(Fault::Odd), Ok(8)]);
        assert_eq!(*doubler.calls.lock().unwrap(), [vec![2], vec![3, 4], vec![3], vec![4]]);
    }

    #[tokio::test]
    async fn whoever_leaves_hands_the_call_on() {
        let (doubler, gather) = gather(bounds(1, 1));
        let mut tasks = asked(&gather, &[2, 4]).await;
        tasks.remove(0).abort();
        doubler.go.add_permits(1);
        assert_eq!(all(tasks).await, [Ok(8)]);
    }

    #[tokio::test]
    async fn a_call_that_everybody_has_left_is_given_up() {
        let (doubler, gather) = gather(bounds(1, 1));
        let tasks = asked(&gather, &[2, 4, 6]).await;
        doubler.go.add_permits(1);
        until(|| doubler.calls.lock().unwrap().len() == 2).await;
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        until(|| gather.shared.lock().calls == 0).await;
    }

    #[tokio::test]
    async fn nobody_waits_past_a_deadline() {
        let (_doubler, gather) = gather(bounds(1, 1));
        let _first = asked(&gather, &[2]).await;
        assert_eq!(gather.ask(4, within(Duration::from_millis(50))).await, Err(Fault::Late));
    }
}
