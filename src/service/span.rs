//! The span of an incarnation.

use std::sync::Arc;

use tracing::{Level, Span, level_filters::LevelFilter, span::Entered};

use super::link::LinkCore;
use crate::user_value::{UserValue, quietly};

/// The span of an incarnation, whose subscriber may panic. That costs what the subscriber was to be told, and nothing else.
#[derive(Debug)]
pub(crate) struct ServiceSpan(UserValue<Span>);

impl ServiceSpan {
    /// The span of the present incarnation; none if nobody listens, so that it costs nothing.
    pub(super) fn of(core: &LinkCore) -> Option<Arc<Self>> {
        if LevelFilter::current() < Level::INFO {
            return None;
        }
        let span = quietly(|| {
            tracing::info_span!(
                target: "resurgam::service",
                parent: None,
                "service",
                path = &**core.path(),
                token = %core.token(),
                generation = core.generation(),
            )
        });
        let span = span.filter(|span| !span.is_disabled())?;
        Some(Arc::new(Self(UserValue::new(span))))
    }

    /// One that is never entered.
    pub(crate) fn none() -> Self {
        Self(UserValue::new(Span::none()))
    }

    pub(crate) fn get(&self) -> &Span {
        &self.0
    }

    /// Enters it, until what this returns is dropped.
    pub(super) fn enter(&self) -> Inside<'_> {
        Inside(quietly(|| self.0.enter()))
    }

    /// Runs code inside of the span.
    pub(crate) fn in_scope<T>(&self, code: impl FnOnce() -> T) -> T {
        // Left when this returns, also if the code panics.
        let _inside = self.enter();
        code()
    }
}

/// The time inside of a span.
pub(super) struct Inside<'a>(Option<Entered<'a>>);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let entered = self.0.take();
        let _nobody_to_tell = quietly(move || drop(entered));
    }
}
