//! What happens to sessions without a request: the database is opened and watched, leases are prolonged, what has expired
//! is deleted. One task, ended at shutdown.
//! Never touches a turn of another process but to give up one whose lease has run out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use lectern_resilience::deadline::Deadline;
use tokio_util::sync::CancellationToken;

use crate::sessions::error::SessionError;
use crate::sessions::store::SessionStore;
use crate::sessions::{Sessions, Trouble};

impl Sessions {
    /// How often the database is asked for its time, and an unreachable one for its first answer.
    const WATCH: Duration = Duration::from_secs(1);

    /// Keeps the sessions until `stop`.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            let store = self.opened().await;
            self.watch(&store).await;
        })
        .await;
    }

    /// Ends what is under way, then closes the database. Nothing may be begun from here on.
    pub async fn close(&self) {
        self.tasks.close();
        if tokio::time::timeout(Self::SAVE_BOUND, self.tasks.wait()).await.is_err() {
            tracing::warn!("turns were left open");
        }
        if let Some(store) = self.store.load_full() {
            store.close().await;
        }
    }

    /// Opens the database, trying until it can be opened.
    async fn opened(&self) -> Arc<SessionStore> {
        loop {
            match SessionStore::open(self.database.clone(), self.connections).await {
                Ok(store) => {
                    let store = Arc::new(store);
                    self.look(&store).await;
                    self.store.store(Some(Arc::clone(&store)));
                    tracing::info!(database = %self.database, "sessions opened");
                    return store;
                }
                Err(error) => self.note(&SessionError::from(error)),
            }
            tokio::time::sleep(Self::WATCH).await;
        }
    }

    async fn watch(&self, store: &SessionStore) {
        // Three tries within a lease: one may fail, and one may be late.
        let pause = Self::WATCH.min(self.section.lease / 3);
        let mut swept = None;
        loop {
            self.look(store).await;
            self.renew(store).await;
            if swept.is_none_or(|at: Instant| at.elapsed() >= self.section.sweep) {
                self.sweep(store).await;
                swept = Some(Instant::now());
            }
            tokio::time::sleep(pause.min(self.section.sweep)).await;
        }
    }

    /// Asks the database for its time: it answers, or there is trouble.
    async fn look(&self, store: &SessionStore) {
        match store.now(soon()).await {
            Ok(now) => {
                self.is_down.store(false, Ordering::Relaxed);
                self.clock.set(now);
                if let Some(Trouble::Failing(_)) = self.trouble.swap(None).as_deref() {
                    tracing::info!("sessions are back");
                }
            }
            Err(error) => self.note(&error),
        }
    }

    async fn renew(&self, store: &SessionStore) {
        if self.open.load(Ordering::Relaxed) == 0 {
            return;
        }
        let renewed = store.renew_turns(&self.holder, self.section.lease, self.clock.now(), soon()).await;
        if let Err(error) = renewed {
            self.note(&error);
        }
    }

    async fn sweep(&self, store: &SessionStore) {
        let now = self.clock.now();
        let swept = async {
            let abandoned = store.give_up_abandoned(now, soon()).await?;
            let sessions = store.sweep(now, soon()).await?;
            store.tidy(soon()).await?;
            if abandoned + sessions > 0 {
                tracing::info!(sessions, abandoned, "sessions swept");
            }
            Ok(())
        };
        if let Err(error) = swept.await {
            self.note(&error);
        }
    }

    /// Remembers trouble, and tells the log when it is news.
    fn note(&self, error: &SessionError) {
        if matches!(error, SessionError::Unavailable(_) | SessionError::Late { .. }) {
            self.is_down.store(true, Ordering::Relaxed);
        }
        let told = crate::api::error::chain(error);
        let known = self.trouble.load_full();
        let is_news = known.as_deref() != Some(&Trouble::Failing(told.clone()));
        if is_news {
            tracing::warn!(error = %told, "sessions are unavailable");
            self.trouble.store(Some(Arc::new(Trouble::Failing(told))));
        }
    }
}

fn soon() -> Deadline {
    Deadline::after(Instant::now(), SessionStore::PATIENCE)
}
