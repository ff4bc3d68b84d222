//! What look-ups, references and cells are shown of a service.

use std::fmt;

use super::{
    phase::{Phase, Registered},
    senders::Senders,
};
use crate::event::ServiceState;

/// What is mirrored of a service's phase: more than users see of its state, and less than decisions need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Mirrored {
    pub(crate) state: ServiceState,
    pub(crate) over: Over,
    pub(crate) senders: Senders,
}

/// Whether a service has ended for good. `No` once it is started again, and for one that was stopped on request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Over {
    No,
    /// By itself.
    Ended(EndedAs),
    /// Its supervisor has, and it with that.
    WithSupervisor,
}

/// How a service has ended for good: nothing but a request, or a restart of its group or its supervisor, starts it again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum EndedAs {
    /// It has ended, and is not to be restarted: says its restart type, its supervisor or itself.
    Finished,
    /// It failed too often, and was given up.
    GaveUp,
    /// Its arbiter is gone, and it with it; or it is out of reach on a thread that is blocked, for ever or until that is back.
    Lost,
}

impl Mirrored {
    /// What is mirrored of a service in this phase, to which messages are treated in this way.
    pub(super) fn of(phase: Phase, senders: Senders) -> Self {
        let over = match phase {
            Phase::Finished(_) => Over::Ended(EndedAs::Finished),
            Phase::Failed => Over::Ended(EndedAs::GaveUp),
            Phase::Lost => Over::Ended(EndedAs::Lost),
            Phase::Registered(Registered::ForGood) => Over::WithSupervisor,
            _ => Over::No,
        };
        Self {
            state: phase.public(),
            over,
            senders,
        }
    }

    /// Reports whether a service that was shown like `before` ends for good with this change: those who watch it are told.
    pub(super) fn is_end_after(self, before: Self) -> bool {
        self.over != Over::No && before.over == Over::No
    }

    /// How it has ended for good by itself, if it has.
    pub(crate) const fn ended(self) -> Option<EndedAs> {
        match self.over {
            Over::Ended(how) => Some(how),
            Over::No | Over::WithSupervisor => None,
        }
    }

    /// A number for this, to keep it in an atomic.
    pub(crate) const fn to_bits(self) -> u8 {
        let over = match self.over {
            Over::No => 0,
            Over::Ended(EndedAs::Finished) => 1,
            Over::Ended(EndedAs::GaveUp) => 2,
            Over::Ended(EndedAs::Lost) => 3,
            Over::WithSupervisor => 4,
        };
        let senders = match self.senders {
            Senders::Wait => 0,
            Senders::Refused => REFUSED,
        };
        self.state.to_bits() | over << OVER_SHIFT | senders
    }

    /// What has the number that [`to_bits`](Self::to_bits) has returned. The highest bit is somebody else's.
    pub(crate) fn from_bits(bits: u8) -> Self {
        Self {
            state: ServiceState::from_bits(bits & STATE),
            over: match bits >> OVER_SHIFT & OVER {
                1 => Over::Ended(EndedAs::Finished),
                2 => Over::Ended(EndedAs::GaveUp),
                3 => Over::Ended(EndedAs::Lost),
                4 => Over::WithSupervisor,
                _ => Over::No,
            },
            senders: if bits & REFUSED == 0 {
                Senders::Wait
            } else {
                Senders::Refused
            },
        }
    }
}

impl From<ServiceState> for Mirrored {
    fn from(state: ServiceState) -> Self {
        Self {
            state,
            over: Over::No,
            senders: Senders::Wait,
        }
    }
}

impl fmt::Display for EndedAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "has finished",
            Self::GaveUp => "was given up",
            Self::Lost => "is lost with its thread",
        })
    }
}

/// The bits of the state; those above say whether the service has ended for good.
const STATE: u8 = 0x07;
const OVER_SHIFT: u32 = 3;
const OVER: u8 = 0x07;
const REFUSED: u8 = 1 << 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_in_an_atomic_comes_back() {
        let endings = [EndedAs::Finished, EndedAs::GaveUp, EndedAs::Lost];
        let endings = endings.into_iter().map(Over::Ended);
        for over in endings.chain([Over::No, Over::WithSupervisor]) {
            for state in ServiceState::ALL {
                for senders in [Senders::Wait, Senders::Refused] {
                    let mirrored = Mirrored {
                        state,
                        over,
                        senders,
                    };
                    assert_eq!(Mirrored::from_bits(mirrored.to_bits()), mirrored);
                    assert_eq!(Mirrored::from_bits(mirrored.to_bits() | 0x80), mirrored);
                }
            }
        }
    }
}
