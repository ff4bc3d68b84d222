//! A tree as a service of systemd, which is told how it is.

use std::process::ExitCode;

use super::SupervisorRef;

impl SupervisorRef {
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
    pub async fn run_under_systemd(&self) -> ExitCode {
        #[cfg(unix)]
        let code = unix::run(self).await;
        #[cfg(not(unix))]
        let code = self.run_until_signal().await;
        code
    }
}

#[cfg(unix)]
mod unix {
    use std::{convert::Infallible, future::pending, pin::pin, process::ExitCode, time::Duration};

    use futures::future::{Either, join, select};
    use sd_notify::NotifyState;
    use tokio::time::{MissedTickBehavior, interval};

    use crate::{
        service::{AnyLink, Link},
        supervisor::{SupervisorActor, SupervisorRef, message::Count, root::tree_of},
    };

    /// Whether systemd knows that the tree stops.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Stopping {
        Told,
        Untold,
    }

    pub(super) async fn run(supervisor: &SupervisorRef) -> ExitCode {
        let mut stopping = Stopping::Untold;
        let code = {
            // Asked first: a signal that answers to `READY=1` finds somebody who listens.
            let run = pin!(supervisor.run_until_signal());
            let tell = pin!(tell(supervisor, &mut stopping));
            match select(run, tell).await {
                Either::Left((code, _)) => code,
                Either::Right((never, _)) => match never {},
            }
        };
        if stopping == Stopping::Untold {
            notify(&NotifyState::Stopping);
        }
        let error = match supervisor.outcome().await {
            Ok(outcome) => outcome.result.err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = error {
            // A message is a list of lines.
            notify(&NotifyState::Status(&error.replace('\n', " ")));
        }
        code
    }

    /// Tells how the tree is, until it is dropped.
    async fn tell(supervisor: &SupervisorRef, stopping: &mut Stopping) -> Infallible {
        if let Some(root) = supervisor.root()
            && let Some(tree) = tree_of(root)
        {
            let stages = async {
                let mut closing = tree.closing.subscribe();
                let is_ready = {
                    let token = root.core().token();
                    let ready = pin!(supervisor.when_ready::<SupervisorActor>(token));
                    let stopping = pin!(closing.wait_for(|begun| *begun));
                    matches!(select(ready, stopping).await, Either::Left((Ok(_), _)))
                };
                if is_ready {
                    notify(&NotifyState::Ready);
                }
                let begun = closing.wait_for(|begun| *begun).await.is_ok();
                if begun {
                    notify(&NotifyState::Stopping);
                    *stopping = Stopping::Told;
                }
            };
            join(stages, feed_watchdog(root)).await;
        }
        pending().await
    }

    /// Feeds the watchdog as long as the root answers, if systemd has one.
    async fn feed_watchdog(root: &Link<SupervisorActor>) {
        let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
            return;
        };
        let Some(root) = root.address() else {
            return;
        };
        let mut feeding = interval((limit / 2).max(Duration::from_micros(1)));
        feeding.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            feeding.tick().await;
            match root.send(Count).await {
                Ok(_) => notify(&NotifyState::Watchdog),
                Err(_) => return, // its tree has ended
            }
        }
    }

    fn notify(state: &NotifyState<'_>) {
        if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
            tracing::warn!(target: "resurgam", %error, "cannot tell systemd `{state}`");
        }
    }
}
