//! The comparison of a table with what runs: each rule by itself.

use std::time::{Duration, Instant};

use super::super::{
    plan::{Do, Ended, Plan, Rules, Service},
    settings::{OnChanged, OnVanished},
};
use crate::policy::Backoff;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn rules() -> Rules {
    Rules {
        on_vanished: OnVanished::Stop,
        on_changed: OnChanged::Restart,
        rescan_every: 60 * SECOND,
        max_vanish: None,
        retry: Backoff::exponential(SECOND, 30 * SECOND),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the standard library has no other way to an instant"
)]
pub(super) fn some_time() -> Instant {
    Instant::now()
}

/// A plan, and the time.
struct Bench {
    plan: Plan<u32, &'static str>,
    now: Instant,
}

impl Bench {
    fn new(rules: Rules) -> Self {
        let now = some_time();
        let mut plan = Plan::new(rules);
        plan.begin(now);
        Self { plan, now }
    }

    /// A scan that shows these rows, each of which has the service that is expected, and ends without an error.
    fn scan(&mut self, rows: impl IntoIterator<Item = (u32, &'static str)>) -> Ended<u32> {
        assert!(self.plan.begin_scan(self.now));
        for (key, value) in rows {
            let service = match self.plan.value(&key) {
                Some(_) => Service::Kept,
                None => Service::None,
            };
            let _followed = self.plan.scanned(&key, value, service);
        }
        self.end_scan()
    }

    fn end_scan(&mut self) -> Ended<u32> {
        assert!(self.plan.counts_right());
        let mut ended = self.plan.scan_ended(self.now);
        while ended.is_none() {
            assert_eq!(self.plan.next_scan(), None);
            ended = self.plan.sweep(3, self.now);
        }
        ended.unwrap()
    }

    fn wait(&mut self) {
        self.now = self.plan.next_scan().unwrap();
    }

    /// One look for a key, which finds this value.
    fn look(&mut self, key: u32, value: &'static str, service: Service) -> Do<&'static str> {
        let begun = self.plan.begin_read();
        self.plan.row(&key, value, service, begun)
    }

    /// One look for a key that is not there. Reports whether its service is to go.
    fn is_gone(&mut self, key: u32) -> bool {
        let begun = self.plan.begin_read();
        self.plan.vanished(&key, begun)
    }
}

fn all(number: u32) -> impl Iterator<Item = (u32, &'static str)> {
    (0..number).map(|key| (key, "a"))
}

#[test]
fn row_is_started_once_and_an_equal_value_restarts_nothing() {
    let mut bench = Bench::new(rules());
    assert_eq!(bench.look(1, "a", Service::None), Do::Start("a"));
    for service in [
        Service::Kept,
        Service::HeldDown,
        Service::Ended,
        Service::Gone,
        Service::Leaving,
    ] {
        assert_eq!(bench.look(1, "a", service), Do::Nothing, "{service:?}");
    }
    // Its service was removed by somebody else.
    assert_eq!(bench.look(1, "a", Service::None), Do::Start("a"));
}

#[test]
fn look_for_missing_rows_goes_a_bounded_way_at_a_time_and_finds_each_once() {
    let mut bench = Bench::new(Rules {
        max_vanish: Some(usize::MAX),
        ..rules()
    });
    let many = 100_000;
    bench.scan(all(many));
    bench.wait();
    // As many rows again are added by hand meanwhile, so that the first ones move.
    assert!(bench.plan.begin_scan(bench.now));
    for (key, value) in all(many).filter(|(key, _)| key % 100 != 0) {
        let _nothing = bench.plan.scanned(&key, value, Service::Kept);
    }
    assert!(bench.plan.scan_ended(bench.now).is_none());
    let mut pieces = 0;
    let ended = loop {
        if pieces == 50 {
            (many..2 * many).for_each(|key| bench.plan.note(&key, "a"));
        }
        pieces += 1;
        if let Some(ended) = bench.plan.sweep(1024, bench.now) {
            break ended;
        }
        assert!(bench.plan.is_sweeping());
        assert!(!bench.plan.begin_scan(bench.now + 100 * SECOND));
    };
    // Of a table whose places are at most three quarters full, and that had grown in the middle.
    let places = 2 * many as usize * 2;
    assert!((50..50 + places / 1024).contains(&pieces), "{pieces}");
    let mut suspects = ended.suspects;
    suspects.sort_unstable();
    let missing: Vec<u32> = (0..many).filter(|key| key % 100 == 0).collect();
    assert_eq!(suspects, missing);
    assert!(bench.plan.counts_right());
}

#[test]
fn row_that_is_forgotten_while_missing_rows_are_looked_for_does_not_count() {
    // Removed by somebody after so many steps: before or after it is found. The others are the same ones as before.
    for step in 0..150 {
        let mut bench = Bench::new(Rules {
            max_vanish: Some(1),
            ..rules()
        });
        bench.scan(all(100));
        bench.wait();
        let refused = bench.scan(all(97)).refused;
        assert_eq!(refused, Some((3, 100)));
        bench.wait();
        assert!(bench.plan.begin_scan(bench.now));
        for (key, value) in all(97) {
            let _nothing = bench.plan.scanned(&key, value, Service::Kept);
        }
        let mut ended = bench.plan.scan_ended(bench.now);
        for number in 0.. {
            if number == step {
                bench.plan.forget(&98);
            }
            if ended.is_some() {
                break;
            }
            ended = bench.plan.sweep(1, bench.now);
        }
        let mut suspects = ended.unwrap().suspects;
        suspects.retain(|key| *key != 98);
        suspects.sort_unstable();
        assert_eq!(suspects, [97, 99], "{step}");
    }
}

#[test]
fn another_value_restarts_what_runs_and_gives_what_has_given_up_another_chance() {
    for (on_changed, expected) in [
        (OnChanged::Restart, Do::Restart("b")),
        (OnChanged::Keep, Do::Renew("b")),
    ] {
        for (service, expected) in [
            (Service::Kept, expected),
            (Service::HeldDown, Do::Renew("b")),
            (Service::Ended, Do::Reset(Some("b"))),
            (Service::Gone, Do::Replace),
            (Service::Leaving, Do::Nothing),
            (Service::None, Do::Start("b")),
        ] {
            let mut bench = Bench::new(Rules {
                on_changed,
                ..rules()
            });
            bench.look(1, "a", Service::None);
            assert_eq!(bench.look(1, "b", service), expected, "{service:?}");
            // Known from now on.
            assert_eq!(bench.look(1, "b", Service::Kept), Do::Nothing);
        }
    }
}

#[test]
fn row_that_was_removed_and_added_again_gives_what_has_given_up_another_chance() {
    let mut bench = Bench::new(Rules {
        on_vanished: OnVanished::Keep,
        ..rules()
    });
    bench.scan(all(1));
    bench.wait();
    assert!(bench.scan([]).suspects.is_empty());
    assert_eq!(bench.look(0, "a", Service::Ended), Do::Reset(None));
    assert_eq!(bench.look(0, "a", Service::Ended), Do::Nothing);
    // Also if a look for its key has missed it.
    let begun = bench.plan.begin_read();
    bench.plan.missed(&0, begun, bench.now);
    assert_eq!(bench.look(0, "a", Service::Ended), Do::Reset(None));
}

#[test]
fn what_cannot_be_started_any_more_is_made_anew_once_its_row_has_changed_or_is_there_again() {
    let mut bench = Bench::new(Rules {
        on_vanished: OnVanished::Keep,
        ..rules()
    });
    bench.scan(all(1));
    assert_eq!(bench.look(0, "a", Service::Gone), Do::Nothing);
    assert_eq!(bench.look(0, "b", Service::Gone), Do::Replace);
    // Until that is gone which cannot be started, nothing more is done about it.
    assert_eq!(bench.look(0, "b", Service::Leaving), Do::Nothing);
    bench.plan.forget(&0);
    assert_eq!(bench.look(0, "b", Service::None), Do::Start("b"));
    bench.wait();
    assert!(bench.scan([]).suspects.is_empty());
    assert_eq!(bench.look(0, "b", Service::Gone), Do::Replace);
    // One that is of another table.
    assert_eq!(bench.look(7, "b", Service::Gone), Do::Refuse);
}

#[test]
fn name_that_belongs_to_another_service_is_refused_and_one_that_is_being_freed_is_not() {
    let mut bench = Bench::new(rules());
    for service in [
        Service::Kept,
        Service::HeldDown,
        Service::Ended,
        Service::Gone,
    ] {
        assert_eq!(bench.look(1, "a", service), Do::Refuse, "{service:?}");
    }
    assert_eq!(bench.look(1, "a", Service::Leaving), Do::Nothing);
    assert_eq!(bench.look(1, "a", Service::None), Do::Start("a"));
}

#[test]
fn row_has_vanished_if_a_scan_and_a_look_for_its_key_have_missed_it() {
    let mut bench = Bench::new(rules());
    bench.scan(all(3));
    assert!(!bench.is_gone(2), "no scan has missed it");
    bench.wait();
    let ended = bench.scan(all(2));
    assert_eq!(ended.suspects, [2]);
    assert!(bench.is_gone(2));
    assert!(!bench.is_gone(2), "once");
    assert_eq!(bench.look(2, "a", Service::None), Do::Start("a"));
}

#[test]
fn look_for_a_key_stops_nothing_by_itself_and_has_all_rows_read() {
    let mut bench = Bench::new(rules());
    bench.scan(all(3));
    let begun = bench.plan.begin_read();
    bench.plan.missed(&2, begun, bench.now);
    assert_eq!(bench.plan.next_scan(), Some(bench.now));
    // It was there after all.
    assert!(bench.scan(all(3)).suspects.is_empty());
    // A key that has no service.
    bench.plan.missed(&9, begun, bench.now);
    assert_eq!(bench.plan.next_scan(), Some(bench.now + 60 * SECOND));
}

#[test]
fn row_that_is_shown_again_before_the_look_for_its_key_has_not_vanished() {
    let mut bench = Bench::new(rules());
    bench.scan(all(2));
    bench.wait();
    assert_eq!(bench.scan(all(1)).suspects, [1]);
    let begun = bench.plan.begin_read();
    assert_eq!(bench.look(1, "a", Service::Kept), Do::Nothing);
    assert!(!bench.plan.vanished(&1, begun));
}

#[test]
fn scan_with_an_error_stops_nothing() {
    let mut bench = Bench::new(rules());
    bench.scan(all(4));
    bench.wait();
    // A row whose key could not be read: it may be any of them.
    assert!(bench.plan.begin_scan(bench.now));
    bench.plan.scanned(&0, "a", Service::Kept);
    bench.plan.bad_row(None);
    assert!(bench.end_scan().suspects.is_empty());
    // A row whose value could not be read: all others could.
    bench.wait();
    assert!(bench.plan.begin_scan(bench.now));
    bench.plan.scanned(&0, "a", Service::Kept);
    bench.plan.bad_row(Some(&1));
    bench.plan.bad_row(Some(&17));
    let mut suspects = bench.end_scan().suspects;
    suspects.sort_unstable();
    assert_eq!(suspects, [2, 3]);
    // One that could not be read to its end.
    bench.wait();
    assert!(bench.plan.begin_scan(bench.now));
    assert!(bench.plan.scan_failed(bench.now));
    assert!(!bench.is_gone(3) || bench.plan.value(&3).is_none());
}

#[test]
fn scan_that_would_stop_too_many_is_believed_the_second_time_or_if_somebody_asks_for_it() {
    let few = Rules {
        max_vanish: Some(1),
        ..rules()
    };
    for (rules, size, most) in [(rules(), 100, 50), (rules(), 12, 10), (few, 12, 1)] {
        let mut bench = Bench::new(rules);
        bench.scan(all(size));
        bench.wait();
        assert_eq!(bench.scan(all(size - most)).suspects.len(), most as usize);
        bench.wait();
        bench.scan(all(size));
        for _ in 0..2 {
            // Other rows are missing each time: never believed.
            for rest in [all(size - most - 1), all(size - most - 2)] {
                bench.wait();
                let ended = bench.scan(rest);
                assert!(ended.suspects.is_empty());
                let (stopped, of) = ended.refused.unwrap();
                assert!(stopped > most as usize);
                assert_eq!(of, size as usize);
            }
        }
        bench.wait();
        let ended = bench.scan(all(size - most - 2));
        assert_eq!(ended.refused, None);
        assert_eq!(ended.suspects.len(), most as usize + 2);

        let mut bench = Bench::new(few_or(most));
        bench.scan(all(size));
        bench.plan.rescan(bench.now);
        assert_eq!(bench.scan([]).suspects.len(), size as usize);
    }
}

fn few_or(most: u32) -> Rules {
    Rules {
        max_vanish: Some(most as usize),
        ..rules()
    }
}

#[test]
fn table_that_cannot_be_read_is_told_once_and_tried_again_with_backoff() {
    let mut bench = Bench::new(rules());
    let since = bench.now;
    for (number, delay) in [1, 2, 4, 8, 16, 30, 30].into_iter().enumerate() {
        assert!(bench.plan.begin_scan(bench.now));
        assert_eq!(bench.plan.scan_failed(bench.now), number == 0);
        assert_eq!(bench.plan.unreachable_since(), Some(since));
        assert_eq!(bench.plan.next_scan(), Some(bench.now + delay * SECOND));
        assert!(!bench.plan.begin_scan(bench.now), "too early");
        bench.wait();
    }
    assert_eq!(bench.scan(all(1)).recovered, Some(since));
    assert_eq!(bench.plan.unreachable_since(), None);
    assert_eq!(bench.plan.next_scan(), Some(bench.now + 60 * SECOND));
    bench.wait();
    assert_eq!(bench.scan(all(1)).recovered, None);
}

#[test]
fn change_during_a_scan_is_followed_by_another_scan_at_once() {
    let mut bench = Bench::new(rules());
    assert!(bench.plan.begin_scan(bench.now));
    bench.plan.look_again(bench.now);
    assert_eq!(bench.plan.next_scan(), None, "one at a time");
    bench.end_scan();
    assert_eq!(bench.plan.next_scan(), Some(bench.now));
    bench.scan([]);
    assert_eq!(bench.plan.next_scan(), Some(bench.now + 60 * SECOND));
}

#[test]
fn what_was_read_before_something_newer_came_is_looked_at_again() {
    let mut bench = Bench::new(rules());
    bench.scan(all(1));
    let begun = bench.plan.begin_read();
    assert_eq!(bench.look(0, "b", Service::Kept), Do::Restart("b"));
    assert_eq!(bench.plan.row(&0, "a", Service::Kept, begun), Do::Look);
    assert_eq!(bench.plan.row(&0, "b", Service::Kept, begun), Do::Nothing);
    // Likewise for a scan, which may have passed the row before it was changed.
    bench.wait();
    assert!(bench.plan.begin_scan(bench.now));
    assert_eq!(bench.look(0, "c", Service::Kept), Do::Restart("c"));
    assert_eq!(bench.plan.scanned(&0, "b", Service::Kept), Do::Look);
}

#[test]
fn row_that_a_scan_shows_twice_is_what_a_look_for_its_key_says() {
    let mut bench = Bench::new(rules());
    let (mut looks, mut restarts) = (0, 0);
    // Whichever of them the table gives when it is asked, and in whichever order they are shown.
    for (rows, says) in [(["a", "b"], "b"), (["a", "b"], "a"), (["b", "a"], "b")] {
        for scan in 0..5 {
            assert!(bench.plan.begin_scan(bench.now));
            for value in rows {
                let service = match bench.plan.value(&0) {
                    Some(_) => Service::Kept,
                    None => Service::None,
                };
                match bench.plan.scanned(&0, value, service) {
                    Do::Look => {
                        looks += 1;
                        restarts += u32::from(bench.look(0, says, Service::Kept) != Do::Nothing);
                    }
                    Do::Restart(_) => restarts += 1,
                    Do::Nothing | Do::Start(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            bench.end_scan();
            assert_eq!(bench.plan.value(&0), Some(&says), "scan {scan}");
            bench.wait();
        }
    }
    // Once whenever the table says something else, and not with each scan.
    assert_eq!(restarts, 3);
    assert!(looks <= 2 * 15, "{looks}");
}

#[test]
fn row_that_is_read_before_a_restart_gives_the_value_that_is_new() {
    let mut bench = Bench::new(rules());
    bench.look(0, "a", Service::None);
    assert_eq!(bench.plan.revived(&0, "a"), None);
    assert_eq!(bench.plan.revived(&0, "b"), Some("b"));
    assert_eq!(bench.plan.revived(&0, "b"), None);
    assert_eq!(bench.plan.revived(&1, "b"), None, "it has no service");
    assert_eq!(bench.look(0, "b", Service::Kept), Do::Nothing);
}
