//! What is done before the program is ended from here, without an end of its trees.
//!
//! The thread that listens to signals exits on the third one, or when a bound has passed while the program's own thread is blocked. Nothing
//! is dropped then; but what would outlive the program, its processes, must not.

use std::sync::{Mutex, PoisonError};

use crate::user_value::quietly;

/// Functions to call, each once, on whichever thread ends the program.
// A lock, since any thread may add one. It is held for an entry of a list.
static FAREWELLS: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

/// Has a function called before the program is ended from here. May be called again with the same one only by mistake.
#[cfg_attr(
    not(all(unix, feature = "process")),
    expect(dead_code, reason = "for processes")
)]
pub(crate) fn before_abrupt_exit(farewell: fn()) {
    farewells().push(farewell);
}

/// Does what has to be done before the program ends, which is up to the caller.
pub(crate) fn bid_farewell() {
    let all = std::mem::take(&mut *farewells());
    for farewell in all {
        let _the_program_ends = quietly(farewell);
    }
}

fn farewells() -> std::sync::MutexGuard<'static, Vec<fn()>> {
    FAREWELLS.lock().unwrap_or_else(PoisonError::into_inner)
}
