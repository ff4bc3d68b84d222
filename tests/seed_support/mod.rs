//! Services that do what they are told and write down what happens to them, and a recorder of events.
//!
//! All tests begin with `time::pause()`, save those that say otherwise: waiting costs nothing, and what would hang fails.

use std::{
    collections::HashMap,
    error::Error,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    Event, EventKind, Events, ServiceContext, ServiceSpec, ServiceState, ServiceToken,
    StartContext, SupervisorActor, SupervisorRef, SupervisorSpec, Verdict,
};
use tokio::time;

/// What happened to all probes of a test, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    lines: Vec<String>,
    alive: HashMap<String, usize>,
    most_alive: usize,
}

impl Log {
    pub(crate) fn write(&self, line: impl Into<String>) {
        self.pages().lines.push(line.into());
    }

    /// Everything that was written since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.pages().lines)
    }

    /// How many incarnations of a probe are there.
    pub(crate) fn alive(&self, name: &str) -> usize {
        self.pages().alive.get(name).copied().unwrap_or(0)
    }

    /// The most incarnations that one probe has ever had at the same time.
    pub(crate) fn most_alive(&self) -> usize {
        self.pages().most_alive
    }

    fn born(&self, name: &str) {
        let mut pages = self.pages();
        let alive = pages.alive.entry(name.to_owned()).or_default();
        *alive += 1;
        let alive = *alive;
        pages.most_alive = pages.most_alive.max(alive);
    }

    fn died(&self, name: &str) {
        let mut pages = self.pages();
        *pages.alive.entry(name.to_owned()).or_default() -= 1;
        pages.lines.push(format!("-{name}"));
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How an incarnation of a probe begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Start {
    /// At once; it is ready then, unless its readiness is explicit.
    #[default]
    Go,
    /// The factory returns an error.
    Refuse,
    /// It fails in `started`.
    Fail,
    /// It panics in `started`.
    Panic,
    /// It stops itself in `started`.
    Complete,
    /// It says that it is ready after this long.
    ReadyAfter(Duration),
}

/// How an incarnation of a probe obeys when it is asked to stop.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Stop {
    /// At once.
    #[default]
    Obey,
    /// It does not.
    Never,
    /// After this long.
    Late(Duration),
    /// With an error.
    Fail,
    /// With a panic.
    Panic,
}

/// A service that does what it is told.
#[derive(Debug)]
pub(crate) struct Probe {
    name: String,
    log: Log,
    start: Start,
    stop: Stop,
}

/// A probe that starts and stops as it should.
pub(crate) fn probe(name: &str, log: &Log) -> ServiceSpec<Probe> {
    planned(name, log, |_| (Start::Go, Stop::Obey))
}

/// A probe whose incarnations start and stop as the plan says for their generation.
pub(crate) fn planned(
    name: &str,
    log: &Log,
    mut plan: impl FnMut(u64) -> (Start, Stop) + Send + 'static,
) -> ServiceSpec<Probe> {
    let (own, log) = (name.to_owned(), log.clone());
    ServiceSpec::try_new(name, move |cx: &StartContext| {
        let (start, stop) = plan(cx.generation());
        if matches!(start, Start::Refuse) {
            log.write(format!("!{own}"));
            return Err(oops("refused to start"));
        }
        log.born(&own);
        Ok(Probe {
            name: own.clone(),
            log: log.clone(),
            start,
            stop,
        })
    })
}

/// An error that says so.
pub(crate) fn oops(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

impl Actor for Probe {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.log.write(format!("+{}", self.name));
        match self.start {
            Start::Go | Start::Refuse => {}
            Start::Fail => ctx.fail(oops("failed to start")),
            Start::Panic => panic!("panicked at start"),
            Start::Complete => ctx.stop(),
            Start::ReadyAfter(delay) => {
                ctx.run_later(delay, |_, ctx| ctx.ready());
            }
        }
    }

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        match self.stop {
            Stop::Obey => Running::Stop,
            Stop::Never => Running::Continue,
            Stop::Late(delay) => {
                self.stop = Stop::Obey;
                ctx.run_later(delay, |_, ctx| ctx.stop());
                Running::Continue
            }
            Stop::Fail => {
                ctx.fail(oops("failed to stop"));
                Running::Stop
            }
            Stop::Panic => panic!("panicked at stop"),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.log.died(&self.name);
    }
}

/// What a probe is told to do.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) enum Act {
    Panic,
    Fail,
    FailWith(Box<dyn Error + Send + Sync>),
    Complete,
    Exit(Verdict),
    Ready,
}

impl Handler<Act> for Probe {
    type Result = ();

    fn handle(&mut self, msg: Act, ctx: &mut Self::Context) {
        match msg {
            Act::Panic => panic!("panicked on purpose"),
            Act::Fail => ctx.fail(oops("failed on purpose")),
            Act::FailWith(error) => ctx.fail(error),
            Act::Complete => {
                self.stop = Stop::Obey;
                ctx.stop();
            }
            Act::Exit(verdict) => ctx.exit(verdict),
            Act::Ready => ctx.ready(),
        }
    }
}

/// Asks a probe which incarnation it is.
#[derive(Debug, Message)]
#[rtype(result = "u64")]
pub(crate) struct Generation;

impl Handler<Generation> for Probe {
    type Result = u64;

    fn handle(&mut self, _: Generation, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

/// A root without services.
pub(crate) async fn root(spec: SupervisorSpec) -> SupervisorRef {
    SupervisorActor::new("root", spec).start().await.unwrap()
}

/// Lets everything happen that happens without further ado.
pub(crate) async fn settle() {
    // Under `time::pause()` the clock moves only when nobody has anything to do.
    time::sleep(Duration::from_millis(2)).await;
}

/// Fails the test instead of waiting for ever.
pub(crate) async fn patiently<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(24 * 3600);
    time::timeout(limit, future).await.expect("it hangs")
}

/// What a service is doing, if it is there.
pub(crate) async fn state_of(
    supervisor: &SupervisorRef,
    token: ServiceToken,
) -> Option<ServiceState> {
    let services = supervisor.services().await.unwrap();
    let service = services.iter().find(|service| service.token() == token)?;
    Some(service.state())
}

/// Reads the events of a tree.
#[derive(Debug)]
pub(crate) struct Recorder(Events);

impl Recorder {
    pub(crate) fn new(root: &SupervisorRef) -> Self {
        Self(root.events())
    }

    /// The next event of this kind, skipping others.
    pub(crate) async fn until(&mut self, matches: impl Fn(&EventKind) -> bool) -> Event {
        patiently(async {
            loop {
                let event = self.0.next().await.expect("the tree has ended");
                if matches(event.kind()) {
                    return event;
                }
            }
        })
        .await
    }

    /// All events that are there, as paths and kinds.
    pub(crate) fn take(&mut self) -> Vec<String> {
        let events = std::iter::from_fn(|| self.0.try_next());
        events.map(|event| brief(&event)).collect()
    }

    /// All events that are there.
    pub(crate) fn take_whole(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.0.try_next()).collect()
    }
}

/// An event as its path and the name of its kind.
fn brief(event: &Event) -> String {
    let kind = format!("{:?}", event.kind());
    let name = kind.split(|c: char| !c.is_alphanumeric()).next();
    format!("{} {}", event.path(), name.unwrap_or_default())
}
