//! Everybody who waits for a supervisor: for the end of an operation, or for that of the supervisor.
//!
//! The state says when an operation has its answer. This says who gets it, and how: by the reply channel of the message that asked.
//!
//! # Invariants
//!
//! 1. Whoever waits is answered at most once. Dropped without an answer, its reply channel closes, and its caller gets
//!    `SupervisorGone`.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
};

use actix::{
    Actor, Message,
    dev::{MessageResponse, OneshotSender},
};
use hashbrown::HashMap;

use crate::{
    state::{Answer, ShutdownReport, SupervisorState, Waiter},
    tree::ShutdownError,
};

/// Those who wait.
#[derive(Default)]
pub(super) struct Answers {
    operations: HashMap<Waiter, Box<dyn FnOnce(Answer) + Send>>,
    /// The number of the next waiter.
    next: u64,
    /// Those who wait for the end of the supervisor.
    ends: Vec<Box<dyn FnOnce(ShutdownReport) + Send>>,
}

impl Answers {
    /// Asks the state for something that it may answer later.
    pub(super) fn ask<T, E>(
        &mut self,
        state: &mut SupervisorState,
        operation: impl FnOnce(&mut SupervisorState, Waiter) -> Result<(), E>,
        translate: impl FnOnce(Answer) -> Result<T, E> + Send + 'static,
    ) -> Deferred<Result<T, E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (deferred, give) = Deferred::new();
        let waiter = Waiter(self.next);
        self.next += 1;
        match operation(state, waiter) {
            Ok(()) => {
                // In time, although the state may know the answer already: that is an effect, and carried out at the end of this turn.
                let give = move |answer| give(translate(answer));
                self.operations.insert(waiter, Box::new(give));
                deferred
            }
            Err(refused) => Deferred::now(Err(refused)),
        }
    }

    /// Answers an operation.
    pub(super) fn give(&mut self, waiter: Waiter, answer: Answer) {
        // Nobody has the number if the incarnation that was asked has been killed meanwhile.
        if let Some(give) = self.operations.remove(&waiter) {
            give(answer);
        }
    }

    /// An answer for somebody who waits for the end of the supervisor.
    pub(super) fn await_end(&mut self) -> Deferred<Result<ShutdownReport, ShutdownError>> {
        let (deferred, give) = Deferred::new();
        self.ends.push(Box::new(move |report| give(Ok(report))));
        deferred
    }

    /// Tells those who wait for the end of the supervisor.
    pub(super) fn tell_end(&mut self, report: &ShutdownReport) {
        // Each gets a report of its own: callers of several `shutdown`s wait for the same end.
        for give in self.ends.drain(..) {
            give(report.clone());
        }
    }

    /// Drops those who wait for the end of an incarnation that did not come to tell it.
    pub(super) fn drop_ends(&mut self) {
        self.ends.clear();
    }

    /// Drops those who wait for an operation.
    pub(super) fn drop_operations(&mut self) {
        self.operations.clear();
    }
}

/// The result of a handler whose answer is given by a later event.
///
/// actix hands the reply channel to the result, after the handler has returned; the answer may be there before or after that.
/// A future per question would do too, at the cost of a task, or of a place in the list that is polled on every turn.
// A mutex, since all that a supervisor keeps must be `Send`: it moves with the factory to whichever arbiter runs it. It is locked once by the
// answer and once by the reply channel, both on that arbiter.
pub struct Deferred<T>(Arc<Mutex<Slot<T>>>);

/// What has come first, the answer or the reply channel.
enum Slot<T> {
    Answered(T),
    Asked(OneshotSender<T>),
    Empty,
}

impl<T: Send + 'static> Deferred<T> {
    /// An answer to come, and what gives it.
    fn new() -> (Self, impl FnOnce(T) + Send) {
        let slot = Arc::new(Mutex::new(Slot::Empty));
        let answer = Arc::clone(&slot);
        let give = move |value| {
            let mut slot = answer.lock().unwrap_or_else(PoisonError::into_inner);
            match mem::replace(&mut *slot, Slot::Empty) {
                Slot::Asked(tx) => {
                    let _caller_gone = tx.send(value);
                }
                // The handler is still at work, and actix comes with the reply channel after it.
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
        // Sent with `do_send`: nobody wants the answer, and what was asked is done all the same.
        let Some(tx) = tx else {
            return;
        };
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match mem::replace(&mut *slot, Slot::Empty) {
            Slot::Answered(value) => {
                let _caller_gone = tx.send(value);
            }
            Slot::Empty | Slot::Asked(_) => *slot = Slot::Asked(tx),
        }
    }
}

impl<T> fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred").finish_non_exhaustive()
    }
}
