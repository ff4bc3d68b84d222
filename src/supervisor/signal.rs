//! A tree as a program, which ends when the operating system says so.
//!
//! Signals are awaited on a thread of their own: the third one ends the program also when every arbiter is stuck.

use std::{
    future::{Future, pending},
    io,
    pin::pin,
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use futures::future::{Either, select};
use tokio::{
    runtime::{self, Runtime},
    sync::oneshot,
};

use super::{SupervisorActor, SupervisorRef, message::Shutdown};
use crate::service::{AnyLink, Link};

impl SupervisorRef {
    /// Waits until the tree has ended, ends it on a signal, and says what the program is to exit with.
    ///
    /// Each SIGINT (Ctrl-C) or SIGTERM is less patient than the one before:
    ///
    /// | signal | effect |
    /// |-|-|
    /// | first | the whole tree stops in order, as by [`shutdown`](Self::shutdown) |
    /// | second | everything that still runs is dropped, as by [`shutdown_within`](Self::shutdown_within) of no time |
    /// | third | the process exits at once, with 130 after SIGINT and 143 after SIGTERM, also if every arbiter is stuck |
    ///
    /// | exit code | when |
    /// |-|-|
    /// | 0 | the tree has ended, by a signal or otherwise, and nothing went wrong |
    /// | 1 | it ended with what [`join`](Self::join) returns as an error, or a service failed or was dropped while it stopped; both are logged |
    ///
    /// Meant for the end of `main`, with the reference of a root; any other reference of the tree does the same. Signals are listened to from the first poll
    /// until this returns. After that they do nothing: tokio, once it handles a signal, never gives it back to the system. Signals that
    /// come in quick succession may be seen as one. On systems other than Unix only Ctrl-C counts.
    ///
    /// If signals cannot be listened to, that is logged, and they end the process as they always do.
    ///
    /// # Cancel safety
    ///
    /// If the call is dropped the tree runs on, and no signal is obeyed any more.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::process::ExitCode;
    ///
    /// use resurgam::{ServiceSpec, StartError, SupervisorActor};
    ///
    /// #[actix::main]
    /// async fn main() -> Result<ExitCode, StartError> {
    ///     let mut root = SupervisorActor::with_defaults("root");
    ///     root.add(ServiceSpec::task("poller", |cx| async move {
    ///         cx.shutdown().await;
    ///         Ok::<_, std::io::Error>(())
    ///     }))?;
    ///     Ok(root.start().await?.run_until_signal().await)
    /// }
    /// ```
    pub async fn run_until_signal(&self) -> ExitCode {
        let listener = self.root().map(Listener::start).transpose();
        if let Err(error) = &listener {
            tracing::error!(target: "resurgam", %error, "cannot listen to signals");
        }
        match self.outcome().await {
            Err(error) => {
                tracing::error!(target: "resurgam", "{error}");
                ExitCode::FAILURE
            }
            Ok(outcome) => {
                if let Err(error) = &outcome.result {
                    let error: &dyn std::error::Error = error;
                    tracing::error!(target: "resurgam", error, "the tree has failed");
                } else if !outcome.report.is_clean() {
                    tracing::error!(target: "resurgam", report = %outcome.report, "the tree did not stop cleanly");
                } else {
                    return ExitCode::SUCCESS;
                }
                ExitCode::FAILURE
            }
        }
    }
}

/// Listens to signals until it is dropped.
struct Listener {
    _stop: oneshot::Sender<()>,
}

impl Listener {
    /// Listens from here on: no signal that comes later is missed.
    fn start(root: &Arc<Link<SupervisorActor>>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // In its place on an error too: a runtime must not be dropped by async code.
        let runtime = Background(Some(runtime));
        let signals = runtime.enter(Signals::new)?;
        let (stop, stopped) = oneshot::channel();
        let root = Arc::clone(root);
        thread::Builder::new()
            .name(String::from("resurgam-signals"))
            .spawn(move || runtime.run(select(stopped, Box::pin(obey(root, signals)))))?;
        Ok(Self { _stop: stop })
    }
}

/// A runtime that may be dropped anywhere.
struct Background(Option<Runtime>);

impl Background {
    fn enter<T>(&self, code: impl FnOnce() -> T) -> T {
        let _guard = self.0.as_ref().map(Runtime::enter);
        code()
    }

    fn run(&self, work: impl Future) {
        if let Some(runtime) = &self.0 {
            runtime.block_on(work);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Stops, kills and exits, with one signal after the other.
async fn obey(root: Arc<Link<SupervisorActor>>, mut signals: Signals) {
    let name = signals.next().await.name;
    tracing::info!(target: "resurgam", signal = name, "stopping in order");
    root.core().stop();

    let name = signals.next().await.name;
    tracing::warn!(target: "resurgam", signal = name, "dropping what still runs");
    if let Some(address) = root.address() {
        // Never refused: it ignores the capacity, and a mailbox that is closed has nothing left to stop.
        address.do_send(Shutdown::within(Duration::ZERO));
    }

    let signal = signals.next().await;
    tracing::error!(target: "resurgam", signal = signal.name, "exiting at once");
    #[expect(clippy::exit, reason = "what a third signal is for")]
    std::process::exit(signal.exit_code);
}

/// A signal that was caught.
#[derive(Clone, Copy)]
struct Signal {
    name: &'static str,
    /// 128 and the number of the signal, as shells have it.
    exit_code: i32,
}

const INTERRUPT: Signal = Signal {
    name: "SIGINT",
    exit_code: 130,
};

/// The signals that end a program.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
const TERMINATE: Signal = Signal {
    name: "SIGTERM",
    exit_code: 143,
};

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Signal {
        let interrupt = pin!(caught(self.interrupt.recv()));
        let terminate = pin!(caught(self.terminate.recv()));
        match select(interrupt, terminate).await {
            Either::Left(_) => INTERRUPT,
            Either::Right(_) => TERMINATE,
        }
    }
}

/// The signals that end a program.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        caught(async { tokio::signal::ctrl_c().await.ok() }).await;
        INTERRUPT
    }
}

/// Waits for a signal; for ever if none can come.
async fn caught(signal: impl Future<Output = Option<()>>) {
    if signal.await.is_none() {
        pending::<()>().await;
    }
}
