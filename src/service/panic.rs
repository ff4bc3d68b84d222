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
    any::{Any, TypeId},
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook},
    pin::Pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
};

use actix::{Actor, dev::channel::AddressReceiver};
use futures::Stream;

use crate::{
    policy::ExitReason,
    user_value::{UserValue, quietly},
};

/// Runs user code; a panic becomes the reason of an exit.
pub(crate) fn guard<T>(code: impl FnOnce() -> T) -> Result<T, ExitReason> {
    keep_hook();
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

thread_local! {
    /// Whether a panic of this thread is no news.
    static PROBING: Cell<bool> = const { Cell::new(false) };
}

/// Puts a hook that remembers where a panic happens in front of the one that is installed, unless ours is there.
///
/// The hook before goes on printing (or reporting) each panic, once. Called before user code runs, and costs the reading of a variable: a
/// program may set a hook of its own at any time, and ours goes in front of that then. One that keeps ours and does not call it is found
/// out by the first panic that ours has not seen, whose place is lost.
#[inline]
pub(crate) fn keep_hook() {
    // Relaxed: whoever sees an old number keeps the hook one call later.
    if LIVING.load(Ordering::Relaxed) == 0 {
        install_hook(If::NoneLives);
    }
}

/// When a hook is to be installed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum If {
    NoneLives,
    /// Ours may have been put behind another one, or aside.
    NotInFront,
}

#[cold]
fn install_hook(when: If) {
    // Locked from the look to the change. What is kept is the address of the hook that was installed last.
    static LATEST: Mutex<usize> = Mutex::new(0);

    // A thread that unwinds may not touch the hook. There is another guard soon.
    if thread::panicking() {
        return;
    }
    let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    if when == If::NoneLives && LIVING.load(Ordering::Relaxed) > 0 {
        return;
    }
    let installed = take_hook();
    // While one lives, nothing else has its address.
    if LIVING.load(Ordering::Relaxed) > 0 && address(&*installed) == *latest {
        set_hook(installed);
        return;
    }
    LIVING.fetch_add(1, Ordering::Relaxed);
    let living = Living;
    let hook: Box<Hook> = Box::new(move |info| {
        let _lives_as_long_as_the_hook = &living;
        if !PROBING.try_with(Cell::get).unwrap_or(false) {
            Place::note(info);
            installed(info);
        }
    });
    *latest = address(&*hook);
    set_hook(hook);
}

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync + 'static;

fn address(hook: &Hook) -> usize {
    std::ptr::from_ref(hook).cast::<()>().addr()
}

/// Counts the hooks of ours that were not dropped: a program that sets its own without keeping ours drops it.
static LIVING: AtomicUsize = AtomicUsize::new(0);

struct Living;

impl Drop for Living {
    fn drop(&mut self) {
        LIVING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Turns what a panic carried into the reason of an exit.
fn reason(payload: Box<dyn Any + Send>) -> ExitReason {
    let location = Place::take(&*payload).unwrap_or_else(|| {
        // Raised again by `resume_unwind`, which calls no hook, or another hook is in the way.
        install_hook(If::NotInFront);
        String::from("unknown location")
    });
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

/// Where a panic of this thread has happened, with what tells it from others.
///
/// User code may catch a panic itself, and raise another one by `resume_unwind`, for which no hook is called; or one happens and is caught
/// while the thread unwinds from another. So the latest few are kept, and found by what they carry.
struct Place {
    carried: Carried,
    location: String,
}

/// What a panic carries, as far as it can be told from what others do.
#[derive(Debug, PartialEq)]
enum Carried {
    /// A value of another type. Two panics with the same such type are taken for the same.
    Other(TypeId),
    /// A text that is part of the program, by its address.
    Static { address: usize, length: usize },
    /// A text that was made, by its address and what it says: the address is used again.
    Text { address: usize, text: String },
}

impl Carried {
    fn of(payload: &(dyn Any + Send)) -> Self {
        if let Some(text) = payload.downcast_ref::<&'static str>() {
            Self::Static {
                address: text.as_ptr().addr(),
                length: text.len(),
            }
        } else if let Some(text) = payload.downcast_ref::<String>() {
            Self::Text {
                address: text.as_ptr().addr(),
                text: text.clone(),
            }
        } else {
            Self::Other(payload.type_id())
        }
    }
}

impl Place {
    /// Called by the hook.
    fn note(info: &PanicHookInfo<'_>) {
        let Some(location) = info.location() else {
            return;
        };
        let carried = Carried::of(info.payload());
        let place = Self {
            carried,
            location: location.to_string(),
        };
        // `try_with` and `try_borrow_mut`: a panic while the thread ends must not panic here again.
        let _gone_at_thread_end = PLACES.try_with(|places| {
            if let Ok(mut places) = places.try_borrow_mut() {
                // Once, also if two hooks of ours are called.
                places.retain(|known| known.carried != place.carried);
                if places.len() == MOST_PLACES {
                    places.remove(0);
                }
                places.push(place);
            }
        });
    }

    /// The place of the panic that carries `payload`, if a hook of ours was called for it on this thread.
    fn take(payload: &(dyn Any + Send)) -> Option<String> {
        let carried = Carried::of(payload);
        let taken = PLACES.try_with(|places| {
            let mut places = places.try_borrow_mut().ok()?;
            let index = places.iter().rposition(|known| known.carried == carried)?;
            Some(places.remove(index).location)
        });
        taken.ok().flatten()
    }
}

thread_local! {
    /// Where the latest panics of this thread have happened that nobody has asked for.
    static PLACES: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// How many panics are remembered that user code has caught itself, or that others follow while they unwind.
const MOST_PLACES: usize = 4;
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
