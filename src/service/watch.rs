//! What those are shown who watch a service.
//!
//! A watch is an entry in the `Watches` of the supervisor of the service, which it takes out when it is dropped. There is no task and no
//! timer: a change wakes whoever waits for it.

use std::{
    collections::HashMap,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use actix::{Actor, Addr, Handler, Recipient, WeakAddr, WeakRecipient, dev::ToEnvelope};
use futures::Stream;

use super::{
    link::{AnyLink, LinkCore},
    watches::{Meant, ServiceEnded, Target, Watches},
};
use crate::{policy::ExitReason, state::ServiceState, token::ServiceToken};

/// The states of one service, each the latest: see [`ServiceRef::states`](crate::ServiceRef::states).
///
/// A [`Stream`] that is `Unpin` and `Send`, for any executor. Dropping it ends the watch.
pub struct ServiceStates {
    watch: Watch,
    /// The state that was shown last.
    shown: Option<ServiceState>,
    over: bool,
}

impl ServiceStates {
    pub(super) fn new(service: Arc<dyn AnyLink>) -> Self {
        Self {
            watch: Watch::new(service, |watches, core| {
                watches.watch_state(core.token(), || core.note_watched())
            }),
            shown: None,
            over: false,
        }
    }

    /// Waits for the next state; `None` once the service is removed for ever.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no state is lost with the future.
    pub async fn next(&mut self) -> Option<ServiceState> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<ServiceState>> {
        if self.over {
            return Poll::Ready(None);
        }
        let core = self.watch.core();
        let news = core
            .watches()
            .poll_state(core.token(), self.watch.id, cx.waker());
        if news.is_pending() && self.shown.is_some() {
            return Poll::Pending;
        }
        // Read after the news is taken: whatever changes from here on is news again.
        let released = core.is_released();
        let state = core.state();
        // What has changed before the removal, and was not shown yet, comes first.
        if released && self.shown.is_none_or(|shown| shown == state) {
            self.over = true;
            return Poll::Ready(None);
        }
        self.shown = Some(state);
        if released {
            // There is no more news: the end of the stream is all that follows.
            self.over = true;
        }
        Poll::Ready(Some(state))
    }
}

impl Stream for ServiceStates {
    type Item = ServiceState;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ServiceState>> {
        self.get_mut().poll(cx)
    }
}

impl fmt::Debug for ServiceStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceStates")
            .field("path", self.watch.core().path())
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}

/// Waits until a service has ended for good, see [`ServiceRef::ended`](crate::ServiceRef::ended).
///
/// A future for any executor. Polled again after it has resolved, it resolves to the same.
#[must_use = "futures do nothing unless they are awaited"]
pub struct UntilEnded {
    watch: Watch,
    ended: Option<ServiceEnded>,
}

impl UntilEnded {
    pub(super) fn new(service: Arc<dyn AnyLink>) -> Self {
        Self {
            watch: Watch::new(service, |watches, core| {
                watches.watch_end(core.token(), || core.note_watched())
            }),
            ended: None,
        }
    }
}

impl Future for UntilEnded {
    type Output = ExitReason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ExitReason> {
        let this = self.get_mut();
        if this.ended.is_none() {
            let core = this.watch.core();
            let told = core
                .watches()
                .poll_end(core.token(), this.watch.id, cx.waker());
            this.ended = match told {
                Poll::Ready(ended) => Some(ended),
                // It may have ended before the watch began. Looked at after the watch has, so that no end falls between the two.
                Poll::Pending => core.end(),
            };
        }
        match &this.ended {
            Some(ended) => Poll::Ready(ended.reason().clone()),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for UntilEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilEnded")
            .field("path", self.watch.core().path())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// An entry of somebody who waits.
struct Watch {
    service: Arc<dyn AnyLink>,
    id: u64,
}

impl Watch {
    fn new(service: Arc<dyn AnyLink>, begin: impl FnOnce(&Watches, &LinkCore) -> u64) -> Self {
        let core = service.core();
        let id = begin(core.watches(), core);
        Self { service, id }
    }

    fn core(&self) -> &LinkCore {
        self.service.core()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        end_watch(self.core(), self.id);
    }
}

/// What one incarnation watches. The watches end when it is dropped, with the incarnation.
pub(super) struct Watching {
    target: Arc<dyn Target>,
    /// A service that was removed stays here as long as somebody could watch it once more: its end is told once.
    services: HashMap<ServiceToken, Watched>,
    /// At how many those are looked for that nobody can watch any more.
    sweep_at: usize,
}

struct Watched {
    // Weak: what is watched by one who lives long is not kept in memory by that.
    service: Weak<dyn AnyLink>,
    id: u64,
}

impl Watching {
    /// For the ends to be told to the present incarnation of the actor with this address.
    pub(super) fn new<A>(address: &Addr<A>) -> Self
    where
        A: Actor<Context: ToEnvelope<A, ServiceEnded>> + Handler<ServiceEnded>,
    {
        Self {
            target: Arc::new(Incarnation(address.downgrade())),
            services: HashMap::new(),
            sweep_at: FEWEST_SWEPT,
        }
    }

    /// Watches a service, unless that is being watched.
    pub(super) fn watch(&mut self, service: &Arc<dyn AnyLink>) {
        let core = service.core();
        if self.services.contains_key(&core.token()) {
            return;
        }
        if self.services.len() >= self.sweep_at {
            self.services
                .retain(|_, watched| watched.service.strong_count() > 0);
            self.sweep_at = FEWEST_SWEPT.max(2 * self.services.len());
        }
        let id = begin_watch(core, Arc::clone(&self.target), |id| {
            let service = Arc::downgrade(service);
            self.services.insert(core.token(), Watched { service, id });
        });
        debug_assert!(self.has(core.token(), id));
    }

    /// Ends a watch, if there is one.
    pub(super) fn unwatch(&mut self, service: &LinkCore) {
        if let Some(watched) = self.services.remove(&service.token()) {
            end_watch(service, watched.id);
        }
    }

    /// Reports whether a watch has not ended.
    pub(super) fn has(&self, service: ServiceToken, id: u64) -> bool {
        let watched = self.services.get(&service);
        watched.is_some_and(|watched| watched.id == id)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        for watched in self.services.values() {
            if let Some(service) = watched.service.upgrade() {
                end_watch(service.core(), watched.id);
            }
        }
    }
}

/// One incarnation of a service, behind what is queued for it. The next one passes over what is meant for this, whose watches it has not begun.
struct Incarnation<A: Actor>(WeakAddr<A>);

impl<A> Target for Incarnation<A>
where
    A: Actor<Context: ToEnvelope<A, ServiceEnded>> + Handler<ServiceEnded>,
{
    fn tell(&self, watch: u64, ended: ServiceEnded) {
        if let Some(address) = self.0.upgrade() {
            // Past the capacity of the mailbox: a notice of an end is never lost.
            address.do_send(ended.meant_for(Meant::Watch(watch)));
        }
    }

    fn is_gone(&self) -> bool {
        // It takes itself out.
        false
    }
}

/// Whom to tell of the end of a service, see [`ServiceRef::watch`](crate::ServiceRef::watch).
///
/// Made of what it is given, and kept as that: a [`Recipient`] or an [`Addr`] keeps the actor running, a [`WeakRecipient`] or a [`WeakAddr`]
/// does not.
#[derive(Clone, Debug)]
pub struct EndedRecipient(Kept);

#[derive(Clone, Debug)]
enum Kept {
    Strong(Recipient<ServiceEnded>),
    Weak(WeakRecipient<ServiceEnded>),
}

impl EndedRecipient {
    fn recipient(&self) -> Option<Recipient<ServiceEnded>> {
        match &self.0 {
            Kept::Strong(recipient) => Some(recipient.clone()),
            Kept::Weak(recipient) => recipient.upgrade(),
        }
    }
}

impl From<Recipient<ServiceEnded>> for EndedRecipient {
    fn from(recipient: Recipient<ServiceEnded>) -> Self {
        Self(Kept::Strong(recipient))
    }
}

impl From<WeakRecipient<ServiceEnded>> for EndedRecipient {
    fn from(recipient: WeakRecipient<ServiceEnded>) -> Self {
        Self(Kept::Weak(recipient))
    }
}

impl<A> From<Addr<A>> for EndedRecipient
where
    A: Actor<Context: ToEnvelope<A, ServiceEnded>> + Handler<ServiceEnded>,
{
    fn from(address: Addr<A>) -> Self {
        address.recipient().into()
    }
}

impl<A> From<WeakAddr<A>> for EndedRecipient
where
    A: Actor<Context: ToEnvelope<A, ServiceEnded>> + Handler<ServiceEnded>,
{
    fn from(address: WeakAddr<A>) -> Self {
        address.recipient().into()
    }
}

impl Target for EndedRecipient {
    fn tell(&self, _: u64, ended: ServiceEnded) {
        if let Some(recipient) = self.recipient() {
            // Past the capacity of the mailbox, as to an incarnation.
            recipient.do_send(ended);
        }
    }

    fn is_gone(&self) -> bool {
        self.recipient()
            .is_none_or(|recipient| !recipient.connected())
    }
}

/// A watch that [`ServiceRef::watch`](crate::ServiceRef::watch) has begun.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct WatchId {
    service: ServiceToken,
    id: u64,
}

impl WatchId {
    /// Has somebody told of the ends of a service.
    pub(super) fn begin(service: &LinkCore, recipient: EndedRecipient) -> Self {
        Self {
            service: service.token(),
            id: begin_watch(service, Arc::new(recipient), |_| {}),
        }
    }

    /// Ends the watch, if it is one of this service.
    pub(super) fn end(self, service: &LinkCore) {
        if self.service == service.token() {
            end_watch(service, self.id);
        }
    }
}

/// Has a target told of the ends of a service, at once if that has ended already. `note` is called before anything is told.
fn begin_watch(service: &LinkCore, target: Arc<dyn Target>, note: impl FnOnce(u64)) -> u64 {
    let (token, watches) = (service.token(), service.watches());
    let id = watches.watch_by(token, target, || service.note_watched());
    note(id);
    // The number of lives first. If there is another one before the look, and an end of that, the supervisor tells of it, and nothing is left to
    // claim here.
    let lives = service.lives();
    if let Some(ended) = service.end()
        && let Some(target) = watches.claim(token, id, lives)
    {
        target.tell(id, ended);
    }
    if service.is_released() {
        end_watch(service, id);
    }
    id
}

fn end_watch(service: &LinkCore, id: u64) {
    let watches = service.watches();
    watches.remove(service.token(), id, || service.note_unwatched());
}

/// With fewer watches nobody looks for those that are of no use any more.
const FEWEST_SWEPT: usize = 64;

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use actix::{Context as PlainContext, dev::channel::channel};
    use futures::FutureExt;

    use super::*;
    use crate::{
        policy::{KillCause, Readiness},
        service::{Link, Parent, ServiceKind},
        state::{EndedAs, Mirrored, Over, Senders},
        token::SupervisorId,
    };

    struct Watcher;

    impl Actor for Watcher {
        type Context = PlainContext<Self>;
    }

    impl Handler<ServiceEnded> for Watcher {
        type Result = ();
        fn handle(&mut self, _: ServiceEnded, _: &mut Self::Context) {}
    }

    fn address() -> Addr<Watcher> {
        let (sender, _receiver) = channel(1);
        Addr::new(sender)
    }

    fn service() -> Arc<dyn AnyLink> {
        let (parent, _notices) = Parent::new();
        below(&Arc::new(parent))
    }

    fn below(parent: &Arc<Parent>) -> Arc<dyn AnyLink> {
        Arc::new(Link::new(
            ServiceToken::issue(SupervisorId::issue(), 0),
            Arc::from("root/a"),
            Arc::clone(parent),
            address().downgrade(),
            Readiness::OnStart,
            ServiceKind::Actor,
        ))
    }

    const FINISHED: Mirrored = Mirrored {
        state: ServiceState::Stopped,
        over: Over::Ended(EndedAs::Finished),
        senders: Senders::Refused,
    };

    /// Shows an end, as a supervisor does.
    fn finish(service: &dyn AnyLink, reason: ExitReason) {
        let _nobody_asks = service.core().set_state(FINISHED, Some(reason));
    }

    fn watched(service: &dyn AnyLink) -> (usize, bool) {
        let core = service.core();
        (core.watches().len(), core.is_watched())
    }

    #[test]
    fn nothing_is_left_of_those_who_watch_no_more() {
        let service = service();
        assert_eq!(watched(&*service), (0, false));
        let states = ServiceStates::new(Arc::clone(&service));
        let ended = UntilEnded::new(Arc::clone(&service));
        let id = WatchId::begin(service.core(), address().into());
        let mut watching = Watching::new(&address());
        watching.watch(&service);
        watching.watch(&service);
        assert_eq!(watched(&*service), (4, true));
        watching.unwatch(service.core());
        watching.unwatch(service.core());
        assert_eq!(watched(&*service), (3, true));
        watching.watch(&service);
        drop((states, ended, watching));
        assert_eq!(watched(&*service), (1, true));
        id.end(service.core());
        assert_eq!(watched(&*service), (0, false));
    }

    #[test]
    fn nothing_is_left_of_a_watch_by_message_when_the_service_is_removed() {
        let service = service();
        let mut watching = Watching::new(&address());
        watching.watch(&service);
        let _id = WatchId::begin(service.core(), address().into());
        service.core().release(ExitReason::Shutdown);
        assert_eq!(watched(&*service), (0, false));
        let _late = WatchId::begin(service.core(), address().into());
        let mut late = Watching::new(&address());
        late.watch(&service);
        assert_eq!(watched(&*service), (0, false));
    }

    #[test]
    fn one_who_watches_for_long_does_not_keep_what_it_has_watched() {
        let (parent, _notices) = Parent::new();
        let parent = Arc::new(parent);
        let mut watching = Watching::new(&address());
        for _ in 0..1000 {
            let service = below(&parent);
            watching.watch(&service);
            service.core().release(ExitReason::Normal);
        }
        assert!(watching.services.len() <= FEWEST_SWEPT);
    }

    #[test]
    fn reason_is_that_of_the_end_and_a_removal_after_it_changes_nothing() {
        for reason in [
            ExitReason::Normal,
            ExitReason::Shutdown,
            ExitReason::Killed(KillCause::Unresponsive),
        ] {
            let service = service();
            let told = || {
                let service = Arc::clone(&service);
                UntilEnded::new(service).now_or_never()
            };
            assert_eq!(told(), None);
            finish(&*service, reason.clone());
            assert_eq!(told(), Some(reason.clone()));
            // Another life, which ends differently.
            service.core().start(0);
            let _nobody_asks = service.core().set_state(ServiceState::Ready, None);
            assert_eq!(told(), None);
            finish(&*service, ExitReason::Normal);
            assert_eq!(told(), Some(ExitReason::Normal));
            let _nobody_asks = service.core().set_state(ServiceState::Ready, None);
            service.core().release(reason.clone());
            assert_eq!(told(), Some(reason.clone()));
            service
                .core()
                .release(ExitReason::Killed(KillCause::Requested));
            assert_eq!(told(), Some(reason));
        }
        let service = service();
        finish(&*service, ExitReason::Normal);
        // By somebody who does not know how it had ended.
        service
            .core()
            .release(ExitReason::Killed(KillCause::Requested));
        let told = UntilEnded::new(service).now_or_never();
        assert_eq!(told, Some(ExitReason::Normal));
    }

    /// Counts what it is told.
    struct Counter(AtomicUsize);

    impl Target for Counter {
        fn tell(&self, _: u64, _: ServiceEnded) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn is_gone(&self) -> bool {
            false
        }
    }

    fn counted(service: &dyn AnyLink) -> Arc<Counter> {
        let counter = Arc::new(Counter(AtomicUsize::new(0)));
        let target = Arc::clone(&counter) as Arc<dyn Target>;
        begin_watch(service.core(), target, |_| {});
        counter
    }

    #[test]
    fn one_who_was_told_at_once_is_told_of_the_next_end() {
        let service = service();
        // It had not even begun, as one whose supervisor ends for good before that.
        for lives in 1..3 {
            finish(&*service, ExitReason::Normal);
            let counter = counted(&*service);
            assert_eq!(counter.0.load(Ordering::SeqCst), 1);
            service.core().start(lives - 1);
            let _nobody_asks = service.core().set_state(ServiceState::Ready, None);
            finish(&*service, ExitReason::Normal);
            assert_eq!(counter.0.load(Ordering::SeqCst), 2);
        }
    }

    #[test]
    fn end_at_the_moment_when_a_watch_begins_is_told_once() {
        for round in 0..3000 {
            let service = service();
            service.core().start(0);
            let ending = Arc::clone(&service);
            let ends = thread::spawn(move || {
                if round % 3 != 0 {
                    finish(&*ending, ExitReason::Normal);
                }
                if round % 3 != 1 {
                    ending.core().release(ExitReason::Normal);
                }
            });
            let counters: Vec<_> = (0..8).map(|_| counted(&*service)).collect();
            let waits = UntilEnded::new(Arc::clone(&service));
            ends.join().unwrap();
            assert_eq!(waits.now_or_never(), Some(ExitReason::Normal));
            for counter in counters {
                assert_eq!(counter.0.load(Ordering::SeqCst), 1, "{round}");
            }
        }
    }
}
