//! The lane between a supervisor and a cell: whatever is commanded is taken, once, by the cell that it was meant for.
#![cfg(loom)]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "models fail by panicking"
)]

use std::{
    sync::Arc as StdArc,
    task::{Wake, Waker},
};

use loom::{
    model,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

#[path = "../../../src/service/lane.rs"]
#[expect(dead_code, reason = "a model needs a part of it")]
mod lane;

mod without_fence_in_set_waker {
    #![expect(dead_code, reason = "a model needs a part of it")]
    include!(concat!(env!("OUT_DIR"), "/without_fence_in_set_waker.rs"));
}

mod without_fence_in_wake {
    #![expect(dead_code, reason = "a model needs a part of it")]
    include!(concat!(env!("OUT_DIR"), "/without_fence_in_wake.rs"));
}

/// Counts how often the task of a cell was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: StdArc<Self>) {
        // As a runtime does: the poll that follows sees what the waker has seen.
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// The models, for the lane or for a mutant of it.
macro_rules! models {
    ($lane:ident) => {
        use $lane::{Lane, LaterWaker, Taken};

        use super::*;

        pub(super) struct World {
            pub(super) lane: Lane,
            pub(super) later: LaterWaker,
            woken: [StdArc<Woken>; 2],
        }

        impl World {
            pub(super) fn new() -> Arc<Self> {
                Arc::new(Self {
                    lane: Lane::new(),
                    later: LaterWaker::new(),
                    woken: [StdArc::default(), StdArc::default()],
                })
            }

            /// One poll of the cell of an epoch.
            pub(super) fn poll(&self, epoch: u32) -> Taken {
                let waker = Waker::from(StdArc::clone(&self.woken[epoch as usize]));
                self.lane.set_waker(epoch, &waker, || &self.later);
                self.lane.take(epoch)
            }

            /// Polls again, as the runtime does if the cell was woken; if it was not, nothing may be left for it.
            pub(super) fn poll_if_woken(&self, epoch: u32) -> Taken {
                if self.woken[epoch as usize].0.load(Ordering::Acquire) == 0 {
                    return Taken::Commands(0);
                }
                self.poll(epoch)
            }

            pub(super) fn later(&self) -> Option<&LaterWaker> {
                Some(&self.later)
            }
        }

        /// What two polls have taken in all.
        pub(super) fn both(first: Taken, second: Taken) -> u8 {
            match (first, second) {
                (Taken::Commands(first), Taken::Commands(second)) => first | second,
                _ => panic!("written off, in the only epoch"),
            }
        }

        /// The first poll of a cell, while its supervisor commands something beside what it was launched with.
        pub(super) fn first_poll(launched_with: u8, command: fn(&World), expected: u8) {
            model(move || {
                let world = World::new();
                world.lane.give(launched_with, world.later());
                let cell = thread::spawn({
                    let world = Arc::clone(&world);
                    move || world.poll(0)
                });
                command(&world);
                let first = cell.join().unwrap();
                let taken = both(first, world.poll_if_woken(0));
                assert_eq!(taken, expected, "a command was lost");
            });
        }
    };
}

mod real {
    use super::lane;
    models!(lane);
}

mod mutant_set_waker {
    use super::without_fence_in_set_waker as mutant;
    models!(mutant);
}

mod mutant_wake {
    use super::without_fence_in_wake as mutant;
    models!(mutant);
}

use real::{World, both, first_poll};

use crate::lane::{Lane, Taken};

#[test]
fn first_poll_against_a_stop() {
    let command = |world: &World| world.lane.give(Lane::STOP, world.later());
    first_poll(Lane::START, command, Lane::START | Lane::STOP);
    first_poll(0, command, Lane::STOP);
}

#[test]
fn first_poll_against_a_release() {
    let command = |world: &World| world.lane.give(Lane::RELEASE, world.later());
    first_poll(Lane::START, command, Lane::START | Lane::RELEASE);
    first_poll(0, command, Lane::RELEASE);
}

#[test]
fn first_poll_against_a_start() {
    first_poll(0, |world| world.lane.start(world.later()), Lane::START);
}

#[test]
#[should_panic(expected = "a command was lost")]
fn without_the_fence_of_the_cell_a_command_is_lost() {
    use mutant_set_waker::{World, first_poll};

    first_poll(
        0,
        |world: &World| world.lane.start(world.later()),
        Lane::START,
    );
}

#[test]
#[should_panic(expected = "a command was lost")]
fn without_the_fence_of_the_supervisor_a_command_is_lost() {
    use mutant_wake::{World, first_poll};

    first_poll(
        0,
        |world: &World| world.lane.start(world.later()),
        Lane::START,
    );
}

#[test]
fn kill_and_stop_against_a_poll() {
    model(|| {
        let world = World::new();
        world.lane.start(world.later());
        assert_eq!(world.poll(0), Taken::Commands(Lane::START));
        let cell = thread::spawn({
            let world = Arc::clone(&world);
            move || world.poll(0)
        });
        world.lane.give(Lane::STOP, world.later());
        world.lane.kill(3 << 5, world.later());
        let first = cell.join().unwrap();
        let taken = both(first, world.poll_if_woken(0));
        assert_eq!(taken, Lane::STOP | Lane::KILL | 3 << 5);
    });
}

#[test]
fn start_against_commands_that_were_not_taken() {
    model(|| {
        let world = World::new();
        world.lane.start(world.later());
        assert_eq!(world.poll(0), Taken::Commands(Lane::START));
        // The incarnation has ended by itself, and its supervisor has heard of that: stop and start are given while the cell is polled.
        let cell = thread::spawn({
            let world = Arc::clone(&world);
            move || world.poll(0)
        });
        world.lane.give(Lane::STOP, world.later());
        world.lane.start(world.later());
        let first = cell.join().unwrap();
        let second = world.poll_if_woken(0);
        // Never both at once, which would stop the new incarnation.
        let expected = [
            (Taken::Commands(Lane::START), Taken::Commands(0)),
            (Taken::Commands(0), Taken::Commands(Lane::START)),
            (Taken::Commands(Lane::STOP), Taken::Commands(Lane::START)),
        ];
        assert!(expected.contains(&(first, second)), "{first:?}, {second:?}");
    });
}

#[test]
fn next_epoch_against_a_late_poll() {
    for begun in [false, true] {
        model(move || {
            let world = World::new();
            world.lane.start(world.later());
            if begun {
                assert_eq!(world.poll(0), Taken::Commands(Lane::START));
            }
            let late = thread::spawn({
                let world = Arc::clone(&world);
                move || world.poll(0)
            });
            let epoch = world.lane.advance(world.later());
            let heir = thread::spawn({
                let world = Arc::clone(&world);
                move || world.poll(epoch)
            });
            world.lane.start(world.later());
            let first = heir.join().unwrap();
            assert_eq!(both(first, world.poll_if_woken(epoch)), Lane::START);
            // The late one learns that it is written off in its present poll, or in the one that it is woken for.
            let in_time = if begun { 0 } else { Lane::START };
            match late.join().unwrap() {
                Taken::WrittenOff => {}
                late => {
                    assert_eq!(late, Taken::Commands(in_time));
                    assert_eq!(world.poll_if_woken(0), Taken::WrittenOff);
                }
            }
            assert!(world.lane.is_told(0, Lane::KILL, Ordering::Relaxed));
            assert!(!world.lane.is_told(epoch, Lane::KILL, Ordering::Relaxed));
        });
    }
}
