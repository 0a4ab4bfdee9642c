//! Which cores a computation uses: all while it is the only one, that of its own thread beside others.
//! Never makes one wait for another.

use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder};
use thread_local::ThreadLocal;

use crate::error::Cause;

/// The cores, and how many computations are at work on them.
pub(super) struct Cores {
    all: ThreadPool,
    /// A pool of one for each thread that computes. Without it the matrix products would divide themselves among all
    /// cores, which costs a fifth of the throughput while each core has a computation of its own.
    own: ThreadLocal<ThreadPool>,
    at_work: AtomicUsize,
}

impl Cores {
    /// Starts the threads that share the work of a lone computation.
    pub(super) fn start(threads: NonZeroUsize) -> std::io::Result<Self> {
        let all = ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .thread_name(|number| format!("embedder-shared-{number}"));
        let all = all.build().map_err(std::io::Error::other)?;
        Ok(Self { all, own: ThreadLocal::new(), at_work: AtomicUsize::new(0) })
    }

    /// Counts the calling thread among those at work, until the value is dropped.
    pub(super) fn enter(&self) -> Result<AtWork<'_>, Cause> {
        let own =
            self.own.get_or_try(|| ThreadPoolBuilder::new().num_threads(1).use_current_thread().build())?;
        self.at_work.fetch_add(1, Ordering::Relaxed);
        Ok(AtWork { cores: self, own, stays: PhantomData })
    }
}

/// A thread that computes, step after step.
pub(super) struct AtWork<'cores> {
    cores: &'cores Cores,
    own: &'cores ThreadPool,
    /// Its own pool is this thread: another would wait for it in vain.
    stays: PhantomData<*const ()>,
}

impl AtWork<'_> {
    /// Computes one step. How many are at work is looked at again for each: a long computation makes room for others.
    pub(super) fn compute<T: Send>(&self, step: impl FnOnce() -> T + Send) -> T {
        let alone = self.cores.at_work.load(Ordering::Relaxed) == 1;
        if alone { self.cores.all.install(step) } else { self.own.install(step) }
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.cores.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;

    fn cores() -> Cores {
        Cores::start(NonZeroUsize::new(3).unwrap()).unwrap()
    }

    #[test]
    fn a_lone_computation_has_all_cores() {
        let cores = cores();
        assert_eq!(cores.enter().unwrap().compute(rayon::current_num_threads), 3);
        assert_eq!(cores.enter().unwrap().compute(rayon::current_num_threads), 3);
    }

    #[test]
    fn a_computation_beside_another_stays_on_its_thread() {
        let cores = cores();
        let _other = cores.enter().unwrap();
        let beside = || {
            let here = std::thread::current().id();
            let at_work = cores.enter().unwrap();
            at_work.compute(move || (rayon::current_num_threads(), std::thread::current().id() == here))
        };
        assert_eq!(std::thread::scope(|scope| scope.spawn(beside).join().unwrap()), (1, true));
    }

    #[test]
    fn a_computation_leaves_the_other_cores_to_one_that_comes_later() {
        let cores = cores();
        let first = cores.enter().unwrap();
        assert_eq!(first.compute(rayon::current_num_threads), 3);
        let (entered, leaves) = (Barrier::new(2), Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _second = cores.enter().unwrap();
                entered.wait();
                leaves.wait();
            });
            entered.wait();
            assert_eq!(first.compute(rayon::current_num_threads), 1);
            leaves.wait();
        });
        assert_eq!(first.compute(rayon::current_num_threads), 3);
    }

    #[test]
    fn a_panic_ends_a_computation() {
        let cores = cores();
        let broken = || cores.enter().unwrap().compute(|| panic!("boom"));
        assert!(catch_unwind(AssertUnwindSafe(broken)).is_err());
        assert_eq!(cores.enter().unwrap().compute(rayon::current_num_threads), 3);
    }
}
