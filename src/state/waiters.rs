//! Who waits for what, and what they are told.

use std::fmt;

use hashbrown::HashMap;

use super::{
    error::{RemoveError, ResetError, RestartError, StopError},
    output::{Answer, Output, Unready, Waiter},
    report::ShutdownReport,
};
use crate::policy::ExitReason;

/// Everybody who waits for a service, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Waiters(HashMap<u64, Waiting>);

/// Those who wait for one service, and what follows from what they have asked for, whether or not they still wait.
#[derive(Debug, Default)]
struct Waiting {
    /// For a start. Whatever becomes of it answers all of them.
    starts: Vec<(Waiter, Want)>,
    /// For an end.
    ends: Vec<(Waiter, Want)>,
    /// What the service was, if somebody has asked for the start of one that was down; it is that again if it does not start.
    revives: Option<Revives>,
    /// Whether somebody waits for the first start.
    first: Option<Presence>,
}

/// Says whether somebody still waits, who may go away at any time.
pub(crate) struct Presence(Box<dyn Fn() -> bool + Send>);

/// What somebody waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Want {
    /// The service is forgotten.
    Removed,
    /// The service has ended.
    Stopped,
    /// The service is ready again.
    Restarted,
    /// The service is ready again that was down; it stays what it was if it does not start.
    Revived(Revives),
    /// The service is ready again, with its failures forgotten.
    Reset,
    /// The service is ready for the first time; it is forgotten if it does not start.
    FirstReady,
}

/// What a service was that somebody has started by hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Revives {
    /// It had ended for good.
    Finished,
    /// It was stopped on request.
    Stopped,
}

/// What has become of a service that somebody may wait for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Milestone<'a> {
    /// It is ready.
    Ready,
    /// It ended before it was ready.
    Failed(&'a ExitReason),
    /// It has said instead of starting that it is not to run.
    Declined,
    /// It is not started, because somebody stops it.
    Interrupted,
    /// It is not started, because its supervisor ends.
    ShuttingDown,
    /// It has ended after it was asked to.
    Ended,
    /// It is forgotten.
    Removed(&'a ExitReason),
    /// It is forgotten, because it ended before it was ready and somebody awaited that.
    Refused {
        reason: &'a ExitReason,
        /// What went wrong while the start of a supervisor was undone.
        unwinding: &'a ShutdownReport,
    },
}

impl Waiters {
    /// Adds somebody who waits for the service of this serial.
    pub(super) fn push(&mut self, serial: u64, waiter: Waiter, want: Want) {
        let waiting = self.0.entry(serial).or_default();
        match want {
            Want::Removed | Want::Stopped => return waiting.ends.push((waiter, want)),
            Want::Revived(what) => waiting.revives = Some(what),
            Want::FirstReady => waiting.first = Some(Presence::new(|| true)),
            Want::Restarted | Want::Reset => {}
        }
        waiting.starts.push((waiter, want));
    }

    /// Says how to find out whether somebody who waits for the first start of a service still does.
    pub(super) fn set_presence(&mut self, serial: u64, presence: Presence) {
        if let Some(waiting) = self.0.get_mut(&serial)
            && let Some(first) = &mut waiting.first
        {
            *first = presence;
        }
    }

    /// Tells those who wait for a service what has become of it, if it is what they wait for.
    pub(super) fn tell(&mut self, serial: u64, milestone: Milestone<'_>, output: &mut Output) {
        let Some(waiting) = self.0.get_mut(&serial) else {
            return;
        };
        let mut answer = |(waiter, want): (Waiter, Want)| {
            if let Some(answer) = milestone.answers(want) {
                output.answer(waiter, answer);
            }
        };
        if !matches!(milestone, Milestone::Ended) {
            waiting.starts.drain(..).for_each(&mut answer);
            waiting.revives = None;
            waiting.first = None;
        }
        // Looked at for an end alone: any number may wait for one, while others ask for a start or for the same end.
        if matches!(milestone, Milestone::Ended | Milestone::Removed(_)) {
            let told = |(_, want): &mut (Waiter, Want)| milestone.answers(*want).is_some();
            waiting.ends.extract_if(.., told).for_each(answer);
        }
        // A service that nobody waits for costs nothing here, however many have waited.
        if waiting.is_empty() {
            self.0.remove(&serial);
        }
    }

    /// Forgets those who have gone away. What they have asked for is done all the same.
    pub(super) fn forget(&mut self, is_gone: impl Fn(Waiter) -> bool) {
        self.0.retain(|_, waiting| {
            let Waiting {
                starts,
                ends,
                first,
                ..
            } = waiting;
            for list in [starts, ends] {
                list.retain(|(waiter, want)| {
                    let gone = is_gone(*waiter);
                    if gone && *want == Want::FirstReady {
                        *first = None;
                    }
                    !gone
                });
                list.shrink_to_fit();
            }
            !waiting.is_empty()
        });
    }

    /// What a service was that somebody has started by hand, who may have gone away: it is that again if it does not start.
    pub(super) fn revives(&self, serial: u64) -> Option<Revives> {
        self.0.get(&serial)?.revives
    }

    /// Reports whether this is wanted. Who has gone away no longer wants the first start alone: its service is kept if it does not start.
    pub(super) fn has(&self, serial: u64, want: Want) -> bool {
        let Some(waiting) = self.0.get(&serial) else {
            return false;
        };
        match want {
            Want::FirstReady => waiting.first.as_ref().is_some_and(Presence::is_there),
            Want::Revived(what) => waiting.revives == Some(what),
            Want::Removed | Want::Stopped => waiting.ends.iter().any(|(_, has)| *has == want),
            Want::Restarted | Want::Reset => waiting.starts.iter().any(|(_, has)| *has == want),
        }
    }

    /// For tests: how many wait, for whatever service.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let all = self.0.values();
        all.map(|waiting| waiting.starts.len() + waiting.ends.len())
            .sum()
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.starts.is_empty() && self.ends.is_empty() && self.revives.is_none()
    }
}

impl Presence {
    pub(crate) fn new(is_there: impl Fn() -> bool + Send + 'static) -> Self {
        Self(Box::new(is_there))
    }

    fn is_there(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Presence").field(&self.is_there()).finish()
    }
}

impl Milestone<'_> {
    /// What somebody is told who wants this, if it is time.
    fn answers(self, want: Want) -> Option<Answer> {
        #[cfg(test)]
        LOOKED.with(|looked| looked.set(looked.get() + 1));
        match want {
            Want::Removed => self.for_removed(),
            Want::Stopped => {
                // A removal may overtake a stop. Whoever asked for the stop has what it wanted.
                let ended = matches!(self, Self::Ended | Self::Removed(_) | Self::Refused { .. });
                ended.then_some(Answer::Stopped(Ok::<(), StopError>(())))
            }
            Want::Restarted | Want::Revived(_) => self.for_restarted(),
            Want::Reset => self.for_reset(),
            Want::FirstReady => self.for_first_ready(),
        }
    }

    fn for_removed(self) -> Option<Answer> {
        match self {
            Self::Removed(reason) | Self::Refused { reason, .. } => {
                Some(Answer::Removed(Ok::<_, RemoveError>(reason.clone())))
            }
            _ => None,
        }
    }

    fn for_restarted(self) -> Option<Answer> {
        let result = match self {
            Self::Ready => Ok(()),
            Self::Failed(reason) => Err(RestartError::Failed {
                reason: reason.clone(),
            }),
            Self::Declined => Err(RestartError::Declined),
            Self::Interrupted | Self::Removed(_) | Self::Refused { .. } => {
                Err(RestartError::Interrupted)
            }
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
            Self::Declined => Err(ResetError::Declined),
            Self::Interrupted | Self::Removed(_) | Self::Refused { .. } => {
                Err(ResetError::Interrupted)
            }
            Self::ShuttingDown => Err(ResetError::ShuttingDown),
            Self::Ended => return None,
        };
        Some(Answer::Reset(result))
    }

    fn for_first_ready(self) -> Option<Answer> {
        let result = match self {
            Self::Ready => Ok(()),
            Self::Failed(reason) | Self::Removed(reason) => Err(Unready::from(reason.clone())),
            Self::Declined => Err(Unready::Declined),
            Self::Refused { reason, unwinding } => Err(Unready::Failed {
                reason: reason.clone(),
                unwinding: unwinding.failures().to_vec(),
            }),
            // It was to be started and is not: the same as one that was stopped before it was ready.
            Self::Interrupted | Self::ShuttingDown => Err(Unready::from(ExitReason::Shutdown)),
            Self::Ended => return None,
        };
        Some(Answer::Ready(result))
    }
}

#[cfg(test)]
thread_local! {
    /// How often somebody who waits was looked at.
    pub(super) static LOOKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
