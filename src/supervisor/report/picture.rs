//! What a report says.

use std::{
    fmt,
    slice::Iter,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    event::Blocked,
    policy::{ExitReason, names_below},
    service::{ReportedKind, ReportedPlacement, Shown},
    state::ServiceState,
    token::ServiceToken,
    tree::{Details, Numbers},
};

#[doc = include_str!("../../docs/report.md")]
#[derive(Clone)]
#[non_exhaustive]
pub struct Report {
    pub(super) own: Own,
    pub(super) services: Vec<ServiceReport>,
}

/// What a report says of its supervisor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Own {
    pub(super) path: Arc<str>,
    pub(super) token: ServiceToken,
    pub(super) kind: ReportedKind,
    pub(super) state: ServiceState,
    pub(super) at: SystemTime,
    pub(super) age: Option<Duration>,
    /// `None` if they are not known.
    pub(super) numbers: Option<Numbers>,
}

impl Report {
    /// The names from the root to the supervisor.
    pub fn path(&self) -> &str {
        &self.own.path
    }

    /// The token of the supervisor, as a service of its own supervisor.
    pub fn token(&self) -> ServiceToken {
        self.own.token
    }

    /// What kind of supervisor it is.
    pub fn kind(&self) -> ReportedKind {
        self.own.kind
    }

    /// What the supervisor is doing, says whoever is above it.
    pub fn state(&self) -> ServiceState {
        self.own.state
    }

    /// When this was put together, by the clock on the wall. What is not [live](Self::age) is older.
    pub fn at(&self) -> SystemTime {
        self.own.at
    }

    /// `None` if the supervisor itself has said all this when it was asked. Otherwise it did not answer, and what the table of the tree does not
    /// say is as old as this; if nothing of that is known, it is how long the supervisor has not answered.
    pub fn age(&self) -> Option<Duration> {
        self.own.age
    }

    /// What is counted against the limit of the supervisor at this moment. Not a number (`NaN`) if that is not known.
    pub fn failure_count(&self) -> f64 {
        let numbers = self.own.numbers.as_ref();
        numbers.map_or(f64::NAN, |numbers| numbers.failure_count)
    }

    /// Up to which count its restarts are within the limit. `None` if there is none, or it is not known.
    pub fn limit(&self) -> Option<f64> {
        self.own.numbers.as_ref()?.limit
    }

    /// In what time the count halves. `None` for a limit by a window, without a limit, or if it is not known.
    pub fn half_life(&self) -> Option<Duration> {
        self.own.numbers.as_ref()?.half_life
    }

    /// How long the window is in which restarts are counted. `None` for any other limit, or if it is not known.
    pub fn window(&self) -> Option<Duration> {
        self.own.numbers.as_ref()?.window
    }

    /// When the pause of all restarts is over, if there is one.
    pub fn paused_until(&self) -> Option<SystemTime> {
        self.own.numbers.as_ref()?.paused_until
    }

    /// For how long the table of a [keyed](crate::keyed) supervisor cannot be read. `None` if it can, and for any other supervisor.
    pub fn table_unreachable(&self) -> Option<Duration> {
        self.own.numbers.as_ref()?.table_unreachable
    }

    /// The services of this supervisor, in start order.
    pub fn services(&self) -> &[ServiceReport] {
        &self.services
    }

    /// All services below, depth first, in start order: after a supervisor come its services.
    pub fn walk(&self) -> impl Iterator<Item = &ServiceReport> {
        let mut walk = Walk::of(self);
        std::iter::from_fn(move || walk.next())
    }

    /// The service at a path from the root, as `root/site/store`. `None` if it is not below this supervisor.
    pub fn find(&self, path: &str) -> Option<&ServiceReport> {
        let mut report = self;
        loop {
            let leads = |service: &&ServiceReport| {
                *service.path == *path || names_below(path, &service.path).is_some()
            };
            let next = report.services.iter().find(leads)?;
            if *next.path == *path {
                return Some(next);
            }
            report = next.below.as_deref()?;
        }
    }
}

/// Goes through the services below a supervisor, without a recursion: trees may be thousands of levels deep.
pub(super) struct Walk<'a> {
    /// What is left of each level above the service that came last, and that of its own.
    levels: Vec<Iter<'a, ServiceReport>>,
}

impl<'a> Walk<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        Self {
            levels: vec![report.services.iter()],
        }
    }

    pub(super) fn next(&mut self) -> Option<&'a ServiceReport> {
        self.next_with(|_| ()).map(|(service, ())| service)
    }

    /// The next service, and what is found out of the levels from the top down to its own.
    pub(super) fn next_with<T>(
        &mut self,
        find_out: impl FnOnce(&[Iter<'a, ServiceReport>]) -> T,
    ) -> Option<(&'a ServiceReport, T)> {
        loop {
            let Some(service) = self.levels.last_mut()?.next() else {
                self.levels.pop();
                continue;
            };
            let found = find_out(&self.levels);
            if let Some(below) = &service.below {
                self.levels.push(below.services.iter());
            }
            return Some((service, found));
        }
    }
}

impl PartialEq for Report {
    fn eq(&self, other: &Self) -> bool {
        let mut pairs = vec![(self, other)];
        // Not by recursion, as with `Walk`.
        while let Some((one, other)) = pairs.pop() {
            if one.own != other.own || one.services.len() != other.services.len() {
                return false;
            }
            for (one, other) in one.services.iter().zip(&other.services) {
                if !one.has_same_facts(other) {
                    return false;
                }
                match (&one.below, &other.below) {
                    (None, None) => {}
                    (Some(one), Some(other)) => pairs.push((one, other)),
                    _ => return false,
                }
            }
        }
        true
    }
}

impl fmt::Debug for Report {
    /// All services below in one list.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct All<'a>(&'a Report);

        impl fmt::Debug for All<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.0.walk()).finish()
            }
        }

        f.debug_struct("Report")
            .field("supervisor", &self.own)
            .field("services", &All(self))
            .finish()
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        // One level after the other: dropped within each other, thousands of levels would overflow the stack.
        let mut below = take_below(self);
        while let Some(report) = below.pop() {
            if let Some(mut report) = Arc::into_inner(report) {
                below.append(&mut take_below(&mut report));
            }
        }
    }
}

/// Takes out what is below the services of a supervisor.
fn take_below(report: &mut Report) -> Vec<Arc<Report>> {
    let services = report.services.iter_mut();
    services
        .filter_map(|service| service.below.take())
        .collect()
}

/// What one service is doing.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServiceReport {
    pub(super) path: Arc<str>,
    pub(super) token: ServiceToken,
    pub(super) type_name: &'static str,
    pub(super) at: SystemTime,
    pub(super) since: Option<SystemTime>,
    pub(super) age: Option<Duration>,
    pub(super) generation: u64,
    pub(super) restarts: u64,
    pub(super) handled: u64,
    pub(super) details: Option<Arc<Details>>,
    pub(super) below: Option<Arc<Report>>,
    pub(super) state: ServiceState,
    pub(super) shown: Shown,
}

impl ServiceReport {
    /// The token of the service.
    pub fn token(&self) -> ServiceToken {
        self.token
    }

    /// The names from the root to the service.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name of the service among its siblings: the last one of its path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// What the service is: an actor, a task, a supervisor …
    pub fn kind(&self) -> ReportedKind {
        self.shown.kind
    }

    /// The type of the actor, as [`std::any::type_name`] has it. For tasks and supervisors it is a type of this crate.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Where the service runs.
    pub fn placement(&self) -> ReportedPlacement {
        self.shown.placement
    }

    /// What the service is doing. Known also of one whose supervisor does not answer: it is what that has said of it last.
    pub fn state(&self) -> ServiceState {
        self.state
    }

    /// Since when the present incarnation is there, from its readiness on since when it is ready; if there is none, since when the last one has
    /// ended. `None` if there was none yet, or if it is not known.
    pub fn since(&self) -> Option<SystemTime> {
        self.since
    }

    /// The number of its present or latest incarnation, from 0.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How often it was started again, for whatever reason.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// How many messages it has handled, in all of its incarnations; one that it is handling is counted already, and so is one in which it has
    /// panicked. Of a supervisor, what it was asked. Always known.
    pub fn handled(&self) -> u64 {
        self.handled
    }

    /// What is counted against the own limit of the service at this moment, or `None` if it has none and is counted by its supervisor's, or if
    /// it is not known.
    pub fn failure_count(&self) -> Option<f64> {
        self.details.as_ref()?.failure_count
    }

    /// Up to which count it is within its own limit, if it has one that is known.
    pub fn limit(&self) -> Option<f64> {
        self.details.as_ref()?.limit
    }

    /// How long the present incarnation has been there, if one is: [`since`](Self::since), as a duration.
    pub fn uptime(&self) -> Option<Duration> {
        let since = self.since.filter(|_| self.state.is_live())?;
        Some(self.at.duration_since(since).unwrap_or_default())
    }

    /// When it is started next, if that is due at a known time.
    pub fn next_start(&self) -> Option<SystemTime> {
        self.details.as_ref()?.next_start
    }

    /// For which service it waits, if it waits for one: the name of a sibling, or the path of one elsewhere.
    ///
    /// That is one that it requires, directly or not, or under [`Strategy::RestForOne`](crate::Strategy::RestForOne) one before it.
    pub fn waits_for(&self) -> Option<&str> {
        let (on, _) = self.details.as_ref()?.waits_for.as_ref()?;
        Some(on)
    }

    /// What is the matter with the service that it [waits for](Self::waits_for).
    pub fn blocked(&self) -> Option<Blocked> {
        let (_, why) = self.details.as_ref()?.waits_for.as_ref()?;
        Some(*why)
    }

    /// How the latest incarnation ended, if one has ended, with its causes.
    pub fn last_exit(&self) -> Option<&ExitReason> {
        self.details.as_ref()?.last_exit.as_ref()
    }

    /// The report of a supervisor itself. `None` for any other service, and for a supervisor that was never started.
    pub fn supervisor(&self) -> Option<&Report> {
        self.below.as_deref()
    }

    /// `None` if its supervisor has said all this when it was asked. Otherwise that did not answer, and what the table of the tree does not say
    /// is as old as this: see [`Report::age`].
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// When this was put together, by the clock on the wall.
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// Whether all is the same but for what is below.
    fn has_same_facts(&self, other: &Self) -> bool {
        let facts = |service: &Self| {
            (
                service.token,
                service.type_name,
                service.at,
                service.since,
                service.age,
                (service.generation, service.restarts, service.handled),
                service.state,
                service.shown,
            )
        };
        facts(self) == facts(other) && self.path == other.path && self.details == other.details
    }
}

impl PartialEq for ServiceReport {
    fn eq(&self, other: &Self) -> bool {
        self.has_same_facts(other) && self.below == other.below
    }
}

impl fmt::Debug for ServiceReport {
    /// Without the services below, of which [`Report`] has one list.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceReport")
            .field("path", &self.path)
            .field("token", &self.token)
            .field("kind", &self.shown.kind)
            .field("type_name", &self.type_name)
            .field("placement", &self.shown.placement)
            .field("state", &self.state)
            .field("since", &self.since)
            .field("generation", &self.generation)
            .field("restarts", &self.restarts)
            .field("handled", &self.handled)
            .field("details", &self.details)
            .field("age", &self.age)
            .field("supervisor", &self.below.as_ref().map(|below| &below.own))
            .finish_non_exhaustive()
    }
}
