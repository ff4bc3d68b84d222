//! What a service's cell and its supervisor share: one allocation per service.
//!
//! Commands go down through it, from the supervisor to the cell, which is woken; what the cell tells goes up through the
//! [`Parent`]. References and the registry read from it which service this is and in which state. It decides nothing.
//!
//! # Invariants
//!
//! 1. Only the supervisor writes `state` and `generation`, and gives commands; only the cell takes them.
//! 2. A start is given only after the supervisor has seen the end of the incarnation before, or has abandoned it. So what is said to one
//!    incarnation never reaches the next: a start drops the commands that were not taken yet, but for a release, and the stop deadline.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::Waker,
};

use actix::{Actor, Addr, WeakAddr};

use super::{
    commands::Commands,
    lane::{Lane, LaterWaker, Taken},
    parent::Parent,
    shown::{Handled, ReportedKind, ReportedPlacement, Shown},
    watches::{Change, ServiceEnded, Watches},
};
pub(crate) use crate::state::ServiceKind;
use crate::{
    policy::{ExitReason, KillCause, Readiness},
    state::{Ended, EndedAs, Exit, Mirrored, Over, Senders, ServiceState, ShutdownReport, StopBy},
    token::ServiceToken,
};

/// The state of one service that its cell, its supervisor, the registry and its references share.
pub(crate) struct Link<A: Actor> {
    core: LinkCore,
    address: WeakAddr<A>,
}

/// The part of a [`Link`] that does not depend on the type of the actor.
pub(crate) struct LinkCore {
    token: ServiceToken,
    /// The path when the service was added: that of its supervisor then, and its name.
    path: Arc<str>,
    /// The place in the start order; `u64::MAX` before the supervisor is part of a tree.
    position: AtomicU64,
    parent: Arc<Parent>,
    readiness: Readiness,
    kind: ServiceKind,
    shown: Shown,
    // Atomics, since a mailbox will not do: commands must overtake any number of queued messages, also on another thread, and look-ups must
    // not wait for a busy supervisor. Each has one writer (invariant 1), but for the lane.
    lane: Lane,
    state: AtomicU8,
    /// Who asks for news of the state, and with what the service has ended for good: `ASKED` and the bits beside it.
    news: AtomicU8,
    /// How many incarnations were ordered. Stored before the start is commanded, so that a cell that sees the command reads this number.
    lives: AtomicU64,
    handled: Handled,
    rare: OnceLock<Box<Rare>>,
}

/// Fields that few services need. Apart, so that the links of all others are small.
struct Rare {
    /// The path in the tree, if that differs from the one when the service was added.
    moved: OnceLock<Arc<str>>,
    /// The names of the siblings that it requires.
    required: OnceLock<Box<[Arc<str>]>>,
    // Written by the supervisor and the registry before a start, read by the factory after it: nobody waits for the lock.
    handed: Mutex<Handed>,
    /// When the present incarnation is dropped, if it was asked to stop and does not, as far as it is to know that.
    ///
    /// A mutex, since a root may be told by any thread. It is held for one comparison.
    stop_by: Mutex<Option<StopBy>>,
    later_waker: LaterWaker,
    /// How many messages were refused while the service was down. Counts, and orders nothing.
    refused: AtomicU64,
    /// How the latest incarnation ended, if one has ended in another way than a clean one, or is one of a supervisor.
    latest_exit: Mutex<Option<LatestExit>>,
    /// Why the service has ended for good the last time, if that is neither of the two reasons that need no room.
    end: Mutex<Option<Box<ExitReason>>>,
    /// What a supervisor said that a user has shut down, for those who ask again.
    shutdown: OnceLock<ShutdownReport>,
}

/// How an incarnation ended.
#[derive(Clone)]
struct LatestExit {
    reason: ExitReason,
    /// If it is a supervisor that has come to say it.
    ended: Option<Arc<Ended>>,
}

/// What a supervisor leaves for the next start.
#[derive(Default)]
struct Handed {
    requirements: Requirements,
    /// What the registry has found elsewhere in the tree, by path.
    found: Requirements,
    /// A factory that takes the place of the cell's own: a `UserFactory` of the service's actor, which is not known here.
    factory: Option<Box<dyn Any + Send>>,
}

/// The services that a service requires, by name or path.
pub(crate) type Requirements = Vec<(Arc<str>, Arc<dyn AnyLink>)>;

/// A [`Link`] whose actor type is not known here.
pub(crate) trait AnyLink: Send + Sync + 'static {
    fn core(&self) -> &LinkCore;
    fn type_name(&self) -> &'static str;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// Gives a link its type back, or returns it as it was.
pub(crate) fn downcast<A: Actor>(link: Arc<dyn AnyLink>) -> Result<Arc<Link<A>>, Arc<dyn AnyLink>> {
    Arc::clone(&link)
        .into_any()
        .downcast::<Link<A>>()
        .map_err(|_| link)
}

impl<A: Actor> Link<A> {
    pub(crate) fn new(
        token: ServiceToken,
        path: Arc<str>,
        parent: Arc<Parent>,
        address: WeakAddr<A>,
        readiness: Readiness,
        kind: ServiceKind,
    ) -> Self {
        Self {
            core: LinkCore {
                token,
                path,
                position: AtomicU64::new(u64::MAX),
                parent,
                readiness,
                kind,
                shown: Shown {
                    kind: match kind {
                        ServiceKind::Actor => ReportedKind::Actor,
                        ServiceKind::Supervisor => ReportedKind::Supervisor,
                    },
                    placement: ReportedPlacement::Inherit,
                },
                lane: Lane::new(),
                state: AtomicU8::new(Mirrored::from(ServiceState::Waiting).to_bits()),
                news: AtomicU8::new(0),
                lives: AtomicU64::new(0),
                handled: Handled::default(),
                rare: OnceLock::new(),
            },
            address,
        }
    }

    /// Says what the service is and where it runs, for reports.
    pub(crate) fn shown_as(mut self, shown: Shown) -> Self {
        self.core.shown = shown;
        self
    }

    /// A strong address, or `None` once the mailbox is dropped.
    pub(crate) fn address(&self) -> Option<Addr<A>> {
        self.address.upgrade()
    }
}

impl<A: Actor> AnyLink for Link<A> {
    fn core(&self) -> &LinkCore {
        &self.core
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<A>()
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl LinkCore {
    pub(crate) fn token(&self) -> ServiceToken {
        self.token
    }

    /// The path from the root, or from its supervisor while that is not part of a tree.
    pub(crate) fn path(&self) -> &Arc<str> {
        let moved = self.rare.get().and_then(|rare| rare.moved.get());
        moved.unwrap_or(&self.path)
    }

    /// Where the service stands in the start order of its supervisor.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Gives the service its place in a tree, before it is registered or started.
    pub(crate) fn set_place(&self, path: &Arc<str>, position: u64) {
        if *path != self.path {
            let _first_call_counts = self.rare().moved.set(Arc::clone(path));
        }
        // The message that registers the service orders this before any look-up.
        self.set_position(position);
    }

    /// Says which place in start order the service has from now on.
    pub(crate) fn set_position(&self, position: u64) {
        // Relaxed: a look-up at the same time sees one order or the other.
        self.position.store(position, Ordering::Relaxed);
    }

    /// When an incarnation counts as ready.
    pub(crate) fn readiness(&self) -> Readiness {
        self.readiness
    }

    pub(crate) fn kind(&self) -> ServiceKind {
        self.kind
    }

    /// What the service is and where it runs, for reports.
    pub(crate) fn shown(&self) -> Shown {
        self.shown
    }

    /// How many messages it has handled so far.
    pub(crate) fn handled(&self) -> u64 {
        self.handled.get()
    }

    /// Where a message is counted that is taken out of the mailbox to be handled.
    pub(super) fn handled_counter(&self) -> &Handled {
        &self.handled
    }

    pub(crate) fn parent(&self) -> &Arc<Parent> {
        &self.parent
    }

    /// The present or latest incarnation, 0 for the first.
    pub(crate) fn generation(&self) -> u64 {
        self.lives().saturating_sub(1)
    }

    /// How many incarnations were ordered.
    pub(super) fn lives(&self) -> u64 {
        self.lives.load(Ordering::Acquire)
    }

    pub(crate) fn state(&self) -> ServiceState {
        self.mirrored().state
    }

    /// How the service has ended for good, if it has.
    pub(crate) fn ended(&self) -> Option<EndedAs> {
        self.mirrored().ended()
    }

    fn mirrored(&self) -> Mirrored {
        Mirrored::from_bits(self.state.load(Ordering::SeqCst))
    }

    /// Copies the state that the supervisor has decided to where look-ups read it, tells those who watch the service, and reports whether
    /// the registry has asked for news. With a reason if the service ends for good with this change.
    ///
    /// `SeqCst` here, in [`state`](Self::state), and wherever somebody begins to watch: of a change and a watch that begins at the same
    /// time, either the watcher reads the new state, or this finds that the service is watched.
    pub(crate) fn set_state(&self, state: impl Into<Mirrored>, end: Option<ExitReason>) -> Asked {
        let state = state.into();
        if let Some(reason) = &end {
            self.note_end(reason);
        }
        let before = self.state.swap(state.to_bits(), Ordering::SeqCst);
        let before = Mirrored::from_bits(before).state;
        let news = self.news.load(Ordering::SeqCst);
        if news & WATCHED != 0 {
            // A new incarnation is news, even if the one before was starting as well.
            let other = before != state.state || state.state == ServiceState::Starting;
            match end {
                Some(reason) => self.tell(&Change::Ended {
                    lives: self.lives(),
                    ended: self.end_with(reason),
                }),
                None if other => self.tell(&Change::State),
                None => {}
            }
        }
        if news & ASKED != 0 {
            Asked::Yes
        } else {
            Asked::No
        }
    }

    /// Asks for news of changes of the state, from now until the service is forgotten.
    pub(crate) fn ask(&self) {
        self.news.fetch_or(ASKED, Ordering::SeqCst);
    }

    /// Reports whether the service has ended for good, by itself or with its supervisor, or is removed.
    pub(super) fn is_over(&self) -> bool {
        let bits = self.state.load(Ordering::SeqCst);
        bits & RELEASED != 0 || Mirrored::from_bits(bits).over != Over::No
    }

    /// Why the service has ended for good, if it has.
    pub(super) fn end(&self) -> Option<ServiceEnded> {
        self.is_over().then(|| self.end_with(self.end_reason()))
    }

    fn end_reason(&self) -> ExitReason {
        let kept = self.rare.get().and_then(|rare| lock(&rare.end).clone());
        match kept {
            Some(reason) => *reason,
            None if self.news.load(Ordering::SeqCst) & SHUT_DOWN != 0 => ExitReason::Shutdown,
            None => ExitReason::Normal,
        }
    }

    /// Keeps why the service ends for good, before that is shown.
    fn note_end(&self, reason: &ExitReason) {
        let kept = match reason {
            ExitReason::Shutdown => {
                self.news.fetch_or(SHUT_DOWN, Ordering::SeqCst);
                None
            }
            ExitReason::Normal => {
                self.news.fetch_and(!SHUT_DOWN, Ordering::SeqCst);
                None
            }
            other => Some(Box::new(other.clone())),
        };
        if kept.is_some() || self.rare.get().is_some() {
            let before = std::mem::replace(&mut *lock(&self.rare().end), kept);
            // An error of the user's, which must not be dropped under the lock.
            drop(before);
        }
    }

    fn end_with(&self, reason: ExitReason) -> ServiceEnded {
        ServiceEnded::new(Arc::clone(self.path()), self.token, reason)
    }

    /// Who watches it, and its siblings.
    pub(super) fn watches(&self) -> &Watches {
        &self.parent.watches
    }

    fn tell(&self, change: &Change) {
        let watches = self.watches();
        watches.tell(self.token, change, || self.note_unwatched());
    }

    /// Says that somebody watches the service.
    pub(super) fn note_watched(&self) {
        self.news.fetch_or(WATCHED, Ordering::SeqCst);
    }

    #[cfg(test)]
    pub(super) fn is_watched(&self) -> bool {
        self.news.load(Ordering::SeqCst) & WATCHED != 0
    }

    /// Says that nobody does any more.
    pub(super) fn note_unwatched(&self) {
        self.news.fetch_and(!WATCHED, Ordering::SeqCst);
    }

    /// Says which siblings the service requires, by name, before it is registered or started.
    pub(crate) fn set_required(&self, names: Box<[Arc<str>]>) {
        let _first_call_counts = self.rare().required.set(names);
    }

    /// The names of the siblings that the service requires.
    pub(crate) fn required(&self) -> &[Arc<str>] {
        let required = self.rare.get().and_then(|rare| rare.required.get());
        required.map_or(&[], |names| names)
    }

    /// Leaves the services that the next incarnation may look up by name.
    pub(crate) fn set_requirements(&self, requirements: Requirements) {
        self.rare().handed().requirements = requirements;
    }

    /// Leaves the services elsewhere in the tree that the next incarnation may look up by path.
    pub(crate) fn set_found(&self, found: Requirements) {
        self.rare().handed().found = found;
    }

    /// A service that this one requires.
    pub(crate) fn requirement(&self, name: &str) -> Option<Arc<dyn AnyLink>> {
        let handed = self.rare.get()?.handed();
        let mut required = handed.requirements.iter().chain(&handed.found);
        let (_, link) = required.find(|(known, _)| **known == *name)?;
        Some(Arc::clone(link))
    }

    /// Leaves a factory that takes the place of the cell's own at the next start.
    pub(crate) fn set_factory(&self, factory: Box<dyn Any + Send>) {
        let before = self.rare().handed().factory.replace(factory);
        // User code, which must not run under the lock.
        drop(before);
    }

    /// Takes the factory that was left since the last start, if one was.
    pub(crate) fn take_factory(&self) -> Option<Box<dyn Any + Send>> {
        self.rare.get()?.handed().factory.take()
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(|| Box::new(Rare::new()))
    }

    /// Reports whether messages are refused while there is no incarnation.
    pub(crate) fn refuses(&self) -> bool {
        self.mirrored().senders == Senders::Refused
    }

    /// Counts messages that were refused.
    pub(super) fn count_refused(&self, messages: u32) {
        let refused = &self.rare().refused;
        refused.fetch_add(u64::from(messages), Ordering::Relaxed);
    }

    /// How many messages were refused while the service was down.
    pub(crate) fn refused(&self) -> u64 {
        let rare = self.rare.get();
        rare.map_or(0, |rare| rare.refused.load(Ordering::Relaxed))
    }

    /// Keeps how an incarnation has ended.
    pub(super) fn note_exit(&self, exit: &Exit) {
        // Most services only ever end cleanly, and need no room for that.
        if exit.reason.is_abnormal() || exit.ended.is_some() || self.rare.get().is_some() {
            let latest = LatestExit {
                reason: exit.reason.clone(),
                ended: exit.ended.as_deref().cloned().map(Arc::new),
            };
            let before = lock(&self.rare().latest_exit).replace(latest);
            // An error of the user's, which must not be dropped under the lock.
            drop(before);
        }
    }

    /// How the latest incarnation ended, if that was kept.
    pub(crate) fn latest_exit(&self) -> Option<ExitReason> {
        let kept = lock(&self.rare.get()?.latest_exit);
        kept.as_ref().map(|latest| latest.reason.clone())
    }

    /// Reports whether the service has ended for good and without an error.
    pub(crate) fn has_completed(&self) -> bool {
        let clean = || {
            let latest = self.latest_exit();
            latest.is_none_or(|reason| !reason.is_abnormal())
        };
        self.ended() == Some(EndedAs::Finished) && clean()
    }

    /// How the latest incarnation of a supervisor ended, if one has.
    pub(crate) fn latest_end(&self) -> Option<Arc<Ended>> {
        let latest = lock(&self.rare.get()?.latest_exit).clone()?;
        let untold = || Arc::new(Ended::without_a_word(self.path(), &latest.reason));
        Some(latest.ended.unwrap_or_else(untold))
    }

    /// Keeps what those are told who have shut a supervisor down. The first time counts: it is not started again.
    pub(crate) fn note_shutdown(&self, report: &ShutdownReport) {
        self.rare().shutdown.get_or_init(|| report.clone());
    }

    /// What those were told who have shut this supervisor down, once it is.
    pub(crate) fn shutdown_report(&self) -> Option<&ShutdownReport> {
        self.rare.get()?.shutdown.get()
    }

    /// Reports whether the service was told to close its mailbox for ever.
    pub(crate) fn is_released(&self) -> bool {
        self.state.load(Ordering::SeqCst) & RELEASED != 0
    }

    /// Tells the cell to begin incarnation `generation`.
    pub(crate) fn start(&self, generation: u64) {
        if let Some(rare) = self.rare.get() {
            *lock(&rare.stop_by) = None;
        }
        self.lives.store(generation + 1, Ordering::Release);
        self.lane.start(self.later_waker());
    }

    /// Asks the present incarnation to stop.
    pub(crate) fn stop(&self) {
        // Beside a start that the cell has not taken yet: the incarnation then ends without being made.
        self.give(Lane::STOP);
    }

    /// Asks the present incarnation to stop, and says when it is dropped. Asked again, only an earlier time counts.
    pub(crate) fn stop_by(&self, bound: StopBy) {
        // Before the command: whoever sees that finds the time there.
        self.note_bound(bound);
        self.stop();
    }

    /// Tells the present incarnation, which was asked to stop, that it is dropped earlier than it was told.
    pub(crate) fn hurry(&self, bound: StopBy) {
        self.note_bound(bound);
        // No command: the cell is only woken, and its supervisor's incarnation finds the time.
        self.give(0);
    }

    /// When the present incarnation is dropped, if it was asked to stop and was told that.
    pub(crate) fn bound(&self) -> Option<StopBy> {
        *lock(&self.rare.get()?.stop_by)
    }

    fn note_bound(&self, bound: StopBy) {
        let mut noted = lock(&self.rare().stop_by);
        *noted = Some(noted.map_or(bound, |before| before.and(bound)));
    }

    /// Has the present incarnation dropped, whether it was asked to stop or not.
    pub(crate) fn kill(&self, cause: KillCause) {
        // The latest cause replaces an earlier one that the cell has not taken yet.
        self.lane.kill(Commands::encode(cause), self.later_waker());
    }

    /// Has the cell drop all it holds, and close the mailbox. The first call counts for those who watch the service: with it, that has ended
    /// for ever; with this reason, unless it had ended for good before.
    pub(crate) fn release(&self, reason: ExitReason) {
        let over = self.is_over();
        if !over {
            self.note_end(&reason);
        }
        let before = self.state.fetch_or(RELEASED, Ordering::SeqCst);
        // Kept through a later start, so that the cell cannot miss it.
        self.give(Lane::RELEASE);
        if before & RELEASED == 0 && self.news.load(Ordering::SeqCst) & WATCHED != 0 {
            let reason = if over { self.end_reason() } else { reason };
            self.tell(&Change::Removed {
                lives: self.lives(),
                ended: self.end_with(reason),
            });
        }
    }

    /// Has the cell look at the state, which says what becomes of messages while there is no incarnation.
    pub(crate) fn look(&self) {
        self.give(Lane::LOOK);
    }

    /// Writes the present cell off: it finds that with its next look, if its thread ever comes back. Returns the epoch of its heir.
    pub(crate) fn write_off(&self) -> u32 {
        self.lane.advance(self.later_waker())
    }

    /// The epoch of the present cell.
    pub(crate) fn epoch(&self) -> u32 {
        self.lane.epoch()
    }

    /// Takes what the supervisor has commanded since the last call, or `None` if the cell of this epoch is written off.
    pub(super) fn take_commands(&self, epoch: u32) -> Option<Commands> {
        match self.lane.take(epoch) {
            Taken::Commands(bits) => Some(Commands(bits)),
            Taken::WrittenOff => None,
        }
    }

    /// Reports whether the cell of this epoch is written off.
    pub(super) fn is_written_off(&self, epoch: u32) -> bool {
        self.lane.is_written_off(epoch)
    }

    /// Reports whether the present incarnation is to be dropped: it was killed or abandoned, or the cell is to release.
    ///
    /// Asked before each message: a kill does not wait for the queue.
    #[inline]
    pub(crate) fn is_overruled(&self, epoch: u32) -> bool {
        let ends = Lane::START | Lane::KILL | Lane::RELEASE;
        self.lane.is_told(epoch, ends, Ordering::Relaxed)
    }

    /// Reports whether the present incarnation was asked to stop or is to be dropped, and its cell has not looked yet.
    pub(crate) fn is_told_to_end(&self, epoch: u32) -> bool {
        self.lane.is_told(epoch, Lane::ENDS, Ordering::Acquire)
    }

    /// Says whom to wake for a command. The first call of an epoch counts, by the first poll of its cell.
    pub(super) fn set_waker(&self, epoch: u32, waker: &Waker) {
        self.lane
            .set_waker(epoch, waker, || &self.rare().later_waker);
    }

    fn give(&self, flags: u8) {
        self.lane.give(flags, self.later_waker());
    }

    fn later_waker(&self) -> Option<&LaterWaker> {
        Some(&self.rare.get()?.later_waker)
    }
}

impl Rare {
    fn new() -> Self {
        Self {
            moved: OnceLock::new(),
            required: OnceLock::new(),
            handed: Mutex::default(),
            stop_by: Mutex::default(),
            later_waker: LaterWaker::new(),
            refused: AtomicU64::new(0),
            latest_exit: Mutex::default(),
            end: Mutex::default(),
            shutdown: OnceLock::new(),
        }
    }

    fn handed(&self) -> MutexGuard<'_, Handed> {
        lock(&self.handed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Never poisoned in the middle of a change: each is one assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<A: Actor> fmt::Debug for Link<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("token", &self.core.token)
            .field("path", self.core.path())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for dyn AnyLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyLink").field(self.core().path()).finish()
    }
}

/// Whether the registry has asked for news of changes of a service's state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Asked {
    No,
    Yes,
}

/// A bit beside what is mirrored of the state: the mailbox is closed for ever, or about to be.
const RELEASED: u8 = 1 << 7;

/// The registry asks for news of the state.
const ASKED: u8 = 1;
/// Somebody watches the service.
const WATCHED: u8 = 1 << 1;
/// It has ended for good with a clean stop, and not by itself.
const SHUT_DOWN: u8 = 1 << 2;
