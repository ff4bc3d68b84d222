//! Why an operation is refused.

use std::{fmt, sync::Arc};

use crate::{
    policy::{ExitReason, SpecError, because, printable},
    token::ServiceToken,
};

/// Why a service is not added. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// A sibling has the name. Choose another one, or remove that service first; the name is free once it has ended.
    #[error("name `{name}` is taken by service {token}")]
    #[non_exhaustive]
    DuplicateName {
        /// The name.
        name: Arc<str>,
        /// The service that has it.
        token: ServiceToken,
    },
    /// The supervisor has as many services as its [`max_services`](crate::SupervisorSpec::max_services) allows. Remove one, or try again when
    /// one has been forgotten.
    #[error("supervisor is full: `max_services` is {max}")]
    #[non_exhaustive]
    Full {
        /// How many it may have.
        max: usize,
    },
    /// The supervisor is stopping.
    #[error("supervisor is shutting down")]
    ShuttingDown,
    /// The service would require itself, through others or directly. A bug in the caller.
    #[error("services require each other: {}", ring(members))]
    #[non_exhaustive]
    Cycle {
        /// Each requires the next one, and the last one the first.
        members: Vec<Arc<str>>,
    },
    /// The spec is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The supervisor has ended, or is down until somebody starts it again.
    #[error("supervisor is gone")]
    SupervisorGone,
}

impl AddError {
    /// A [`DuplicateName`](Self::DuplicateName), to compare with.
    pub fn duplicate_name(name: impl Into<Arc<str>>, token: ServiceToken) -> Self {
        let name = name.into();
        Self::DuplicateName { name, token }
    }

    /// A [`Full`](Self::Full), to compare with.
    pub const fn full(max: usize) -> Self {
        Self::Full { max }
    }

    /// A [`Cycle`](Self::Cycle), to compare with.
    pub const fn cycle(members: Vec<Arc<str>>) -> Self {
        Self::Cycle { members }
    }
}

/// Names that require each other, as text.
fn ring(members: &[Arc<str>]) -> String {
    let mut text = members.join(" -> ");
    if let Some(first) = members.first() {
        text.push_str(" -> ");
        text.push_str(first);
    }
    text
}

/// Declares what every operation on a service may be refused with.
macro_rules! refusals {
    ($(#[$doc:meta])* $name:ident { $($extra:tt)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, thiserror::Error)]
        #[non_exhaustive]
        pub enum $name {
            /// The service was removed, or has ended for good and was forgotten. Nothing is left to do.
            #[error("service {token} is not known")]
            #[non_exhaustive]
            UnknownToken {
                /// The token that was given.
                token: ServiceToken,
            },
            /// The token was issued by another supervisor: a bug in the caller.
            #[error("service {token} belongs to another supervisor")]
            #[non_exhaustive]
            WrongSupervisor {
                /// The token that was given.
                token: ServiceToken,
            },
            /// No service of the supervisor has this name. Check the spelling: it may also have been removed.
            #[error("no service has the name `{}`", printable(name))]
            #[non_exhaustive]
            UnknownName {
                /// The name that was given.
                name: Arc<str>,
            },
            /// No service of the tree has this path. Check the spelling: a path begins with the name of the root.
            #[error("no service has the path `{}`", printable(path))]
            #[non_exhaustive]
            UnknownPath {
                /// The path that was given.
                path: Arc<str>,
            },
            /// The supervisor is stopping, and stops the service with it.
            #[error("supervisor is shutting down")]
            ShuttingDown,
            /// The supervisor has ended, or is down until somebody starts it again.
            #[error("supervisor is gone")]
            SupervisorGone,
            $($extra)*
        }

        impl $name {
            /// An [`UnknownToken`](Self::UnknownToken), to compare with.
            pub const fn unknown_token(token: ServiceToken) -> Self {
                Self::UnknownToken { token }
            }

            /// A [`WrongSupervisor`](Self::WrongSupervisor), to compare with.
            pub const fn wrong_supervisor(token: ServiceToken) -> Self {
                Self::WrongSupervisor { token }
            }

            /// An [`UnknownName`](Self::UnknownName), to compare with.
            pub fn unknown_name(name: impl Into<Arc<str>>) -> Self {
                let name = name.into();
                Self::UnknownName { name }
            }

            /// An [`UnknownPath`](Self::UnknownPath), to compare with.
            pub fn unknown_path(path: impl Into<Arc<str>>) -> Self {
                let path = path.into();
                Self::UnknownPath { path }
            }
        }

        impl From<Unaddressed> for $name {
            fn from(refused: Unaddressed) -> Self {
                match refused {
                    Unaddressed::UnknownToken { token } => Self::UnknownToken { token },
                    Unaddressed::WrongSupervisor { token } => Self::WrongSupervisor { token },
                    Unaddressed::UnknownName { name } => Self::UnknownName { name },
                    Unaddressed::UnknownPath { path } => Self::UnknownPath { path },
                    Unaddressed::ShuttingDown => Self::ShuttingDown,
                }
            }
        }
    };
}

refusals! {
    /// Why a service is not removed.
    RemoveError {}
}

refusals! {
    /// Why a service is not stopped.
    StopError {}
}

refusals! {
    /// Why a service is not restarted.
    RestartError {
        /// The service ended before it was ready. One that was stopped stays so; another one is treated as its restart type says.
        #[error(fmt = failed)]
        #[non_exhaustive]
        Failed {
            /// Why it ended.
            #[source]
            reason: ExitReason,
        },
        /// The service has said instead of starting that it is not to run: it ended normally before it was ready, or with
        /// [`Verdict::DoNotRestart`](crate::Verdict::DoNotRestart). It has ended for good.
        #[error("service declined to start")]
        Declined,
        /// Somebody stopped or removed the service before it was ready.
        #[error("service was stopped before it was ready")]
        Interrupted,
    }
}

refusals! {
    /// Why a service is not reset.
    ResetError {
        /// The service ended before it was ready. One that was stopped stays so; another one is treated as its restart type says.
        #[error(fmt = failed)]
        #[non_exhaustive]
        Failed {
            /// Why it ended.
            #[source]
            reason: ExitReason,
        },
        /// The service has said instead of starting that it is not to run: it ended normally before it was ready, or with
        /// [`Verdict::DoNotRestart`](crate::Verdict::DoNotRestart). It has ended for good.
        #[error("service declined to start")]
        Declined,
        /// Somebody stopped or removed the service before it was ready.
        #[error("service was stopped before it was ready")]
        Interrupted,
    }
}

fn failed(reason: &ExitReason, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    because(f, format_args!("service failed to start"), reason)
}

impl RestartError {
    /// A [`Failed`](Self::Failed), to compare with.
    pub const fn failed(reason: ExitReason) -> Self {
        Self::Failed { reason }
    }
}

impl ResetError {
    /// A [`Failed`](Self::Failed), to compare with.
    pub const fn failed(reason: ExitReason) -> Self {
        Self::Failed { reason }
    }
}

/// Why a key leads to no service that can be operated on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Unaddressed {
    /// Nobody has it any more.
    UnknownToken {
        /// The token that was given.
        token: ServiceToken,
    },
    /// Another supervisor issued it.
    WrongSupervisor {
        /// The token that was given.
        token: ServiceToken,
    },
    /// No service of the supervisor has it.
    UnknownName {
        /// The name that was given.
        name: Arc<str>,
    },
    /// It leads nowhere.
    UnknownPath {
        /// The path that was given.
        path: Arc<str>,
    },
    /// The supervisor is stopping or has stopped.
    ShuttingDown,
}

/// What a service ends with that the first start of its supervisor needs, and that requires one elsewhere which does not become ready in time.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("required service `{on}` was not ready in time{}", if *missing { ": it does not exist" } else { "" })]
pub(crate) struct NotReadyError {
    /// The path that is required.
    pub(crate) on: Arc<str>,
    /// Whether there was none with this path at the end.
    pub(crate) missing: bool,
}

/// What a service ends with that requires one elsewhere which waits for this one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("services require each other: {}", ring(members))]
pub(crate) struct RingError {
    /// Each requires the next one, and the last one the first.
    pub(crate) members: Vec<Arc<str>>,
}

/// What a service ends with that waits for one that will not become ready.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("required service `{on}` {why}")]
pub(crate) struct BlockedError {
    /// The name that is required.
    pub(crate) on: Arc<str>,
    /// What is the matter with it.
    pub(crate) why: crate::event::Blocked,
}
