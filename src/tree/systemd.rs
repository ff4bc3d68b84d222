//! Tells systemd how a tree is, while signals may end it.

use std::process::ExitCode;

use super::{
    Tree,
    signal::{Listener, Top},
};

/// As [`signal::run`](super::signal::run), and tells systemd meanwhile how the tree is, if the program was started by it.
pub(crate) async fn run<T: Top>(
    tree: &Tree,
    root: Option<T>,
    listener: Option<Listener<T>>,
) -> ExitCode {
    #[cfg(unix)]
    let code = unix::run(tree, root, listener).await;
    #[cfg(not(unix))]
    let code = {
        drop(root);
        super::signal::run(super::signal::Extent::Tree, tree.ended(), listener).await
    };
    code
}

#[cfg(unix)]
mod unix {
    use std::{convert::Infallible, future::pending, pin::pin, process::ExitCode, time::Duration};

    use futures::future::{Either, join, select};
    use sd_notify::NotifyState;
    use tokio::time::{MissedTickBehavior, interval};

    use crate::{
        tree::{
            Tree,
            error::result,
            signal::{self, Extent, Listener, Top},
        },
        user_value::say,
    };

    /// Whether systemd knows that the tree stops.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Stopping {
        Told,
        Untold,
    }

    pub(super) async fn run<T: Top>(
        tree: &Tree,
        root: Option<T>,
        listener: Option<Listener<T>>,
    ) -> ExitCode {
        let mut stopping = Stopping::Untold;
        let code = {
            // Polled first, so that signals are listened to before `READY=1` is told: whoever is told may answer with a signal at once.
            let run = pin!(signal::run(Extent::Tree, tree.ended(), listener));
            let tell = pin!(tell(tree, root.as_ref(), &mut stopping));
            match select(run, tell).await {
                Either::Left((code, _)) => code,
                Either::Right((never, _)) => match never {},
            }
        };
        // The tree ended before `tell` was polled again, or was being stopped when this began.
        if stopping == Stopping::Untold {
            notify(&NotifyState::Stopping);
        }
        let error = match tree.ended().await {
            Ok(ended) => result(&ended).err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = error {
            // A message to systemd is a list of lines, so a line break would begin another variable.
            notify(&NotifyState::Status(&error.replace('\n', " ")));
        }
        code
    }

    /// Tells how the tree is, until it is dropped.
    async fn tell(tree: &Tree, root: Option<&impl Top>, stopping: &mut Stopping) -> Infallible {
        if let Some(root) = root {
            let stages = async {
                let mut closing = tree.closing.subscribe();
                // A tree that is stopped before it was ready is never told to be: units behind it would start.
                let is_ready = {
                    let token = root.link().core().token();
                    let ready = pin!(tree.when_ready(token.into()));
                    let stopping = pin!(closing.wait_for(|begun| *begun));
                    matches!(select(ready, stopping).await, Either::Left((Ok(_), _)))
                };
                if is_ready {
                    notify(&NotifyState::Ready);
                }
                let begun = closing.wait_for(|begun| *begun).await.is_ok();
                // Never an error, since `tree` holds the sender. If the system ends without a stop, this waits on and `run` returns.
                if begun {
                    notify(&NotifyState::Stopping);
                    *stopping = Stopping::Told;
                }
            };
            // The watchdog is fed during the start and the stop as well: each may take longer than systemd allows between two feedings.
            join(stages, feed_watchdog(root)).await;
        }
        // `run` decides when the program ends, not this.
        pending().await
    }

    /// Feeds the watchdog as long as the root answers, if systemd has one.
    async fn feed_watchdog(root: &impl Top) {
        let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
            return;
        };
        // Half the limit, as systemd advises. tokio panics for an interval of zero.
        let mut feeding = interval((limit / 2).max(Duration::from_micros(1)));
        // After a late answer the next question comes half a limit later, and not at once to make up for it.
        feeding.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            feeding.tick().await;
            if !root.answers().await {
                // The tree has ended. systemd waits for the end of the program now, by another limit.
                return;
            }
            notify(&NotifyState::Watchdog);
        }
    }

    fn notify(state: &NotifyState<'_>) {
        if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
            say(|| tracing::warn!(target: "resurgam", %error, "cannot tell systemd `{state}`"));
        }
    }
}
