//! What a report is for machines.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::picture::{Own, Report, ServiceReport};
use crate::{
    event::Blocked,
    policy::ExitReason,
    service::{ReportedKind, ReportedPlacement},
    state::ServiceState,
    token::ServiceToken,
};

/// All services below are one flat list: readers of JSON bound the depth of what is nested, and writers recurse.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = &self.own;
        let mut fields = serializer.serialize_struct("Report", 8)?;
        fields.serialize_field("path", self.path())?;
        fields.serialize_field("token", &own.token)?;
        fields.serialize_field("kind", &own.kind)?;
        fields.serialize_field("state", &own.state)?;
        fields.serialize_field("at", &Wall(own.at))?;
        fields.serialize_field("age", &seconds(own.age))?;
        fields.serialize_field("supervisor", &OfSupervisor::of(own))?;
        fields.serialize_field("services", &All(self))?;
        fields.end()
    }
}

/// The services below, one after the other.
struct All<'a>(&'a Report);

impl Serialize for All<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.walk())
    }
}

/// Without the services below: what is said of the supervisor itself.
impl Serialize for ServiceReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            path: &'a str,
            token: ServiceToken,
            kind: ReportedKind,
            type_name: &'a str,
            placement: ReportedPlacement,
            state: ServiceState,
            since: Option<Wall>,
            generation: u64,
            restarts: u64,
            handled: u64,
            failure_count: Option<f64>,
            limit: Option<f64>,
            next_start: Option<Wall>,
            waits_for: Option<&'a str>,
            blocked: Option<Blocked>,
            last_exit: Option<&'a ExitReason>,
            age: Option<f64>,
            supervisor: Option<OfSupervisor>,
        }
        let below = self.below.as_ref();
        let fields = Fields {
            path: self.path(),
            token: self.token,
            kind: self.kind(),
            type_name: self.type_name,
            placement: self.placement(),
            state: self.state,
            since: self.since.map(Wall),
            generation: self.generation,
            restarts: self.restarts,
            handled: self.handled,
            failure_count: self.failure_count(),
            limit: self.limit(),
            next_start: self.next_start().map(Wall),
            waits_for: self.waits_for(),
            blocked: self.blocked(),
            last_exit: self.last_exit(),
            age: seconds(self.age),
            supervisor: below.map(|below| OfSupervisor::of(&below.own)),
        };
        fields.serialize(serializer)
    }
}

/// What is said of a supervisor.
#[derive(Serialize)]
struct OfSupervisor {
    failure_count: Option<f64>,
    limit: Option<f64>,
    half_life: Option<f64>,
    window: Option<f64>,
    paused_until: Option<Wall>,
    table_unreachable: Option<f64>,
    age: Option<f64>,
}

impl OfSupervisor {
    fn of(own: &Own) -> Self {
        let numbers = own.numbers.as_ref();
        Self {
            failure_count: numbers.map(|numbers| numbers.failure_count),
            limit: numbers.and_then(|numbers| numbers.limit),
            half_life: seconds(numbers.and_then(|numbers| numbers.half_life)),
            window: seconds(numbers.and_then(|numbers| numbers.window)),
            paused_until: numbers.and_then(|numbers| numbers.paused_until).map(Wall),
            table_unreachable: seconds(numbers.and_then(|numbers| numbers.table_unreachable)),
            age: seconds(own.age),
        }
    }
}

/// A time by the clock on the wall.
#[derive(Clone, Copy)]
struct Wall(SystemTime);

impl Serialize for Wall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::serialize::wall_clock(&self.0, serializer)
    }
}

fn seconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| duration.as_secs_f64())
}
