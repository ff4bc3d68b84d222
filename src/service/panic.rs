//! Catches panics at the edge of user code, with the place where they happened.

use std::{
    any::Any,
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::Once,
};

use crate::policy::ExitReason;

thread_local! {
    /// Where the latest panic of this thread happened, until somebody asks.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Chains a hook that remembers where a panic happened in front of the one that is at work.
///
/// The hook before goes on printing (or reporting) each panic, once. Installed once per process; a program that
/// replaces the hook later without calling ours loses the location and nothing else.
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

/// Runs user code; a panic becomes the reason of an exit.
pub(crate) fn guard<T>(code: impl FnOnce() -> T) -> Result<T, ExitReason> {
    // Unwind safety: what the code touched is dropped by every caller, never used again.
    catch_unwind(AssertUnwindSafe(code)).map_err(reason)
}

/// Turns what a panic carried into an exit reason.
fn reason(payload: Box<dyn Any + Send>) -> ExitReason {
    let location = LOCATION
        .try_with(|slot| slot.try_borrow_mut().ok().and_then(|mut slot| slot.take()))
        .ok()
        .flatten()
        .unwrap_or_else(|| String::from("unknown location"));
    let message = if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        String::from("Box<dyn Any>")
    };
    discard(payload);
    ExitReason::Panicked { message, location }
}

/// Drops a value whose `Drop` may panic; what that panic carries is dropped likewise.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(next) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        discard(next);
    }
}
