//! Services that do what a test tells them to and write down what happens to them, and what reads the events of a tree.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    Event, EventKind, Events, ExitReason, JoinError, RestartLimit, ServiceContext, ServiceRef,
    ServiceSpec, ServiceState, StartContext, SupervisorActor, SupervisorRef, SupervisorSpec,
    Verdict,
};
use tokio::{sync::mpsc, time};

/// How long a test waits for what must happen; no time at all while the clock is paused.
const PATIENCE: Duration = Duration::from_secs(10 * 3600);

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Returns when nothing is left to do but to wait for time: a paused clock moves only then. Every test begins with `time::pause()`.
pub(crate) async fn idle() {
    time::advance(Duration::ZERO).await; // panics if the clock is not paused
    time::sleep(ms(1)).await;
}

/// Where probes write down what happens to them.
#[derive(Clone)]
pub(crate) struct Journal(mpsc::UnboundedSender<String>);

/// What the probes have written.
pub(crate) struct Log(mpsc::UnboundedReceiver<String>);

pub(crate) fn journal() -> (Journal, Log) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Journal(sender), Log(receiver))
}

impl Journal {
    pub(crate) fn write(&self, line: String) {
        let _nobody_reads = self.0.send(line);
    }
}

impl Log {
    /// Everything since the last call.
    pub(crate) fn take(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }

    /// The lines since the last call that begin with this word.
    pub(crate) fn take_only(&mut self, word: &str) -> Vec<String> {
        let mut lines = self.take();
        lines.retain(|line| line.starts_with(word));
        lines
    }
}

/// What a probe does when it is asked to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WhenAsked {
    Obeys,
    /// Stops after this long.
    Takes(Duration),
    Ignores,
    Fails,
    Panics,
}

/// How an incarnation of a probe begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Begin {
    Works,
    /// The factory returns an error.
    Fails,
    /// The factory panics.
    Panics,
    /// The factory declines, as `ignore` does in OTP.
    Declines,
    /// The actor stops itself in `started`.
    Stops,
}

/// A fault that can be repaired.
#[derive(Clone, Default)]
pub(crate) struct Fault(Arc<AtomicBool>);

impl Fault {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn repair(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    pub(crate) fn begin(&self) -> Begin {
        if self.0.load(Ordering::SeqCst) {
            Begin::Fails
        } else {
            Begin::Works
        }
    }
}

/// A service to be.
pub(crate) struct Script {
    name: String,
    journal: Journal,
    when_asked: WhenAsked,
    begins: Box<dyn Fn(u64) -> Begin + Send>,
}

impl Script {
    pub(crate) fn new(name: &str, journal: &Journal) -> Self {
        Self {
            name: name.to_owned(),
            journal: journal.clone(),
            when_asked: WhenAsked::Obeys,
            begins: Box::new(|_| Begin::Works),
        }
    }

    pub(crate) fn when_asked(mut self, when_asked: WhenAsked) -> Self {
        self.when_asked = when_asked;
        self
    }

    /// Says how the incarnation of each generation begins.
    pub(crate) fn begins(mut self, begins: impl Fn(u64) -> Begin + Send + 'static) -> Self {
        self.begins = Box::new(begins);
        self
    }

    pub(crate) fn spec(self) -> ServiceSpec<Probe> {
        let Self {
            name,
            journal,
            when_asked,
            begins,
        } = self;
        let probe = name.clone();
        ServiceSpec::try_new(name, move |cx: &StartContext| {
            journal.write(format!("make {probe}"));
            let begin = begins(cx.generation());
            match begin {
                Begin::Works | Begin::Stops => Ok(Probe {
                    name: probe.clone(),
                    journal: journal.clone(),
                    when_asked,
                    begin,
                }),
                Begin::Fails => Err(Box::<dyn std::error::Error + Send + Sync>::from(
                    "failed on purpose",
                )),
                Begin::Panics => panic!("panicked in the factory"),
                Begin::Declines => Err(Verdict::DoNotRestart.into()),
            }
        })
    }
}

/// A probe that does nothing special.
pub(crate) fn probe(name: &str, journal: &Journal) -> ServiceSpec<Probe> {
    Script::new(name, journal).spec()
}

pub(crate) struct Probe {
    name: String,
    journal: Journal,
    when_asked: WhenAsked,
    begin: Begin,
}

impl Probe {
    fn write(&self, word: &str) {
        self.journal.write(format!("{word} {}", self.name));
    }
}

impl Actor for Probe {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.write("start");
        if self.begin == Begin::Stops {
            ctx.exit(Verdict::DoNotRestart);
        }
    }

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        self.write("stopping");
        match self.when_asked {
            WhenAsked::Obeys => Running::Stop,
            WhenAsked::Takes(time) => {
                self.when_asked = WhenAsked::Obeys;
                ctx.run_later(time, |_, ctx| ctx.stop());
                Running::Continue
            }
            WhenAsked::Ignores => Running::Continue,
            WhenAsked::Fails => {
                ctx.fail("failed while stopping");
                Running::Stop
            }
            WhenAsked::Panics => panic!("panicked while stopping"),
        }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.write("stop");
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.write("drop");
    }
}

/// How a running probe ends.
#[derive(Clone, Copy, Debug, Eq, Message, PartialEq)]
#[rtype(result = "()")]
pub(crate) enum End {
    /// By `ctx.stop()`, without the `stopping` hook being able to object.
    Normally,
    Failing,
    Panicking,
    /// With a verdict.
    With(Verdict),
}

impl Handler<End> for Probe {
    type Result = ();

    fn handle(&mut self, end: End, ctx: &mut Self::Context) {
        match end {
            End::Normally => {
                self.when_asked = WhenAsked::Obeys;
                ctx.stop();
            }
            End::Failing => ctx.fail("failed on purpose"),
            End::Panicking => panic!("panicked on purpose"),
            End::With(verdict) => ctx.exit(verdict),
        }
    }
}

/// Asks for the number of the incarnation.
#[derive(Message)]
#[rtype(result = "u64")]
pub(crate) struct Generation;

impl Handler<Generation> for Probe {
    type Result = u64;

    fn handle(&mut self, _: Generation, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

/// A root with these rules and no services.
pub(crate) async fn root_with(spec: SupervisorSpec) -> SupervisorRef {
    SupervisorActor::new("root", spec).start().await.unwrap()
}

/// A root that never gives up and never pauses.
pub(crate) async fn root() -> SupervisorRef {
    root_with(unlimited()).await
}

pub(crate) fn unlimited() -> SupervisorSpec {
    SupervisorSpec::default().limit(RestartLimit::unlimited())
}

/// More than `max` restarts within `within` end the supervisor, as in OTP.
pub(crate) fn at_most(max: u32, within: Duration) -> SupervisorSpec {
    SupervisorSpec::default().limit(RestartLimit::window(max, within).escalate())
}

/// Adds probes of these names before the start, and starts.
pub(crate) async fn with_probes(
    spec: SupervisorSpec,
    names: &[&str],
    journal: &Journal,
) -> (SupervisorRef, Vec<ServiceRef<Probe>>) {
    let mut root = SupervisorActor::new("root", spec);
    let probes = names
        .iter()
        .map(|name| root.add(probe(name, journal)).unwrap())
        .collect();
    (root.start().await.unwrap(), probes)
}

/// The services of a supervisor, by name and state, in start order.
pub(crate) async fn states(supervisor: &SupervisorRef) -> Vec<(String, ServiceState)> {
    let services = supervisor.services().await.unwrap();
    services
        .iter()
        .map(|service| (service.name().to_owned(), service.state()))
        .collect()
}

pub(crate) async fn state_of(supervisor: &SupervisorRef, name: &str) -> Option<ServiceState> {
    let states = states(supervisor).await;
    states
        .into_iter()
        .find_map(|(present, state)| (present == name).then_some(state))
}

pub(crate) async fn generations<const N: usize>(services: [&ServiceRef<Probe>; N]) -> [u64; N] {
    let mut generations = [0; N];
    for (generation, service) in generations.iter_mut().zip(services) {
        *generation = service.send(Generation).await.unwrap();
    }
    generations
}

/// Reads events until one fits, and returns all that were read.
pub(crate) async fn until(events: &mut Events, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut seen = Vec::new();
    let reading = async {
        while let Some(event) = events.next().await {
            let last = fits(&event);
            seen.push(event);
            if last {
                return true;
            }
        }
        false
    };
    let found = time::timeout(PATIENCE, reading).await;
    assert_eq!(found, Ok(true), "not among {}", lines(&seen));
    seen
}

/// Waits for the end of a tree, which must come.
pub(crate) async fn ended(root: &SupervisorRef) -> Result<(), JoinError> {
    let end = time::timeout(PATIENCE, root.join()).await;
    end.expect("the tree runs on")
}

/// All events that are there.
pub(crate) fn drain(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.try_next()).collect()
}

pub(crate) fn lines(events: &[Event]) -> String {
    let lines: Vec<_> = events.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// How each service ended that was asked to stop, by path, in the order of the ends.
pub(crate) fn stops(events: &[Event]) -> Vec<(&str, &ExitReason)> {
    events
        .iter()
        .filter_map(|event| match event.kind() {
            EventKind::ServiceStopped { reason, .. } => Some((event.path(), reason)),
            _ => None,
        })
        .collect()
}

/// Subscribes, shuts down, and returns what happened meanwhile.
pub(crate) async fn shut_down(root: &SupervisorRef) -> Vec<Event> {
    let mut events = root.events();
    root.shutdown().await.unwrap();
    drain(&mut events)
}
