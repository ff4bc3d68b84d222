//! Ends a tree, or a supervisor of it, when the operating system says so.
//!
//! Signals are awaited on a thread of their own, so that the third one ends the program even when every arbiter is stuck.

use std::{
    error::Error,
    fmt,
    future::{Future, pending},
    io::{self, Write},
    pin::pin,
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use futures::future::{Either, join, select};
use tokio::{
    runtime::{self, Runtime},
    sync::oneshot,
    time::sleep,
};
use tracing::level_filters::LevelFilter;

use super::error::{ShutdownError, result};
use crate::{
    policy::with_causes,
    service::{AnyLink, bid_farewell},
    state::{Ended, ShutdownReport, UnstoppedService},
    user_value::say,
};

/// The supervisor that a program is made of, as far as whoever waits for signals has to reach it.
pub(crate) trait Top: Clone + Send + Sync + 'static {
    fn link(&self) -> &dyn AnyLink;

    fn extent(&self) -> Extent;

    /// Has it stop, and everything below it, each service in its own time or all within a limit. It is asked with the first poll; nobody has
    /// to wait for the rest.
    fn stop(&self, limit: Option<Duration>) -> impl Future<Output = ()> + Send;

    /// Who still runs, those first that block a thread. Asks nobody.
    fn unstopped(&self) -> ShutdownReport;

    /// Asks it to handle a message. `false` once it has ended.
    #[cfg_attr(
        not(all(unix, feature = "sd-notify")),
        expect(dead_code, reason = "for a watchdog")
    )]
    fn answers(&self) -> impl Future<Output = bool> + Send;
}

/// How much of a tree ends with the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Extent {
    /// The root, and so everything.
    Tree,
    /// A supervisor below the root.
    Subtree,
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tree => "the tree",
            Self::Subtree => "the supervisor",
        })
    }
}

/// Waits until what the program is made of has ended, ends it on a signal, and says what the program is to exit with.
///
/// There is no `listener` if signals cannot be listened to, or if the tree is being stopped: then there is none to wait for.
pub(crate) async fn run<T: Top>(
    extent: Extent,
    ended: impl Future<Output = Result<Arc<Ended>, ShutdownError>>,
    listener: Option<Listener<T>>,
) -> ExitCode {
    let ended = pin!(ended);
    let passed = pin!(async {
        // Held until the end is there: dropped, it listens no more, and neither does it if this call is dropped.
        match listener {
            Some(listener) => listener.bound_has_passed().await,
            None => pending().await,
        }
    });
    match select(ended, passed).await {
        Either::Left((ended, _)) => exit_code(extent, ended),
        Either::Right((report, _)) => {
            // The tree's thread is another one, and blocked.
            if extent == Extent::Tree {
                bid_farewell();
            }
            complain(&report);
            ExitCode::FAILURE
        }
    }
}

fn exit_code(extent: Extent, ended: Result<Arc<Ended>, ShutdownError>) -> ExitCode {
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => {
            fail(&error, &format!("{extent} has failed"));
            return ExitCode::FAILURE;
        }
    };
    let failed = result(&ended).err();
    if let Some(error) = &failed {
        fail(error, &format!("{extent} has failed"));
    }
    let report = &ended.report;
    if !report.is_in_time() {
        complain(&format!("{extent} did not stop in time: {report}"));
    } else if report.has_fatal() {
        complain(&format!("a fatal error while {extent} stopped: {report}"));
    } else if !report.is_clean() {
        let text = format!("while {extent} stopped: {report}");
        say(|| tracing::warn!(target: "resurgam", "{text}"));
        print_unheard(&text);
    }
    if failed.is_none() && report.is_in_time() && !report.has_fatal() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Logs an error with its sources.
pub(crate) fn fail(error: &(dyn Error + 'static), what: &str) {
    say(|| tracing::error!(target: "resurgam", error, "{what}"));
    print_unheard(&format!("{what}: {}", with_causes(error)));
}

/// Logs what has gone wrong.
fn complain(what: &str) {
    say(|| tracing::error!(target: "resurgam", "{what}"));
    print_unheard(what);
}

/// Prints what was logged if nobody listens, since a program that fails without a word is of no use.
fn print_unheard(text: &str) {
    if LevelFilter::current() == LevelFilter::OFF {
        print(text);
    }
}

/// Prints to standard error, which may be closed.
fn print(text: &str) {
    let _nobody_reads_it = writeln!(io::stderr(), "{text}");
}

/// Listens to signals until it is dropped.
pub(crate) struct Listener<T> {
    /// Where it is told what to stop.
    top: Option<oneshot::Sender<T>>,
    /// Says that the bound of the stop has passed, with what is to be told.
    passed: oneshot::Receiver<String>,
    _stop: oneshot::Sender<()>,
}

impl<T: Top> Listener<T> {
    /// Listens from here on: no signal that comes later is missed. What it does it does to whom it is given then.
    ///
    /// With a limit, that is what the stop may take that the first signal begins.
    pub(crate) fn start(limit: Option<Duration>) -> Option<Self> {
        match Self::try_start(limit) {
            Ok(listener) => Some(listener),
            Err(error) => {
                complain(&format!("cannot listen to signals: {error}"));
                None
            }
        }
    }

    fn try_start(limit: Option<Duration>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // Wrapped before the next step can fail. This is called by async code, and tokio panics if a runtime is dropped there.
        let runtime = Background(Some(runtime));
        let signals = runtime.enter(Signals::new)?;
        // Nothing is ever sent: the thread ends when the sender is dropped.
        let (stop, stopped) = oneshot::channel();
        let (top, given) = oneshot::channel();
        let (pass, passed) = oneshot::channel();
        let obey = obey(given, signals, limit, pass);
        thread::Builder::new()
            .name(String::from("resurgam-signals"))
            .spawn(move || runtime.run(select(stopped, Box::pin(obey))))?;
        Ok(Self {
            top: Some(top),
            passed,
            _stop: stop,
        })
    }

    /// Says who is stopped by a signal, also by one that has come already.
    pub(crate) fn obey_for(&mut self, top: T) {
        if let Some(given) = self.top.take() {
            let _listens = given.send(top);
        }
    }

    /// Waits until the bound of the stop has passed, and says what is to be told; for ever if there is none.
    async fn bound_has_passed(self) -> String {
        let Self {
            top: _no_other,
            passed,
            _stop,
        } = self;
        match passed.await {
            Ok(report) => report,
            Err(_) => pending().await,
        }
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

/// Stops, kills and exits, with one signal after the other, or with the end of the limit.
async fn obey<T: Top>(
    top: oneshot::Receiver<T>,
    mut signals: Signals,
    limit: Option<Duration>,
    pass: oneshot::Sender<String>,
) {
    // Signals that come before are seen after it: nothing runs yet that could be stopped.
    let Ok(top) = top.await else {
        return;
    };
    let name = signals.next().await.name;
    say(|| tracing::info!(target: "resurgam", signal = name, "stopping in order"));
    let stopped = pin!(join(top.stop(limit), hurry(&top, &mut signals)));
    let Some(limit) = limit else {
        stopped.await;
        return;
    };
    let over = pin!(sleep(limit));
    if let Either::Right(_) = select(stopped, over).await {
        give_up(&top, limit, pass).await;
    }
}

/// Kills and exits, with two more signals.
async fn hurry(top: &impl Top, signals: &mut Signals) {
    let name = signals.next().await.name;
    say(|| tracing::warn!(target: "resurgam", signal = name, "dropping what still runs"));

    // One whose arbiter is blocked has read neither of the two. This thread is not blocked.
    let signal = {
        let dropped = pin!(top.stop(Some(Duration::ZERO)));
        let next = pin!(signals.next());
        match select(dropped, next).await {
            Either::Left(((), next)) => next.await,
            Either::Right((signal, _)) => signal,
        }
    };
    say(|| tracing::error!(target: "resurgam", signal = signal.name, "exiting at once"));
    bid_farewell();
    #[expect(clippy::exit, reason = "what a third signal is for")]
    std::process::exit(signal.exit_code);
}

/// There is something left when the limit is over. Whoever waits says so and returns; if that thread is blocked, too, the program ends here.
async fn give_up(top: &impl Top, limit: Duration, pass: oneshot::Sender<String>) {
    let (extent, path) = (top.extent(), top.link().core().path());
    let unstopped = top.unstopped();
    let still_there: Vec<_> = unstopped
        .unstopped()
        .iter()
        .map(UnstoppedService::path)
        .collect();
    let mut report = format!("{extent} `{path}` did not stop within {limit:?}");
    if !still_there.is_empty() {
        // Who blocks a thread is the first. In one line, which a log keeps together.
        report = format!("{report}, still there: {}", still_there.join(", "));
    }
    // If it takes this, it drops the listener, and this thread ends while it sleeps.
    let _waits = pass.send(report.clone());
    sleep(PATIENCE).await;
    bid_farewell();
    print(&report);
    #[expect(
        clippy::exit,
        reason = "a bound was given, and nobody else can keep it"
    )]
    std::process::exit(1);
}

/// How long the thread that waits for the tree has to take note that the bound has passed.
const PATIENCE: Duration = Duration::from_millis(100);

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
