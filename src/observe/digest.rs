//! What is worth a record of its own in the log.
//!
//! Subscribers are told everything. People who read a log want one record for each failure, with all that belongs to it, and not thousands of a
//! service that fails again and again.
//!
//! # The rule
//!
//! What happens over and over to one service, or to one supervisor, is a *loop* after its third turn: its failures then make one record in 10 s,
//! which says how many there were, and that it was started again makes none. It is over after a minute without a failure. Whatever else
//! happens to it is recorded, and before that what was not said yet; so it is when its supervisor pauses, gives up or stops.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::subscriber::contains;
use crate::event::{EventKind, Occurrence, Restarting};

/// Decides what is recorded, told everything in order.
#[derive(Debug, Default)]
pub(super) struct Digest {
    loops: BTreeMap<Subject, Loop>,
    /// When all of them were last looked through, for what is overdue.
    looked: Option<Instant>,
    /// What is not needed any more, and holds errors of users.
    gone: Vec<Occurrence>,
}

/// To whom something happens over and over, and what.
type Subject = (Arc<str>, Course);

/// What may happen over and over.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Course {
    /// A service ends and is started again.
    Life,
    /// A supervisor restarts a group.
    Group,
    /// The pause of a supervisor is prolonged.
    Pause,
}

/// What has happened over and over to one subject.
#[derive(Debug)]
struct Loop {
    turns: u32,
    /// When it happened the last time.
    last: Instant,
    /// When a record was made the last time.
    said: Instant,
    /// What has happened since then.
    unsaid: Option<Repeated>,
    /// The delay that the last record has named, and of which generation.
    named: Option<(u64, Duration)>,
}

/// What was not recorded, though it happened.
#[derive(Debug)]
struct Repeated {
    count: u64,
    last: Occurrence,
}

/// A record of what happened, and of how often something like it had happened since the record before.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) what: Occurrence,
    pub(super) repeats: u64,
    /// How long that took.
    pub(super) over: Duration,
}

/// What an occurrence means for the log.
enum Role {
    /// One more turn of a loop.
    Turn(Course),
    /// It belongs to a turn, and goes without saying in a loop.
    Part,
    /// It has to be said.
    Own,
    /// So it has, and whatever was not said of those below comes before.
    OwnOfAll,
}

impl Digest {
    /// What is to be recorded, in this order.
    pub(super) fn take(&mut self, what: Occurrence) -> Vec<Record> {
        let now = what.at();
        let mut records = self.overdue(now);
        let path = what.path();
        match role(what.kind()) {
            Role::Turn(course) => records.extend(self.turn(course, what)),
            Role::Part if self.goes_without_saying(&what) => {}
            Role::Part => records.push(Record::alone(what)),
            Role::Own => {
                if let Some(found) = self.loops.get_mut(&(Arc::clone(path), Course::Life)) {
                    records.extend(found.say());
                }
                records.push(Record::alone(what));
            }
            Role::OwnOfAll => {
                let below = self.loops.iter_mut();
                let below = below.filter(|((of, _), _)| contains(path, of));
                records.extend(below.filter_map(|(_, found)| found.say()));
                if matches!(what.kind(), EventKind::PauseEnded { .. }) {
                    self.loops.remove(&(Arc::clone(path), Course::Pause));
                }
                records.push(Record::alone(what));
            }
        }
        records
    }

    /// What is to be dropped without the lock that the digest is behind: errors are code of users, who may report something.
    pub(super) fn take_gone(&mut self) -> Vec<Occurrence> {
        std::mem::take(&mut self.gone)
    }

    /// Whatever was not said yet, at the end.
    pub(super) fn finish(&mut self) -> Vec<Record> {
        let loops = std::mem::take(&mut self.loops);
        let mut loops: Vec<_> = loops.into_values().collect();
        loops.iter_mut().filter_map(Loop::say).collect()
    }

    fn turn(&mut self, course: Course, what: Occurrence) -> Option<Record> {
        let now = what.at();
        let subject = (Arc::clone(what.path()), course);
        let found = self.loops.entry(subject).or_insert(Loop {
            turns: 0,
            last: now,
            said: now,
            unsaid: None,
            named: None,
        });
        if now.saturating_duration_since(found.last) > QUIET {
            found.turns = 0;
        }
        found.turns = found.turns.saturating_add(1);
        found.last = now;
        found.named = delay(what.kind()).map(|delay| (what.generation(), delay));
        let since = now.saturating_duration_since(found.said);
        if found.turns > FREE && since < INTERVAL {
            let before = found.unsaid.take();
            let count = before.as_ref().map_or(0, |unsaid| unsaid.count);
            found.unsaid = Some(Repeated {
                count: count + 1,
                last: what,
            });
            self.gone.extend(before.map(|unsaid| unsaid.last));
            return None;
        }
        found.said = now;
        let unsaid = found.unsaid.take();
        let repeats = unsaid.as_ref().map_or(0, |unsaid| unsaid.count);
        self.gone.extend(unsaid.map(|unsaid| unsaid.last));
        Some(Record {
            what,
            repeats,
            over: since,
        })
    }

    /// Whether it was said already, or belongs to a loop.
    fn goes_without_saying(&self, what: &Occurrence) -> bool {
        let subject = (Arc::clone(what.path()), Course::Life);
        let Some(found) = self.loops.get(&subject) else {
            return false;
        };
        if let EventKind::RestartScheduled { after } = what.kind()
            && found.named == Some((what.generation(), *after))
        {
            return true;
        }
        found.turns > FREE && what.at().saturating_duration_since(found.last) <= QUIET
    }

    /// What has waited for another failure, which did not come; looked for now and then. Loops that are over are forgotten.
    fn overdue(&mut self, now: Instant) -> Vec<Record> {
        let looked = *self.looked.get_or_insert(now);
        if now.saturating_duration_since(looked) < INTERVAL {
            return Vec::new();
        }
        self.looked = Some(now);
        let since = |then| now.saturating_duration_since(then);
        let loops = self.loops.values_mut();
        let overdue = loops.filter(|found| since(found.said) >= INTERVAL);
        let records = overdue.filter_map(Loop::say).collect();
        self.loops.retain(|_, found| since(found.last) <= QUIET);
        records
    }
}

impl Loop {
    /// The record of what was not said yet.
    fn say(&mut self) -> Option<Record> {
        let Repeated { count, last } = self.unsaid.take()?;
        let over = last.at().saturating_duration_since(self.said);
        self.said = last.at();
        Some(Record {
            what: last,
            repeats: count - 1,
            over,
        })
    }
}

impl Record {
    const fn alone(what: Occurrence) -> Self {
        Self {
            what,
            repeats: 0,
            over: Duration::ZERO,
        }
    }
}

const fn role(kind: &EventKind) -> Role {
    match kind {
        EventKind::ServiceStartFailed { .. }
        | EventKind::ServiceFailed { .. }
        | EventKind::ServicePanicked { .. }
        | EventKind::ServiceCompleted { .. }
        | EventKind::ServiceStopped { .. } => Role::Turn(Course::Life),
        EventKind::GroupRestarted { .. } => Role::Turn(Course::Group),
        EventKind::PauseStarted { .. } => Role::Turn(Course::Pause),
        EventKind::ServiceStarted
        | EventKind::ServiceReady
        | EventKind::RestartScheduled { .. }
        | EventKind::StartTimedOut { .. }
        | EventKind::StopTimedOut { .. }
        | EventKind::ServiceBlocked { .. }
        | EventKind::MessagesRefused => Role::Part,
        EventKind::PauseEnded { .. }
        | EventKind::LimitExceeded { .. }
        | EventKind::SupervisorStarted
        | EventKind::SupervisorStartFailed { .. }
        | EventKind::SupervisorStopped { .. }
        | EventKind::SupervisorEscalated { .. } => Role::OwnOfAll,
        _ => Role::Own,
    }
}

/// After which delay the service is started again, if the event says so.
pub(super) const fn delay(kind: &EventKind) -> Option<Duration> {
    match kind {
        EventKind::ServiceStartFailed { restarting, .. }
        | EventKind::ServiceFailed { restarting, .. }
        | EventKind::ServicePanicked { restarting, .. }
        | EventKind::ServiceCompleted { restarting, .. } => match restarting {
            Restarting::After(delay) => Some(*delay),
            Restarting::Now => Some(Duration::ZERO),
            _ => None,
        },
        EventKind::RestartScheduled { after } => Some(*after),
        EventKind::ServicePaused { lasting, .. } | EventKind::PauseStarted { lasting, .. } => {
            Some(*lasting)
        }
        _ => None,
    }
}

/// How many turns are recorded one by one.
const FREE: u32 = 3;
/// How often there is a record of a loop.
const INTERVAL: Duration = Duration::from_secs(10);
/// After how long without a turn a loop is over.
const QUIET: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{ExitReason, ServiceError, Strategy},
        token::{ServiceToken, SupervisorId},
    };

    struct Bench {
        digest: Digest,
        start: Instant,
        token: ServiceToken,
    }

    impl Bench {
        fn new() -> Self {
            #[expect(clippy::disallowed_methods, reason = "an event has a time")]
            let start = Instant::now();
            Self {
                digest: Digest::default(),
                start,
                token: ServiceToken::issue(SupervisorId::issue(), 0),
            }
        }

        /// What is recorded of an event after so many milliseconds.
        fn at(&mut self, ms: u64, path: &str, kind: EventKind) -> Vec<Shown> {
            let at = self.start + Duration::from_millis(ms);
            let what = Occurrence::new(Arc::from(path), Some(self.token), 0, at, kind);
            shown(self.digest.take(what))
        }
    }

    /// Of whom, what, how many more, and in how many milliseconds.
    type Shown = (String, &'static str, u64, u128);

    fn shown(records: Vec<Record>) -> Vec<Shown> {
        let records = records.into_iter().map(|record| {
            let path = record.what.path().to_string();
            let over = record.over.as_millis();
            (path, record.what.kind().name(), record.repeats, over)
        });
        records.collect()
    }

    fn failed(restarting: Restarting) -> EventKind {
        let reason = ExitReason::Failed(ServiceError::new("no route"));
        EventKind::ended(reason, 1.0, restarting)
    }

    const PATH: &str = "root/a";

    fn record(path: &str, kind: &'static str, repeats: u64, over: u128) -> Shown {
        (path.to_owned(), kind, repeats, over)
    }

    #[test]
    fn failure_says_when_it_is_restarted_and_that_is_not_said_again() {
        let mut bench = Bench::new();
        let (one, two) = (Duration::from_secs(1), Duration::from_secs(2));
        let failure = bench.at(0, PATH, failed(Restarting::After(one)));
        assert_eq!(failure, [record(PATH, "service_failed", 0, 0)]);
        let scheduled = |after| EventKind::RestartScheduled { after };
        assert!(bench.at(0, PATH, scheduled(one)).is_empty());
        let another = [record(PATH, "restart_scheduled", 0, 0)];
        assert_eq!(bench.at(5, PATH, scheduled(two)), another);
        assert_eq!(bench.at(5, "root/b", scheduled(one)).len(), 1);
        let started = bench.at(6, PATH, EventKind::ServiceStarted);
        assert_eq!(started, [record(PATH, "service_started", 0, 0)]);
    }

    #[test]
    fn loop_is_summarised_and_flushed_by_whatever_else_happens() {
        let mut bench = Bench::new();
        let mut records = Vec::new();
        for turn in 0..1000 {
            let now = turn * 25;
            records.extend(bench.at(now, PATH, failed(Restarting::Now)));
            records.extend(bench.at(now + 1, PATH, EventKind::ServiceStarted));
            records.extend(bench.at(now + 2, PATH, EventKind::ServiceReady));
        }
        let said: Vec<_> = records.iter().filter(|record| record.2 > 0).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(*said[0], record(PATH, "service_failed", 399, 10_000));
        assert_eq!(records.len(), 3 * 3 + said.len());
        // Of another service nothing is held back.
        assert_eq!(bench.at(25_000, "root/b", failed(Restarting::No)).len(), 1);
        let reason = ExitReason::Normal;
        let gave_up = bench.at(25_000, PATH, EventKind::ServiceGaveUp { reason });
        let all = [
            record(PATH, "service_failed", 196, 4925),
            record(PATH, "service_gave_up", 0, 0),
        ];
        assert_eq!(gave_up, all);
        let total: u64 = records
            .iter()
            .chain(&all[..1])
            .filter(|r| r.1 == "service_failed")
            .map(|r| r.2 + 1)
            .sum();
        assert_eq!(total, 1000);
    }

    #[test]
    fn what_is_not_said_is_given_back_and_dropped_by_the_caller() {
        let mut bench = Bench::new();
        let error = ServiceError::new("no route");
        let fails = |bench: &mut Bench, now| {
            let reason = ExitReason::Failed(error.clone());
            let kind = EventKind::ended(reason, 1.0, Restarting::Now);
            bench.at(now, PATH, kind);
        };
        for now in 0..10 {
            fails(&mut bench, now);
        }
        // Of the seven that were not recorded the digest needs the last one.
        assert_eq!(bench.digest.take_gone().len(), 6);
        fails(&mut bench, 10_010);
        assert_eq!(bench.digest.take_gone().len(), 0);
        assert!(bench.digest.take_gone().is_empty());
    }

    #[test]
    fn loop_is_over_after_a_minute_without_a_failure() {
        let mut bench = Bench::new();
        for now in 0..10 {
            bench.at(now, PATH, failed(Restarting::Now));
        }
        // What was held back comes with whatever happens next anywhere, once it is overdue.
        let other = bench.at(10_010, "root/b", EventKind::ServiceReady);
        assert_eq!(other[0], record(PATH, "service_failed", 6, 7));
        assert_eq!(other.len(), 2);
        assert!(bench.at(60_000, PATH, EventKind::ServiceReady).is_empty());
        for now in [60_020, 60_021] {
            assert_eq!(bench.at(now, PATH, failed(Restarting::Now)).len(), 1);
        }
        bench.at(200_000, "root/b", EventKind::ServiceReady);
        assert!(bench.digest.loops.is_empty());
        assert_eq!(bench.at(200_001, PATH, EventKind::ServiceReady).len(), 1);
    }

    #[test]
    fn end_of_a_supervisor_has_everything_below_said_before() {
        let mut bench = Bench::new();
        for now in 0..10 {
            for path in ["root/sub/a", "root/subway"] {
                bench.at(now, path, failed(Restarting::Now));
            }
        }
        let count = 6.0;
        let exceeded = bench.at(10, "root/sub", EventKind::LimitExceeded { count });
        let all = [
            record("root/sub/a", "service_failed", 6, 7),
            record("root/sub", "limit_exceeded", 0, 0),
        ];
        assert_eq!(exceeded, all);
        let rest = [record("root/subway", "service_failed", 6, 7)];
        assert_eq!(shown(bench.digest.finish()), rest);
    }

    #[test]
    fn pause_is_always_said_and_prolonging_it_again_and_again_is_not() {
        let mut bench = Bench::new();
        let pause = || EventKind::PauseStarted {
            lasting: Duration::from_secs(15),
            count: 6.0,
        };
        let group = || EventKind::GroupRestarted {
            strategy: Strategy::OneForAll,
            members: 3,
        };
        let said: usize = (0..10)
            .map(|now| bench.at(now, "root", group()).len())
            .sum();
        assert_eq!(said, 3);
        let said: usize = (0..10)
            .map(|now| bench.at(now, "root", pause()).len())
            .sum();
        assert_eq!(said, 3);
        let ended = bench.at(10, "root", EventKind::PauseEnded { queued: 1 });
        let kinds: Vec<_> = ended.iter().map(|record| record.1).collect();
        assert_eq!(kinds.last(), Some(&"pause_ended"));
        assert_eq!(kinds.len(), 3);
        assert_eq!(bench.at(11, "root", pause()).len(), 1);
    }
}
