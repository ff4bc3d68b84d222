//! What errors of the user's say, whose `Display`, `Debug` and `source` may panic.

use std::{
    error::Error,
    fmt::{self, Write},
};

use crate::user_value::quietly;

/// How a text is wanted: `{}` or `{:#}`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Plain,
    Alternate,
}

impl From<&fmt::Formatter<'_>> for Form {
    fn from(f: &fmt::Formatter<'_>) -> Self {
        if f.alternate() {
            Self::Alternate
        } else {
            Self::Plain
        }
    }
}

/// What an error says. If it panics or fails at that, what it has said before and a note.
pub(super) fn displayed(error: &(dyn Error + 'static), form: Form) -> String {
    told(|text| match form {
        Form::Plain => write!(text, "{error}"),
        Form::Alternate => write!(text, "{error:#}"),
    })
}

/// As [`displayed`], for developers.
pub(super) fn debugged(error: &(dyn Error + 'static), form: Form) -> String {
    told(|text| match form {
        Form::Plain => write!(text, "{error:?}"),
        Form::Alternate => write!(text, "{error:#?}"),
    })
}

/// The source of an error; none if it panics.
pub(super) fn source_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    quietly(|| error.source()).flatten()
}

/// What an error says, and all its causes.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let said = displayed(error, Form::Plain);
    let causes = causes(said.clone(), source_of(error));
    said + &causes
}

/// Prints what has happened and why, as errors do that wrap another one: `{}` names the reason, `{:#}` all causes as well.
pub(crate) fn because(
    f: &mut fmt::Formatter<'_>,
    what: fmt::Arguments<'_>,
    reason: &(dyn Error + 'static),
) -> fmt::Result {
    let why = match Form::from(&*f) {
        Form::Plain => displayed(reason, Form::Plain),
        Form::Alternate => with_causes(reason),
    };
    write!(f, "{what}: {why}")
}

/// What an error has not said of its causes, each after a colon.
pub(super) fn causes<'a>(mut said: String, mut next: Option<&'a (dyn Error + 'static)>) -> String {
    let mut causes = String::new();
    // The sources of a user's error may form a ring.
    for _ in 0..MAX_CHAIN {
        let Some(error) = next else { break };
        let text = displayed(error, Form::Plain);
        // Many errors name their source themselves.
        let named = said.strip_suffix(&*text);
        if !named.is_some_and(|before| before.ends_with(": ")) {
            causes.push_str(": ");
            causes.push_str(&text);
            said = text;
        }
        next = source_of(error);
    }
    causes
}

fn told(tell: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    // An error that answers `fmt::Error` would make `to_string` panic: the `String` never does, so that is its own.
    if quietly(|| tell(&mut text)) != Some(Ok(())) {
        text.push_str("(an error that cannot be printed)");
    }
    text
}

/// How far a chain of sources is followed.
pub(super) const MAX_CHAIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{ExitReason, IntoServiceError, ServiceError};

    /// An error that panics, or fails, at whatever it is asked.
    enum Hostile {
        Fails,
        Panics,
    }

    impl Hostile {
        fn answer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("begun ")?;
            match self {
                Self::Fails => Err(fmt::Error),
                Self::Panics => panic!("it cannot be printed"),
            }
        }
    }

    impl fmt::Debug for Hostile {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.answer(f)
        }
    }

    impl fmt::Display for Hostile {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.answer(f)
        }
    }

    impl Error for Hostile {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            panic!("it has no source");
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Hostile);

    const NOTE: &str = "begun (an error that cannot be printed)";

    #[test]
    fn error_that_cannot_be_printed_says_so() {
        for error in [Hostile::Fails, Hostile::Panics] {
            let reason = ExitReason::Failed(ServiceError::new(error));
            assert_eq!(reason.to_string(), format!("failed: {NOTE}"));
            assert_eq!(format!("{reason:#}"), format!("failed: {NOTE}"));
            assert_eq!(format!("{reason:?}"), format!("Failed({NOTE})"));
            assert!(reason.source().is_none());
            assert!(reason.error().is_some_and(|error| error.source().is_none()));
        }
    }

    #[test]
    fn source_that_cannot_be_printed_ends_the_chain() {
        let reason = ExitReason::Failed(ServiceError::new(Outer(Hostile::Panics)));
        assert_eq!(format!("{reason:#}"), format!("failed: outer: {NOTE}"));
    }

    #[test]
    fn error_that_stays_on_its_thread_may_be_unprintable_too() {
        let error: Box<dyn Error> = Box::new(Outer(Hostile::Fails));
        let reason = ExitReason::Failed(error.into_service_error());
        assert_eq!(format!("{reason:#}"), format!("failed: outer: {NOTE}"));
    }
}
