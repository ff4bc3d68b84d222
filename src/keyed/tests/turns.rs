//! Whose turn it is where starts are spaced.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    rc::Rc,
    time::{Duration, Instant},
};

use super::{
    super::turns::{Turn, Turns},
    plan::some_time,
};
use crate::token::{ServiceToken, SupervisorId};

const SECOND: Duration = Duration::from_secs(1);

/// Who starts in the seconds from then on, if each turn is used for which this says so, and what comes at which second.
fn starts<'a>(
    turns: &mut Turns<&'a str>,
    seconds: u32,
    mut comes: impl FnMut(&mut Turns<&'a str>, u32),
    uses: impl Fn(&str) -> bool,
) -> Vec<(u32, &'a str)> {
    let began = some_time();
    let mut started = Vec::new();
    for second in 0..seconds {
        comes(turns, second);
        // Asked more often than it would have to be.
        for part in [0, 1, 499, 999] {
            let now = began + second * SECOND + Duration::from_millis(part);
            while let Some(turn) = turns.next(now) {
                let (key, _) = turn.unwrap();
                if uses(key) {
                    assert_eq!(part, 0, "{key} could have started before");
                    started.push((second, key));
                    turns.started(now);
                }
            }
        }
    }
    started
}

#[test]
fn many_that_come_together_start_one_after_the_other_in_their_order() {
    let mut turns = Turns::new(SECOND);
    let comes = |turns: &mut Turns<&'static str>, second| {
        if second == 0 {
            // One that waits already keeps its place.
            for key in ["a", "b", "c", "b", "d", "a"] {
                turns.put_off(key, Turn::Start);
            }
        }
    };
    let started = starts(&mut turns, 6, comes, |_| true);
    assert_eq!(started, [(0, "a"), (1, "b"), (2, "c"), (3, "d")]);
    assert!(turns.is_empty());
    assert_eq!(turns.deadline(), None);
}

#[test]
fn one_that_comes_alone_starts_at_once_and_one_that_comes_soon_after_it_waits() {
    let mut turns = Turns::new(SECOND * 3);
    let comes = |turns: &mut Turns<&'static str>, second| match second {
        0 => turns.put_off("a", Turn::Start),
        1 => turns.put_off("b", Turn::Start),
        2 => turns.put_off("c", Turn::Start),
        // The time that has passed without anybody is not saved up.
        20 => {
            turns.put_off("d", Turn::Start);
            turns.put_off("e", Turn::Start);
        }
        _ => {}
    };
    let started = starts(&mut turns, 30, comes, |_| true);
    assert_eq!(
        started,
        [(0, "a"), (3, "b"), (6, "c"), (20, "d"), (23, "e")]
    );
}

#[test]
fn one_that_comes_to_nothing_holds_nobody_up() {
    let mut turns = Turns::new(SECOND);
    let comes = |turns: &mut Turns<&'static str>, second| {
        if second == 0 {
            for key in ["bad 1", "a", "bad 2", "bad 3", "b", "bad 4", "c"] {
                turns.put_off(key, Turn::Start);
            }
        }
    };
    let started = starts(&mut turns, 9, comes, |key| !key.starts_with("bad"));
    assert_eq!(started, [(0, "a"), (1, "b"), (2, "c")]);
}

#[test]
fn deadline_is_that_of_the_next_turn_while_somebody_waits() {
    let now = some_time();
    let mut turns = Turns::new(SECOND);
    turns.started(now);
    assert_eq!(turns.deadline(), None);
    turns.put_off("a", Turn::Start);
    assert_eq!(turns.deadline(), Some(now + SECOND));
    assert!(turns.next(now + SECOND / 2).is_none());
    assert!(turns.next(now + SECOND).is_some());
    // A spacing beyond all clocks.
    let mut turns = Turns::new(Duration::MAX);
    turns.started(now);
    turns.put_off("a", Turn::Start);
    assert!(turns.deadline() > Some(now + 1_000_000 * SECOND));
}

#[test]
fn latest_is_what_a_row_waits_for_and_those_that_wait_for_another_chance_are_known() {
    let (token, other) = (
        ServiceToken::issue(SupervisorId::issue(), 0),
        ServiceToken::issue(SupervisorId::issue(), 0),
    );
    let now = some_time();
    let mut turns = Turns::new(SECOND);
    turns.put_off("a", Turn::Restart(token, 3));
    turns.put_off("b", Turn::Start);
    turns.put_off("a", Turn::Reset(token));
    turns.put_off("c", Turn::Reset(other));
    let mut resets: Vec<_> = turns.resets().copied().collect();
    resets.sort_unstable();
    assert_eq!(resets, ["a", "c"]);
    let next = turns.next(now).unwrap().unwrap();
    assert_eq!(next, ("a", Turn::Reset(token)));
    // Not remembered once it had its turn.
    turns.put_off("a", Turn::Start);
    let rest: Vec<_> = std::iter::from_fn(|| turns.next(now))
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        rest,
        [
            ("b", Turn::Start),
            ("c", Turn::Reset(other)),
            ("a", Turn::Start)
        ]
    );
}

/// A key that cannot be hashed while it is told so.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Touchy(u32, Rc<Cell<bool>>);

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert!(!(self.1.get() && self.0 == 1), "it cannot be hashed");
        self.0.hash(state);
    }
}

#[test]
fn key_that_panics_loses_its_turn_and_no_other_does() {
    let touchy = Rc::new(Cell::new(false));
    let key = |number| Touchy(number, Rc::clone(&touchy));
    let now: Instant = some_time();
    let mut turns = Turns::new(SECOND);
    (0..4).for_each(|number| turns.put_off(key(number), Turn::Start));
    touchy.set(true);
    let had: Vec<_> = std::iter::from_fn(|| turns.next(now))
        .map(|turn| turn.ok().map(|(key, _)| key.0))
        .collect();
    assert_eq!(had, [Some(0), None, Some(2), Some(3)]);
    // It is not taken for one that waits.
    touchy.set(false);
    turns.put_off(key(1), Turn::Start);
    assert!(turns.next(now).is_some());
}
