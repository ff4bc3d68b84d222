//! Answers that come later than the turn in which they were asked for.

use std::sync::{Arc, Mutex, PoisonError};

use actix::{
    Actor, Message,
    dev::{MessageResponse, OneshotSender},
};

/// The result of a handler whose answer is given by a later event.
///
/// actix hands the reply channel to the result, after the handler has returned; the answer may be there before or after that.
/// A future per question would do too, at the cost of a task, or of a place in the list that is polled on every turn.
pub struct Deferred<T>(Arc<Mutex<Slot<T>>>);

enum Slot<T> {
    Answered(T),
    Asked(OneshotSender<T>),
    Empty,
}

impl<T: Send + 'static> Deferred<T> {
    /// An answer to come, and what gives it.
    pub(super) fn new() -> (Self, impl FnOnce(T) + Send) {
        let slot = Arc::new(Mutex::new(Slot::Empty));
        let answer = Arc::clone(&slot);
        let give = move |value| {
            let mut slot = answer.lock().unwrap_or_else(PoisonError::into_inner);
            match std::mem::replace(&mut *slot, Slot::Empty) {
                Slot::Asked(tx) => {
                    let _caller_gone = tx.send(value);
                }
                Slot::Empty | Slot::Answered(_) => *slot = Slot::Answered(value),
            }
        };
        (Self(slot), give)
    }

    /// An answer that is known already.
    pub(super) fn now(value: T) -> Self {
        Self(Arc::new(Mutex::new(Slot::Answered(value))))
    }
}

impl<A, M> MessageResponse<A, M> for Deferred<M::Result>
where
    A: Actor,
    M: Message,
{
    fn handle(self, _: &mut A::Context, tx: Option<OneshotSender<M::Result>>) {
        let Some(tx) = tx else {
            return;
        };
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Answered(value) => {
                let _caller_gone = tx.send(value);
            }
            Slot::Empty | Slot::Asked(_) => *slot = Slot::Asked(tx),
        }
    }
}

impl<T> std::fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deferred").finish_non_exhaustive()
    }
}
