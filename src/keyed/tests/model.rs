//! The comparison of a table with what runs, against the simplest description: a table, services that do at once what they are told, and reads
//! that take time.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use proptest::prelude::*;

use super::{
    super::plan::{Begun, Do, Ended, Plan, Rules, Service},
    plan::{SECOND, rules, some_time},
};

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write(u32, u8),
    Delete(u32),
    /// Begins a scan if it is time, or shows the next rows of the one that goes on, or ends it.
    Scan,
    /// A scan breaks off.
    Break,
    BadRow(Option<u32>),
    /// Begins to look for a key; the answer comes with the next `Answer`.
    Look(u32),
    Answer,
    /// A service gives up.
    GiveUp(u32),
    /// A service is lost with its arbiter.
    Lose(u32),
    /// A person stops a service, or removes it.
    HoldDown(u32),
    Remove(u32),
    /// A service that is being removed has ended.
    LateEnd(u32),
    /// A service is started again by policy, with its row read before.
    Revive(u32),
    Rescan,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..6_u32;
    prop_oneof![
        4 => (key.clone(), 0..3_u8).prop_map(|(key, value)| Step::Write(key, value)),
        3 => key.clone().prop_map(Step::Delete),
        8 => Just(Step::Scan),
        1 => Just(Step::Break),
        1 => prop::option::of(key.clone()).prop_map(Step::BadRow),
        3 => key.clone().prop_map(Step::Look),
        4 => Just(Step::Answer),
        1 => key.clone().prop_map(Step::GiveUp),
        1 => key.clone().prop_map(Step::Lose),
        1 => key.clone().prop_map(Step::HoldDown),
        2 => key.clone().prop_map(Step::Remove),
        2 => key.clone().prop_map(Step::LateEnd),
        2 => key.prop_map(Step::Revive),
        1 => Just(Step::Rescan),
        4 => Just(Step::Wait),
    ]
}

/// The simplest description: a table, services that do at once what they are told, and reads that take time.
struct Model {
    plan: Plan<u32, u8>,
    now: Instant,
    table: BTreeMap<u32, u8>,
    /// What runs by key, or is there without running, and with which value.
    services: HashMap<u32, (Service, u8)>,
    /// Where the scan is that goes on.
    at: Option<u32>,
    /// Reads whose answers have not come: of a key, for what, begun when, and what was there when it was read.
    reads: Vec<(u32, Why, Begun, Option<u8>)>,
    /// How often each row was missing at some time since its service was started: only those may be stopped.
    deleted: HashMap<u32, u32>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Why {
    Change,
    Suspect,
}

impl Model {
    fn new() -> Self {
        let now = some_time();
        let mut plan = Plan::new(Rules {
            max_vanish: Some(3),
            ..rules()
        });
        plan.begin(now);
        Self {
            plan,
            now,
            table: BTreeMap::new(),
            services: HashMap::new(),
            at: None,
            reads: Vec::new(),
            deleted: HashMap::new(),
        }
    }

    fn service(&self, key: u32) -> Service {
        self.services
            .get(&key)
            .map_or(Service::None, |(service, _)| *service)
    }

    fn read(&mut self, key: u32, why: Why) {
        let begun = self.plan.begin_read();
        self.reads
            .push((key, why, begun, self.table.get(&key).copied()));
    }

    fn follow(&mut self, key: u32, what: Do<u8>) {
        match what {
            Do::Nothing => {}
            Do::Refuse => panic!("all services are of the table"),
            Do::Look => self.read(key, Why::Change),
            Do::Start(value) => {
                // At most one for a key, and never while another one of the same name is there.
                assert_eq!(self.service(key), Service::None);
                self.services.insert(key, (Service::Kept, value));
                // Unless it is gone already since it was read.
                if self.table.contains_key(&key) {
                    self.deleted.remove(&key);
                }
            }
            Do::Replace => self.remove(key),
            Do::Renew(value) => self.services.get_mut(&key).unwrap().1 = value,
            Do::Restart(value) => {
                let service = self.services.get_mut(&key).unwrap();
                assert_eq!(service.0, Service::Kept);
                assert_ne!(service.1, value, "an equal value restarts nothing");
                service.1 = value;
            }
            Do::Reset(value) => {
                let service = self.services.get_mut(&key).unwrap();
                assert_eq!(service.0, Service::Ended);
                service.0 = Service::Kept;
                service.1 = value.unwrap_or(service.1);
            }
        }
    }

    fn remove(&mut self, key: u32) {
        if let Some(service) = self.services.get_mut(&key) {
            service.0 = Service::Leaving;
        }
    }

    fn scan(&mut self) {
        if self.plan.is_sweeping() {
            let ended = self.plan.sweep(2, self.now);
            return self.end(ended);
        }
        let Some(at) = self.at else {
            if self.plan.begin_scan(self.now) {
                self.at = Some(0);
            }
            return;
        };
        let row = self
            .table
            .range(at..)
            .next()
            .map(|(key, value)| (*key, *value));
        if let Some((key, value)) = row {
            self.at = Some(key + 1);
            let service = self.service(key);
            let what = self.plan.scanned(&key, value, service);
            return self.follow(key, what);
        }
        self.at = None;
        let ended = self.plan.scan_ended(self.now);
        self.end(ended);
    }

    fn end(&mut self, ended: Option<Ended<u32>>) {
        assert!(self.plan.counts_right());
        let Some(ended) = ended else {
            return;
        };
        assert!(ended.suspects.is_empty() || ended.refused.is_none());
        for key in ended.suspects {
            self.read(key, Why::Suspect);
        }
    }

    fn answer(&mut self) {
        if self.reads.is_empty() {
            return;
        }
        let (key, why, begun, found) = self.reads.remove(0);
        match (found, why) {
            (Some(value), _) => {
                let service = self.service(key);
                let what = self.plan.row(&key, value, service, begun);
                self.follow(key, what);
            }
            (None, Why::Change) => self.plan.missed(&key, begun, self.now),
            (None, Why::Suspect) => {
                if self.plan.vanished(&key, begun) {
                    assert!(self.deleted.contains_key(&key), "{key} never was missing");
                    self.remove(key);
                }
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Write(key, value) => {
                self.table.insert(key, value);
            }
            Step::Delete(key) => {
                if self.table.remove(&key).is_some() {
                    *self.deleted.entry(key).or_default() += 1;
                }
            }
            Step::Scan => self.scan(),
            Step::Break => {
                if self.at.take().is_some() {
                    self.plan.scan_failed(self.now);
                }
            }
            Step::BadRow(key) => {
                if self.at.is_some() {
                    self.plan.bad_row(key.as_ref());
                }
            }
            Step::Look(key) => self.read(key, Why::Change),
            Step::Answer => self.answer(),
            Step::GiveUp(key) => self.becomes(key, Service::Ended),
            Step::Lose(key) => self.becomes(key, Service::Gone),
            Step::HoldDown(key) => self.becomes(key, Service::HeldDown),
            Step::Remove(key) => {
                self.plan.forget(&key);
                self.remove(key);
            }
            Step::LateEnd(key) => {
                if self.service(key) == Service::Leaving {
                    self.services.remove(&key);
                    self.plan.forget(&key);
                }
            }
            Step::Revive(key) => self.revive(key),
            Step::Rescan => self.plan.rescan(self.now),
            Step::Wait => self.now += 31 * SECOND,
        }
    }

    fn becomes(&mut self, key: u32, state: Service) {
        if self.service(key) == Service::Kept {
            self.services.get_mut(&key).unwrap().0 = state;
        }
    }

    fn revive(&mut self, key: u32) {
        if self.service(key) != Service::Kept {
            return;
        }
        let Some(value) = self.table.get(&key) else {
            self.plan.forget(&key);
            self.services.remove(&key);
            return;
        };
        if let Some(value) = self.plan.revived(&key, *value) {
            self.services.get_mut(&key).unwrap().1 = value;
        }
    }

    /// Lets everything come to rest.
    fn settle(&mut self) {
        for _ in 0..4 {
            while !self.reads.is_empty() {
                self.answer();
            }
            let leaving: Vec<u32> = self.services.keys().copied().collect();
            for key in leaving {
                self.take(Step::LateEnd(key));
            }
            self.plan.rescan(self.now);
            self.scan();
            while self.at.is_some() || self.plan.is_sweeping() {
                self.scan();
            }
        }
    }

    fn assert_same(&self) {
        for (key, value) in &self.table {
            let (service, made_with) = self.services.get(key).expect("every row has a service");
            assert_eq!(made_with, value, "{key} {service:?}");
        }
        for key in self.services.keys() {
            assert!(self.table.contains_key(key), "{key} has no row");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_runs_is_what_the_table_says_once_everything_has_come_to_rest(
        steps in prop::collection::vec(step(), 0..80)
    ) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
        }
        model.settle();
        model.assert_same();
    }
}
