//! Answers to whoever waits, be it on another executor.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Wake, Waker},
};

use tokio::sync::{oneshot, watch};

use crate::user_value::{UserValue, quietly};

/// Where an answer goes. Whoever waits for it is woken by its own waker, which is the code of another executor: a panic in that costs
/// nobody but whoever waits.
pub(crate) struct Reply<T>(UserValue<oneshot::Sender<T>>);

impl<T> Reply<T> {
    pub(crate) const fn new(sender: oneshot::Sender<T>) -> Self {
        Self(UserValue::new(sender))
    }

    /// Reports whether somebody waits.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.0.is_closed()
    }

    /// Waits until nobody waits any more.
    pub(crate) async fn unwanted(&mut self) {
        self.0.closed().await;
    }

    /// Answers, if somebody waits.
    pub(crate) fn give(self, answer: T) {
        let sender = self.0.into_inner();
        let _nobody_to_tell = quietly(move || drop(sender.send(answer)));
    }
}

/// What anybody may read, and wait for. A panic of a waker costs nobody but whoever waits with it, as with a [`Reply`].
pub(crate) struct Published<T>(UserValue<watch::Sender<T>>);

impl<T> Published<T> {
    pub(crate) fn new(value: T) -> Self {
        Self::by(watch::Sender::new(value))
    }

    pub(crate) const fn by(sender: watch::Sender<T>) -> Self {
        Self(UserValue::new(sender))
    }

    pub(crate) fn read(&self) -> watch::Ref<'_, T> {
        self.0.borrow()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<T> {
        self.0.subscribe()
    }

    /// Puts another value into the place of the present one, and wakes whoever waits.
    pub(crate) fn replace(&self, value: T) {
        let _nobody_to_tell = quietly(|| drop(self.0.send_replace(value)));
    }

    /// Changes the value, and wakes whoever waits if `change` says that it has.
    pub(crate) fn modify(&self, change: impl FnOnce(&mut T) -> bool) {
        let _nobody_to_tell = quietly(|| self.0.send_if_modified(change));
    }
}

/// Waits for what many may wait for, with a waker that does not panic whatever that of the caller does: tokio wakes them one after the other,
/// and those behind one that panics would be forgotten.
pub(crate) async fn side_by_side<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let waker = Waker::from(Arc::new(Quiet(UserValue::new(cx.waker().clone()))));
        future.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

/// A waker whose panics cost nobody but whoever waits with it.
struct Quiet(UserValue<Waker>);

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let _nobody_to_tell = quietly(|| self.0.wake_by_ref());
    }
}
