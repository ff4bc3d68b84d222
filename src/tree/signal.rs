//! Ends a tree when the operating system says so.
//!
//! Signals are awaited on a thread of their own, so that the third one ends the program even when every arbiter is stuck.

use std::{
    future::{Future, pending},
    io,
    process::ExitCode,
    sync::Arc,
    thread,
};

use futures::future::select;
use tokio::{
    runtime::{self, Runtime},
    sync::oneshot,
};

use super::{Tree, error::result};
use crate::{service::AnyLink, user_value::say};

/// The root of a tree, as far as whoever makes a program of the tree has to reach it.
pub(crate) trait Root: Clone + Send + Sync + 'static {
    fn link(&self) -> &Arc<dyn AnyLink>;

    /// Has the root kill everything that still runs.
    fn kill_what_runs(&self);

    /// Asks the root to handle a message. `false` once it has ended.
    #[cfg_attr(
        not(all(unix, feature = "sd-notify")),
        expect(dead_code, reason = "for a watchdog")
    )]
    fn answers(&self) -> impl Future<Output = bool> + Send;
}

/// Waits until the tree has ended, ends it on a signal, and says what the program is to exit with.
///
/// There is no `root` once the tree is being stopped, and then no signal to wait for.
pub(crate) async fn run(tree: &Tree, root: Option<impl Root>) -> ExitCode {
    // Held until the outcome is there: dropped, it listens no more, and neither does it if this call is dropped.
    let listener = root.map(Listener::start).transpose();
    if let Err(error) = &listener {
        say(|| tracing::error!(target: "resurgam", %error, "cannot listen to signals"));
    }
    match tree.ended().await {
        Err(error) => {
            say(|| tracing::error!(target: "resurgam", "{error}"));
            ExitCode::FAILURE
        }
        Ok(ended) => {
            if let Err(error) = result(&ended) {
                let error: &dyn std::error::Error = &error;
                say(|| tracing::error!(target: "resurgam", error, "the tree has failed"));
            } else if !ended.report.is_clean() {
                say(
                    || tracing::error!(target: "resurgam", report = %ended.report, "the tree did not stop cleanly"),
                );
            } else {
                return ExitCode::SUCCESS;
            }
            ExitCode::FAILURE
        }
    }
}

/// Listens to signals until it is dropped.
struct Listener {
    _stop: oneshot::Sender<()>,
}

impl Listener {
    /// Listens from here on: no signal that comes later is missed.
    fn start(root: impl Root) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // Wrapped before the next step can fail. This is called by async code, and tokio panics if a runtime is dropped there.
        let runtime = Background(Some(runtime));
        let signals = runtime.enter(Signals::new)?;
        // Nothing is ever sent: the thread ends when the sender is dropped.
        let (stop, stopped) = oneshot::channel();
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
        // Does not wait for blocking work, of which there is none; waiting is what tokio forbids in async code.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Stops, kills and exits, with one signal after the other.
async fn obey(root: impl Root, mut signals: Signals) {
    let name = signals.next().await.name;
    say(|| tracing::info!(target: "resurgam", signal = name, "stopping in order"));
    // A command, which overtakes whatever is queued for the root.
    root.link().core().stop();

    let name = signals.next().await.name;
    say(|| tracing::warn!(target: "resurgam", signal = name, "dropping what still runs"));
    root.kill_what_runs();

    // A root whose arbiter is blocked has read neither of the two. This thread is not blocked.
    let signal = signals.next().await;
    say(|| tracing::error!(target: "resurgam", signal = signal.name, "exiting at once"));
    #[expect(clippy::exit, reason = "what a third signal is for")]
    std::process::exit(signal.exit_code);
}

/// A signal that was caught.
#[derive(Clone, Copy)]
struct Caught {
    name: &'static str,
    /// 128 and the number of the signal, as shells have it.
    exit_code: i32,
}

const INTERRUPT: Caught = Caught {
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
const TERMINATE: Caught = Caught {
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

    async fn next(&mut self) -> Caught {
        use std::pin::pin;

        use futures::future::Either;

        let interrupt = pin!(caught(self.interrupt.recv()));
        let terminate = pin!(caught(self.terminate.recv()));
        // One of the two is dropped. It has taken nothing: a signal that came meanwhile is noted in its stream, and seen next time.
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

    async fn next(&mut self) -> Caught {
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
