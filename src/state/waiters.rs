//! Who waits for what, and what they are told.

use hashbrown::HashMap;

use super::{
    error::{RemoveError, ResetError, RestartError, StopError},
    output::{Answer, Output, Waiter},
};
use crate::policy::ExitReason;

/// Everybody who waits for a service, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Waiters(HashMap<u64, Vec<(Waiter, Want)>>);

/// What somebody waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Want {
    /// The service is forgotten.
    Removed,
    /// The service has ended.
    Stopped,
    /// The service is ready again.
    Restarted,
    /// The service is ready again that was stopped; it stays stopped if it does not start.
    Revived,
    /// The service is ready again, with its failures forgotten.
    Reset,
    /// The service is ready for the first time; it is forgotten if it does not start.
    FirstReady,
}

/// What has become of a service that somebody may wait for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Milestone<'a> {
    /// It is ready.
    Ready,
    /// It ended before it was ready.
    Failed(&'a ExitReason),
    /// It is not started, because somebody stops it.
    Interrupted,
    /// It is not started, because its supervisor ends.
    ShuttingDown,
    /// It has ended after it was asked to.
    Ended,
    /// It is forgotten.
    Removed(&'a ExitReason),
}

impl Waiters {
    /// Adds somebody who waits for the service of this serial.
    pub(super) fn push(&mut self, serial: u64, waiter: Waiter, want: Want) {
        self.0.entry(serial).or_default().push((waiter, want));
    }

    /// Tells those who wait for a service what has become of it, if it is what they wait for.
    pub(super) fn tell(&mut self, serial: u64, milestone: Milestone<'_>, output: &mut Output) {
        let Some(all) = self.0.get_mut(&serial) else {
            return;
        };
        // In the order in which they came, each at most once.
        all.retain(|(waiter, want)| match milestone.answers(*want) {
            Some(answer) => {
                output.answer(*waiter, answer);
                false
            }
            None => true,
        });
        // A service that nobody waits for costs nothing here, however many have waited.
        if all.is_empty() {
            self.0.remove(&serial);
        }
    }

    /// Reports whether somebody waits for this.
    pub(super) fn has(&self, serial: u64, want: Want) -> bool {
        let all = self.0.get(&serial);
        all.is_some_and(|all| all.iter().any(|(_, present)| *present == want))
    }
}

impl Milestone<'_> {
    /// What somebody is told who wants this, if it is time.
    fn answers(self, want: Want) -> Option<Answer> {
        match want {
            Want::Removed => self.for_removed(),
            Want::Stopped => {
                // A removal may overtake a stop. Whoever asked for the stop has what it wanted.
                let ended = matches!(self, Self::Ended | Self::Removed(_));
                ended.then_some(Answer::Stopped(Ok::<(), StopError>(())))
            }
            Want::Restarted | Want::Revived => self.for_restarted(),
            Want::Reset => self.for_reset(),
            Want::FirstReady => self.for_first_ready(),
        }
    }

    fn for_removed(self) -> Option<Answer> {
        match self {
            Self::Removed(reason) => Some(Answer::Removed(Ok::<_, RemoveError>(reason.clone()))),
            _ => None,
        }
    }

    fn for_restarted(self) -> Option<Answer> {
        let result = match self {
            Self::Ready => Ok(()),
            Self::Failed(reason) => Err(RestartError::Failed {
                reason: reason.clone(),
            }),
            Self::Interrupted | Self::Removed(_) => Err(RestartError::Interrupted),
            Self::ShuttingDown => Err(RestartError::ShuttingDown),
            // The end with which the restart begins.
            Self::Ended => return None,
        };
        Some(Answer::Restarted(result))
    }

    fn for_reset(self) -> Option<Answer> {
        let result = match self {
            Self::Ready => Ok(()),
            Self::Failed(reason) => Err(ResetError::Failed {
                reason: reason.clone(),
            }),
            Self::Interrupted | Self::Removed(_) => Err(ResetError::Interrupted),
            Self::ShuttingDown => Err(ResetError::ShuttingDown),
            Self::Ended => return None,
        };
        Some(Answer::Reset(result))
    }

    fn for_first_ready(self) -> Option<Answer> {
        let result = match self {
            Self::Ready => Ok(()),
            Self::Failed(reason) | Self::Removed(reason) => Err(reason.clone()),
            // It was to be started and is not: the same as one that was stopped before it was ready.
            Self::Interrupted | Self::ShuttingDown => Err(ExitReason::Shutdown),
            Self::Ended => return None,
        };
        Some(Answer::Ready(result))
    }
}
