//! Which service's cell a thread is in at present, for other threads to read.
//!
//! A thread that is blocked answers no question. So it leaves a note before it calls what may block.

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicU64, Ordering},
};

use crate::token::ServiceToken;

/// The number of the service whose cell a thread is in, or [`NOBODY`].
type Note = Arc<AtomicU64>;

/// The number of no service.
const NOBODY: u64 = 0;

/// The notes of all threads that have run a cell. Locked once for each thread, and by those who read.
static NOTES: Mutex<Vec<Weak<AtomicU64>>> = Mutex::new(Vec::new());

thread_local! {
    static HERE: Note = {
        let note = Note::default();
        let mut notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of threads that have ended: as many as there are threads is the most that is kept.
        notes.retain(|note| note.strong_count() > 0);
        notes.push(Arc::downgrade(&note));
        note
    };
}

/// The time that this thread is in the cell of a service: until it is dropped.
pub(super) struct Turn {
    /// Who is polled below this one, if a cell runs an executor of its own.
    before: u64,
}

impl Turn {
    pub(super) fn of(service: ServiceToken) -> Self {
        Self {
            before: note(service.serial()),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        note(self.before);
    }
}

fn note(serial: u64) -> u64 {
    let noted = HERE.try_with(|here| {
        let before = here.load(Ordering::Relaxed);
        // Only this thread writes, and nothing is published with it. Whoever reads it late reads it of a thread that is still blocked.
        here.store(serial, Ordering::Relaxed);
        before
    });
    // A thread that is about to end has no note any more, and runs no cell but to drop it.
    noted.unwrap_or(NOBODY)
}

/// The serials of the services whose cells other threads than this one are in.
pub(crate) fn on_other_threads() -> Vec<u64> {
    let mine = HERE.try_with(Arc::downgrade).unwrap_or_default();
    let notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
    let others = notes.iter().filter(|note| !note.ptr_eq(&mine));
    others
        .filter_map(Weak::upgrade)
        .map(|note| note.load(Ordering::Relaxed))
        .filter(|serial| *serial != NOBODY)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;
    use crate::token::SupervisorId;

    #[test]
    fn thread_is_noted_while_it_is_in_a_cell_and_only_for_others() {
        let (inner, outer) = (issue(), issue());
        let (tell, told) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            let below = Turn::of(outer);
            let above = Turn::of(inner);
            let mut turns = vec![below, above];
            loop {
                let mine = on_other_threads();
                assert!(!mine.contains(&inner.serial()));
                let _test_gone = tell.send(());
                if wait.recv().is_err() || turns.pop().is_none() {
                    break;
                }
            }
        });
        for expected in [Some(inner), Some(outer), None] {
            told.recv().unwrap();
            let busy = on_other_threads();
            for service in [inner, outer] {
                let is_there = busy.contains(&service.serial());
                assert_eq!(is_there, expected == Some(service));
            }
            go_on.send(()).unwrap();
        }
        drop(go_on);
        other.join().unwrap();
    }

    fn issue() -> ServiceToken {
        ServiceToken::issue(SupervisorId::issue(), 0)
    }
}
