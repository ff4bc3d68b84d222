//! Maps live tokens and paths to services, for a whole tree.
//!
//! The registry is an actor of its own, so that a look-up never waits for a busy supervisor. Supervisors tell it what
//! exists; what state a service is in it reads from the service's link.
//!
//! # Invariants
//!
//! 1. A service is registered before the caller of `add` learns its token, and forgotten before the caller of `remove` gets
//!    its answer: both go through this mailbox before anything that such a caller can send.
//! 2. Every waiter is answered: when the service is ready or has ended, as it is waited for, when it or a supervisor above it has ended for
//!    good, when it is forgotten, or
//!    when the registry ends.
//! 3. Nothing is kept of a service that is forgotten, or of a supervisor that has none.

mod finding;
mod message;
pub(crate) mod request;
#[cfg(test)]
mod tests;
mod waiters;

use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    iter,
    sync::Arc,
};

use actix::prelude::*;
use hashbrown::{HashMap, HashSet};
use tokio::sync::oneshot;

pub(crate) use self::message::{
    Await, Changed, Close, Find, Forget, Located, Register, RegisterAll, Siblings, Sought,
    StopFinding, WhenEnded,
};
pub use self::message::{LookupError, ServiceSummary};
use self::{
    finding::{Finding, Held},
    request::{Awaited, Known, Lookup, Services, ServicesOf, WhenReady},
    waiters::Waiters,
};
use crate::{
    service::{AnyLink, Reply, ServiceKind, ServiceRef},
    state::{Obstacle, ServiceState},
    token::{Key, ServiceToken, SupervisorId},
};

/// The directory of one supervision tree.
///
/// Started with the root supervisor, and reached by [`SupervisorRef::registry`](crate::SupervisorRef::registry). It never waits for a busy
/// supervisor, and answers [`message::Lookup`](crate::message::Lookup), [`message::WhenReady`](crate::message::WhenReady),
/// [`message::Services`](crate::message::Services) and [`message::ServicesOf`](crate::message::ServicesOf). When the tree has ended its
/// mailbox is closed.
pub struct RegistryActor {
    root: Option<ServiceToken>,
    /// By supervisor, so that a snapshot of one costs what that one holds.
    families: HashMap<SupervisorId, Family>,
    /// Which family is that of the supervisor with this token.
    heads: HashMap<ServiceToken, SupervisorId>,
    /// Made by the first look-up by path, so that a tree without one does not pay for it whenever a service is added.
    paths: Option<HashSet<ByPath>>,
    waiting: HashMap<ServiceToken, Waiters<Result<Located, LookupError>>>,
    /// Those who wait for services elsewhere.
    finding: Finding,
    /// Those who wait for an end.
    outliving: HashMap<ServiceToken, Waiters<()>>,
}

impl RegistryActor {
    /// The directory of a tree without services.
    pub(crate) fn new() -> Self {
        Self {
            root: None,
            families: HashMap::new(),
            heads: HashMap::new(),
            paths: None,
            waiting: HashMap::new(),
            finding: Finding::default(),
            outliving: HashMap::new(),
        }
    }

    fn find(&mut self, sought: &Sought) -> Result<&Arc<dyn AnyLink>, LookupError> {
        match sought.key.key() {
            Key::Token(token) => self
                .by_token(*token)
                .ok_or(LookupError::UnknownToken { token: *token }),
            Key::Path(path) => match self.paths().get(&**path) {
                Some(ByPath(link)) => Ok(link),
                None => Err(LookupError::UnknownPath {
                    path: Arc::clone(path),
                }),
            },
            Key::Name(name) => {
                let root = self.root.and_then(|root| self.by_token(root));
                let root = root.map(|link| &**link.core().path());
                let of = sought.of.as_deref().or(root).unwrap_or_default();
                let path = format!("{of}/{name}");
                let paths = self.paths();
                // The path of a root is a name, too.
                let found = paths.get(&*path).or_else(|| paths.get(&**name));
                match found {
                    Some(ByPath(link)) => Ok(link),
                    None => Err(LookupError::UnknownPath { path: path.into() }),
                }
            }
        }
    }

    fn by_token(&self, token: ServiceToken) -> Option<&Arc<dyn AnyLink>> {
        self.families.get(&token.supervisor())?.get(token)
    }

    fn paths(&mut self) -> &HashSet<ByPath> {
        let families = &self.families;
        self.paths.get_or_insert_with(|| {
            // Sized at once: growing step by step would hash the paths of a large tree over and over.
            let members = families.values().map(|family| family.members).sum();
            let mut paths = HashSet::with_capacity(members);
            let slots = families.values().flat_map(|family| &family.slots);
            for link in slots.flatten() {
                // Two services have one path while the older one, whose token is smaller, is being forgotten: names are free before that.
                if let Some(other) = paths.replace(ByPath(Arc::clone(link)))
                    && other.0.core().token() > link.core().token()
                {
                    paths.replace(other);
                }
            }
            paths
        })
    }

    /// Adds services of one supervisor.
    fn register(&mut self, owner: ServiceToken, links: impl IntoIterator<Item = Arc<dyn AnyLink>>) {
        for link in links {
            let token = link.core().token();
            // A root is registered as its own owner. It is in nobody's list of services.
            if token == owner {
                self.root = Some(token);
            } else {
                self.heads.insert(owner, token.supervisor());
            }
            if let Some(paths) = &mut self.paths {
                // Not `insert`, which would keep the service that had the path before and is being forgotten.
                paths.replace(ByPath(Arc::clone(&link)));
            }
            let path = Arc::clone(link.core().path());
            let family = self.families.entry(token.supervisor());
            family.or_insert_with(|| Family::of(owner)).insert(link);
            self.look_for(&path);
        }
    }

    fn forget(&mut self, token: ServiceToken) {
        let Some(family) = self.families.get_mut(&token.supervisor()) else {
            return;
        };
        let Some(link) = family.remove(token) else {
            return;
        };
        // A supervisor that adds and removes for ever must not leave anything behind for each that it had.
        if family.members == 0 {
            // A supervisor that was abandoned may add a service after it was forgotten itself.
            self.heads.remove(&family.head);
            self.families.remove(&token.supervisor());
        }
        // Of a supervisor that is forgotten itself; its services are forgotten one by one.
        self.heads.remove(&token);
        let path = Arc::clone(link.core().path());
        let path = &path;
        // Another service may have got the path meanwhile, and keeps it.
        if let Some(paths) = &mut self.paths
            && let Some(ByPath(known)) = paths.take(&**path)
            && known.core().token() != token
        {
            paths.insert(ByPath(known));
        }
        if let Some(waiting) = self.waiting.remove(&token) {
            waiting.answer(|| {
                Err(LookupError::Removed {
                    path: Arc::clone(path),
                })
            });
        }
        if let Some(waiting) = self.outliving.remove(&token) {
            waiting.answer(|| ());
        }
        self.finding.remove(token);
        self.look_for(path);
    }

    /// The services of the supervisor that a token names, in start order.
    fn services(&self, supervisor: ServiceToken) -> Vec<ServiceSummary> {
        let family = self
            .heads
            .get(&supervisor)
            .and_then(|supervisor| self.families.get(supervisor));
        let mut links: Vec<_> = family
            .map(|family| family.slots.iter().flatten().collect())
            .unwrap_or_default();
        // Slots are used again, so their order is not the start order. No two services of one supervisor have the same position.
        links.sort_unstable_by_key(|link| link.core().position());
        links
            .into_iter()
            .map(|link| ServiceSummary::new(&**link))
            .collect()
    }

    /// The services of any supervisor of the tree, in start order.
    fn services_of(&mut self, sought: &Sought) -> Result<Vec<ServiceSummary>, LookupError> {
        let link = self.find(sought)?;
        let core = link.core();
        if core.kind() != ServiceKind::Supervisor {
            return Err(LookupError::WrongType {
                path: Arc::clone(core.path()),
                expected: "SupervisorActor",
                found: link.type_name(),
            });
        }
        let supervisor = core.token();
        Ok(self.services(supervisor))
    }

    fn changed(&mut self, token: ServiceToken) {
        self.answer_if_ready(token);
        self.answer_if_ended(token);
        if let Some(path) = self
            .by_token(token)
            .map(|link| Arc::clone(link.core().path()))
        {
            self.look_for(&path);
        }
    }

    /// Looks again for those who wait for a service with this path, elsewhere in the tree.
    fn look_for(&mut self, path: &str) {
        for token in self.finding.waiting_for(path) {
            self.look(token);
        }
    }

    /// Looks whether all is ready that a service requires elsewhere, and says what has changed.
    fn look(&mut self, token: ServiceToken) {
        let Some(paths) = self.finding.paths_of(token) else {
            return;
        };
        let mut found = Vec::with_capacity(paths.len());
        for path in paths {
            let link = self
                .paths()
                .get(&*path)
                .map(|ByPath(link)| Arc::clone(link));
            let Some(link) = link else {
                return self.finding.tell_missing(token, path, Obstacle::Missing);
            };
            // Watch first, then look, as for whoever waits until it is ready.
            link.core().ask();
            if !is_there(&*link) {
                return self.finding.tell_missing(token, path, Obstacle::NotReady);
            }
            found.push((path, link));
        }
        if let Some(link) = self.by_token(token) {
            link.core().set_found(found);
        }
        self.finding.tell_found(token);
    }

    fn find_all(&mut self, find: Find) {
        let token = find.token;
        self.finding.insert(find);
        self.look(token);
        self.paths();
        let Self { finding, paths, .. } = self;
        finding.tell_ring(token, |path| {
            let link = paths.as_ref().and_then(|paths| paths.get(path));
            link.map_or(Held::Otherwise, |ByPath(link)| held(&**link))
        });
    }

    fn when_ready(&mut self, sought: &Sought, waiter: Reply<Result<Located, LookupError>>) {
        let token = match self.find(sought) {
            Ok(link) => link.core().token(),
            Err(unknown) => {
                waiter.give(Err(unknown));
                return;
            }
        };
        self.watch(token);
        self.waiting.entry(token).or_default().push(waiter);
        self.answer_if_ready(token);
        let ended = self.lineage(token).find_map(|link| ended(&**link));
        if let Some(ended) = ended
            && let Some(waiting) = self.waiting.remove(&token)
        {
            waiting.answer(|| Err(ended.clone()));
        }
    }

    fn when_ended(&mut self, token: ServiceToken, waiter: Reply<()>) {
        self.watch(token);
        let over = match self.by_token(token) {
            Some(_) => self
                .lineage(token)
                .any(|link| link.core().ended().is_some()),
            None => true,
        };
        if over {
            waiter.give(());
        } else {
            self.outliving.entry(token).or_default().push(waiter);
        }
    }

    /// Has the supervisors of a service and of those above it tell their changes, for whoever waits for that service.
    ///
    /// Watch first, then look: either this registry sees the state that is waited for, or the supervisor sees that somebody waits, and
    /// sends [`Changed`].
    fn watch(&self, token: ServiceToken) {
        for link in self.lineage(token) {
            link.core().ask();
        }
    }

    /// A service and the supervisors above it.
    fn lineage(&self, token: ServiceToken) -> impl Iterator<Item = &Arc<dyn AnyLink>> {
        let above = |link: &&Arc<dyn AnyLink>| {
            let token = link.core().token();
            let head = self.families.get(&token.supervisor())?.head;
            // A root is its own head.
            if head == token {
                None
            } else {
                self.by_token(head)
            }
        };
        iter::successors(self.by_token(token), above)
    }

    /// Answers those who wait for services that nobody will start, or for their end: one that has ended for good, and all below it.
    fn answer_if_ended(&mut self, token: ServiceToken) {
        let Some(ended) = self.by_token(token).and_then(|link| ended(&**link)) else {
            return;
        };
        let mut below = vec![token];
        while let Some(token) = below.pop() {
            if let Some(waiting) = self.waiting.remove(&token) {
                waiting.answer(|| Err(ended.clone()));
            }
            if let Some(waiting) = self.outliving.remove(&token) {
                waiting.answer(|| ());
            }
            let family = self
                .heads
                .get(&token)
                .and_then(|supervisor| self.families.get(supervisor));
            let slots = family.into_iter().flat_map(|family| &family.slots);
            below.extend(slots.flatten().map(|link| link.core().token()));
        }
    }

    fn answer_if_ready(&mut self, token: ServiceToken) {
        let Some(link) = self.by_token(token) else {
            return;
        };
        if link.core().state() != ServiceState::Ready {
            return;
        }
        let link = Arc::clone(link);
        if let Some(waiting) = self.waiting.remove(&token) {
            waiting.answer(|| Ok(Located(Arc::clone(&link))));
        }
    }
}

/// Reports whether a service is ready to be required: or has run to its end without an error.
fn is_there(link: &dyn AnyLink) -> bool {
    let core = link.core();
    core.state() == ServiceState::Ready || core.has_completed()
}

/// What keeps a service from being required.
fn held(link: &dyn AnyLink) -> Held {
    let core = link.core();
    if is_there(link) {
        return Held::There;
    }
    // Only before a start: one that is being started has had them.
    if core.state() != ServiceState::Waiting {
        return Held::Otherwise;
    }
    let above = core.path().rsplit_once('/').map_or("", |(above, _)| above);
    let path_of = |name: &Arc<str>| Arc::from(format!("{above}/{name}"));
    let required = core.required().iter().map(path_of).collect();
    Held::Waits { required }
}

/// What those are told who wait for a service that has ended for good.
fn ended(link: &dyn AnyLink) -> Option<LookupError> {
    let core = link.core();
    Some(LookupError::Ended {
        path: Arc::clone(core.path()),
        how: core.ended()?,
    })
}

impl Actor for RegistryActor {
    type Context = Context<Self>;
}

impl Handler<Register> for RegistryActor {
    type Result = ();

    fn handle(&mut self, msg: Register, _: &mut Context<Self>) {
        self.register(msg.owner, [msg.link]);
    }
}

impl Handler<RegisterAll> for RegistryActor {
    type Result = ();

    fn handle(&mut self, msg: RegisterAll, _: &mut Context<Self>) {
        self.register(msg.owner, msg.links);
    }
}

impl Handler<Forget> for RegistryActor {
    type Result = ();

    fn handle(&mut self, msg: Forget, _: &mut Context<Self>) {
        self.forget(msg.0);
    }
}

impl Handler<Find> for RegistryActor {
    type Result = ();

    fn handle(&mut self, msg: Find, _: &mut Context<Self>) {
        self.find_all(msg);
    }
}

impl Handler<StopFinding> for RegistryActor {
    type Result = ();

    fn handle(&mut self, msg: StopFinding, _: &mut Context<Self>) {
        self.finding.remove(msg.0);
    }
}

impl Handler<Changed> for RegistryActor {
    type Result = ();

    fn handle(&mut self, msg: Changed, _: &mut Context<Self>) {
        self.changed(msg.0);
    }
}

impl Handler<Close> for RegistryActor {
    type Result = ();

    /// Whoever waits, asks, or asks later, learns that the tree has ended.
    fn handle(&mut self, _: Close, ctx: &mut Context<Self>) {
        // Drops the actor, with everybody who waits, and closes its mailbox. What was sent before this was handled is answered.
        ctx.stop();
    }
}

impl<A: Actor> Handler<Lookup<A>> for RegistryActor {
    type Result = Known<Result<ServiceRef<A>, LookupError>>;

    fn handle(&mut self, msg: Lookup<A>, _: &mut Context<Self>) -> Self::Result {
        let found = self.find(&msg.sought).cloned();
        Known(found.and_then(|link| Located(link).typed()))
    }
}

impl<A: Actor> Handler<WhenReady<A>> for RegistryActor {
    type Result = Awaited;

    fn handle(&mut self, msg: WhenReady<A>, _: &mut Context<Self>) -> Self::Result {
        let (waiter, ready) = oneshot::channel();
        self.when_ready(&msg.sought, Reply::new(waiter));
        Awaited(ready)
    }
}

impl Handler<Services> for RegistryActor {
    type Result = Known<Vec<ServiceSummary>>;

    fn handle(&mut self, _: Services, _: &mut Context<Self>) -> Self::Result {
        Known(self.root.map_or_else(Vec::new, |root| self.services(root)))
    }
}

impl Handler<ServicesOf> for RegistryActor {
    type Result = Known<Result<Vec<ServiceSummary>, LookupError>>;

    fn handle(&mut self, msg: ServicesOf, _: &mut Context<Self>) -> Self::Result {
        Known(self.services_of(&msg.0))
    }
}

impl Handler<Await> for RegistryActor {
    type Result = ();

    fn handle(&mut self, msg: Await, _: &mut Context<Self>) {
        self.when_ready(&msg.sought, msg.waiter);
    }
}

impl Handler<WhenEnded> for RegistryActor {
    type Result = ();

    fn handle(&mut self, msg: WhenEnded, _: &mut Context<Self>) {
        self.when_ended(msg.token, msg.waiter);
    }
}

impl Handler<Siblings> for RegistryActor {
    type Result = Known<Vec<ServiceSummary>>;

    fn handle(&mut self, msg: Siblings, _: &mut Context<Self>) -> Self::Result {
        Known(self.services(msg.0))
    }
}

impl fmt::Debug for RegistryActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: usize = self.families.values().map(|family| family.members).sum();
        f.debug_struct("RegistryActor")
            .field("services", &services)
            .finish_non_exhaustive()
    }
}

/// The services of one supervisor, by the slot of their token.
struct Family {
    /// The supervisor, as a service of its own one.
    head: ServiceToken,
    slots: Vec<Option<Arc<dyn AnyLink>>>,
    members: usize,
}

impl Family {
    const fn of(head: ServiceToken) -> Self {
        Self {
            head,
            slots: Vec::new(),
            members: 0,
        }
    }

    fn get(&self, token: ServiceToken) -> Option<&Arc<dyn AnyLink>> {
        let link = self.slots.get(token.slot() as usize)?.as_ref()?;
        (link.core().token() == token).then_some(link)
    }

    fn insert(&mut self, link: Arc<dyn AnyLink>) {
        let slot = link.core().token().slot() as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        if self.slots[slot].replace(link).is_none() {
            self.members += 1;
        }
    }

    fn remove(&mut self, token: ServiceToken) -> Option<Arc<dyn AnyLink>> {
        self.get(token)?;
        self.members -= 1;
        self.slots.get_mut(token.slot() as usize)?.take()
    }
}

/// A service that is found by its path: the path is the link's, so that an entry costs no text of its own.
struct ByPath(Arc<dyn AnyLink>);

impl Borrow<str> for ByPath {
    fn borrow(&self) -> &str {
        self.0.core().path()
    }
}

impl Hash for ByPath {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let path: &str = self.borrow();
        path.hash(hasher);
    }
}

impl PartialEq for ByPath {
    fn eq(&self, other: &Self) -> bool {
        self.0.core().path() == other.0.core().path()
    }
}

impl Eq for ByPath {}
