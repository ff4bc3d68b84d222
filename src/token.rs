//! Names one service of one supervisor, and is never reused.
//!
//! # Invariants
//!
//! 1. No two calls of [`ServiceToken::issue`] in one process return equal tokens.
//! 2. Tokens order by creation: of two tokens issued one after the other the later one is greater.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

/// Names one service of one supervisor for the life of the process.
///
/// A token is handed out when a service is added. It stays with the service through every restart and is never given
/// to another one, so a token of a service that is gone stays an error for ever. Tokens order by the time of the
/// adding.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ServiceToken {
    // First, because the derived order compares the fields in this order.
    serial: u64,
    supervisor: SupervisorId,
    slot: u32,
}

impl ServiceToken {
    /// A token that no call has returned before.
    pub(crate) fn issue(supervisor: SupervisorId, slot: u32) -> Self {
        // Relaxed is enough: nothing is published through this number, and the modification order of one atomic alone
        // already gives every `fetch_add` another value.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
            supervisor,
            slot,
        }
    }

    /// A token as it was issued before.
    pub(crate) const fn from_parts(serial: u64, supervisor: SupervisorId, slot: u32) -> Self {
        Self {
            serial,
            supervisor,
            slot,
        }
    }

    /// The place in the tables of its supervisor, which is used again after the service is gone.
    pub(crate) const fn slot(self) -> u32 {
        self.slot
    }

    /// The supervisor that issued the token.
    pub(crate) const fn supervisor(self) -> SupervisorId {
        self.supervisor
    }

    /// The number of the token, unique in the process.
    pub(crate) const fn serial(self) -> u64 {
        self.serial
    }
}

impl fmt::Display for ServiceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.serial, f)
    }
}

/// What names a service in an operation or a look-up: a token, a reference, a name, or a path.
///
/// | made of | names |
/// |-|-|
/// | a [`ServiceToken`], or a reference | that service |
/// | text without a `/` | the service with this name among those of the supervisor that is asked |
/// | text with a `/` | the service with this path, whose first name is that of the root: `root/db/pool` |
///
/// What a name or a path leads to is found out when the request is read, not when it is made.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ServiceKey(Key);

/// The kinds of a [`ServiceKey`].
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Key {
    /// One among the services of the supervisor that is asked.
    Name(Arc<str>),
    /// The names from the root.
    Path(Arc<str>),
    Token(ServiceToken),
}

impl ServiceKey {
    pub(crate) const fn key(&self) -> &Key {
        &self.0
    }
}

impl From<ServiceToken> for ServiceKey {
    fn from(token: ServiceToken) -> Self {
        Self(Key::Token(token))
    }
}

impl From<&ServiceToken> for ServiceKey {
    fn from(token: &ServiceToken) -> Self {
        Self(Key::Token(*token))
    }
}

impl From<Arc<str>> for ServiceKey {
    fn from(text: Arc<str>) -> Self {
        Self(if text.contains('/') {
            Key::Path(text)
        } else {
            Key::Name(text)
        })
    }
}

impl From<&str> for ServiceKey {
    fn from(text: &str) -> Self {
        Self::from(Arc::from(text))
    }
}

impl From<String> for ServiceKey {
    fn from(text: String) -> Self {
        Self::from(Arc::from(text))
    }
}

impl From<&String> for ServiceKey {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl fmt::Display for ServiceKey {
    /// The text or the token that it was made of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Key::Name(text) | Key::Path(text) => f.write_str(text),
            Key::Token(token) => fmt::Display::fmt(token, f),
        }
    }
}

/// Names one supervisor for the life of the process.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct SupervisorId(u32);

impl SupervisorId {
    /// An id that no call has returned before, up to four thousand million supervisors.
    pub(crate) fn issue() -> Self {
        // Relaxed is enough for the same reason as above: only uniqueness is needed.
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for SupervisorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_never_issued_twice() {
        let supervisor = SupervisorId::issue();
        let first = ServiceToken::issue(supervisor, 0);
        let second = ServiceToken::issue(supervisor, 0);
        assert_ne!(first, second);
        assert!(first < second);
    }

    #[test]
    fn later_token_is_greater_whatever_its_supervisor_and_slot() {
        let (one, two) = (SupervisorId::issue(), SupervisorId::issue());
        let first = ServiceToken::issue(two, 9);
        let second = ServiceToken::issue(one, 3);
        assert!(first < second);
    }

    #[test]
    fn text_is_a_name_or_a_path() {
        let (name, path) = (ServiceKey::from("pool"), ServiceKey::from("root/pool"));
        assert_eq!(*name.key(), Key::Name(Arc::from("pool")));
        assert_eq!(*path.key(), Key::Path(Arc::from("root/pool")));
        assert_eq!(
            (name.to_string(), path.to_string()),
            ("pool".into(), "root/pool".into())
        );
    }

    #[test]
    fn token_is_small_and_prints_its_number() {
        let token = ServiceToken::from_parts(17, SupervisorId::issue(), 4);
        assert_eq!(size_of::<ServiceToken>(), 16);
        assert_eq!(token.to_string(), "17");
    }
}
