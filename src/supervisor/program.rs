//! A tree as a program, which ends when the operating system says so.

use std::{future::Future, process::ExitCode, sync::Arc, time::Duration};

use actix::Addr;

use super::{actor::SupervisorActor, clock::now, message, reference::SupervisorRef};
use crate::{
    service::{AnyLink, downcast},
    state::StopBy,
    tree::signal,
};

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
        signal::run(self.tree(), self.root()).await
    }

    /// As [`run_until_signal`](Self::run_until_signal), and tells systemd meanwhile how the tree is, if the program was started by it.
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
    /// The variables of systemd stay in the environment, since no safe code can remove them. Messages of processes that inherit them are
    /// ignored by systemd, unless the unit says `NotifyAccess=all`.
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
    ///         Ok::<_, std::io::Error>(())
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
        crate::tree::systemd::run(self.tree(), self.root()).await
    }

    /// The root of the tree, unless that is being stopped.
    fn root(&self) -> Option<Root> {
        let handle = self.handle()?;
        Some(Root(Arc::clone(handle.root())))
    }
}

/// The root of a tree, for whoever makes a program of the tree.
// Its link and not the handle, which would keep the tree running for as long as a signal is waited for.
#[derive(Clone)]
struct Root(Arc<dyn AnyLink>);

impl signal::Root for Root {
    fn link(&self) -> &Arc<dyn AnyLink> {
        &self.0
    }

    fn kill_what_runs(&self) {
        // A root whose arbiter is blocked does not see it, for which there is the third signal.
        if let Some(at_once) = StopBy::within(Duration::ZERO, now()) {
            self.0.core().stop_by(at_once);
        }
    }

    fn answers(&self) -> impl Future<Output = bool> + Send {
        // Sent now and awaited later, so that the future does not borrow the root.
        let asked = self.address().map(|address| address.send(message::Count));
        async move {
            match asked {
                Some(asked) => asked.await.is_ok(),
                None => false,
            }
        }
    }
}

impl Root {
    fn address(&self) -> Option<Addr<SupervisorActor>> {
        downcast::<SupervisorActor>(Arc::clone(&self.0))
            .ok()?
            .address()
    }
}
