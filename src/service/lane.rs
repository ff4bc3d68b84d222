//! The commands of a supervisor to a cell, and whom to wake for them.
//!
//! A cell lives in one *epoch* of its service. Most services have one: the next begins when the supervisor writes the cell off, because its
//! thread is blocked, and lets another take its place. Whatever was commanded is meant for one epoch, and a cell of an earlier one learns
//! here that it is written off.
//!
//! This file needs nothing of the rest of the crate: under `cfg(loom)` the models of `crates/resurgam-loom` run it through every order of its
//! steps.
//!
//! # Invariants
//!
//! 1. One side gives commands and advances the epoch; the cell of the present epoch takes them. A root is told to stop by any thread.
//! 2. A command that is given is taken: either the cell sees it in its present poll, or it is woken for another one.
//! 3. A command is taken once, and only by the cell of the epoch that it was given in.
//! 4. A start drops a stop or a kill that was not taken: those were meant for an incarnation that is over. Nothing drops a release.

#[cfg(not(loom))]
use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicU32, Ordering, fence},
};
use std::task::Waker;

#[cfg(loom)]
use loom::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering, fence},
};
#[cfg(loom)]
use std::sync::PoisonError;

/// One word of commands, and the waker of the first epoch.
pub(super) struct Lane {
    /// The flags of the commands and the cause of a kill in the lowest byte, and the epoch above.
    word: AtomicU32,
    /// Set by the first poll of the first cell. The task of a cell is the same for ever, and so is its waker.
    first: OnceLock<Waker>,
}

/// Whom to wake in later epochs. Apart, since few services have any.
pub(super) struct LaterWaker {
    /// The epoch that a waker is there for; 0 if none.
    // Read before the lock is taken, so that a poll that has nothing to set does not take it.
    epoch: AtomicU32,
    waker: Mutex<Option<Waker>>,
}

/// What a cell finds when it looks for commands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Taken {
    /// The flags and the cause, all of them 0 if nothing was commanded.
    Commands(u8),
    /// The epoch of the cell is over.
    WrittenOff,
}

impl Lane {
    pub(super) const START: u8 = 1;
    pub(super) const STOP: u8 = 1 << 1;
    pub(super) const KILL: u8 = 1 << 2;
    pub(super) const RELEASE: u8 = 1 << 3;
    /// What becomes of messages while there is no incarnation may have changed.
    pub(super) const LOOK: u8 = 1 << 4;
    /// The commands that end an incarnation, or let another one take its place.
    pub(super) const ENDS: u8 = 0x0f;
    /// Where the cause of a kill begins, above the commands.
    pub(super) const CAUSE_SHIFT: u32 = 5;

    pub(super) fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
            first: OnceLock::new(),
        }
    }

    /// The present epoch, 0 for the first.
    pub(super) fn epoch(&self) -> u32 {
        self.word.load(Ordering::Acquire) >> EPOCH_SHIFT
    }

    /// Gives commands beside those that were not taken yet.
    pub(super) fn give(&self, flags: u8, later: Option<&LaterWaker>) {
        let before = self.word.fetch_or(u32::from(flags), Ordering::AcqRel);
        self.wake(before >> EPOCH_SHIFT, later);
    }

    /// Commands a kill; its cause takes the place of an earlier one that was not taken yet.
    pub(super) fn kill(&self, cause: u8, later: Option<&LaterWaker>) {
        let bits = u32::from(Self::KILL | cause);
        let mut before = self.word.load(Ordering::Relaxed);
        loop {
            let after = before & !CAUSE | bits;
            let exchanged =
                self.word
                    .compare_exchange(before, after, Ordering::AcqRel, Ordering::Relaxed);
            match exchanged {
                Ok(_) => break,
                Err(changed) => before = changed,
            }
        }
        self.wake(before >> EPOCH_SHIFT, later);
    }

    /// Commands a start, and drops all else but a release.
    pub(super) fn start(&self, later: Option<&LaterWaker>) {
        let kept = self.word.load(Ordering::Relaxed) & KEPT;
        // Only this side sets bits, so what the cell takes in between is no news. A swap all the same: the last word in the order of
        // changes is then read in any case.
        self.word
            .swap(kept | u32::from(Self::START), Ordering::AcqRel);
        self.wake(kept >> EPOCH_SHIFT, later);
    }

    /// Begins the next epoch, without commands: the cell of the one before is written off, and is woken to see that. Returns the new epoch.
    pub(super) fn advance(&self, later: Option<&LaterWaker>) -> u32 {
        let before = self.word.load(Ordering::Relaxed);
        let epoch = (before >> EPOCH_SHIFT) + 1;
        self.word.swap(
            before & u32::from(Self::RELEASE) | epoch << EPOCH_SHIFT,
            Ordering::AcqRel,
        );
        self.wake(before >> EPOCH_SHIFT, later);
        epoch
    }

    /// Takes what was commanded in this epoch since the last call.
    pub(super) fn take(&self, epoch: u32) -> Taken {
        let nothing = epoch << EPOCH_SHIFT;
        // Nearly every poll finds nothing, and a load is much cheaper than an exchange.
        let mut found = self.word.load(Ordering::Relaxed);
        while found != nothing {
            if found >> EPOCH_SHIFT != epoch {
                return Taken::WrittenOff;
            }
            let exchanged =
                self.word
                    .compare_exchange(found, nothing, Ordering::AcqRel, Ordering::Relaxed);
            match exchanged {
                Ok(_) => return Taken::Commands(found.to_le_bytes()[0]),
                Err(changed) => found = changed,
            }
        }
        Taken::Commands(0)
    }

    /// Reports whether any of these was commanded in this epoch and not taken yet, or the epoch is over.
    #[inline]
    pub(super) fn is_told(&self, epoch: u32, flags: u8, ordering: Ordering) -> bool {
        // With the bits of the epoch set wherever it differs from the present one.
        let differs = self.word.load(ordering) ^ (epoch << EPOCH_SHIFT);
        differs & (u32::from(flags) | EPOCH) != 0
    }

    /// Reports whether the epoch is over.
    pub(super) fn is_written_off(&self, epoch: u32) -> bool {
        self.epoch() != epoch
    }

    /// Says whom to wake for a command. The first call of an epoch counts, by the first poll of its cell.
    ///
    /// A supervisor on another thread may give a command meanwhile. The fences, here and in [`wake`](Self::wake), order "waker set, then
    /// commands read" against "command set, then waker read": at least one side sees the other (invariant 2).
    pub(super) fn set_waker<'a>(
        &self,
        epoch: u32,
        waker: &Waker,
        later: impl FnOnce() -> &'a LaterWaker,
    ) {
        if epoch != 0 {
            later().set(epoch, waker);
        } else if self.first.get().is_none() {
            let _first_poll_counts = self.first.set(waker.clone());
            fence(Ordering::SeqCst);
        }
    }

    fn wake(&self, epoch: u32, later: Option<&LaterWaker>) {
        fence(Ordering::SeqCst);
        // Without a waker the cell was not polled yet, and its first poll looks for commands.
        if epoch == 0 {
            if let Some(waker) = self.first.get() {
                waker.wake_by_ref();
            }
        } else if let Some(later) = later {
            later.wake(epoch);
        }
    }
}

impl LaterWaker {
    pub(super) fn new() -> Self {
        Self {
            epoch: AtomicU32::new(0),
            waker: Mutex::new(None),
        }
    }

    fn set(&self, epoch: u32, waker: &Waker) {
        if self.epoch.load(Ordering::Relaxed) >= epoch {
            return;
        }
        {
            let mut slot = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            // Again, since the cell of the next epoch may have come first.
            if self.epoch.load(Ordering::Relaxed) >= epoch {
                return;
            }
            self.epoch.store(epoch, Ordering::Relaxed);
            *slot = Some(waker.clone());
        }
        fence(Ordering::SeqCst);
    }

    fn wake(&self, epoch: u32) {
        let waker = {
            let slot = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            // A later one is of a cell that looks for itself.
            if self.epoch.load(Ordering::Relaxed) != epoch {
                return;
            }
            slot.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Where the epoch begins in the word.
const EPOCH_SHIFT: u32 = 8;

/// The bits of the cause.
const CAUSE: u32 = 0xff & !((1 << Lane::CAUSE_SHIFT) - 1);

/// The bits of the epoch.
const EPOCH: u32 = !0xff;

/// What a start leaves as it was: the epoch, and a release.
const KEPT: u32 = EPOCH | Lane::RELEASE as u32;

/// As std's, which loom does not have: without an order between a look that finds nothing and the call that sets it.
#[cfg(loom)]
struct OnceLock<T> {
    is_set: AtomicBool,
    value: Mutex<Option<T>>,
}

#[cfg(loom)]
impl<T: Clone> OnceLock<T> {
    fn new() -> Self {
        Self {
            is_set: AtomicBool::new(false),
            value: Mutex::new(None),
        }
    }

    fn get(&self) -> Option<T> {
        if !self.is_set.load(Ordering::Acquire) {
            return None;
        }
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        value.clone()
    }

    fn set(&self, value: T) -> Result<(), T> {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        self.is_set.store(true, Ordering::Release);
        Ok(())
    }
}
