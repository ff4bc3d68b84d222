//! Everybody who waits for a supervisor: for the end of an operation, or for that of the supervisor.
//!
//! The state says when an operation has its answer. This says who gets it, and how: by the reply channel of the message that asked.
//!
//! # Invariants
//!
//! 1. Whoever waits is answered at most once. Dropped without an answer, its reply channel closes, and its caller gets
//!    `SupervisorGone`.
//! 2. Those who have gone away are at most as many as those who wait, and a few.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use actix::{
    Actor, Message,
    dev::{MessageResponse, OneshotSender},
};
use hashbrown::HashMap;

use crate::{
    service::Reply,
    state::{Answer, Presence, ShutdownReport, SupervisorState, Waiter},
    tree::ShutdownError,
};

/// Those who wait.
pub(super) struct Answers {
    operations: HashMap<Waiter, Box<dyn Caller<Answer>>>,
    /// The number of the next waiter.
    next: u64,
    /// Those who wait for the end of the supervisor.
    ends: Vec<Box<dyn Caller<ShutdownReport>>>,
    /// How many there may be before it is looked who has gone away.
    look_at: usize,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self {
            operations: HashMap::new(),
            next: 0,
            ends: Vec::new(),
            look_at: FEWEST,
        }
    }

    /// Asks the state for something that it may answer later. An answer that `translate` does not know leaves the caller without one.
    pub(super) fn ask<T, E>(
        &mut self,
        state: &mut SupervisorState,
        operation: impl FnOnce(&mut SupervisorState, Waiter) -> Result<(), E>,
        translate: impl FnOnce(Answer) -> Option<Result<T, E>> + Send + 'static,
    ) -> Deferred<Result<T, E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.forget_who_has_left(state);
        let waiter = Waiter(self.next);
        self.next += 1;
        match operation(state, waiter) {
            Ok(()) => {
                // In time, although the state may know the answer already: that is an effect, and carried out at the end of this turn.
                let (deferred, caller) = Deferred::new(translate);
                self.operations.insert(waiter, caller);
                deferred
            }
            Err(refused) => Deferred::now(Err(refused)),
        }
    }

    /// Answers an operation.
    pub(super) fn give(&mut self, waiter: Waiter, answer: Answer) {
        // Nobody has the number if the caller has left, or if the incarnation that was asked has been killed meanwhile.
        if let Some(caller) = self.operations.remove(&waiter) {
            caller.give(answer);
        }
    }

    /// An answer for somebody who waits for the end of the supervisor.
    pub(super) fn await_end(
        &mut self,
        state: &mut SupervisorState,
    ) -> Deferred<Result<ShutdownReport, ShutdownError>> {
        self.forget_who_has_left(state);
        let (deferred, caller) = Deferred::new(|report| Some(Ok(report)));
        self.ends.push(caller);
        deferred
    }

    /// Tells those who wait for the end of the supervisor.
    pub(super) fn tell_end(&mut self, report: &ShutdownReport) {
        // Each gets a report of its own: callers of several `shutdown`s wait for the same end.
        for caller in self.ends.drain(..) {
            caller.give(report.clone());
        }
    }

    /// Refuses those who wait for an operation.
    pub(super) fn drop_operations(&mut self) {
        self.operations.clear();
    }

    /// Forgets those who have gone away, when there are twice as many entries as were left the last time: what an entry costs in all is
    /// bounded, however many there are.
    fn forget_who_has_left(&mut self, state: &mut SupervisorState) {
        if self.operations.len() + self.ends.len() < self.look_at {
            return;
        }
        self.operations.retain(|_, caller| caller.is_there());
        self.ends.retain(|caller| caller.is_there());
        let operations = &self.operations;
        state.forget_waiters(|waiter| !operations.contains_key(&waiter));
        let left = operations.len() + self.ends.len();
        self.look_at = FEWEST.max(2 * left);
        self.operations.shrink_to(self.look_at);
        self.ends.shrink_to(self.look_at);
    }
}

/// From how many entries on it is looked who has gone away.
const FEWEST: usize = 32;

/// Somebody who waits for an answer that is made of a `V`.
trait Caller<V>: Send {
    /// Reports whether the answer is still wanted.
    fn is_there(&self) -> bool;

    fn give(self: Box<Self>, value: V);
}

/// The caller of a message, and how its answer is made.
struct Asked<T, F> {
    slot: Arc<Shared<T>>,
    translate: F,
}

impl<V, T, F> Caller<V> for Asked<T, F>
where
    T: Send,
    F: FnOnce(V) -> Option<T> + Send,
{
    fn is_there(&self) -> bool {
        // Alone with a slot that no reply channel has come to: the handler has panicked.
        self.slot.is_wanted() && (Arc::strong_count(&self.slot) > 1 || !self.slot.is_empty())
    }

    fn give(self: Box<Self>, value: V) {
        let Self { slot, translate } = *self;
        if let Some(answer) = translate(value) {
            slot.answer(answer);
        }
    }
}

/// The result of a handler whose answer is given by a later event.
///
/// actix hands the reply channel to the result, after the handler has returned; the answer may be there before or after that.
/// A future per question would do too, at the cost of a task, or of a place in the list that is polled on every turn.
#[expect(
    unnameable_types,
    reason = "the result of handlers, with which users can do nothing"
)]
pub struct Deferred<T>(By<T>);

/// Who answers.
enum By<T> {
    /// This supervisor.
    This(Arc<Shared<T>>),
    /// Another one, which is given the reply channel with the message.
    Another(Box<dyn FnOnce(Option<OneshotSender<T>>) + Send>),
}

impl<T: Send + 'static> Deferred<T> {
    /// An answer to come, and who gets it.
    fn new<V>(
        translate: impl FnOnce(V) -> Option<T> + Send + 'static,
    ) -> (Self, Box<dyn Caller<V>>) {
        let slot = Arc::new(Shared::new(Slot::Empty));
        let caller = Asked {
            slot: Arc::clone(&slot),
            translate,
        };
        (Self(By::This(slot)), Box::new(caller))
    }

    /// An answer that is known already.
    pub(super) fn now(value: T) -> Self {
        Self(By::This(Arc::new(Shared::new(Slot::Answered(value)))))
    }

    /// No answer: the reply channel closes, as that of an actor that is gone.
    pub(super) fn refused() -> Self {
        Self(By::This(Arc::new(Shared::new(Slot::Unwanted))))
    }

    /// The answer of somebody else, who is sent the request with the reply channel.
    pub(super) fn elsewhere(send: impl FnOnce(Option<OneshotSender<T>>) + Send + 'static) -> Self {
        Self(By::Another(Box::new(send)))
    }

    /// Whether the caller still waits, for the state.
    pub(super) fn presence(&self) -> Presence {
        let slot = match &self.0 {
            By::This(slot) => Arc::downgrade(slot),
            By::Another(_) => Weak::new(),
        };
        Presence::new(move || slot.upgrade().is_some_and(|slot| slot.is_wanted()))
    }
}

impl<A, M> MessageResponse<A, M> for Deferred<M::Result>
where
    A: Actor,
    M: Message,
{
    fn handle(self, _: &mut A::Context, tx: Option<OneshotSender<M::Result>>) {
        self.reply_to(tx);
    }
}

impl<T> Deferred<T> {
    /// Says where the answer goes, if anybody wants it.
    pub(super) fn reply_to(self, tx: Option<OneshotSender<T>>) {
        match self.0 {
            By::This(slot) => slot.ask(tx.map(Reply::new)),
            By::Another(send) => send(tx),
        }
    }
}

impl<T> fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred").finish_non_exhaustive()
    }
}

/// Where the answer and the reply channel meet.
// A mutex, since all that a supervisor keeps must be `Send`: it moves with the factory to whichever arbiter runs it. It is locked by the
// answer, by the reply channel and by who looks for callers that have left, all on that arbiter.
struct Shared<T>(Mutex<Slot<T>>);

/// What has come first, the answer or the reply channel.
enum Slot<T> {
    Answered(T),
    Asked(Reply<T>),
    Empty,
    /// Sent with `do_send`: nobody wants the answer, and what was asked is done all the same.
    Unwanted,
}

impl<T> Shared<T> {
    fn new(slot: Slot<T>) -> Self {
        Self(Mutex::new(slot))
    }

    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        // Never poisoned in the middle of a change: each is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        matches!(*self.lock(), Slot::Empty)
    }

    fn is_wanted(&self) -> bool {
        match &*self.lock() {
            Slot::Answered(_) | Slot::Empty => true,
            Slot::Asked(reply) => reply.is_wanted(),
            Slot::Unwanted => false,
        }
    }

    /// The answer has come.
    fn answer(&self, value: T) {
        let mut slot = self.lock();
        match mem::replace(&mut *slot, Slot::Unwanted) {
            Slot::Asked(reply) => {
                // Not under the lock, since it wakes the caller.
                drop(slot);
                reply.give(value);
            }
            // The handler is still at work, and actix comes with the reply channel after it.
            Slot::Empty | Slot::Answered(_) => *slot = Slot::Answered(value),
            Slot::Unwanted => {}
        }
    }

    /// The reply channel has come, if there is one.
    fn ask(&self, reply: Option<Reply<T>>) {
        let mut slot = self.lock();
        match (mem::replace(&mut *slot, Slot::Unwanted), reply) {
            (Slot::Answered(value), Some(reply)) => {
                drop(slot);
                reply.give(value);
            }
            (Slot::Empty | Slot::Asked(_), Some(reply)) => *slot = Slot::Asked(reply),
            // Refused, or nobody asks.
            (_, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        policy::ExitReason,
        state::{RemoveError, ServiceRules, SupervisorRules},
        token::{ServiceToken, SupervisorId},
    };

    type Removed = Result<ExitReason, RemoveError>;

    struct Bench {
        answers: Answers,
        state: SupervisorState,
        token: ServiceToken,
        now: Instant,
    }

    impl Bench {
        /// A supervisor that waits for the end of a service.
        fn new() -> Self {
            let now = crate::supervisor::clock::now();
            let rules = SupervisorRules::default();
            let id = SupervisorId::issue();
            let mut state = SupervisorState::new(id, Arc::from("root"), rules, Box::new(|| 0.5));
            let token = state.add(ServiceRules::new("a"), now).unwrap();
            state.start(now);
            Self {
                answers: Answers::new(),
                state,
                token,
                now,
            }
        }

        fn remove(&mut self) -> Deferred<Removed> {
            let (token, now) = (self.token, self.now);
            self.answers.ask(
                &mut self.state,
                |state, waiter| state.remove(token, waiter, now),
                |answer| match answer {
                    Answer::Removed(result) => Some(result),
                    _ => None,
                },
            )
        }

        /// Removes, and waits for the answer.
        fn wait(&mut self) -> oneshot::Receiver<Removed> {
            let (tx, rx) = oneshot::channel();
            self.remove().reply_to(Some(tx));
            rx
        }

        fn len(&self) -> usize {
            self.answers.operations.len() + self.answers.ends.len()
        }
    }

    #[actix::test]
    async fn callers_that_have_left_are_forgotten_and_those_that_wait_are_answered() {
        let mut bench = Bench::new();
        let mut waiting = Vec::new();
        for number in 0..10_000 {
            match number % 4 {
                // Dropped at once.
                0 => drop(bench.wait()),
                // Sent without waiting.
                1 => bench.remove().reply_to(None),
                // The handler has panicked after it has asked.
                2 => drop(bench.remove()),
                _ if number % 100 == 3 => waiting.push(bench.wait()),
                _ => drop(bench.answers.await_end(&mut bench.state)),
            }
        }
        assert!(bench.len() <= 2 * waiting.len() + FEWEST, "{}", bench.len());
        assert!(bench.answers.operations.capacity() <= 8 * waiting.len());
        assert!(bench.answers.ends.capacity() <= 8 * waiting.len());

        let exit = crate::state::Exit::from(ExitReason::Shutdown);
        bench.state.exited(bench.token, 0, exit, bench.now);
        while let Some(effect) = bench.state.next_effect() {
            if let crate::state::Effect::Answer { waiter, answer } = effect {
                bench.answers.give(waiter, answer);
            }
        }
        for mut answer in waiting {
            assert_eq!(answer.try_recv().unwrap(), Ok(ExitReason::Shutdown));
        }
    }

    #[test]
    fn whoever_waits_for_an_end_is_there_until_it_has_left() {
        let mut bench = Bench::new();
        let (tx, rx) = oneshot::channel();
        let deferred = bench.remove();
        let presence = deferred.presence();
        assert_eq!(format!("{presence:?}"), "Presence(true)");
        deferred.reply_to(Some(tx));
        assert_eq!(format!("{presence:?}"), "Presence(true)");
        drop(rx);
        assert_eq!(format!("{presence:?}"), "Presence(false)");
    }
}
