//! The span of an incarnation of a task.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tracing::{Span, span::Entered};

use crate::{
    service::StartContext,
    user_value::{UserValue, quietly},
};

/// A span whose subscriber may panic. That costs what the subscriber was to be told, and nothing else.
pub(super) struct TaskSpan(UserValue<Span>);

impl TaskSpan {
    /// The span of the incarnation that `start` is about.
    pub(super) fn new(start: &StartContext) -> Self {
        let span = quietly(|| {
            tracing::info_span!(
                target: "resurgam::task",
                parent: None,
                "task",
                path = start.path(),
                token = %start.token(),
                generation = start.generation(),
            )
        });
        Self(UserValue::new(span.unwrap_or_else(Span::none)))
    }

    pub(super) fn get(&self) -> &Span {
        &self.0
    }

    /// Runs code inside of the span.
    pub(super) fn in_scope<T>(&self, code: impl FnOnce() -> T) -> T {
        // Left when this returns, also if the code panics.
        let _inside = Inside(quietly(|| self.0.enter()));
        code()
    }
}

struct Inside<'a>(Option<Entered<'a>>);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let entered = self.0.take();
        let _nobody_to_tell = quietly(move || drop(entered));
    }
}

/// A future that is polled and dropped inside of the span of its incarnation.
pub(super) struct InSpan<T> {
    span: Arc<TaskSpan>,
    /// `None` only while it is being dropped.
    future: Option<Pin<Box<dyn Future<Output = T>>>>,
}

impl<T> InSpan<T> {
    pub(super) fn new(span: Arc<TaskSpan>, future: impl Future<Output = T> + 'static) -> Self {
        Self {
            span,
            future: Some(Box::pin(future)),
        }
    }
}

impl<T> Future for InSpan<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self { span, future } = self.get_mut();
        match future {
            Some(future) => span.in_scope(|| future.as_mut().poll(cx)),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for InSpan<T> {
    fn drop(&mut self) {
        let future = self.future.take();
        self.span.in_scope(|| drop(future));
    }
}
