//! Tests of the decisions, without a runtime.

mod again;
mod blocked;
mod bounds;
mod completed;
mod consult;
mod decide;
mod dependencies;
mod ends;
mod failures;
mod findings;
mod for_good;
mod generate;
mod limits;
mod liveness;
mod numbered;
mod operations;
mod own_limits;
mod paths;
mod random;
mod scope;
mod seen;
mod sequence;
mod starting;
mod stopping;
mod strategies;
mod told;
mod transitions;
mod untold;
mod waiters;
mod what_counts;
mod while_down;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{machine::Status, phase::Phase, rules::name_of, service::Service, *};
use crate::{
    event::{Blocked, EventKind, Occurrence, Restarting},
    policy::{
        AutoShutdown, Backoff, Directive, ExitReason, KillCause, OnLimit, Readiness, RestartLimit,
        RestartType, ServiceError, Shutdown, StartOrder, Strategy, Verdict,
    },
    token::SupervisorId,
};

/// Where a supervisor is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SupervisorStatus {
    /// It was not started.
    Idle,
    /// Its services are being started.
    Starting,
    /// It runs.
    Running,
    /// It runs, but restarts pause.
    Paused {
        /// Until then; for ever if that time cannot be expressed.
        until: Option<Instant>,
    },
    /// Its services are being stopped.
    Stopping,
    /// It has ended.
    Stopped,
}

impl SupervisorState {
    /// What can be seen of one service.
    fn service(&self, token: ServiceToken) -> Option<ServiceView> {
        let slot = self.services.slot(token)?;
        Some(self.view(slot))
    }

    /// Where the supervisor is in its life.
    fn status(&self) -> SupervisorStatus {
        match (self.status, self.pause) {
            (Status::Idle, _) => SupervisorStatus::Idle,
            (Status::Starting, _) => SupervisorStatus::Starting,
            (Status::Running, Some(pause)) => SupervisorStatus::Paused { until: pause.until },
            (Status::Running, None) => SupervisorStatus::Running,
            (Status::Ending, _) => SupervisorStatus::Stopping,
            (Status::Ended, _) => SupervisorStatus::Stopped,
        }
    }

    /// Starts a supervisor again that has ended, with the services that it had, as if nothing had happened.
    fn restart_fresh(&mut self, now: Instant) {
        self.reopen(now);
        self.start(now);
    }

    /// Reports whether there are no services.
    fn is_empty(&self) -> bool {
        self.services.len() == 0
    }
}

/// A state, the time, and what the state has said since somebody looked.
struct Bench {
    state: SupervisorState,
    now: Instant,
    start: Instant,
    names: BTreeMap<ServiceToken, String>,
    /// Starts, stops, kills and releases, as text: `start a 0`, `stop a`, `kill a stop timeout`, `release a`.
    actions: Vec<String>,
    /// Events without their values, as text: `a ServiceFailed`.
    story: Vec<String>,
    events: Vec<Occurrence>,
    answers: Vec<(Waiter, Answer)>,
    /// The questions for services elsewhere.
    asked: Vec<(ServiceToken, u64)>,
    /// Likewise, whether services are to go on whose incarnations have ended.
    consulted: Vec<(ServiceToken, u64)>,
    /// Who no longer waits for an answer.
    withdrawn: Vec<ServiceToken>,
    ended: Option<Ended>,
    started: usize,
    /// What was mirrored last.
    mirror: BTreeMap<ServiceToken, Mirrored>,
    /// Who has ended for good, and why, by name; with `release` before the name if it is forgotten.
    ends: Vec<(String, ExitReason)>,
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn just_before(duration: Duration) -> Duration {
    duration.saturating_sub(millis(1))
}

fn named(name: &str) -> ServiceRules {
    ServiceRules::new(name)
}

/// A limit over which this happens.
const fn over(limit: RestartLimit, on_limit: OnLimit) -> RestartLimit {
    match on_limit {
        OnLimit::Escalate => limit.escalate(),
        OnLimit::GiveUp => limit.give_up(),
        OnLimit::Pause => limit,
    }
}

fn failed() -> ExitReason {
    ExitReason::Failed(ServiceError::new("boom"))
}

fn unlimited() -> SupervisorRules {
    SupervisorRules {
        limit: RestartLimit::unlimited(),
        ..SupervisorRules::default()
    }
}

fn strategy(strategy: Strategy) -> SupervisorRules {
    SupervisorRules {
        strategy,
        ..unlimited()
    }
}

impl Bench {
    #[expect(
        clippy::disallowed_methods,
        reason = "the standard library has no other way to an instant"
    )]
    fn new(rules: SupervisorRules) -> Self {
        let now = Instant::now();
        let id = SupervisorId::issue();
        let state = SupervisorState::new(id, Arc::from("root"), rules, Box::new(|| 0.5));
        Self {
            state,
            now,
            start: now,
            names: BTreeMap::new(),
            actions: Vec::new(),
            story: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
            asked: Vec::new(),
            consulted: Vec::new(),
            withdrawn: Vec::new(),
            ended: None,
            started: 0,
            mirror: BTreeMap::new(),
            ends: Vec::new(),
        }
    }

    /// A started supervisor with these services, all ready.
    fn running(rules: SupervisorRules, services: Vec<ServiceRules>) -> Self {
        let mut bench = Self::new(rules);
        for service in services {
            bench.add(service).unwrap();
        }
        bench.state.start(bench.now);
        bench.run();
        bench.get_ready();
        assert_eq!(bench.started, 1, "{:?}", bench.story);
        bench.forget();
        bench
    }

    fn forget(&mut self) {
        self.actions.clear();
        self.story.clear();
        self.events.clear();
        self.answers.clear();
    }

    /// Makes all that start ready, until nothing starts any more.
    fn get_ready(&mut self) {
        loop {
            let starting = self
                .state
                .services()
                .find(|view| view.state == ServiceState::Starting);
            let Some(view) = starting else { return };
            self.ready_at(view.token, view.generation);
        }
    }

    /// Ends all that were asked to stop, until nobody stops any more.
    fn get_stopped(&mut self) {
        loop {
            let stopping = self
                .state
                .services()
                .find(|view| view.state == ServiceState::Stopping);
            let Some(view) = stopping else { return };
            self.exit_at(view.token, view.generation, ExitReason::Shutdown);
        }
    }

    /// Why the supervisor has ended, if it has.
    fn cause(&self) -> Option<&Cause> {
        self.ended.as_ref().map(|ended| &ended.cause)
    }

    /// Ends a service that is a supervisor.
    fn end_below(&mut self, name: &str, ended: Ended) {
        let view = self.view(name);
        self.state
            .exited(view.token, view.generation, Exit::from(ended), self.now);
        self.run();
    }

    /// Drops the incarnation of the supervisor itself.
    fn drop_all(&mut self) {
        self.state.drop_all(self.now);
        self.run();
    }

    fn add(&mut self, rules: ServiceRules) -> Result<ServiceToken, AddError> {
        let token = self.state.add(rules, self.now)?;
        let path = self.state.service_path(token).unwrap();
        self.names.insert(token, name_of(path).to_owned());
        // As a link begins.
        self.mirror
            .insert(token, Mirrored::from(ServiceState::Waiting));
        self.run();
        Ok(token)
    }

    fn token(&self, name: &str) -> ServiceToken {
        let token = self.state.named(name);
        token.unwrap_or_else(|| panic!("`{name}` is gone"))
    }

    fn view(&self, name: &str) -> ServiceView {
        self.state.service(self.token(name)).unwrap()
    }

    fn state_of(&self, name: &str) -> ServiceState {
        self.view(name).state
    }

    fn ready(&mut self, name: &str) {
        let view = self.view(name);
        self.ready_at(view.token, view.generation);
    }

    fn ready_at(&mut self, token: ServiceToken, generation: u64) {
        self.state.ready(token, generation, self.now);
        self.run();
    }

    fn exit(&mut self, name: &str, reason: ExitReason) {
        let view = self.view(name);
        self.exit_at(view.token, view.generation, reason);
    }

    fn exit_at(&mut self, token: ServiceToken, generation: u64, reason: ExitReason) {
        self.state
            .exited(token, generation, Exit::from(reason), self.now);
        self.run();
    }

    fn exit_with(&mut self, name: &str, verdict: Verdict) {
        let view = self.view(name);
        let exit = Exit {
            reason: ExitReason::Normal,
            verdict: Some(verdict),
            ended: None,
        };
        self.state
            .exited(view.token, view.generation, exit, self.now);
        self.run();
    }

    fn acknowledge(&mut self, name: &str) {
        let view = self.view(name);
        self.state
            .stop_acknowledged(view.token, view.generation, self.now);
        self.run();
    }

    fn fail(&mut self, name: &str) {
        self.exit(name, failed());
    }

    fn shutdown(&mut self) {
        self.state.shutdown(None, self.now);
        self.run();
    }

    /// Lets time pass, and does what becomes due, when it does.
    fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(at) = self.state.next_timeout()
            && at <= until
        {
            self.now = self.now.max(at);
            self.state.timeout(self.now);
            self.run();
        }
        self.now = until;
        self.state.timeout(self.now);
        self.run();
    }

    /// Seconds since the beginning.
    fn at(&self, seconds: u64) -> Duration {
        (self.start + Duration::from_secs(seconds)).saturating_duration_since(self.now)
    }

    fn run(&mut self) {
        while let Some(effect) = self.state.next_effect() {
            self.note(effect);
        }
        for (token, mirrored) in &self.mirror {
            if let Some(view) = self.state.service(*token) {
                assert_eq!(view.state, mirrored.state, "{view:?}");
                let service = &self.state.services[token.slot()];
                let senders = service.senders(service.phase());
                assert_eq!(mirrored.senders, senders, "{view:?} {service:?}");
                let over = Mirrored::of(service.phase(), senders).over;
                assert_eq!(mirrored.over, over, "{view:?} {service:?}");
            }
        }
    }

    fn name(&self, token: ServiceToken) -> &str {
        self.names.get(&token).map_or("?", String::as_str)
    }

    fn note(&mut self, effect: Effect) {
        match effect {
            Effect::Moved { .. } => {}
            Effect::Withdraw { token } => self.withdrawn.push(token),
            Effect::AwaitsElsewhere => self.actions.push("awaits elsewhere".into()),
            Effect::Await { token, ticket, .. } => {
                self.actions.push(format!("find {}", self.name(token)));
                self.asked.push((token, ticket));
            }
            Effect::Consult { token, ticket } => {
                self.actions.push(format!("consult {}", self.name(token)));
                self.consulted.push((token, ticket));
            }
            Effect::Start { token, generation } => {
                self.actions
                    .push(format!("start {} {generation}", self.name(token)));
            }
            Effect::Hurry { token, .. } => {
                self.actions.push(format!("hurry {}", self.name(token)));
            }
            Effect::Stop { token, .. } => self.actions.push(format!("stop {}", self.name(token))),
            Effect::Abandon { token } => {
                self.actions.push(format!("abandon {}", self.name(token)));
            }
            Effect::Kill { token, cause } => {
                self.actions
                    .push(format!("kill {} {cause}", self.name(token)));
            }
            Effect::Release { token, reason } => {
                let name = self.name(token).to_owned();
                self.ends.push((format!("release {name}"), reason));
                self.actions.push(format!("release {}", self.name(token)));
                self.mirror.remove(&token);
            }
            Effect::Mirror { token, state, end } => {
                let before = self.mirror.insert(token, state);
                // Told of each end, and of nothing else. What is told between is not shown in every case, and has begun no other life.
                let ends = state.over != Over::No && before.is_some_and(|it| it.over == Over::No);
                assert!(end.is_some() || !ends, "{} {state:?}", self.name(token));
                assert!(end.is_none() || state.over != Over::No, "{state:?}");
                self.ends
                    .extend(end.map(|reason| (self.name(token).to_owned(), *reason)));
            }
            Effect::Event(event) => self.hear(event),
            Effect::Answer { waiter, answer } => self.answers.push((waiter, answer)),
            Effect::Started => self.started += 1,
            Effect::End { ended, event } => {
                if let Some(event) = event {
                    self.hear(event);
                }
                assert_eq!(self.ended, None, "ended twice");
                self.ended = Some(*ended);
            }
        }
    }

    fn hear(&mut self, event: Occurrence) {
        let kind = format!("{:?}", event.kind());
        let kind = kind.split([' ', '(']).next().unwrap_or_default();
        let subject = event.path().rsplit('/').next().unwrap_or_default();
        self.story.push(format!("{subject} {kind}"));
        self.events.push(event);
    }

    fn actions(&mut self) -> Vec<String> {
        std::mem::take(&mut self.actions)
    }

    fn story(&mut self) -> Vec<String> {
        std::mem::take(&mut self.story)
    }
}

#[test]
fn default_service_is_small() {
    let size = size_of::<Service>();
    assert!(size <= 128, "{size}");
}

#[test]
fn state_can_be_sent_to_another_thread() {
    fn sendable<T: Send>() {}
    sendable::<SupervisorState>();
}

/// A bound at which what still runs is dropped.
fn dropping(at: Instant) -> StopBy {
    StopBy {
        drop: at,
        end: at + millis(100),
        cause: KillCause::StopTimeout,
    }
}
