//! What the function of a service may return.

use super::{IntoServiceError, ServiceError};

/// What the function of a service may return: `()`, or a `Result<(), E>` whose error is one of a [service](IntoServiceError).
///
/// One that never returns, as a `loop` without a `break`, may as well. The compiler finds the parameter.
#[diagnostic::on_unimplemented(
    message = "the function of a service cannot return `{Self}`",
    note = "it returns `()`, or a `Result<(), E>` with an error that is `Send + Sync + 'static`, with a text, or with a `Box<dyn Error>`"
)]
pub trait TaskOutput<Through>: Sealed {
    /// What becomes of the service.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), ServiceError>;
}

impl TaskOutput<()> for () {
    fn into_result(self) -> Result<(), ServiceError> {
        Ok(())
    }
}

impl<E: IntoServiceError<B>, B> TaskOutput<B> for Result<(), E> {
    fn into_result(self) -> Result<(), ServiceError> {
        self.map_err(E::into_service_error)
    }
}

impl TaskOutput<Self> for Never {
    fn into_result(self) -> Result<(), ServiceError> {
        self
    }
}

/// What only the crate can implement.
#[expect(
    unnameable_types,
    reason = "a trait that can be named can be implemented"
)]
pub trait Sealed {}

impl Sealed for () {}
impl<E> Sealed for Result<(), E> {}
impl Sealed for Never {}

/// The type `!`, which has no name yet outside of what functions return.
type Never = <fn() -> ! as Returns>::Output;

/// Names what a function returns.
#[expect(unnameable_types, reason = "only for the name of a type")]
pub trait Returns {
    /// That.
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}
