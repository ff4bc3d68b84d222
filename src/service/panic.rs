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
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    pin::Pin,
    sync::Once,
    task::{Context, Poll, Waker},
};

use actix::{Actor, dev::channel::AddressReceiver};
use futures::Stream;

use crate::{policy::ExitReason, user_value::UserValue};

/// Runs user code; a panic becomes the reason of an exit.
pub(crate) fn guard<T>(code: impl FnOnce() -> T) -> Result<T, ExitReason> {
    // Unwind safety: what the code touched is dropped by every caller, never used again.
    catch_unwind(AssertUnwindSafe(code)).map_err(reason)
}

/// Runs user code of a tear-down; of several panics the first one is kept.
pub(super) fn run_guarded(first: &mut Option<ExitReason>, code: impl FnOnce()) {
    if let Err(panic) = guard(code) {
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
pub(super) fn drain<A: Actor>(mailbox: &mut AddressReceiver<A>) {
    let mut cx = Context::from_waker(Waker::noop());
    // Polled with a waker that does nothing: nobody waits for a message any more.
    for _ in 0..MOST_DRAINED {
        let Poll::Ready(Some(envelope)) = Pin::new(&mut *mailbox).poll_next(&mut cx) else {
            return;
        };
        drop(UserValue::new(envelope));
    }
}

/// Puts a hook that remembers where a panic happened in front of the one that is installed.
///
/// The hook before goes on printing (or reporting) each panic, once. Done once per process; a program that replaces the hook later without
/// calling ours loses the location and nothing else.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info| {
            let location = info.location().map(ToString::to_string);
            // `try_with` and `try_borrow_mut`: a panic while the thread ends must not panic here again.
            let _gone_at_thread_end = LOCATION.try_with(|slot| {
                if let Ok(mut slot) = slot.try_borrow_mut() {
                    *slot = location;
                }
            });
            previous(info);
        }));
    });
}

/// Turns what a panic carried into the reason of an exit.
fn reason(payload: Box<dyn Any + Send>) -> ExitReason {
    // Taken and not copied: `resume_unwind` calls no hook, and its panic must not be given the place of this one.
    let location = LOCATION
        .try_with(|slot| slot.try_borrow_mut().ok().and_then(|mut slot| slot.take()))
        .ok()
        .flatten()
        .unwrap_or_else(|| String::from("unknown location"));
    let payload = UserValue::new(payload);
    let message = if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        String::from("Box<dyn Any>")
    };
    ExitReason::Panicked { message, location }
}

thread_local! {
    /// Where the latest panic of this thread happened, until [`reason`] takes it.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// How many messages are dropped one by one before a mailbox is closed.
const MOST_DRAINED: u32 = 1 << 16;
