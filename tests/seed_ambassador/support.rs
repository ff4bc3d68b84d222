//! Services that write down their lives and end as they are told, for tests that begin with `time::pause()`.

use std::{
    io::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    Events, JoinError, RestartLimit, ServiceContext, ServiceRef, ServiceSpec, ServiceState,
    ServiceSummary, ServiceToken, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time::{self, Instant};

/// What all probes of a test have written down, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Entry>>>);

#[derive(Clone)]
struct Entry {
    what: What,
    name: String,
    at: Instant,
}

/// What has happened to a probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum What {
    /// It was asked to stop.
    Asked,
    /// It is gone.
    Dropped,
    /// Its factory was called.
    Made,
    /// It runs.
    Started,
}

impl Log {
    pub(crate) fn write(&self, what: What, name: &str) {
        let (name, at) = (name.to_owned(), Instant::now());
        self.entries().push(Entry { what, name, at });
    }

    /// To whom it has happened, in order.
    pub(crate) fn names(&self, what: What) -> Vec<String> {
        let entries = self.entries();
        let found = entries.iter().filter(|entry| entry.what == what);
        found.map(|entry| entry.name.clone()).collect()
    }

    /// How often it has happened to one.
    pub(crate) fn count(&self, what: What, name: &str) -> usize {
        self.names(what)
            .iter()
            .filter(|known| **known == name)
            .count()
    }

    /// When it has happened to one for the first time.
    pub(crate) fn first(&self, what: What, name: &str) -> Instant {
        let entries = self.entries();
        let mut found = entries
            .iter()
            .filter(|entry| entry.what == what && entry.name == name);
        found.next().expect("it has happened").at
    }

    /// How many milliseconds, to the next ten, one was down before each call of its factory but the first.
    pub(crate) fn delays(&self, name: &str) -> Vec<u128> {
        let entries = self.entries();
        let own: Vec<_> = entries.iter().filter(|entry| entry.name == name).collect();
        own.windows(2)
            .filter(|pair| pair[1].what == What::Made)
            .map(|pair| rounded(pair[1].at - pair[0].at))
            .collect()
    }

    /// How many still hold it.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds, to the next ten: timers are exact to one.
pub(crate) fn rounded(duration: Duration) -> u128 {
    (duration.as_millis() + 5) / 10 * 10
}

/// What a probe does when it is asked to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Habit {
    /// It stops.
    Prompt,
    /// It fails.
    Sore(&'static str),
    /// It stops after this time.
    Slow(Duration),
    /// It goes on.
    Stubborn,
}

/// A service that does nothing but what it is told.
pub(crate) struct Probe {
    name: String,
    log: Log,
    habit: Habit,
}

impl Actor for Probe {
    type Context = ServiceContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.log.write(What::Started, &self.name);
    }

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        self.log.write(What::Asked, &self.name);
        match self.habit {
            Habit::Prompt => Running::Stop,
            Habit::Sore(text) => {
                ctx.fail(Error::other(text));
                Running::Stop
            }
            Habit::Slow(work) => {
                self.habit = Habit::Prompt;
                ctx.run_later(work, |_, ctx| ctx.terminate());
                Running::Continue
            }
            Habit::Stubborn => Running::Continue,
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.log.write(What::Dropped, &self.name);
    }
}

/// Something for a probe to do. Answered with its generation.
#[derive(Message)]
#[rtype(result = "u64")]
pub(crate) struct Act(Deed);

type Deed = Box<dyn FnOnce(&mut ServiceContext<Probe>) + Send>;

impl Handler<Act> for Probe {
    type Result = u64;

    fn handle(&mut self, Act(act): Act, ctx: &mut Self::Context) -> u64 {
        act(ctx);
        ctx.generation()
    }
}

pub(crate) fn act(act: impl FnOnce(&mut ServiceContext<Probe>) + Send + 'static) -> Act {
    Act(Box::new(act))
}

pub(crate) fn ask() -> Act {
    act(|_| ())
}

#[expect(clippy::panic, reason = "that is what it is for")]
pub(crate) fn crash() -> Act {
    act(|_| panic!("crashed on purpose"))
}

pub(crate) fn fail(text: &'static str) -> Act {
    act(move |ctx| ctx.fail(Error::other(text)))
}

pub(crate) fn ready() -> Act {
    act(ServiceContext::ready)
}

pub(crate) fn stop() -> Act {
    act(ServiceContext::stop)
}

/// A probe that stops when it is asked.
pub(crate) fn spec(name: &str, log: &Log) -> ServiceSpec<Probe> {
    spec_with(name, log, Habit::Prompt)
}

/// A probe with a habit.
pub(crate) fn spec_with(name: &str, log: &Log, habit: Habit) -> ServiceSpec<Probe> {
    let (text, log) = (name.to_owned(), log.clone());
    ServiceSpec::new(name, move || probe(&text, &log, habit))
}

/// A probe whose factory fails so many times.
pub(crate) fn failing(name: &str, log: &Log, mut failures: usize) -> ServiceSpec<Probe> {
    let (text, log) = (name.to_owned(), log.clone());
    ServiceSpec::try_new(name, move |_| {
        if failures > 0 {
            failures -= 1;
            log.write(What::Made, &text);
            return Err(Error::other("not made"));
        }
        Ok(probe(&text, &log, Habit::Prompt))
    })
}

/// Makes a probe.
pub(crate) fn probe(name: &str, log: &Log, habit: Habit) -> Probe {
    log.write(What::Made, name);
    Probe {
        name: name.to_owned(),
        log: log.clone(),
        habit,
    }
}

/// A root without a limit of restarts.
pub(crate) async fn root() -> SupervisorRef {
    root_with(unlimited()).await
}

pub(crate) async fn root_with(spec: SupervisorSpec) -> SupervisorRef {
    let root = SupervisorActor::new("root", spec);
    root.start().await.expect("the spec makes sense")
}

/// No limit of restarts.
pub(crate) fn unlimited() -> SupervisorSpec {
    SupervisorSpec::default().limit(RestartLimit::unlimited())
}

/// Adds a service and waits until nothing is left to do.
pub(crate) async fn add(root: &SupervisorRef, spec: ServiceSpec<Probe>) -> ServiceRef<Probe> {
    let service = root.add(spec).await.expect("the spec makes sense");
    quiet().await;
    service
}

/// Returns when nothing is left to do but to wait: a paused clock moves only then.
pub(crate) async fn quiet() {
    time::sleep(Duration::from_millis(1)).await;
}

/// How the tree has ended; fails the test if it does not.
pub(crate) async fn joined(root: &SupervisorRef) -> Result<(), JoinError> {
    let ended = time::timeout(Duration::from_secs(86_400), root.join()).await;
    ended.expect("the tree ends")
}

/// What a service is doing.
pub(crate) async fn state(root: &SupervisorRef, token: ServiceToken) -> Option<ServiceState> {
    let services = root.services().await.expect("the root is there");
    let found = services.iter().find(|service| service.token() == token);
    found.map(ServiceSummary::state)
}

/// The events until nothing is left to do, as text.
pub(crate) async fn lines(events: &mut Events) -> Vec<String> {
    quiet().await;
    let mut lines = Vec::new();
    while let Some(event) = events.try_next() {
        lines.push(event.to_string());
    }
    lines
}
