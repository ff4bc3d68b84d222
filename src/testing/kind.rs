//! The kinds of events, without what they say.

use std::fmt;

use crate::event::EventKind;

macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        /// A kind of event, to be expected: each is a variant of [`EventKind`] without its fields.
        ///
        /// Prints as [`EventKind::name`] does.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum Kind {
            $(
                #[doc = concat!("See [`EventKind::", stringify!($kind), "`].")]
                $kind,
            )+
        }

        impl From<&EventKind> for Kind {
            fn from(kind: &EventKind) -> Self {
                match kind {
                    $(EventKind::$kind { .. } => Self::$kind,)+
                }
            }
        }

        #[cfg(test)]
        impl Kind {
            const ALL: &[Self] = &[$(Self::$kind),+];
        }
    };
}

kinds! {
    ServiceAdded,
    ServiceStarted,
    ServiceReady,
    ServiceStartFailed,
    ServiceDeclined,
    ServiceFailed,
    ServicePanicked,
    ServiceCompleted,
    RestartScheduled,
    ServiceStopped,
    StopTimedOut,
    StartTimedOut,
    ServiceAbandoned,
    ServiceGaveUp,
    ServicePaused,
    ServiceResumed,
    ServiceBlocked,
    MessagesRefused,
    ServiceRemoved,
    ServiceReset,
    PresentState,
    Requested,
    PauseStarted,
    PauseEnded,
    LimitExceeded,
    GroupRestarted,
    SupervisorStarted,
    SupervisorStartFailed,
    SupervisorStopped,
    SupervisorEscalated,
    Reconfigured,
    TableUnreachable,
    TableRecovered,
    RowRejected,
    RowVanished,
    ScanRefused,
    EventsLost,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.extend(letter.to_lowercase());
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_prints_as_its_events_are_named() {
        let some = [
            EventKind::ServiceAdded,
            EventKind::PauseEnded { queued: 1 },
            EventKind::EventsLost { count: 1 },
        ];
        for event in &some {
            assert_eq!(Kind::from(event).to_string(), event.name());
        }
        assert_eq!(format!("{:>14}|", Kind::ServiceReady), " service_ready|");
        let mut names: Vec<_> = Kind::ALL.iter().map(ToString::to_string).collect();
        let number = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), number);
    }
}
