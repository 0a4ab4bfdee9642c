//! A few threads of our own for work that would block an async worker, behind a queue of bounded length.
//! Never starts work that nobody waits for any more.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use lectern_resilience::deadline::Deadline;
use tokio::sync::{mpsc, oneshot};

use crate::error::Cause;
use crate::patience::until;

/// Threads that turn each input into an output. Dropping it ends them after the work they are at.
#[derive(Debug)]
pub(super) struct Pool<I, O> {
    /// None only while it is dropped: closing the queue is what tells the threads to end.
    queue: Option<mpsc::Sender<Job<I, O>>>,
    threads: Vec<JoinHandle<()>>,
}

/// Why there is no output.
#[derive(Debug)]
pub(super) enum NoOutput {
    /// The deadline came first, in the queue or during the work.
    Late,
    /// The work itself failed.
    Failed(Cause),
}

#[derive(Debug)]
struct Job<I, O> {
    input: I,
    deadline: Deadline,
    reply: oneshot::Sender<Result<O, Cause>>,
}

type Jobs<I, O> = Mutex<mpsc::Receiver<Job<I, O>>>;

impl<I: Send + 'static, O: Send + 'static> Pool<I, O> {
    /// Starts the threads. At most `waiting` jobs queue; callers beyond wait for a place until their deadline.
    pub(super) fn start(
        threads: NonZeroUsize,
        waiting: NonZeroUsize,
        work: impl Fn(I) -> Result<O, Cause> + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(waiting.get());
        let (jobs, work) = (Arc::new(Jobs::new(jobs)), Arc::new(work));
        let mut pool = Self { queue: Some(queue), threads: Vec::new() };
        for number in 0..threads.get() {
            let (jobs, work) = (Arc::clone(&jobs), Arc::clone(&work));
            let thread = std::thread::Builder::new().name(format!("embedder-{number}"));
            pool.threads.push(thread.spawn(move || run(&jobs, &*work))?);
        }
        Ok(pool)
    }

    /// Number of threads.
    pub(super) fn width(&self) -> usize {
        self.threads.len()
    }

    /// Queues one job and waits for its output. Dropping the future takes the job out of the queue.
    pub(super) async fn run(&self, input: I, deadline: Deadline) -> Result<O, NoOutput> {
        let Some(queue) = &self.queue else { return Err(NoOutput::Failed("the pool has ended".into())) };
        let (reply, output) = oneshot::channel();
        let work = async {
            queue.send(Job { input, deadline, reply }).await.map_err(|_| "no thread is left")?;
            output.await.map_err(|_| "the job was given up")?
        };
        match until(deadline, work).await {
            None => Err(NoOutput::Late),
            Some(result) if deadline.has_passed(Instant::now()) => result.map_err(|_| NoOutput::Late),
            Some(result) => result.map_err(NoOutput::Failed),
        }
    }
}

fn run<I, O>(jobs: &Jobs<I, O>, work: &dyn Fn(I) -> Result<O, Cause>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(job) = next else { return };
        if job.reply.is_closed() || job.deadline.has_passed(Instant::now()) {
            continue;
        }
        // A panic in the model's code must cost one job, not a thread.
        let output = catch_unwind(AssertUnwindSafe(|| work(job.input)))
            .unwrap_or_else(|_| Err("the model's code panicked".into()));
        // Nobody may be waiting any more: then the output is of no use.
        let _ = job.reply.send(output);
    }
}

impl<I, O> Drop for Pool<I, O> {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // It cannot have panicked: the work is caught, and the rest does not panic.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc as blocking;
    use std::time::Duration;

    fn number(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    fn within(millis: u64) -> Deadline {
        Deadline::after(Instant::now(), Duration::from_millis(millis))
    }

    /// A pool of one thread whose job 0 blocks until the returned sender says go; counts the jobs done.
    fn gated() -> (Arc<Pool<u32, u32>>, blocking::Sender<()>, Arc<AtomicUsize>) {
        let (go, gate) = blocking::channel();
        let gate = Mutex::new(gate);
        let done = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&done);
        let pool = Pool::start(number(1), number(1), move |input: u32| {
            if input == 0 {
                let _ = gate.lock().unwrap().recv();
            }
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(input + 1)
        });
        (Arc::new(pool.unwrap()), go, done)
    }

    /// Lets tasks run until the job is with the thread or in the queue.
    async fn settle() {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }

    #[tokio::test]
    async fn each_input_gets_its_own_output() {
        let pool = Pool::start(number(3), number(2), |input: u32| Ok(input * 2)).unwrap();
        let outputs = futures::future::join_all((0..50).map(|n| pool.run(n, within(5_000)))).await;
        for (n, output) in (0..50).zip(outputs) {
            assert_eq!(output.unwrap(), n * 2);
        }
    }

    #[tokio::test]
    async fn waiting_for_a_place_ends_at_the_deadline() {
        let (pool, go, done) = gated();
        let started = Instant::now();
        let blocked = futures::future::join_all((0..4).map(|_| pool.run(0, within(50)))).await;
        assert!(blocked.iter().all(|output| matches!(output, Err(NoOutput::Late))));
        assert!(started.elapsed() < Duration::from_secs(2));
        drop(go);
        assert_eq!(pool.run(7, within(5_000)).await.unwrap(), 8);
        // The job that was at work, and the last one: those that were late in the queue never ran.
        assert_eq!(done.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_job_that_nobody_waits_for_is_skipped() {
        let (pool, go, done) = gated();
        let busy = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(0, within(5_000)).await }
        });
        settle().await;
        let leaver = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(1, within(5_000)).await }
        });
        settle().await;
        leaver.abort();
        assert!(leaver.await.unwrap_err().is_cancelled());
        go.send(()).unwrap();
        assert_eq!(busy.await.unwrap().unwrap(), 1);
        assert_eq!(pool.run(2, within(5_000)).await.unwrap(), 3);
        assert_eq!(done.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_panic_costs_one_job_and_no_thread() {
        let pool = Pool::start(
            number(1),
            number(1),
            |input: u32| if input == 0 { panic!("boom") } else { Ok(input) },
        );
        let pool = pool.unwrap();
        assert!(matches!(pool.run(0, within(5_000)).await, Err(NoOutput::Failed(_))));
        assert_eq!(pool.run(1, within(5_000)).await.unwrap(), 1);
    }
}
