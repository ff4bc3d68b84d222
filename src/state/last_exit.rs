//! Why a service ended the last time.

use crate::policy::ExitReason;

/// Why a service ended the last time. Only a failure needs room of its own.
#[derive(Debug)]
pub(super) enum LastExit {
    None,
    Normal,
    Other(Box<ExitReason>),
    Shutdown,
}

impl LastExit {
    pub(super) fn get(&self) -> Option<ExitReason> {
        match self {
            Self::None => None,
            Self::Normal => Some(ExitReason::Normal),
            Self::Shutdown => Some(ExitReason::Shutdown),
            Self::Other(reason) => Some((**reason).clone()),
        }
    }
}

impl From<&ExitReason> for LastExit {
    fn from(reason: &ExitReason) -> Self {
        match reason {
            ExitReason::Normal => Self::Normal,
            ExitReason::Shutdown => Self::Shutdown,
            other => Self::Other(Box::new(other.clone())),
        }
    }
}
