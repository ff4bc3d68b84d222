//! What may become the error of a service, also where it may not leave its thread.

use std::{error::Error, fmt};

use super::{
    ExitReason, ScopeEnding, ServiceError, Verdict,
    told::{Form, MAX_CHAIN, debugged, displayed, source_of},
};

/// What a function of a service may fail with: what [`ServiceError::new`] takes, or a `Box<dyn Error>`.
///
/// The compiler finds the parameter, which only keeps the two apart.
///
/// A plain `Box<dyn Error>` may not be sent to another thread, as events are. Its texts and those of its sources are kept, and a
/// [`Verdict`], [`ServiceError`], [`ExitReason`] or [`ScopeEnding`] among them; other types are lost. Use
/// `Box<dyn Error + Send + Sync>` to keep them all.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a service",
    note = "a service fails with an error that is `Send + Sync + 'static`, with a text, or with a `Box<dyn Error>`"
)]
pub trait IntoServiceError<Through> {
    /// Makes the error that supervisors and events show.
    fn into_service_error(self) -> ServiceError;
}

impl<E: Into<Box<dyn Error + Send + Sync>>> IntoServiceError<Box<dyn Error + Send + Sync>> for E {
    fn into_service_error(self) -> ServiceError {
        ServiceError::new(self)
    }
}

impl IntoServiceError<Self> for Box<dyn Error> {
    fn into_service_error(self) -> ServiceError {
        ServiceError::new(retell(&*self, MAX_CHAIN))
    }
}

/// An error that stands for one that could not be sent.
struct Retold {
    text: String,
    debug: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Copies an error and as many of its sources, as far as they can be copied.
fn retell(error: &(dyn Error + 'static), sources: usize) -> Box<dyn Error + Send + Sync> {
    if let Some(error) = error.downcast_ref::<ServiceError>() {
        return Box::new(error.clone());
    }
    if let Some(reason) = error.downcast_ref::<ExitReason>() {
        return Box::new(reason.clone());
    }
    if let Some(verdict) = error.downcast_ref::<Verdict>() {
        return Box::new(*verdict);
    }
    if let Some(ending) = error.downcast_ref::<ScopeEnding>() {
        return Box::new(ending.clone());
    }
    // The text and the sources of an `io::Error` are those of the error that it holds, which itself would be passed over.
    let held = error
        .downcast_ref::<std::io::Error>()
        .and_then(|error| error.get_ref());
    if let Some(held) = held
        && sources > 0
    {
        return retell(held, sources - 1);
    }
    let source = source_of(error).filter(|_| sources > 0);
    Box::new(Retold {
        text: displayed(error, Form::Plain),
        debug: debugged(error, Form::Plain),
        source: source.map(|source| retell(source, sources - 1)),
    })
}

impl fmt::Debug for Retold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.debug)
    }
}

impl fmt::Display for Retold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Retold {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
