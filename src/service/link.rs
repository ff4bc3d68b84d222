//! What a service's cell and its supervisor share: one allocation per service.
//!
//! # Invariants
//!
//! 1. Only the supervisor writes `state` and `generation`, and gives commands; only the cell takes them.
//! 2. A [`START`](Command) is given only after the end of the incarnation before has been seen, so it may
//!    overwrite a stop or kill that the cell has not taken yet: those were meant for a life that is over.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence},
    },
    task::Waker,
};

use actix::{Actor, Addr, WeakAddr};

use super::parent::Parent;
use crate::{
    policy::{KillCause, Readiness},
    state::ServiceState,
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
    /// The path that its supervisor gave it, which is the whole path below a root.
    path: Arc<str>,
    position: AtomicU64,
    parent: Arc<Parent>,
    readiness: Readiness,
    kind: ServiceKind,
    // Shared mutable state outside an actor, which house style forbids without a proof. Commands must
    // overtake any number of queued messages, also those of a service on another thread, and look-ups must
    // not wait for a busy supervisor; a mailbox can do neither. Invariant 1 gives each word one writer.
    commands: AtomicU8,
    state: AtomicU8,
    watched: AtomicBool,
    generation: AtomicU64,
    waker: OnceLock<Waker>,
    rare: OnceLock<Box<Rare>>,
}

/// What few services need.
#[derive(Default)]
struct Rare {
    /// The path in the tree, where that is another one than it was before.
    moved: OnceLock<Arc<str>>,
    // Written by the supervisor before a start, read by the factory after it.
    handed: Mutex<Handed>,
}

/// What a supervisor hands to a cell with a start.
#[derive(Default)]
struct Handed {
    requirements: Requirements,
    /// A factory that takes the place of the cell's own.
    factory: Option<Box<dyn Any + Send>>,
}

/// The services that a service requires, by name.
type Requirements = Vec<(Arc<str>, Arc<dyn AnyLink>)>;

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
                commands: AtomicU8::new(0),
                state: AtomicU8::new(ServiceState::Waiting.to_bits()),
                watched: AtomicBool::new(false),
                generation: AtomicU64::new(0),
                waker: OnceLock::new(),
                rare: OnceLock::new(),
            },
            address,
        }
    }

    /// A strong address, or `None` once the service is gone.
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
        self.position.store(position, Ordering::Relaxed);
    }

    /// When an incarnation counts as ready.
    pub(crate) fn readiness(&self) -> Readiness {
        self.readiness
    }

    pub(crate) fn kind(&self) -> ServiceKind {
        self.kind
    }

    pub(crate) fn parent(&self) -> &Arc<Parent> {
        &self.parent
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn state(&self) -> ServiceState {
        ServiceState::from_bits(self.state.load(Ordering::SeqCst))
    }

    /// Mirrors the supervisor's view for look-ups, and reports whether somebody waits for a change.
    ///
    /// `SeqCst` here and in [`watch`](Self::watch): either the watcher sees the new state, or this sees
    /// the watcher.
    pub(crate) fn set_state(&self, state: ServiceState) -> Watched {
        self.state.store(state.to_bits(), Ordering::SeqCst);
        if self.watched.load(Ordering::SeqCst) {
            Watched::Yes
        } else {
            Watched::No
        }
    }

    /// Asks to be told of changes of the state, from now until the service is gone.
    pub(crate) fn watch(&self) {
        self.watched.store(true, Ordering::SeqCst);
    }

    /// Says where the services are that the next incarnation requires.
    pub(crate) fn set_requirements(&self, requirements: Requirements) {
        self.rare().handed().requirements = requirements;
    }

    /// A service that this one requires.
    pub(crate) fn requirement(&self, name: &str) -> Option<Arc<dyn AnyLink>> {
        let handed = self.rare.get()?.handed();
        let mut required = handed.requirements.iter();
        let (_, link) = required.find(|(known, _)| **known == *name)?;
        Some(Arc::clone(link))
    }

    /// Leaves a factory for the next incarnation, and those after it.
    pub(crate) fn set_factory(&self, factory: Box<dyn Any + Send>) {
        self.rare().handed().factory = Some(factory);
    }

    /// Takes a factory that was left, if one was.
    pub(crate) fn take_factory(&self) -> Option<Box<dyn Any + Send>> {
        self.rare.get()?.handed().factory.take()
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    /// Tells the cell to begin incarnation `generation`.
    pub(crate) fn start(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
        let gone = self.commands.load(Ordering::Relaxed) & Commands::RELEASE;
        self.commands
            .store(Commands::START | gone, Ordering::Release);
        self.wake();
    }

    /// Asks the present incarnation to stop.
    pub(crate) fn stop(&self) {
        self.command(Commands::STOP);
    }

    /// Drops the present incarnation.
    pub(crate) fn kill(&self, cause: KillCause) {
        let bits = Commands::KILL | Commands::encode(cause);
        // The latest cause replaces an earlier one that the cell has not taken yet.
        let _always_some =
            self.commands
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |before| {
                    Some((before & Commands::FLAGS) | bits)
                });
        self.wake();
    }

    /// Ends the cell: whatever runs is dropped and the mailbox is closed.
    pub(crate) fn release(&self) {
        self.command(Commands::RELEASE);
    }

    /// Takes what the supervisor has commanded since the last call.
    pub(crate) fn take_commands(&self) -> Commands {
        if self.commands.load(Ordering::Relaxed) == 0 {
            return Commands(0);
        }
        Commands(self.commands.swap(0, Ordering::AcqRel))
    }

    /// Reports whether the present incarnation is to be dropped, for whatever comes next.
    #[inline]
    pub(crate) fn is_overruled(&self) -> bool {
        let ends = Commands::START | Commands::KILL | Commands::RELEASE;
        self.commands.load(Ordering::Relaxed) & ends != 0
    }

    /// Reports whether the present incarnation was told to end, in whichever way, and its cell had no time to look.
    pub(crate) fn is_told_to_end(&self) -> bool {
        self.commands.load(Ordering::Acquire) & Commands::FLAGS != 0
    }

    /// Says whom to wake for a command; called once, by the cell's first poll.
    ///
    /// The two fences, here and in [`wake`](Self::wake), order "waker set, then commands read" against
    /// "command set, then waker read": at least one side sees the other, so no command is lost.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        if self.waker.get().is_none() {
            let _first_poll_counts = self.waker.set(waker.clone());
            fence(Ordering::SeqCst);
        }
    }

    fn command(&self, bits: u8) {
        self.commands.fetch_or(bits, Ordering::AcqRel);
        self.wake();
    }

    fn wake(&self) {
        fence(Ordering::SeqCst);
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }
}

impl Rare {
    fn handed(&self) -> MutexGuard<'_, Handed> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

/// What stands behind a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ServiceKind {
    /// Anything else: an actor, a function, a process.
    Actor,
    /// A supervisor, made a service by [`ServiceSpec::supervisor`](crate::ServiceSpec::supervisor), or a root.
    Supervisor,
}

/// Whether anybody waits for changes of a service's state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Watched {
    No,
    Yes,
}

/// A set of commands, as taken by the cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commands(u8);

impl Commands {
    const START: u8 = 1;
    const STOP: u8 = 1 << 1;
    const KILL: u8 = 1 << 2;
    const RELEASE: u8 = 1 << 3;
    const FLAGS: u8 = 0x0f;
    const CAUSE: u32 = 4;

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn starts(self) -> bool {
        self.0 & Self::START != 0
    }

    pub(crate) fn stops(self) -> bool {
        self.0 & Self::STOP != 0
    }

    pub(crate) fn releases(self) -> bool {
        self.0 & Self::RELEASE != 0
    }

    /// The cause, if the incarnation is to be killed.
    pub(crate) fn kills(self) -> Option<KillCause> {
        (self.0 & Self::KILL != 0).then(|| Self::decode(self.0 >> Self::CAUSE))
    }

    fn encode(cause: KillCause) -> u8 {
        let index = CAUSES.iter().position(|known| *known == cause);
        u8::try_from(index.unwrap_or(0)).unwrap_or(0) << Self::CAUSE
    }

    fn decode(index: u8) -> KillCause {
        CAUSES
            .get(usize::from(index))
            .copied()
            .unwrap_or(KillCause::Requested)
    }
}

const CAUSES: [KillCause; 5] = [
    KillCause::Requested,
    KillCause::StopTimeout,
    KillCause::StartTimeout,
    KillCause::Unresponsive,
    KillCause::ArbiterStopped,
];
