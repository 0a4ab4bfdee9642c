//! Which cores a computation uses: all while it is the only one, that of its own thread beside others.
//! Never makes one wait for another.

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

    /// Computes on behalf of the calling thread, which waits.
    pub(super) fn run<T: Send>(&self, compute: impl FnOnce() -> T + Send) -> Result<T, Cause> {
        let own =
            self.own.get_or_try(|| ThreadPoolBuilder::new().num_threads(1).use_current_thread().build())?;
        let alone = self.at_work.fetch_add(1, Ordering::Relaxed) == 0;
        let _working = Working(&self.at_work);
        Ok(if alone { self.all.install(compute) } else { own.install(compute) })
    }
}

/// Counts a computation until it ends, by a panic too.
struct Working<'count>(&'count AtomicUsize);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn cores() -> Cores {
        Cores::start(NonZeroUsize::new(3).unwrap()).unwrap()
    }

    #[test]
    fn a_lone_computation_has_all_cores() {
        let cores = cores();
        assert_eq!(cores.run(rayon::current_num_threads).unwrap(), 3);
        assert_eq!(cores.run(rayon::current_num_threads).unwrap(), 3);
    }

    #[test]
    fn a_computation_beside_another_stays_on_its_thread() {
        let cores = cores();
        let beside = || {
            let here = std::thread::current().id();
            cores.run(move || (rayon::current_num_threads(), std::thread::current().id() == here)).unwrap()
        };
        let seen = cores.run(|| std::thread::scope(|scope| scope.spawn(beside).join().unwrap()));
        assert_eq!(seen.unwrap(), (1, true));
    }

    #[test]
    fn a_panic_ends_a_computation() {
        let cores = cores();
        assert!(catch_unwind(AssertUnwindSafe(|| cores.run(|| panic!("boom")).map(|(): ()| ()))).is_err());
        assert_eq!(cores.run(rayon::current_num_threads).unwrap(), 3);
    }
}
