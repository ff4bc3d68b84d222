//! A service that does what it is told.

use std::{
    error::Error,
    fmt,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix::prelude::*;
use tokio::sync::watch;

use super::deadline::within;
use crate::{EventKind, ServiceContext, ServiceSpec, SupervisorRef};

/// What one service is to do, from outside. A clone speaks to the same service.
///
/// Each command waits until the service is ready, and returns when what follows was told: a test that goes on has the failure behind it. After five
/// seconds of real time without that it panics, which fails the test.
#[derive(Clone)]
pub struct Script(Arc<Shared>);

/// What the script and the incarnations of its service share: a lock, held for one look or change.
struct Shared {
    orders: Mutex<Orders>,
    /// The present incarnation, once it has started.
    live: watch::Sender<Option<Live>>,
}

#[derive(Default)]
struct Orders {
    refuses_to_stop: bool,
    refused_starts: u32,
    starts: u32,
}

/// An incarnation that runs.
#[derive(Clone)]
struct Live {
    address: Addr<Scripted>,
    supervisor: SupervisorRef,
    path: String,
    generation: u64,
}

impl Script {
    /// A script whose service does nothing until it is told to.
    pub fn new() -> Self {
        Self::default()
    }

    /// The service that this script is for: of one script only one.
    pub fn service(&self, name: impl Into<Arc<str>>) -> ServiceSpec<Scripted> {
        let shared = Arc::clone(&self.0);
        ServiceSpec::try_new(name, move |_: &_| {
            let mut orders = shared.orders();
            orders.starts += 1;
            if orders.refused_starts > 0 {
                orders.refused_starts -= 1;
                return Err(Refused);
            }
            drop(orders);
            let shared = Arc::clone(&shared);
            Ok(Scripted {
                shared,
                ends: false,
            })
        })
    }

    /// Has it panic.
    pub async fn crash(&self) {
        self.ends_by(Do::Crash).await;
    }

    /// Has it fail with this error.
    pub async fn fail(&self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        self.ends_by(Do::Fail(error.into())).await;
    }

    /// Has it end by itself, without an error.
    pub async fn end(&self) {
        self.ends_by(Do::End).await;
    }

    /// Has it handle no message any more, as one that waits for an answer which never comes. Its thread goes on. The next incarnation is well again.
    ///
    /// # Panics
    ///
    /// As all commands, if it does not run.
    pub async fn hang(&self) {
        let live = self.live().await;
        let hung = live.address.send(Do::Hang);
        assert!(
            within(LIMIT, hung).await.is_some_and(|hung| hung.is_ok()),
            "`{}` does not answer",
            live.path
        );
    }

    /// From now on it does not stop when it is asked to, nor do later incarnations: it has to be killed.
    pub fn refuse_to_stop(&self) {
        self.0.orders().refuses_to_stop = true;
    }

    /// From now on it stops when it is asked to, as it does at the beginning.
    pub fn agree_to_stop(&self) {
        self.0.orders().refuses_to_stop = false;
    }

    /// Its next starts fail, so many of them.
    pub fn refuse_to_start(&self, times: u32) {
        self.0.orders().refused_starts = times;
    }

    /// How often it was started, also in vain.
    pub fn starts(&self) -> u32 {
        self.0.orders().starts
    }

    /// Has the present incarnation end, and waits until that was told.
    async fn ends_by(&self, what: Do) {
        let live = self.live().await;
        let mut events = live.supervisor.events();
        let tell = async {
            // Its end is why there is no answer.
            let _no_answer = live.address.send(what).await;
            while let Some(event) = events.next().await {
                let of_it = event.path() == live.path && event.generation() == live.generation;
                if of_it && is_end(event.kind()) {
                    return;
                }
            }
        };
        let told = within(LIMIT, tell).await;
        assert!(told.is_some(), "the end of `{}` was not told", live.path);
    }

    /// Waits until it runs.
    async fn live(&self) -> Live {
        let mut lives = self.0.live.subscribe();
        let live = within(LIMIT, lives.wait_for(Option::is_some)).await;
        let live = live.and_then(|live| live.ok()?.clone());
        live.expect("the service of the script is started within five seconds")
    }
}

/// What an incarnation is to do.
enum Do {
    Crash,
    End,
    Fail(Box<dyn Error + Send + Sync>),
    Hang,
}

impl Message for Do {
    type Result = ();
}

/// The service of a [`Script`].
pub struct Scripted {
    shared: Arc<Shared>,
    /// Whether it ends by itself.
    ends: bool,
}

impl Actor for Scripted {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let live = Live {
            address: ctx.address(),
            // The script of a tree is no reason for it to run on.
            supervisor: ctx.supervisor().without_handle(),
            path: ctx.path().to_owned(),
            generation: ctx.generation(),
        };
        self.shared.live.send_replace(Some(live));
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        if !self.ends && self.shared.orders().refuses_to_stop {
            Running::Continue
        } else {
            Running::Stop
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        // Before the end is told: whoever gives the next command waits for the next incarnation.
        self.shared.live.send_replace(None);
    }
}

impl Handler<Do> for Scripted {
    type Result = ();

    #[expect(clippy::panic, reason = "it was told to")]
    fn handle(&mut self, what: Do, ctx: &mut Self::Context) {
        match what {
            Do::Crash => panic!("crashed as the script says"),
            Do::End => {
                self.ends = true;
                ctx.stop();
            }
            Do::Fail(error) => ctx.fail(error),
            Do::Hang => {
                ctx.wait(pending::<()>().into_actor(self));
            }
        }
    }
}

impl Shared {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        // Nothing panics while the lock is held.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Script {
    fn default() -> Self {
        Self(Arc::new(Shared {
            orders: Mutex::default(),
            live: watch::Sender::new(None),
        }))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

/// Why a start fails that is to.
#[derive(Debug, thiserror::Error)]
#[error("refuses to start, as the script says")]
struct Refused;

/// Reports whether an incarnation has ended by itself.
const fn is_end(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::ServiceFailed { .. }
            | EventKind::ServicePanicked { .. }
            | EventKind::ServiceCompleted { .. }
            | EventKind::ServiceStopped { .. }
    )
}

/// For how long a command waits, in real time.
const LIMIT: Duration = Duration::from_secs(5);
