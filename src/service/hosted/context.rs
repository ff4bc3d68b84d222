//! The actix context of a service.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix::{
    Actor, ActorContext, ActorFuture, ActorState, Addr, AsyncContext, Handler, Message,
    SpawnHandle,
    dev::{Envelope, OneshotSender, ToEnvelope},
};

use super::{
    super::{
        contents::Contents,
        factory::{Factory, Idle, UserFactory},
        host::{AnswerTo, AskedToStop, BUDGET, Host, Step},
        link::{AnyLink, Link, ServiceKind},
        panic::drop_guarded,
        parent::NoticeKind,
        reference::ServiceRef,
        watch::Watching,
        watches::{Meant, ServiceEnded},
    },
    envelope,
    incarnation::Incarnation,
};
use crate::{
    policy::{ExitReason, Readiness, ServiceError, Verdict},
    state::Exit,
    token::ServiceToken,
};

/// The context in which a service runs: actix's context, and what supervision adds to it.
///
/// A service is an actix actor with `type Context = ServiceContext<Self>`. All that actix's own
/// [`Context`](actix::Context) offers works: [`AsyncContext`] with `notify`, `run_later`, `add_stream`, `wait` and the
/// rest, every kind of handler result, [`stopping`](Actor::stopping) that answers [`Running::Continue`](actix::Running).
/// It differs in five points:
///
/// - an incarnation does not end because nobody holds its address any more;
/// - futures and notifications are polled in the order in which they were spawned;
/// - after a bounded number of messages the service yields, so that a flooded one does not starve its arbiter;
/// - a panic ends the incarnation and not the service: the mailbox, and every address, outlive it;
/// - when the actix [`System`](actix::System) ends under it, it is dropped without a call of its hooks.
///
/// [`ctx.stop()`](ActorContext::stop) ends the incarnation with [`ExitReason::Normal`], or with
/// [`ExitReason::Shutdown`] if the supervisor has asked for the stop. After a panic no hook of the actor is called, since
/// its value may be half changed: clean up in `Drop` what must be cleaned up.
///
/// A [`ResponseFuture`](actix::ResponseFuture) is the exception to supervision: actix runs it as a task of its own, outside the
/// actor, before the context could see it. A panic in one loses that reply (its sender gets
/// [`MailboxError::Closed`](actix::MailboxError)) and is not an exit of the service. A
/// [`ResponseActFuture`](actix::ResponseActFuture) or [`AtomicResponse`](actix::AtomicResponse) runs inside, and its panic is.
///
/// # Examples
///
/// ```
/// use actix::prelude::*;
/// use resurgam::{ServiceContext, ServiceSpec, SupervisorActor};
///
/// struct Greeter;
///
/// impl Actor for Greeter {
///     type Context = ServiceContext<Self>;
///
///     fn started(&mut self, ctx: &mut Self::Context) {
///         assert_eq!(ctx.path(), "root/greeter");
///         assert_eq!(ctx.generation(), 0);
///     }
/// }
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let root = SupervisorActor::with_defaults("root").start().await?;
/// let greeter = root.add_and_wait(ServiceSpec::new("greeter", || Greeter)).await?;
/// assert!(greeter.connected());
/// # root.shutdown().await?;
/// # Ok(())
/// # }
/// ```
pub struct ServiceContext<A: Actor<Context = Self>> {
    pub(super) contents: Contents<A>,
    pub(super) link: Arc<Link<A>>,
    /// Which incarnation runs. The link says which one was ordered last, which may be a later one.
    pub(super) generation: u64,
    /// What user code has spawned since the incarnation last took it over. Boxed, since most services spawn nothing: an idle one is a third
    /// smaller.
    pub(super) arrived: Option<Box<Arrived<A>>>,
    /// The future that is being polled.
    pub(super) current: SpawnHandle,
    /// How the incarnation ends, if it was said with `fail`, `exit` or `end_with`. Boxed, since few are.
    ending: Option<Box<Exit>>,
    pub(super) state: ActorState,
    pub(super) asked: AskedToStop,
    ready: SaidReady,
    /// Whether somebody waits for the answer to the message that is being handled.
    answer_is_awaited: bool,
    /// Of which epoch the cell is.
    pub(super) epoch: u32,
}

impl<A: Actor<Context = Self>> ServiceContext<A> {
    /// Tells the supervisor that the service is ready.
    ///
    /// For a service with [`Readiness::Explicit`](crate::Readiness). The first call in an incarnation counts; a call after
    /// the incarnation was stopped or has failed does nothing. A call in the [factory](crate::ServiceSpec::create) counts once
    /// [`started`](Actor::started) has returned.
    pub fn ready(&mut self) {
        // One that has failed is no longer going to be ready: services that require it would be started in vain.
        if self.state == ActorState::Stopped || self.ending.is_some() {
            return;
        }
        match self.ready {
            SaidReady::NotYet => {
                self.ready = SaidReady::Told;
                self.notify_supervisor(NoticeKind::Ready);
            }
            SaidReady::NotStarted => self.ready = SaidReady::BeforeStart,
            SaidReady::BeforeStart | SaidReady::Told => {}
        }
    }

    /// Ends the incarnation with [`ExitReason::Failed`] after the message that is being handled.
    ///
    /// [`stopped`](Actor::stopped) is called, [`stopping`](Actor::stopping) is not: a failure is not up for discussion. What
    /// follows is the restart policy's business. The first failure of an incarnation counts. An error whose chain of
    /// sources holds a [`Verdict`] carries that verdict.
    pub fn fail(&mut self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        self.end(ExitReason::Failed(ServiceError::new(error)), None);
    }

    /// Ends the incarnation after the message that is being handled, and says what the supervisor does then.
    ///
    /// [`stopped`](Actor::stopped) is called, [`stopping`](Actor::stopping) is not. The first call in an incarnation counts.
    pub fn exit(&mut self, verdict: Verdict) {
        self.end(ExitReason::Normal, Some(verdict));
    }

    /// The token that names this service.
    pub fn token(&self) -> ServiceToken {
        self.link.core().token()
    }

    /// The names from the root to this service, as in `root/db/pool`.
    pub fn path(&self) -> &str {
        self.link.core().path()
    }

    /// The number of this incarnation: 0 for the first, one more after each start.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Has the actor told, with the message [`ServiceEnded`], when a service has ended for good: when it has finished, was given up, is lost or
    /// was removed, or its supervisor has ended for good with it.
    ///
    /// OTP's monitor. The rules:
    ///
    /// - The watch belongs to this incarnation. The next one must watch anew, in [`started`](Actor::started) as a rule, and is told nothing
    ///   that was meant for this one.
    /// - A service is watched once, however often this is called.
    /// - If the service has ended already, the message comes at once. Each end is told once. A service that is started again after its end, by
    ///   [`reset`](crate::SupervisorRef::reset), by hand, or with its group, goes on being watched, and its next end is told again.
    /// - A stop on request is no end, nor is a restart of the service or of its supervisor.
    /// - The message is queued like any other, but past the capacity of the mailbox: it is not lost because that is full, and comes behind
    ///   what the service itself had sent before it ended.
    ///
    /// A service that watches itself is told nothing: when it has ended for good, no incarnation is left. Outside of a service there is
    /// [`ServiceRef::watch`](crate::ServiceRef::watch), and [`ServiceRef::ended`](crate::ServiceRef::ended) for a task.
    ///
    /// # Comparison with OTP
    ///
    /// A monitor in OTP is of one process, and is over with its one message; here it is of a service, whose restarts are none of the watcher's
    /// business, and it lasts until the service is removed. So a watch has no reference: the service names it.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix::prelude::*;
    /// use resurgam::{ExitReason, ServiceContext, ServiceEnded, ServiceRef, ServiceSpec, SupervisorActor};
    /// # use tokio::sync::mpsc;
    ///
    /// struct Job;
    ///
    /// impl Actor for Job {
    ///     type Context = ServiceContext<Self>;
    /// }
    ///
    /// struct Watcher(ServiceRef<Job>, mpsc::UnboundedSender<String>);
    ///
    /// impl Actor for Watcher {
    ///     type Context = ServiceContext<Self>;
    ///
    ///     fn started(&mut self, ctx: &mut Self::Context) {
    ///         ctx.watch(&self.0);
    ///     }
    /// }
    ///
    /// impl Handler<ServiceEnded> for Watcher {
    ///     type Result = ();
    ///     fn handle(&mut self, ended: ServiceEnded, _: &mut Self::Context) {
    ///         self.1.send(ended.to_string()).ok();
    ///     }
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// let job = root.add_and_wait(ServiceSpec::new("job", || Job)).await?;
    /// let (sender, mut told) = mpsc::unbounded_channel();
    /// let watched = job.clone();
    /// root.add_and_wait(ServiceSpec::new("watcher", move || Watcher(watched.clone(), sender.clone()))).await?;
    ///
    /// root.stop(&job).await?; // no end: somebody may start it again
    /// assert_eq!(root.remove(&job).await?, ExitReason::Shutdown);
    /// assert_eq!(told.recv().await.as_deref(), Some("root/job has ended: shutdown"));
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch<S: Actor>(&mut self, service: &ServiceRef<S>)
    where
        A: Handler<ServiceEnded>,
    {
        let service = Arc::clone(service.link()) as Arc<dyn AnyLink>;
        let new = || Box::new(Watching::new(&self.contents.address()));
        let arrived = self.arrived.get_or_insert_default();
        arrived.watching.get_or_insert_with(new).watch(&service);
    }

    /// Ends the watch of a service, if there is one: this incarnation is told nothing of it any more, not even what is queued.
    pub fn unwatch<S: Actor>(&mut self, service: &ServiceRef<S>) {
        let arrived = self.arrived.as_mut();
        if let Some(watching) = arrived.and_then(|arrived| arrived.watching.as_mut()) {
            watching.unwatch(service.core());
        }
    }

    /// Returns the handle of the future that is being polled.
    pub fn handle(&self) -> SpawnHandle {
        self.current
    }

    /// Sets how many messages [`Addr::send`] and [`Addr::try_send`] may queue.
    ///
    /// Messages, 16 by default, as in actix. The capacity belongs to the mailbox and outlives the incarnation; see
    /// also [`ServiceSpec::mailbox_capacity`](crate::ServiceSpec::mailbox_capacity). The mailbox of a supervisor has no limit, and gets
    /// none here.
    pub fn set_mailbox_capacity(&mut self, capacity: usize) {
        if self.link.core().kind() != ServiceKind::Supervisor {
            self.contents.set_capacity(capacity);
        }
    }

    /// Reports whether anybody else holds an address of this service.
    pub fn connected(&self) -> bool {
        self.contents.connected()
    }

    pub(crate) fn link(&self) -> &Arc<Link<A>> {
        &self.link
    }

    /// The next message, for whoever answers while there is no incarnation. If there is none, the cell is woken by the next one.
    pub(crate) fn poll_message(&mut self, cx: &mut Context<'_>) -> Option<Envelope<A>> {
        match self.poll_handled(cx) {
            Poll::Ready(message) => message,
            Poll::Pending => None,
        }
    }

    /// The next message, which is handled, and counted as such.
    #[inline]
    pub(super) fn poll_handled(&mut self, cx: &mut Context<'_>) -> Poll<Option<Envelope<A>>> {
        let handled = self.link.core().handled_counter();
        self.contents.poll_handled(self.epoch, handled, cx)
    }

    /// Ends the incarnation like this, whatever it has said before.
    pub(crate) fn end_with(&mut self, exit: Exit) {
        self.ending = Some(Box::new(exit));
        self.state = ActorState::Stopped;
    }

    /// Reports whether somebody waits for the answer to the message that is being handled, or did when it was read.
    pub(crate) fn answer_is_awaited(&self) -> bool {
        self.answer_is_awaited
    }

    pub(crate) fn was_asked_to_stop(&self) -> bool {
        self.asked != AskedToStop::No
    }

    pub(crate) fn notify_supervisor(&self, kind: NoticeKind) {
        Host::notify_supervisor(self, kind);
    }

    /// Reports whether user code has called `wait` since the incarnation last took it over.
    pub(crate) fn has_waits(&self) -> bool {
        self.arrived
            .as_ref()
            .is_some_and(|arrived| !arrived.waits.is_empty())
    }

    /// Reports whether user code has cancelled a future since the incarnation last took it over.
    pub(super) fn has_cancelled(&self) -> bool {
        self.arrived
            .as_ref()
            .is_some_and(|arrived| !arrived.cancelled.is_empty())
    }

    /// The actor is there, and `started` is about to be called. Returns whether its factory has said that it is ready.
    pub(super) fn leave_factory(&mut self) -> SaidReady {
        std::mem::replace(&mut self.ready, SaidReady::NotYet)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.state != ActorState::Running
    }

    /// Reports whether the supervisor has killed or replaced the incarnation, and its cell has not looked yet: no more user code is to run.
    pub(super) fn is_overruled(&self) -> bool {
        self.link.core().is_overruled(self.epoch)
    }

    /// Takes more time to stop without telling the supervisor, which is left to the caller.
    ///
    /// For an actor that may end in this very poll, as a task does whose function returns at once: told that it needs time, the supervisor
    /// would go on with the next service before this one has ended.
    pub(crate) fn stop_later(&mut self) {
        if self.asked == AskedToStop::Unanswered {
            self.asked = AskedToStop::Acknowledged;
        }
    }

    /// Reports whether `fail`, `exit` or `end_with` was called.
    pub(super) fn has_said_how_it_ends(&self) -> bool {
        self.ending.is_some()
    }

    fn end(&mut self, reason: ExitReason, verdict: Option<Verdict>) {
        // The first reason is the cause; what fails while the rest is handled follows from it.
        if self.ending.is_none() {
            self.ending = Some(Box::new(Exit {
                reason,
                verdict,
                ended: None,
            }));
        }
        self.state = ActorState::Stopped;
    }
}

impl<A: Actor<Context = Self>> Host<A> for ServiceContext<A> {
    type Incarnation = Incarnation<A>;

    fn new(contents: Contents<A>, link: Arc<Link<A>>, epoch: u32) -> Self {
        Self {
            contents,
            link,
            generation: 0,
            arrived: None,
            current: SpawnHandle::default(),
            ending: None,
            state: ActorState::Running,
            asked: AskedToStop::No,
            ready: SaidReady::NotStarted,
            answer_is_awaited: false,
            epoch,
        }
    }

    fn link(&self) -> &Arc<Link<A>> {
        &self.link
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn begin(&mut self, generation: u64) {
        // `arrived` is empty: the tear-down of the incarnation before has taken it.
        self.generation = generation;
        self.current = SpawnHandle::default();
        self.ending = None;
        self.state = ActorState::Running;
        self.asked = AskedToStop::No;
        self.ready = SaidReady::NotStarted;
    }

    fn context(&mut self) -> &mut Self {
        self
    }

    fn take_factory_exit(&mut self) -> Option<Exit> {
        match self.ending.take() {
            Some(exit) => Some(*exit),
            None => self.is_stopping().then(|| self.factory_stopped()),
        }
    }

    fn discard(&mut self, first: &mut Option<ExitReason>) {
        if let Some(arrived) = self.arrived.take() {
            arrived.drop_guarded(first);
        }
    }

    fn incarnate(&mut self, actor: A) -> Incarnation<A> {
        Incarnation::new(actor)
    }

    fn run(
        &mut self,
        incarnation: &mut Incarnation<A>,
        readiness: Readiness,
        cx: &mut Context<'_>,
        handling: &mut Option<Envelope<A>>,
    ) -> Step {
        incarnation.run(self, readiness, cx, handling)
    }

    fn ask_to_stop(&mut self, _: &mut Incarnation<A>) {
        self.asked.ask();
        ActorContext::stop(self);
    }

    fn idle(&mut self, factory: &mut dyn Factory<A>, cx: &mut Context<'_>) {
        let looked_after = factory.idle(self, cx);
        let mut nobody_to_tell = None;
        if let Some(arrived) = self.arrived.take() {
            arrived.drop_guarded(&mut nobody_to_tell);
        }
        // Nobody can answer, and nobody may come who could.
        if looked_after == Idle::Nothing && self.link.core().state().is_down() {
            for _ in 0..BUDGET {
                match self.poll_message(cx) {
                    Some(message) => drop_guarded(&mut nobody_to_tell, message),
                    None => return,
                }
            }
            cx.waker().wake_by_ref();
        }
    }

    fn note_answer(&mut self, answer: AnswerTo) {
        self.answer_is_awaited = answer == AnswerTo::Caller;
    }

    fn take_exit(&mut self) -> Exit {
        match self.ending.take() {
            Some(exit) => *exit,
            // `stop` and `terminate` say only that it ends.
            None => self.asked.exit(),
        }
    }

    fn tear_down(
        &mut self,
        incarnation: Incarnation<A>,
        take_back: impl FnOnce(&mut Self, A),
    ) -> Option<ExitReason> {
        incarnation.tear_down(self, take_back)
    }

    fn wants<M: Message + 'static>(&self, message: &M) -> bool {
        // Known when this is compiled, but for that one message.
        let Some(ended) = (message as &dyn Any).downcast_ref::<ServiceEnded>() else {
            return true;
        };
        match ended.meant {
            Meant::Anybody => true,
            Meant::Watch(watch) => {
                let watching = self.arrived.as_ref().and_then(|it| it.watching.as_ref());
                watching.is_some_and(|watching| watching.has(ended.token(), watch))
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Envelope<A>>> {
        self.contents.poll_next(self.epoch, cx)
    }

    fn take_factory(&mut self) -> Option<UserFactory<A>> {
        self.contents.take_factory(self.epoch)
    }

    fn put_factory(&mut self, factory: UserFactory<A>) {
        self.contents.put_factory(self.epoch, factory);
    }

    fn release(&mut self) {
        self.contents.release(self.epoch);
    }

    fn forget_late(&mut self) {
        self.contents.forget_late(self.epoch);
    }
}

impl<A: Actor<Context = Self>> ActorContext for ServiceContext<A> {
    fn stop(&mut self) {
        // Not from `Stopped`: whoever has failed or terminated is not asked any more.
        if self.state == ActorState::Running {
            self.state = ActorState::Stopping;
        }
    }

    fn terminate(&mut self) {
        self.state = ActorState::Stopped;
    }

    fn state(&self) -> ActorState {
        self.state
    }
}

impl<A: Actor<Context = Self>> AsyncContext<A> for ServiceContext<A> {
    fn address(&self) -> Addr<A> {
        self.contents.address()
    }

    fn spawn<F>(&mut self, future: F) -> SpawnHandle
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        let arrived = self.arrived.get_or_insert_default();
        arrived.latest = arrived.latest.next();
        arrived.items.push((arrived.latest, Box::pin(future)));
        arrived.latest
    }

    fn wait<F>(&mut self, future: F)
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        let waits = &mut self.arrived.get_or_insert_default().waits;
        waits.push(Box::pin(future));
    }

    fn waiting(&self) -> bool {
        // An actor that stops handles no more messages, as in actix: they stay queued for the next incarnation.
        self.has_waits() || self.is_stopping()
    }

    fn cancel_future(&mut self, handle: SpawnHandle) -> bool {
        // The incarnation has the futures. It cannot be reached from here while one of them is polled, and drops the future after that.
        // Whether there is one with this handle is not known; actix answers `true`, too.
        self.arrived.get_or_insert_default().cancelled.push(handle);
        true
    }
}

impl<A, M> ToEnvelope<A, M> for ServiceContext<A>
where
    A: Actor<Context = Self> + Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn pack(msg: M, tx: Option<OneshotSender<M::Result>>) -> Envelope<A> {
        envelope::pack(msg, tx)
    }
}

impl<A: Actor<Context = Self>> fmt::Debug for ServiceContext<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceContext")
            .field("path", &self.path())
            .field("generation", &self.generation())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Whether an incarnation has said that it is ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SaidReady {
    /// Its factory has: the supervisor is told when `started` has returned.
    BeforeStart,
    /// Its factory may be running, and has not.
    NotStarted,
    NotYet,
    /// The supervisor was told.
    Told,
}

/// What user code has spawned, awaited and cancelled.
pub(super) struct Arrived<A: Actor> {
    /// In the order in which they were spawned.
    pub(super) items: Vec<(SpawnHandle, Task<A>)>,
    /// In the order in which they were awaited.
    pub(super) waits: Vec<Task<A>>,
    pub(super) cancelled: Vec<SpawnHandle>,
    /// What the incarnation watches, if anything. Stays here.
    watching: Option<Box<Watching>>,
    /// The handle that was given out last. Stays here when the rest is taken over, so that none is given twice in an incarnation.
    latest: SpawnHandle,
}

impl<A: Actor> Arrived<A> {
    /// Drops all futures, one by one; of several panics the first one is kept.
    pub(super) fn drop_guarded(self, first: &mut Option<ExitReason>) {
        for item in self.items {
            drop_guarded(first, item);
        }
        for wait in self.waits {
            drop_guarded(first, wait);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.waits.is_empty() && self.cancelled.is_empty()
    }
}

impl<A: Actor> Default for Arrived<A> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            waits: Vec::new(),
            cancelled: Vec::new(),
            watching: None,
            latest: SpawnHandle::default(),
        }
    }
}

/// A future that runs inside an actor.
pub(super) type Task<A> = Pin<Box<dyn ActorFuture<A, Output = ()>>>;
