//! A tree as a program, which ends when the operating system says so.

use std::{process::ExitCode, sync::Arc, time::Duration};

use super::{actor::SupervisorActor, message, reference::SupervisorRef};
use crate::{
    service::{AnyLink, downcast},
    state::ShutdownReport,
    tree::signal::{self, Extent, Listener, Top},
};

impl SupervisorActor {
    /// Starts the supervisor as the root of a tree, and makes a program of it: waits until it has ended, ends it on a signal, and says what
    /// the program is to exit with.
    ///
    /// As [`start`](Self::start) and then [`run_until_signal`](SupervisorRef::run_until_signal), but signals are listened to from the first
    /// poll, before there is any service or process: one that comes during the start stops what was started, in order, and no process is
    /// left behind. A start that fails is an exit code of 1. What went wrong is logged, and printed to standard error if nothing listens
    /// to `tracing`.
    ///
    /// # Cancel safety
    ///
    /// If the call is dropped the tree is shut down, and no signal is obeyed any more.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::process::ExitCode;
    ///
    /// use resurgam::{ServiceSpec, SupervisorActor};
    ///
    /// #[actix::main]
    /// async fn main() -> ExitCode {
    ///     let mut root = SupervisorActor::with_defaults("root");
    ///     root.add(ServiceSpec::task("poller", |cx| async move {
    ///         cx.shutdown().await;
    ///     }))
    ///     .expect("no other service has this name");
    ///     root.run().await
    /// }
    /// ```
    pub async fn run(self) -> ExitCode {
        self.run_as(None).await
    }

    /// As [`run`](Self::run), and the stop that the first signal begins takes at most `limit`, whatever is blocked: see
    /// [`run_until_signal_within`](SupervisorRef::run_until_signal_within).
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run).
    pub async fn run_within(self, limit: Duration) -> ExitCode {
        self.run_as(Some(limit)).await
    }

    async fn run_as(self, limit: Option<Duration>) -> ExitCode {
        match self.listen_and_launch(limit) {
            Ok((root, listener)) => root.run(listener).await,
            Err(code) => code,
        }
    }

    /// As [`run`](Self::run), and tells systemd meanwhile how the tree is, as
    /// [`run_under_systemd`](SupervisorRef::run_under_systemd) does.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run); systemd is not told any more.
    #[cfg(feature = "sd-notify")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sd-notify")))]
    pub async fn run_under_systemd(self) -> ExitCode {
        match self.listen_and_launch(None) {
            Ok((root, listener)) => {
                crate::tree::systemd::run(root.tree(), root.root(), listener).await
            }
            Err(code) => code,
        }
    }

    /// Listens to signals, and then begins the start, whose failure is an end of the tree like any other.
    fn listen_and_launch(
        self,
        limit: Option<Duration>,
    ) -> Result<(SupervisorRef, Option<Listener<Program>>), ExitCode> {
        let mut listener = Listener::start(limit);
        let launched = self.launch();
        let (root, _started) = launched.map_err(|error| {
            signal::fail(&error, "the tree was not started");
            ExitCode::FAILURE
        })?;
        if let (Some(listener), Some(root)) = (&mut listener, root.root()) {
            listener.obey_for(root);
        }
        Ok((root, listener))
    }
}

impl SupervisorRef {
    /// Waits until this supervisor has ended for good, ends it on a signal, and says what the program is to exit with.
    ///
    /// Of a root that is the whole tree. Of a supervisor below it nothing else of the tree is stopped: a signal shuts that supervisor down, as
    /// [`shutdown`](Self::shutdown) does, and its end is the one that [`join`](Self::join) waits for. Each SIGINT (Ctrl-C) or SIGTERM is less patient than the one before:
    ///
    /// | signal | effect |
    /// |-|-|
    /// | first | it stops in order with everything below it, as by [`shutdown`](Self::shutdown) |
    /// | second | everything of that which still runs is dropped, as by [`shutdown_within`](Self::shutdown_within) of no time |
    /// | third | the groups of all processes are killed, and the program exits at once, with 130 after SIGINT and 143 after SIGTERM, also if every arbiter is stuck |
    ///
    /// | exit code | when |
    /// |-|-|
    /// | 0 | it has ended, by a signal or otherwise, without an error, and everything that was running then has stopped in time, without a fatal error: see [`is_in_time`](crate::ShutdownReport::is_in_time) and [`has_fatal`](crate::ShutdownReport::has_fatal) |
    /// | 1 | it ended with what [`join`](Self::join) returns as an error, as with a fatal one, or something had to be dropped while it stopped, would not stop, or failed with an error that is [fatal](crate::SupervisorSpec::fatal) |
    ///
    /// A service that fails at that moment, and has so stopped by itself, does not count. It is logged, as is whatever else went wrong; if
    /// nothing listens to `tracing`, that is printed to standard error.
    ///
    /// A signal that comes before, while the tree is started, ends the program as it always does, and orphans its processes:
    /// [`SupervisorActor::run`] starts the tree as well, and listens before. This is meant for the end of `main`, with the reference of a root. Signals are listened to from the first poll
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
    ///     }))?;
    ///     Ok(root.start().await?.run_until_signal().await)
    /// }
    /// ```
    pub async fn run_until_signal(&self) -> ExitCode {
        self.run(Self::listen(self.program(), None)).await
    }

    /// As [`run_until_signal`](Self::run_until_signal), and the stop that the first signal begins takes at most `limit`, as by
    /// [`shutdown_within`](Self::shutdown_within).
    ///
    /// The program keeps that bound, a tenth of a second more at most, also if the thread that this runs on is blocked: then the thread that
    /// listens to signals kills the groups of all processes that were started, says so on standard error, and exits with 1. Nothing is
    /// dropped then. If the thread is not blocked this returns 1 instead; of a supervisor below the root, processes are left alone then, since
    /// the rest of the tree runs on.
    ///
    /// # Cancel safety
    ///
    /// As [`run_until_signal`](Self::run_until_signal).
    pub async fn run_until_signal_within(&self, limit: Duration) -> ExitCode {
        self.run(Self::listen(self.program(), Some(limit))).await
    }

    /// As [`run_until_signal`](Self::run_until_signal) of the root, and tells systemd meanwhile how the tree is, if the program was started by
    /// it. systemd knows one program, so this is always about the whole tree, whichever supervisor this is.
    ///
    /// | message | when |
    /// |-|-|
    /// | `READY=1` | the services of the start are ready |
    /// | `WATCHDOG=1` | twice in the time that `WatchdogSec=` allows, as long as the supervisor of the root answers |
    /// | `STOPPING=1` | the whole tree begins to stop, by a signal or otherwise; at the latest before this returns |
    /// | `STATUS=…` | the tree has ended with an error: that error, for `systemctl status` |
    ///
    /// The unit says `Type=notify`: then units that are ordered after it wait until the tree is ready, and one whose start has failed has
    /// never been ready. systemd kills what has not ended `TimeoutStopSec=` after the stop has begun, 90 s by default, whatever began it: let
    /// that be more than the timeouts of the services add up to.
    ///
    /// The watchdog is for what supervision cannot mend: a root that is wedged, or an arbiter that is blocked. It goes hungry if the root, or
    /// the arbiter that this runs on, is busy for too long; then systemd ends the process, and starts it again with `Restart=on-watchdog`
    /// or `on-failure`. It is fed while services are down or paused, since that is the supervisor's business, and during the stop. A
    /// service that is stuck on a thread of its own does not starve it.
    ///
    /// Does no more than `run_until_signal` if `NOTIFY_SOCKET` is not set, and on systems other than Unix. A message that cannot be sent is
    /// logged, and nothing else. Sockets in the abstract namespace of Linux, which systemd no longer uses, are not supported.
    ///
    /// The variables of systemd stay in the environment, since no safe code can remove them. Processes that are services do not inherit them.
    /// Messages of others that do are ignored by systemd, unless the unit says `NotifyAccess=all`.
    ///
    /// # Cancel safety
    ///
    /// As [`run_until_signal`](Self::run_until_signal); systemd is not told any more.
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
    ///     }))?;
    ///     Ok(root.start().await?.run_under_systemd().await)
    /// }
    /// ```
    ///
    /// ```ini
    /// [Service]
    /// Type=notify
    /// ExecStart=/usr/local/bin/poller
    /// WatchdogSec=10
    /// Restart=on-failure
    /// ```
    #[cfg(feature = "sd-notify")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sd-notify")))]
    pub async fn run_under_systemd(&self) -> ExitCode {
        let root = self.root();
        let listener = Self::listen(root.clone(), None);
        crate::tree::systemd::run(self.tree(), root, listener).await
    }

    /// Listens to signals for a supervisor, unless its tree is being stopped.
    fn listen(program: Option<Program>, limit: Option<Duration>) -> Option<Listener<Program>> {
        let program = program?;
        let mut listener = Listener::start(limit)?;
        listener.obey_for(program);
        Some(listener)
    }

    async fn run(&self, listener: Option<Listener<Program>>) -> ExitCode {
        signal::run(self.extent(), self.ended(), listener).await
    }

    /// This supervisor, unless its tree is being stopped.
    fn program(&self) -> Option<Program> {
        self.handle()?;
        Some(Program(self.without_handle()))
    }

    /// The root of the tree, unless that is being stopped.
    fn root(&self) -> Option<Program> {
        let root = downcast(Arc::clone(self.handle()?.root())).ok()?;
        let address = root.address()?;
        let root = Self::new(address, root, Arc::clone(self.tree()));
        Some(Program(root.without_handle()))
    }

    fn extent(&self) -> Extent {
        if self.is_root() {
            Extent::Tree
        } else {
            Extent::Subtree
        }
    }
}

/// The supervisor that a program is made of.
// Without the handle, which would keep the tree running for as long as a signal is waited for.
#[derive(Clone)]
struct Program(SupervisorRef);

impl Top for Program {
    fn link(&self) -> &dyn AnyLink {
        self.0.link()
    }

    fn extent(&self) -> Extent {
        self.0.extent()
    }

    async fn stop(&self, limit: Option<Duration>) {
        // A command for a root and a message for any other: both reach it on a thread that is not blocked, and this one is told by its end.
        let _told_by_its_end = match limit {
            Some(limit) => self.0.told_within(limit).await,
            None => self.0.shutdown().await,
        };
    }

    fn unstopped(&self) -> ShutdownReport {
        self.0.tree().unstopped_now(self.link())
    }

    async fn answers(&self) -> bool {
        self.0.addr().send(message::Count).await.is_ok()
    }
}
