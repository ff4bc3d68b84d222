//! A service that does what it is told, and one that watches; `quiet` is for tests that begin with `time::pause()`.

use std::{future::Future, time::Duration};

use actix::prelude::*;
use resurgam::{
    RestartLimit, RestartType, ServiceContext, ServiceEnded, ServiceRef, ServiceSpec,
    SupervisorActor, SupervisorRef, SupervisorSpec, Verdict,
};
use tokio::{sync::mpsc, time};

/// How long is waited for what must happen, by the clock of the test, which may be paused.
const SOON: Duration = Duration::from_secs(20);

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    time::timeout(SOON, future).await.expect("it hangs")
}

/// Lets everything happen that can: the clock is paused and goes on when nothing else does.
pub(crate) async fn quiet() {
    time::sleep(Duration::from_millis(1)).await;
}

/// A root that restarts as often as it takes.
pub(crate) async fn root() -> SupervisorRef {
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    SupervisorActor::new("root", spec).start().await.unwrap()
}

/// Ends as it is told.
pub(crate) struct Subject;

impl Actor for Subject {
    type Context = ServiceContext<Self>;
}

#[derive(Clone, Message)]
#[rtype(result = "()")]
pub(crate) enum End {
    Crash,
    Fail,
    Normal,
    Uninstall,
    /// Tells this recipient of it, and stops.
    After(Recipient<Note>),
}

impl Handler<End> for Subject {
    type Result = ();

    fn handle(&mut self, end: End, ctx: &mut Self::Context) {
        match end {
            End::Crash => panic!("crashed on purpose"),
            End::Fail => ctx.fail("failed on purpose"),
            End::Normal => ctx.stop(),
            End::Uninstall => ctx.exit(Verdict::Uninstall),
            End::After(recipient) => {
                recipient.do_send(Note);
                ctx.stop();
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Note;

pub(crate) fn subject(name: &str) -> ServiceSpec<Subject> {
    ServiceSpec::new(name, || Subject)
}

/// One that finishes when it ends normally, and is kept then.
pub(crate) fn one_shot(name: &str) -> ServiceSpec<Subject> {
    subject(name).restart(RestartType::Transient)
}

/// One that is given up with the first failure, and is kept then.
pub(crate) fn gives_up(name: &str) -> ServiceSpec<Subject> {
    let limit = RestartLimit::window(0, Duration::from_secs(60)).give_up();
    subject(name).limit(limit)
}

/// A root with these services from the start on, so that they are kept when they have ended for good.
pub(crate) async fn root_with(
    services: impl IntoIterator<Item = ServiceSpec<Subject>>,
) -> (SupervisorRef, Vec<ServiceRef<Subject>>) {
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    let mut root = SupervisorActor::new("root", spec);
    let services = services
        .into_iter()
        .map(|service| root.add(service).unwrap());
    let services = services.collect();
    (root.start().await.unwrap(), services)
}

/// What a watcher was told, and by which incarnation of it.
pub(crate) type Told = mpsc::UnboundedReceiver<(u64, String)>;

/// Watches what it is told to, from its `started` on.
pub(crate) struct Watcher {
    pub(crate) watched: Vec<ServiceRef<Subject>>,
    pub(crate) tell: mpsc::UnboundedSender<(u64, String)>,
}

impl Actor for Watcher {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for service in &self.watched {
            ctx.watch(service);
        }
    }
}

impl Watcher {
    fn tell(&self, ctx: &ServiceContext<Self>, what: String) {
        let _test_gone = self.tell.send((ctx.generation(), what));
    }
}

impl Handler<ServiceEnded> for Watcher {
    type Result = ();

    fn handle(&mut self, ended: ServiceEnded, ctx: &mut Self::Context) {
        let of = self.watched.iter().map(ServiceRef::token);
        assert!(of.into_iter().any(|token| token == ended.token()));
        self.tell(ctx, ended.to_string());
    }
}

impl Handler<Note> for Watcher {
    type Result = ();

    fn handle(&mut self, _: Note, ctx: &mut Self::Context) {
        self.tell(ctx, String::from("note"));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum Do {
    Crash,
    Watch,
    Unwatch,
    /// Blocks its thread until this channel closes.
    Block(std::sync::mpsc::Receiver<()>),
}

impl Handler<Do> for Watcher {
    type Result = ();

    fn handle(&mut self, what: Do, ctx: &mut Self::Context) {
        match what {
            Do::Crash => panic!("crashed on purpose"),
            Do::Watch => self.watched.iter().for_each(|it| ctx.watch(it)),
            Do::Unwatch => self.watched.iter().for_each(|it| ctx.unwatch(it)),
            Do::Block(until) => {
                let _released = until.recv();
            }
        }
    }
}

/// A watcher, and what it is told. Of later incarnations as well.
pub(crate) fn watcher(watched: &[ServiceRef<Subject>]) -> (ServiceSpec<Watcher>, Told) {
    let (tell, told) = mpsc::unbounded_channel();
    let watched = watched.to_vec();
    let spec = ServiceSpec::new("watcher", move || Watcher {
        watched: watched.clone(),
        tell: tell.clone(),
    });
    (spec, told)
}

/// What was told since the last call.
pub(crate) fn all(told: &mut Told) -> Vec<(u64, String)> {
    std::iter::from_fn(|| told.try_recv().ok()).collect()
}
