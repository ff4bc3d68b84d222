//! Names one service of one supervisor, and is never reused.
//!
//! # Invariants
//!
//! 1. No two calls of [`ServiceToken::issue`] in one process return equal tokens.
//! 2. Tokens order by creation: of two tokens issued one after the other the later one is greater.

use std::{
    fmt,
    str::FromStr,
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
///
/// Prints as three numbers, `17.2.4`, and is [made of that text](FromStr) again, within the same process: a text that names nothing is a
/// token like that of a service that is gone.
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
        let Self {
            serial,
            supervisor,
            slot,
        } = self;
        f.pad(&format!("{serial}.{supervisor}.{slot}"))
    }
}

/// As it prints.
#[cfg(feature = "serde")]
impl serde::Serialize for ServiceToken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for ServiceToken {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let mut parts = text.split('.');
        let token = Self {
            serial: number(parts.next())?,
            supervisor: SupervisorId(number(parts.next())?),
            slot: number(parts.next())?,
        };
        match parts.next() {
            None => Ok(token),
            Some(_) => Err(ParseTokenError(())),
        }
    }
}

/// A number as it is printed: without a sign, and without a zero in front.
fn number<T: FromStr + fmt::Display>(text: Option<&str>) -> Result<T, ParseTokenError> {
    let text = text.ok_or(ParseTokenError(()))?;
    let number: T = text.parse().map_err(|_| ParseTokenError(()))?;
    if number.to_string() == text {
        Ok(number)
    } else {
        Err(ParseTokenError(()))
    }
}

/// A text that no [`ServiceToken`] prints as.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a token is three numbers, as in `17.2.4`")]
pub struct ParseTokenError(());

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
        Self(NEXT_SUPERVISOR.fetch_add(1, Ordering::Relaxed))
    }

    /// Reports whether a supervisor has or had this id.
    pub(crate) fn was_issued(self) -> bool {
        // Whoever has an id that was issued has it from the thread that issued it, or through something that orders the two.
        (1..NEXT_SUPERVISOR.load(Ordering::Relaxed)).contains(&self.0)
    }
}

impl fmt::Display for SupervisorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

static NEXT_SUPERVISOR: AtomicU32 = AtomicU32::new(1);

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
    fn token_is_small_and_is_what_it_prints() {
        let token = ServiceToken::from_parts(17, SupervisorId(2), 4);
        assert_eq!(size_of::<ServiceToken>(), 16);
        assert_eq!(token.to_string(), "17.2.4");
        assert_eq!(format!("{token:>8}"), "  17.2.4");
        let issued = ServiceToken::issue(SupervisorId::issue(), 4);
        for token in [token, issued] {
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    #[test]
    fn text_that_no_token_prints_is_refused() {
        for text in [
            "",
            "17",
            "17.2",
            "17.2.",
            "17.2.4.1",
            "17.2.x",
            "+17.2.4",
            "017.2.4",
            " 17.2.4",
            "17.4294967296.4",
            "18446744073709551616.2.4",
            "-1.2.4",
            "root/a",
        ] {
            assert_eq!(
                text.parse::<ServiceToken>(),
                Err(ParseTokenError(())),
                "{text}"
            );
        }
    }

    #[test]
    fn supervisor_that_never_was_is_known_as_such() {
        let issued = SupervisorId::issue();
        assert!(issued.was_issued());
        assert!(!SupervisorId(0).was_issued());
        assert!(!SupervisorId(u32::MAX).was_issued());
    }
}
