//! Which service's cell a thread is in at present, for other threads to read.
//!
//! A thread that is blocked answers no question. So it leaves a note before it calls what may block.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
};

use super::link::LinkCore;

/// The cell that a thread is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Occupied {
    /// Which thread that is.
    thread: ThreadId,
    /// The number of its service, or [`NOBODY`].
    serial: u64,
    /// Which of the cells of that service it is: one that was written off says nothing of the present one.
    epoch: u32,
}

/// What a thread says of itself: the fields of an [`Occupied`].
// Only its thread writes, and nothing is published with it. A reader that comes in between finds a thread that is not blocked.
struct Note {
    thread: ThreadId,
    serial: AtomicU64,
    epoch: AtomicU32,
}

/// The number of no service.
const NOBODY: u64 = 0;

/// The notes of all threads that have run a cell. Locked once for each thread, and by those who read.
static NOTES: Mutex<Vec<Weak<Note>>> = Mutex::new(Vec::new());

thread_local! {
    static HERE: Arc<Note> = {
        let note = Arc::new(Note {
            thread: thread::current().id(),
            serial: AtomicU64::new(NOBODY),
            epoch: AtomicU32::new(0),
        });
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
    before: (u64, u32),
}

impl Turn {
    /// Of the cell of this epoch.
    pub(super) fn of(core: &LinkCore, epoch: u32) -> Self {
        let serial = core.token().serial();
        Self {
            before: note((serial, epoch)),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        note(self.before);
    }
}

/// Notes the number of a service and the epoch of its cell, and returns those before.
fn note((serial, epoch): (u64, u32)) -> (u64, u32) {
    let noted = HERE.try_with(|here| {
        let Occupied {
            serial: before,
            epoch: before_epoch,
            ..
        } = here.read();
        here.serial.store(serial, Ordering::Relaxed);
        here.epoch.store(epoch, Ordering::Relaxed);
        (before, before_epoch)
    });
    // A thread that is about to end has no note any more, and runs no cell but to drop it.
    noted.unwrap_or((NOBODY, 0))
}

impl Note {
    fn read(&self) -> Occupied {
        Occupied {
            thread: self.thread,
            serial: self.serial.load(Ordering::Relaxed),
            epoch: self.epoch.load(Ordering::Relaxed),
        }
    }
}

impl Occupied {
    /// This thread in the cell of this epoch of a service.
    #[cfg(test)]
    pub(crate) fn here(service: &LinkCore, epoch: u32) -> Self {
        Self {
            thread: thread::current().id(),
            serial: service.token().serial(),
            epoch,
        }
    }

    /// Which thread is there.
    pub(crate) const fn thread(self) -> ThreadId {
        self.thread
    }

    /// Reports whether it is the present cell of this service.
    pub(crate) fn is_of(self, service: &LinkCore) -> bool {
        self.serial == service.token().serial() && self.epoch == service.epoch()
    }
}

/// The cells that other threads than this one are in.
pub(crate) fn on_other_threads() -> Vec<Occupied> {
    let mine = HERE.try_with(Arc::downgrade).unwrap_or_default();
    let notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
    let others = notes.iter().filter(|note| !note.ptr_eq(&mine));
    others
        .filter_map(Weak::upgrade)
        .map(|note| note.read())
        .filter(|cell| cell.serial != NOBODY)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use actix::{Actor, Addr, Context, dev::channel::channel};

    use super::*;
    use crate::{
        policy::Readiness,
        service::{AnyLink, Link, Parent, ServiceKind},
        token::{ServiceToken, SupervisorId},
    };

    struct Any;

    impl Actor for Any {
        type Context = Context<Self>;
    }

    fn service() -> Arc<dyn AnyLink> {
        let (sender, _receiver) = channel::<Any>(1);
        let (parent, _notices) = Parent::new();
        Arc::new(Link::new(
            ServiceToken::issue(SupervisorId::issue(), 0),
            Arc::from("root/any"),
            Arc::new(parent),
            Addr::new(sender).downgrade(),
            Readiness::OnStart,
            ServiceKind::Actor,
        ))
    }

    #[test]
    fn thread_is_noted_while_it_is_in_a_cell_and_only_for_others() {
        let (inner, outer) = (service(), service());
        let (tell, told) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let there = [Arc::clone(&inner), Arc::clone(&outer)];
        let other = thread::spawn(move || {
            let [inner, outer] = there;
            let below = Turn::of(outer.core(), 0);
            let above = Turn::of(inner.core(), 0);
            let mut turns = vec![below, above];
            loop {
                let mine = on_other_threads();
                assert!(!mine.iter().any(|cell| cell.is_of(inner.core())));
                let _test_gone = tell.send(());
                if wait.recv().is_err() || turns.pop().is_none() {
                    break;
                }
            }
        });
        for expected in [Some(&inner), Some(&outer), None] {
            told.recv().unwrap();
            let busy = on_other_threads();
            for service in [&inner, &outer] {
                let is_there = busy.iter().any(|cell| cell.is_of(service.core()));
                let is_expected = expected.is_some_and(|expected| Arc::ptr_eq(expected, service));
                assert_eq!(is_there, is_expected);
            }
            go_on.send(()).unwrap();
        }
        drop(go_on);
        other.join().unwrap();
    }

    #[test]
    fn thread_in_a_cell_that_was_written_off_is_not_in_the_present_one() {
        let service = service();
        let core = service.core();
        let late = Occupied::here(core, 0);
        assert!(late.is_of(core));
        let epoch = core.write_off();
        assert!(!late.is_of(core));
        assert!(Occupied::here(core, epoch).is_of(core));
    }
}
