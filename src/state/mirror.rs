//! What look-ups, references and cells are shown of a service.

use std::fmt;

use super::{phase::Phase, senders::Senders, service_state::ServiceState};

/// What is mirrored of a service's phase: more than users see of its state, and less than decisions need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Mirrored {
    pub(crate) state: ServiceState,
    /// How it has ended for good, if it has. `None` once it is started again, and for one that was stopped on request.
    pub(crate) ended: Option<EndedAs>,
    pub(crate) senders: Senders,
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
        let ended = match phase {
            Phase::Finished(_) => Some(EndedAs::Finished),
            Phase::Failed => Some(EndedAs::GaveUp),
            Phase::Lost => Some(EndedAs::Lost),
            _ => None,
        };
        Self {
            state: phase.public(),
            ended,
            senders,
        }
    }

    /// A number for this, to keep it in an atomic.
    pub(crate) const fn to_bits(self) -> u8 {
        let ended = match self.ended {
            None => 0,
            Some(EndedAs::Finished) => 1,
            Some(EndedAs::GaveUp) => 2,
            Some(EndedAs::Lost) => 3,
        };
        let senders = match self.senders {
            Senders::Wait => 0,
            Senders::Refused => REFUSED,
        };
        self.state.to_bits() | ended << ENDED_SHIFT | senders
    }

    /// What has the number that [`to_bits`](Self::to_bits) has returned. The highest bit is somebody else's.
    pub(crate) fn from_bits(bits: u8) -> Self {
        Self {
            state: ServiceState::from_bits(bits & STATE),
            ended: match bits >> ENDED_SHIFT & 3 {
                1 => Some(EndedAs::Finished),
                2 => Some(EndedAs::GaveUp),
                3 => Some(EndedAs::Lost),
                _ => None,
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
            ended: None,
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

/// The bits of the state; those above say how the service has ended.
const STATE: u8 = 0x0f;
const ENDED_SHIFT: u32 = 4;
const REFUSED: u8 = 1 << 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_in_an_atomic_comes_back() {
        let endings = [EndedAs::Finished, EndedAs::GaveUp, EndedAs::Lost];
        let endings = endings.into_iter().map(Some).chain([None]);
        for ended in endings {
            for state in ServiceState::ALL {
                for senders in [Senders::Wait, Senders::Refused] {
                    let mirrored = Mirrored {
                        state,
                        ended,
                        senders,
                    };
                    assert_eq!(Mirrored::from_bits(mirrored.to_bits()), mirrored);
                    assert_eq!(Mirrored::from_bits(mirrored.to_bits() | 0x80), mirrored);
                }
            }
        }
    }
}
