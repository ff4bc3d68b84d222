//! What is wrong with a specification.

use super::printable::printable;

/// A specification that cannot be followed.
///
/// It is refused as a whole when it is given, before anything has changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A name is empty, is longer than 255 bytes, or contains a control character, a line separator, a mark of the direction of text, or a `/`,
    /// which separates the names of a path. Choose another name.
    #[error("name `{}` is refused: {reason}", printable(name))]
    #[non_exhaustive]
    InvalidName {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A field holds a value that has no meaning there. Choose one that is expected.
    #[error("`{field}` is `{}`, expected {expected}", printable(value))]
    #[non_exhaustive]
    InvalidValue {
        /// The setter that was given the value.
        field: &'static str,
        /// The value as it was given.
        value: String,
        /// What would have been accepted.
        expected: &'static str,
    },
}

impl SpecError {
    /// The error for `name`.
    pub(crate) fn name(name: &str, reason: &'static str) -> Self {
        Self::InvalidName {
            name: name.to_owned(),
            reason,
        }
    }

    /// The error of a setter that is given several values, of which this is wrong with one.
    pub(crate) fn within(self, setter: &'static str) -> Self {
        match self {
            Self::InvalidValue {
                field,
                value,
                expected,
            } => Self::InvalidValue {
                field: setter,
                value: format!("{field} = {value}"),
                expected,
            },
            name @ Self::InvalidName { .. } => name,
        }
    }

    /// The error for `value` in `field`.
    pub(crate) fn value(
        field: &'static str,
        value: &impl ToString,
        expected: &'static str,
    ) -> Self {
        Self::InvalidValue {
            field,
            value: value.to_string(),
            expected,
        }
    }
}

/// Refuses a duration of zero.
pub(super) fn not_zero(
    field: &'static str,
    duration: std::time::Duration,
) -> Result<(), SpecError> {
    if duration.is_zero() {
        return Err(SpecError::value(
            field,
            &format_args!("{duration:?}"),
            "a duration above zero",
        ));
    }
    Ok(())
}

/// Refuses a fraction that is negative, infinite or not a number.
pub(super) fn fraction(field: &'static str, value: f64) -> Result<(), SpecError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(SpecError::value(
        field,
        &value,
        "a finite fraction that is not negative",
    ))
}
