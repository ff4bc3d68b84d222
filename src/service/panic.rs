//! Runs and drops user code, and catches its panics with the place where they happened.
//!
//! A panic becomes the reason of an exit here; what ends with it, the caller decides. A value of the user's that is only kept belongs into
//! a [`UserValue`], which needs nothing of this module. The functions here are for code that is run, and for drops whose panic is to be
//! told.
//!
//! # Invariants
//!
//! 1. Two values of the user's are never dropped in one guard: while the stack unwinds from the panic of the first, a panic of the
//!    second would abort the process. What actix's own context holds is the exception, see `hosted::adopted`.
//! 2. What a panic carries is itself a value of the user's, and is dropped in a guard.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use actix::{Actor, dev::channel::AddressReceiver};
use futures::Stream;

use super::hook::{self, PROBING, keep_hook, message_of};
use crate::{
    policy::ExitReason,
    user_value::{Told, UserValue, quietly},
};

/// Runs user code; a panic becomes a reason, with which its caller does what it likes: it is printed as ever.
pub(crate) fn guard<T>(code: impl FnOnce() -> T) -> Result<T, ExitReason> {
    let _printed = Told::No.enter();
    catch(code)
}

/// Runs the code of a service; a panic becomes the reason of its exit, and is told as that.
pub(crate) fn guard_service<T>(code: impl FnOnce() -> T) -> Result<T, ExitReason> {
    let told = Told::Yes.enter();
    let done = catch(code);
    drop(told);
    hook::tell_what_was_caught();
    done
}

fn catch<T>(code: impl FnOnce() -> T) -> Result<T, ExitReason> {
    keep_hook();
    // Unwind safety: what the code touched is dropped by every caller, never used again.
    catch_unwind(AssertUnwindSafe(code)).map_err(reason)
}

/// Runs user code of a tear-down; of several panics the first one is kept.
pub(super) fn run_guarded(first: &mut Option<ExitReason>, code: impl FnOnce()) {
    // Whether the first one is told knows whoever tears down; of the others nobody hears.
    let _printed = first.is_some().then(|| Told::No.enter());
    if let Err(panic) = catch(code) {
        first.get_or_insert(panic);
    }
}

/// Drops a value of the user's; of several panics the first one is kept.
pub(super) fn drop_guarded<T>(first: &mut Option<ExitReason>, value: T) {
    run_guarded(first, move || drop(value));
}

/// Drops what is queued, message by message; whoever waits for an answer gets `Closed`.
///
/// What arrives from here on is dropped with the mailbox itself. Bounded, since the `Drop` of a message may send the next one for as long
/// as the mailbox is open.
pub(super) fn drain<A: Actor>(mailbox: &mut AddressReceiver<A>) -> Drained {
    let mut cx = Context::from_waker(Waker::noop());
    // Polled with a waker that does nothing: nobody waits for a message any more.
    for _ in 0..MOST_DRAINED {
        let Poll::Ready(Some(envelope)) = Pin::new(&mut *mailbox).poll_next(&mut cx) else {
            return Drained::All;
        };
        drop(UserValue::new(envelope));
    }
    Drained::Many
}

/// Drops what is queued, and closes the mailbox.
pub(super) fn close<A: Actor>(mut mailbox: AddressReceiver<A>) {
    let _closed_in_any_case = drain(&mut mailbox);
    // What is left is dropped by the mailbox itself. If a message panics there, an address that is still there keeps the others from being
    // dropped while the stack unwinds: a second panic would abort the process.
    let address = UserValue::new(mailbox.sender());
    drop(UserValue::new(mailbox));
    drop(address);
}

/// How much of a mailbox was drained.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(super) enum Drained {
    /// All that was there.
    All,
    /// As much as is drained at most.
    Many,
}

/// Tries what panics if it cannot be done, where nothing else tells whether it can. Nothing is printed of that panic.
pub(crate) fn probe(attempt: impl FnOnce()) -> Result<(), Impossible> {
    keep_hook();
    PROBING.set(true);
    let done = quietly(attempt);
    PROBING.set(false);
    done.ok_or(Impossible)
}

/// A [`probe`] has panicked.
#[derive(Debug)]
pub(crate) struct Impossible;

/// Turns what a panic carried into the reason of an exit.
fn reason(payload: Box<dyn Any + Send>) -> ExitReason {
    let (location, backtrace) = hook::take_place(&*payload);
    let payload = UserValue::new(payload);
    let message = message_of(&**payload);
    ExitReason::Panicked {
        message,
        location,
        backtrace,
    }
}

/// How many messages are dropped one by one before a mailbox is closed.
const MOST_DRAINED: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::panic::{panic_any, resume_unwind};

    use super::*;

    fn place_of(code: impl FnOnce()) -> String {
        match guard(code) {
            Err(ExitReason::Panicked { location, .. }) => location,
            other => panic!("{other:?}"),
        }
    }

    fn is_here(location: &str) -> bool {
        location.starts_with(file!())
    }

    fn caught(code: impl FnOnce()) -> Box<dyn Any + Send> {
        catch_unwind(AssertUnwindSafe(code)).expect_err("it panics")
    }

    #[test]
    fn panic_that_is_raised_anew_is_not_given_the_place_of_one_that_was_caught() {
        let place = place_of(|| {
            drop(caught(|| panic!("caught")));
            resume_unwind(Box::new("another"));
        });
        assert_eq!(place, "unknown location");
        let place = place_of(|| {
            let number = 1;
            drop(caught(|| panic!("caught {number}")));
            // As long as the one before, and perhaps where that one was.
            resume_unwind(Box::new(format!("caught {}", number + 1)));
        });
        assert_eq!(place, "unknown location");
        let place = place_of(|| {
            drop(caught(|| panic!("caught")));
            resume_unwind(Box::new(7));
        });
        assert_eq!(place, "unknown location");
    }

    #[test]
    fn panic_that_is_caught_and_raised_again_keeps_its_place() {
        let place = place_of(|| {
            let first = caught(|| panic!("first {}", 1));
            drop(caught(|| panic!("second")));
            resume_unwind(first);
        });
        assert!(is_here(&place), "{place}");
        assert!(is_here(&place_of(|| panic_any(7))));
    }

    #[test]
    fn panic_keeps_its_place_while_another_is_caught_as_it_unwinds() {
        struct Careful;
        impl Drop for Careful {
            fn drop(&mut self) {
                assert!(is_here(&place_of(|| panic!("inner {}", 1))));
            }
        }
        let place = place_of(|| {
            let _careful = Careful;
            panic!("outer {}", 2);
        });
        assert!(is_here(&place), "{place}");
    }
}
