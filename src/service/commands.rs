//! The commands of a supervisor, as the bits that go through the lane, and as its cell takes them.

use super::lane::Lane;
use crate::policy::KillCause;

/// A set of commands, as taken by the cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commands(pub(super) u8);

impl Commands {
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn starts(self) -> bool {
        self.0 & Lane::START != 0
    }

    pub(super) fn stops(self) -> bool {
        self.0 & Lane::STOP != 0
    }

    /// Whether what becomes of messages may have changed.
    pub(super) fn looks(self) -> bool {
        self.0 & Lane::LOOK != 0
    }

    pub(super) fn releases(self) -> bool {
        self.0 & Lane::RELEASE != 0
    }

    /// The cause, if the incarnation is to be killed.
    pub(super) fn kills(self) -> Option<KillCause> {
        (self.0 & Lane::KILL != 0).then(|| Self::decode(self.0 >> Lane::CAUSE_SHIFT))
    }

    /// The bits of a cause. All of [`CAUSES`] fit into the three bits above the commands.
    pub(super) fn encode(cause: KillCause) -> u8 {
        let index = CAUSES.iter().position(|known| *known == cause);
        u8::try_from(index.unwrap_or(0)).unwrap_or(0) << Lane::CAUSE_SHIFT
    }

    fn decode(index: u8) -> KillCause {
        CAUSES
            .get(usize::from(index))
            .copied()
            .unwrap_or(KillCause::Requested)
    }
}

/// The causes of a kill, by the number that stands for them in [`Commands`].
const CAUSES: [KillCause; 5] = [
    KillCause::Requested,
    KillCause::StopTimeout,
    KillCause::StartTimeout,
    KillCause::Unresponsive,
    KillCause::ArbiterStopped,
];
