//! Values of the user's, whose `Drop` may panic wherever the value is dropped.
//!
//! A factory, a closure, an error or a queued message is dropped where the crate no longer needs it: often on the turn of a supervisor,
//! which must not end because of a panic there. What is kept as a [`UserValue`] can be dropped anywhere.

use std::{
    cell::{Cell, RefCell},
    fmt,
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
};

/// A value of the user's. A panic of its `Drop` is caught, and nobody is told.
pub(crate) struct UserValue<T>(
    /// `None` only while the wrapper itself is being taken apart, and after [`take`](UserValue::take).
    Option<T>,
);

impl<T> UserValue<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// Takes the value out, for a while or for good. Until another wrapper is put into the place of this one, nobody may use it.
    pub(crate) fn take(&mut self) -> Option<Self> {
        self.0.take().map(Self::new)
    }

    /// The value itself, whose `Drop` is the caller's business from here on.
    pub(crate) fn into_inner(mut self) -> T {
        self.0.take().expect(PRESENT)
    }
}

impl<T> Deref for UserValue<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(PRESENT)
    }
}

impl<T> DerefMut for UserValue<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(PRESENT)
    }
}

impl<T: Clone> Clone for UserValue<T> {
    fn clone(&self) -> Self {
        Self::new(T::clone(self))
    }
}

impl<T: PartialEq> PartialEq for UserValue<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T> Drop for UserValue<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            let _nobody_to_tell = quietly(move || drop(value));
        }
    }
}

impl<T> fmt::Debug for UserValue<T> {
    /// Says nothing of the value: its `Debug` is the user's code, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserValue").finish_non_exhaustive()
    }
}

/// A list of values of the user's, each of which is dropped by itself: a list alone drops the others while it unwinds after a panic of one, and
/// a second panic ends the process.
#[derive(Default)]
pub(crate) struct Each<C: Default + IntoIterator>(pub(crate) C);

impl<C: Default + IntoIterator> Each<C> {
    /// The list itself, for one who drops each value in a guard.
    pub(crate) fn take(&mut self) -> C {
        std::mem::take(&mut self.0)
    }

    /// Drops all of them.
    pub(crate) fn drop_all(&mut self) {
        for value in self.take() {
            let _nobody_to_tell = quietly(|| drop(value));
        }
    }
}

impl<C: Default + IntoIterator> Deref for Each<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

impl<C: Default + IntoIterator> DerefMut for Each<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.0
    }
}

impl<C: Default + IntoIterator> Drop for Each<C> {
    fn drop(&mut self) {
        self.drop_all();
    }
}

impl<C: Default + IntoIterator> fmt::Debug for Each<C> {
    /// Says nothing of the values: their `Debug` is the user's code, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each").finish_non_exhaustive()
    }
}

/// Runs code of the user's; `None` if it panics. What the panic carries is dropped likewise.
pub(crate) fn quietly<T>(code: impl FnOnce() -> T) -> Option<T> {
    let _nobody_is_told = Told::No.enter();
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(value) => Some(value),
        Err(mut payload) => {
            for _ in 0..MOST_PAYLOADS {
                match catch_unwind(AssertUnwindSafe(move || drop(payload))) {
                    Ok(()) => return None,
                    Err(next) => payload = next,
                }
            }
            // Each has carried the next one, and this may go on for ever.
            let _never_dropped = Box::leak(payload);
            None
        }
    }
}

/// Whether a panic of this thread is told to somebody, as the reason of an end. The hook of [`quiet_panics`](crate::quiet_panics) leaves such a
/// panic to whoever tells it; of any other the hook is all that speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    No,
    Yes,
}

thread_local! {
    static TOLD: Cell<Told> = const { Cell::new(Told::No) };
}

impl Told {
    /// What holds for a panic of this thread at present.
    pub(crate) fn at_present() -> Self {
        TOLD.try_with(Cell::get).unwrap_or(Self::No)
    }

    /// Says what holds until what this returns is dropped.
    pub(crate) fn enter(self) -> Until {
        Until(TOLD.try_with(|told| told.replace(self)).unwrap_or(Self::No))
    }
}

/// What holds again when this is dropped.
#[must_use]
pub(crate) struct Until(Told);

impl Drop for Until {
    fn drop(&mut self) {
        let _gone_at_thread_end = TOLD.try_with(|told| told.set(self.0));
    }
}

/// Runs code that drops something; if it is called by code that it runs itself, after that. So what is nested as deep as anybody likes is
/// dropped without a stack as deep.
pub(crate) fn drop_in_turn(code: impl FnOnce() + 'static) {
    thread_local! {
        /// What waits for its turn; `None` while nothing is dropped.
        static WAITING: RefCell<Option<Waiting>> = const { RefCell::new(None) };
    }

    let mut code = Some(code);
    let waits = WAITING.try_with(|waiting| match &mut *waiting.borrow_mut() {
        Some(waiting) => {
            waiting.extend(code.take().map(|code| Box::new(code) as Box<_>));
        }
        none @ None => *none = Some(Vec::new()),
    });
    let Some(code) = code else {
        return;
    };
    let _nobody_to_tell = quietly(code);
    // At the end of a thread there may be no list any more: then what is nested is dropped in place.
    if waits.is_ok() {
        while let Some(code) = WAITING.take().and_then(|mut waiting| {
            let next = waiting.pop();
            WAITING.set(next.is_some().then_some(waiting));
            next
        }) {
            let _nobody_to_tell = quietly(code);
        }
    }
}

/// What is to be dropped when what is being dropped is gone.
type Waiting = Vec<Box<dyn FnOnce()>>;

/// Tells `tracing`, whose subscriber is the user's code, too, as are the errors that it prints. A panic costs the record and nothing else.
pub(crate) fn say(record: impl FnOnce()) {
    let _costs_the_record = quietly(record);
}

/// How many payloads of panics are dropped of which each panics with the next one.
const MOST_PAYLOADS: u32 = 64;

const PRESENT: &str = "the value leaves only with the wrapper";

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    struct Bomb(Arc<AtomicU32>);

    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("dropped");
        }
    }

    #[test]
    fn panic_of_a_drop_is_caught() {
        let drops = Arc::new(AtomicU32::new(0));
        drop(UserValue::new(Bomb(Arc::clone(&drops))));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn value_that_is_taken_out_is_not_dropped_by_the_wrapper() {
        assert_eq!(UserValue::new(7).into_inner(), 7);
    }

    /// Panics with another one of its kind.
    struct Hydra(Arc<AtomicU32>);

    impl Drop for Hydra {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::panic::panic_any(Self(Arc::clone(&self.0)));
        }
    }

    #[test]
    fn payload_that_panics_again_and_again_is_left_alone_at_last() {
        let drops = Arc::new(AtomicU32::new(0));
        drop(UserValue::new(Hydra(Arc::clone(&drops))));
        let seen = drops.load(Ordering::Relaxed);
        assert!((10..1000).contains(&seen), "{seen}");
    }

    #[test]
    fn panic_whose_payload_panics_when_it_is_dropped_is_none() {
        let drops = Arc::new(AtomicU32::new(0));
        let bomb = Bomb(Arc::clone(&drops));
        assert_eq!(quietly(|| std::panic::panic_any(bomb)), None::<()>);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }
}
