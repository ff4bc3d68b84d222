//! A service that does what a test tells it to, and writes down what happens to it.
//!
//! Tests in which time passes begin with `time::pause()`, so that waiting costs nothing and an idle service is seen to be idle.

use std::{marker::PhantomData, ops::Deref, sync::Arc, task::Poll, time::Duration};

use actix::prelude::*;
use futures::{future, stream};
use resurgam::{RestartType, ServiceRef, ServiceSpec, SupervisorActor, SupervisorRef};
use tokio::{
    sync::{mpsc, oneshot},
    time,
};

use crate::kind::{SubjectContext, subject};

/// How long a test waits for what must happen. Nothing here takes that long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts a supervisor with one service of the default restart type, which is permanent.
pub(crate) async fn supervised<A>(
    factory: impl Fn() -> A + Send + Sync + 'static,
) -> (SupervisorRef, ServiceRef<A>)
where
    A: Actor<Context = SubjectContext<A>>,
{
    supervise(subject("subject", factory)).await
}

/// Starts a supervisor with one service that lives once, as an actor of plain actix does.
pub(crate) async fn supervised_once<A>(
    factory: impl Fn() -> A + Send + Sync + 'static,
) -> (SupervisorRef, ServiceRef<A>)
where
    A: Actor<Context = SubjectContext<A>>,
{
    supervise(subject("subject", factory).restart(RestartType::Temporary)).await
}

pub(crate) async fn supervise<A>(spec: ServiceSpec<A>) -> (SupervisorRef, ServiceRef<A>)
where
    A: Actor<Context = SubjectContext<A>>,
{
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let service = root.add(spec).await.unwrap();
    (root, service)
}

/// Returns when nothing is left to do but to wait for time: a paused clock moves only then.
pub(crate) async fn idle() {
    time::advance(Duration::ZERO).await; // panics if the clock is not paused
    time::sleep(ms(1)).await;
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Turns the receiving half of a channel into a stream of what is sent.
pub(crate) fn received<T>(mut rx: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> + Unpin {
    stream::poll_fn(move |cx| rx.poll_recv(cx))
}

type Ctx = SubjectContext<Probe>;
type Hook<R> = Arc<dyn Fn(&mut Probe, &mut Ctx) -> R + Send + Sync>;

/// What a [`Probe`] does in its hooks, and how it is supervised.
#[derive(Clone)]
pub(crate) struct Script {
    started: Hook<()>,
    stopping: Hook<Running>,
    stopped: Hook<()>,
    restart: RestartType,
}

impl Script {
    /// Hooks that do nothing, for a service that lives once.
    pub(crate) fn new() -> Self {
        Self {
            started: Arc::new(|_, _| ()),
            stopping: Arc::new(|_, _| Running::Stop),
            stopped: Arc::new(|_, _| ()),
            restart: RestartType::Temporary,
        }
    }

    pub(crate) fn started(
        mut self,
        hook: impl Fn(&mut Probe, &mut Ctx) + Send + Sync + 'static,
    ) -> Self {
        self.started = Arc::new(hook);
        self
    }

    pub(crate) fn stopping(
        mut self,
        hook: impl Fn(&mut Probe, &mut Ctx) -> Running + Send + Sync + 'static,
    ) -> Self {
        self.stopping = Arc::new(hook);
        self
    }

    pub(crate) fn stopped(
        mut self,
        hook: impl Fn(&mut Probe, &mut Ctx) + Send + Sync + 'static,
    ) -> Self {
        self.stopped = Arc::new(hook);
        self
    }

    pub(crate) fn permanent(mut self) -> Self {
        self.restart = RestartType::Permanent;
        self
    }

    /// Starts the probe, and returns when its `started` is done.
    pub(crate) async fn run(self) -> Subject {
        let (tx, rx) = mpsc::unbounded_channel();
        let restart = self.restart;
        let spec = subject("subject", move || Probe {
            count: 0,
            handles: Vec::new(),
            script: self.clone(),
            log: Log(tx.clone()),
        });
        let (root, service) = supervise(spec.restart(restart)).await;
        let mut subject = Subject {
            root,
            service,
            entries: Entries(rx),
        };
        assert_eq!(subject.entries.next().await, "started");
        subject
    }
}

/// A running [`Probe`].
pub(crate) struct Subject {
    pub(crate) root: SupervisorRef,
    pub(crate) service: ServiceRef<Probe>,
    pub(crate) entries: Entries,
}

impl Subject {
    pub(crate) async fn with_defaults() -> Self {
        Script::new().run().await
    }

    /// Runs `act` in a handler of the probe and returns what it returns.
    pub(crate) async fn act<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Probe, &mut Ctx) -> R + Send + 'static,
    ) -> R {
        self.try_act(act).await.unwrap()
    }

    pub(crate) async fn try_act<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Probe, &mut Ctx) -> R + Send + 'static,
    ) -> Result<R, MailboxError> {
        time::timeout(PATIENCE, self.service.send(Act::new(act)))
            .await
            .expect("the probe is stuck")
    }

    /// Keeps the probe in a wait until what is returned is used or dropped.
    pub(crate) async fn hold(&self) -> oneshot::Sender<()> {
        let (release, held) = oneshot::channel();
        self.act(move |probe, ctx| {
            held.into_actor(probe).map(|_, _, _| ()).wait(ctx);
        })
        .await;
        release
    }

    /// Returns when the probe has ended and its mailbox is closed.
    pub(crate) async fn ended(&self) {
        assert_eq!(self.try_act(|_, _| ()).await, Err(MailboxError::Closed));
    }
}

impl Deref for Subject {
    type Target = Addr<Probe>;

    fn deref(&self) -> &Addr<Probe> {
        &self.service
    }
}

/// A service that does what it is told and writes down what happens to it.
pub(crate) struct Probe {
    pub(crate) count: u64,
    pub(crate) handles: Vec<SpawnHandle>,
    script: Script,
    log: Log,
}

impl Probe {
    pub(crate) fn note(&self, entry: impl Into<String>) {
        self.log.note(entry);
    }

    /// A future that is never done, and writes down each time that it is polled.
    pub(crate) fn poll_counter(&self) -> impl Future<Output = ()> + use<> {
        let log = self.log.clone();
        future::poll_fn(move |_| {
            log.note("polled");
            Poll::Pending
        })
    }

    /// Writes `entry` when it is dropped.
    pub(crate) fn tombstone(&self, entry: &'static str) -> Tombstone {
        Tombstone {
            entry,
            log: self.log.clone(),
        }
    }
}

impl Actor for Probe {
    type Context = Ctx;

    fn started(&mut self, ctx: &mut Ctx) {
        self.note("started");
        (Arc::clone(&self.script.started))(self, ctx);
    }

    fn stopping(&mut self, ctx: &mut Ctx) -> Running {
        self.note("stopping");
        (Arc::clone(&self.script.stopping))(self, ctx)
    }

    fn stopped(&mut self, ctx: &mut Ctx) {
        self.note("stopped");
        (Arc::clone(&self.script.stopped))(self, ctx);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.note("dropped");
    }
}

/// Has the probe call a closure. Made by [`Subject::act`].
pub(crate) struct Act<F, R> {
    act: F,
    result: PhantomData<fn() -> R>,
}

impl<F, R> Act<F, R>
where
    F: FnOnce(&mut Probe, &mut Ctx) -> R,
{
    pub(crate) fn new(act: F) -> Self {
        Self {
            act,
            result: PhantomData,
        }
    }
}

impl<F, R: 'static> Message for Act<F, R> {
    type Result = R;
}

impl<F, R> Handler<Act<F, R>> for Probe
where
    F: FnOnce(&mut Self, &mut Ctx) -> R,
    R: 'static,
{
    type Result = MessageResult<Act<F, R>>;

    fn handle(&mut self, msg: Act<F, R>, ctx: &mut Ctx) -> Self::Result {
        MessageResult((msg.act)(self, ctx))
    }
}

/// A message that the probe writes down.
#[derive(Debug, Message, PartialEq)]
#[rtype(result = "()")]
pub(crate) struct Note(pub(crate) &'static str);

impl Handler<Note> for Probe {
    type Result = ();

    fn handle(&mut self, msg: Note, _: &mut Ctx) {
        self.note(msg.0);
    }
}

/// Where a probe writes to.
#[derive(Clone)]
pub(crate) struct Log(mpsc::UnboundedSender<String>);

impl Log {
    pub(crate) fn note(&self, entry: impl Into<String>) {
        // The test may be over before the probe is.
        let _ = self.0.send(entry.into());
    }
}

/// Tells the log when it is dropped.
pub(crate) struct Tombstone {
    entry: &'static str,
    log: Log,
}

impl Drop for Tombstone {
    fn drop(&mut self) {
        self.log.note(self.entry);
    }
}

/// What a probe has written, in order.
pub(crate) struct Entries(mpsc::UnboundedReceiver<String>);

impl Entries {
    pub(crate) async fn next(&mut self) -> String {
        time::timeout(PATIENCE, self.0.recv())
            .await
            .expect("the probe has nothing more to say")
            .expect("the supervisor keeps the factory and its log")
    }

    /// Waits for `last`, and returns what was written up to and including it.
    pub(crate) async fn until(&mut self, last: &str) -> Vec<String> {
        let mut entries = Vec::new();
        loop {
            entries.push(self.next().await);
            if entries.last().is_some_and(|entry| entry == last) {
                return entries;
            }
        }
    }

    /// What was written since the last look.
    pub(crate) fn so_far(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}
