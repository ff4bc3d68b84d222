//! A clock that needs no runtime, since the thread of that may be what is blocked.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use tokio::sync::Notify;

/// Rings when a time has passed, and again and again from then on, until it is dropped.
pub(super) struct Alarm {
    bell: Arc<Notify>,
    /// Nothing is ever sent: the thread ends when this is dropped.
    _stop: mpsc::Sender<()>,
}

impl Alarm {
    /// Begins to wait, on a thread of its own.
    pub(super) fn start(limit: Duration) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let bell = Arc::new(Notify::new());
        let there = Arc::clone(&bell);
        thread::Builder::new()
            .name(String::from("resurgam-alarm"))
            .spawn(move || {
                let mut wait = limit.saturating_add(GRACE);
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
                    there.notify_one();
                    wait = GRACE;
                }
            })?;
        Ok(Self { bell, _stop: stop })
    }

    /// Waits until it rings next.
    pub(super) async fn rings(&self) {
        self.bell.notified().await;
    }
}

/// How much later than the supervisors' own reports, which come before the end of the limit, if at all. So those win, also on a busy machine.
const GRACE: Duration = Duration::from_millis(50);
