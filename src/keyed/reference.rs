//! What users hold of a keyed supervisor.

use std::{
    borrow::Borrow,
    fmt::{self, Display},
    hash::Hash,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix::Actor;
use futures::future::{Either, select};
use tokio::{sync::oneshot, time::sleep};

use super::{
    error::{GetError, RescanError, StartKeyError, StopKeyError},
    name::name_of,
    shared::{Entry, Request, Shared, Stopping},
};
use crate::{
    policy::ExitReason,
    registry::LookupError,
    service::{AnyLink, ServiceRef, StartError},
    state::{RemoveError, ServiceState},
    supervisor::{Awaiting, SupervisorRef},
};

/// A handle of a [keyed](super::KeyedSpec) supervisor.
///
/// Cheap to clone; every method may be called from any thread, by any number of callers at once. Keys are given as in a
/// [`HashMap`](std::collections::HashMap): where the key is a `String`, by `&str`.
///
/// One that was got from a tree that runs keeps it running, as a [`SupervisorRef`] does; one from
/// [`into_service`](super::KeyedSpec::into_service) only once its [supervisor](Self::supervisor) was asked for: a service of the tree may hold it.
pub struct KeyedRef<K, A: Actor> {
    name: Arc<str>,
    shared: Arc<Shared<K, A>>,
    /// The supervisor, and with it the tree, which is kept running.
    supervisor: OnceLock<SupervisorRef>,
    /// What stands for it as long as there is none.
    nobody: OnceLock<SupervisorRef>,
}

impl<K, A> KeyedRef<K, A>
where
    K: Clone + Eq + Hash + Display + Send + Sync + 'static,
    A: Actor,
{
    pub(super) fn new(name: Arc<str>, shared: Arc<Shared<K, A>>) -> Self {
        Self {
            name,
            shared,
            supervisor: OnceLock::new(),
            nobody: OnceLock::new(),
        }
    }

    pub(super) fn keep(&mut self, supervisor: SupervisorRef) {
        let _once = self.supervisor.set(supervisor);
    }

    /// The supervisor. Before it is part of a tree, one that refuses everything as gone. Afterwards the tree is kept running by this reference.
    pub fn supervisor(&self) -> &SupervisorRef {
        match self.found() {
            Some(supervisor) => self.supervisor.get_or_init(|| supervisor),
            None => self
                .nobody
                .get_or_init(|| SupervisorRef::nobody(Arc::clone(&self.name))),
        }
    }

    /// The supervisor, for a while.
    fn found(&self) -> Option<SupervisorRef> {
        if let Some(supervisor) = self.supervisor.get() {
            return Some(supervisor.clone());
        }
        let owner = self.shared.owner.get().map(Arc::clone);
        let service = owner.and_then(ServiceRef::from_link);
        service.and_then(|service| SupervisorRef::try_from(service).ok())
    }

    /// As [`found`](Self::found), or one that refuses everything as gone.
    fn found_or_nobody(&self) -> SupervisorRef {
        self.found()
            .unwrap_or_else(|| SupervisorRef::nobody(Arc::clone(&self.name)))
    }

    /// The names from the root to the supervisor; its name alone before it is part of a tree.
    pub fn path(&self) -> &str {
        let owner = self.shared.owner.get();
        match (self.supervisor.get(), owner) {
            (Some(supervisor), _) => supervisor.path(),
            (None, Some(owner)) => owner.core().path(),
            (None, None) => &self.name,
        }
    }

    /// The service of a key, if it is ready. Read from what any thread can read, without waiting.
    ///
    /// # Errors
    ///
    /// [`GetError::NotFound`] if nothing is known of the key; [`GetError::NotReady`] with the service if it is starting or down.
    pub fn get<Q>(&self, key: &Q) -> Result<ServiceRef<A>, GetError<A>>
    where
        K: Borrow<Q>,
        Q: Display + Eq + Hash + ?Sized,
    {
        let service = match self.shared.read().get(key) {
            Some(Entry::Service(service)) if !service.core().is_released() => service.clone(),
            _ => {
                return Err(GetError::NotFound {
                    key: name_of(&key).unwrap_or_default(),
                });
            }
        };
        match service.core().state() {
            ServiceState::Ready => Ok(service),
            state => Err(GetError::NotReady { service, state }),
        }
    }

    /// All keys that are taken: with a service, or being started. In no order.
    pub fn keys(&self) -> Vec<K> {
        let services = self.shared.read();
        let taken = services.iter().filter(|(_, entry)| match entry {
            Entry::Reserved(_) => true,
            Entry::Service(service) => !service.core().is_released(),
        });
        taken.map(|(key, _)| key.clone()).collect()
    }

    /// Waits until the service of a key is ready. While all rows are read for the first time, also until it is known whether there is such a
    /// row.
    ///
    /// Of a row that was written just now nothing may be known yet: [`rescan`](Self::rescan) first, or [`start`](Self::start) it.
    ///
    /// # Errors
    ///
    /// As [`SupervisorRef::when_ready`]: [`LookupError::UnknownPath`] if nothing is known of the key, or if its row waits for its
    /// [turn](super::KeyedSpec::start_spacing).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn when_ready<Q>(&self, key: &Q) -> Result<ServiceRef<A>, LookupError>
    where
        K: Borrow<Q>,
        Q: Display + Eq + Hash + ?Sized,
    {
        let mut service = self.service(key);
        if service.is_none() && self.ask(Request::FirstScan).await.is_some() {
            service = self.service(key);
        }
        let supervisor = self.found_or_nobody();
        // By its token, and not by its name: another key may print alike.
        if let Some(service) = service {
            match supervisor.when_ready(&service).await {
                // Gone just now: whoever asks knows of no token.
                Err(LookupError::UnknownToken { .. }) => {}
                ready => return ready,
            }
        }
        let name = name_of(&key).unwrap_or_default();
        match supervisor.lookup::<A>(&*name).await {
            Err(unknown @ (LookupError::SupervisorGone | LookupError::UnknownPath { .. })) => {
                Err(unknown)
            }
            // That of a key which prints alike, or one that was added in another way.
            Err(_) | Ok(_) => Err(LookupError::UnknownPath {
                path: format!("{}/{name}", supervisor.path()).into(),
            }),
        }
    }

    fn service<Q>(&self, key: &Q) -> Option<ServiceRef<A>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self.shared.read().get(key) {
            Some(Entry::Service(service)) if !service.core().is_released() => Some(service.clone()),
            Some(_) | None => None,
        }
    }

    /// Reads the row of a key, starts its service, and waits until that is ready. Does not wait for a scan.
    ///
    /// # Errors
    ///
    /// See [`StartKeyError`]. The key is free again then; a row that is there is tried once more by the next scan.
    ///
    /// # Cancel safety
    ///
    /// The key is started all the same once this was polled.
    pub async fn start<Q>(&self, key: &Q) -> Result<ServiceRef<A>, StartKeyError>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + ?Sized,
    {
        let key = key.to_owned();
        let name = name_of(&key).map_err(StartKeyError::BadKey)?;
        let begun = self.begin(key, self.shared.next_start()).await?;
        started(name, begun).await
    }

    /// As [`start`](Self::start), but gives up after this time: then the service is stopped, and this returns when it has ended.
    ///
    /// # Errors
    ///
    /// [`StartKeyError::TimedOut`], or those of `start`.
    ///
    /// # Cancel safety
    ///
    /// As [`start`](Self::start).
    pub async fn start_within<Q>(
        &self,
        key: &Q,
        limit: Duration,
    ) -> Result<ServiceRef<A>, StartKeyError>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + ?Sized,
    {
        let key = key.to_owned();
        let name = name_of(&key).map_err(StartKeyError::BadKey)?;
        let number = self.shared.next_start();
        let mut late = pin!(sleep(limit));
        // Both are kept and not dropped: what comes to its end at the same time is not given up by mistake.
        let mut begun = pin!(self.begin(key.clone(), number));
        let begun = match select(begun.as_mut(), late.as_mut()).await {
            Either::Left((begun, _)) => begun?,
            Either::Right(_) => {
                // This start and no other: the key may be somebody else's.
                let _cancelled = self.ask(|tx| Request::Cancel(key, number, tx)).await;
                match begun.await {
                    Err(StartKeyError::Stopped { .. }) => {
                        return Err(StartKeyError::TimedOut { key: name });
                    }
                    begun => begun?,
                }
            }
        };
        let token = begun.service.token();
        let mut started = pin!(started(Arc::clone(&name), begun));
        if let Either::Left((started, _)) = select(started.as_mut(), late).await {
            return started;
        }
        let _ended = self.found_or_nobody().remove(token).await;
        match started.await {
            Err(StartKeyError::Stopped { .. }) | Ok(_) => {
                Err(StartKeyError::TimedOut { key: name })
            }
            Err(error) => Err(error),
        }
    }

    async fn begin(&self, key: K, number: u64) -> Result<Awaiting<A>, StartKeyError> {
        let begun = self.ask(|tx| Request::Start(key, number, tx)).await;
        begun.unwrap_or(Err(StartKeyError::NotRunning))
    }

    /// Asks the follower. `None` if it does not answer, because the supervisor is down.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request<K, A>) -> Option<T> {
        let (tx, rx) = oneshot::channel();
        self.shared.send(request(tx));
        rx.await.ok()
    }

    /// Stops the service of a key, forgets it, and returns how it ended. All callers get the same answer.
    ///
    /// A row that is still there is started again by the next scan: remove it before. What is to be held down whatever the table says is
    /// [stopped](SupervisorRef::stop) by its supervisor. A key that is being started is not started.
    ///
    /// # Errors
    ///
    /// [`StopKeyError::NotFound`] if nothing is known of the key.
    ///
    /// # Cancel safety
    ///
    /// The service is stopped all the same once this was polled.
    pub async fn stop<Q>(&self, key: &Q) -> Result<ExitReason, StopKeyError>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + ?Sized,
    {
        self.stop_key(key.to_owned()).await
    }

    async fn stop_key(&self, key: K) -> Result<ExitReason, StopKeyError> {
        let name = name_of(&key).unwrap_or_default();
        let not_found = || StopKeyError::NotFound {
            key: Arc::clone(&name),
        };
        let known = match self.shared.read().get(&key) {
            Some(Entry::Reserved(_)) => None,
            Some(Entry::Service(service)) if !service.core().is_released() => Some(service.token()),
            Some(Entry::Service(_)) | None => return Err(not_found()),
        };
        let removed = match self.ask(|tx| Request::Stop(key, tx)).await {
            Some(Ok(Stopping::Cancelled)) => return Ok(ExitReason::Shutdown),
            Some(Ok(Stopping::Service(removed))) => removed.await.ok(),
            Some(Err(error)) => return Err(error),
            None => None,
        };
        // The supervisor is down, or went down meanwhile: it is asked like one of any service.
        let removed = match (removed, known) {
            (Some(removed), _) => removed,
            (None, Some(token)) => self.found_or_nobody().remove(token).await,
            (None, None) => return Err(not_found()),
        };
        match removed {
            Ok(reason) => Ok(reason),
            Err(RemoveError::SupervisorGone | RemoveError::ShuttingDown) => {
                Ok(ExitReason::Shutdown)
            }
            Err(_) => Err(not_found()),
        }
    }

    /// Reads all rows now, and returns when that has been acted on: what is new is added, or waits for its
    /// [turn](super::KeyedSpec::start_spacing), what is gone has been asked to stop.
    ///
    /// What this scan does not show is stopped however [much](super::KeyedSpec::max_vanish) that is.
    ///
    /// # Errors
    ///
    /// See [`RescanError`].
    ///
    /// # Cancel safety
    ///
    /// The rows are read all the same once this was polled.
    pub async fn rescan(&self) -> Result<(), RescanError> {
        let rescanned = self.ask(Request::Rescan).await;
        rescanned.unwrap_or(Err(RescanError::NotRunning))
    }
}

/// How the first start of a key goes.
async fn started<A: Actor>(
    key: Arc<str>,
    Awaiting { service, ready }: Awaiting<A>,
) -> Result<ServiceRef<A>, StartKeyError> {
    match ready.await {
        Ok(Ok(service)) => Ok(service),
        Ok(Err(error)) => Err(failed(key, error)),
        // The supervisor went down meanwhile.
        Err(_) if service.core().is_released() => Err(StartKeyError::Stopped { key }),
        Err(_) => Err(StartKeyError::NotRunning),
    }
}

/// Why the first start of a key has failed.
fn failed(key: Arc<str>, error: StartError) -> StartKeyError {
    match error {
        // It was stopped, and did so.
        StartError::Failed {
            reason: ExitReason::Shutdown,
            ..
        } => StartKeyError::Stopped { key },
        error => StartKeyError::Start(error),
    }
}

impl<K, A: Actor> Clone for KeyedRef<K, A> {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            shared: Arc::clone(&self.shared),
            supervisor: self.supervisor.clone(),
            nobody: OnceLock::new(),
        }
    }
}

impl<K, A: Actor> fmt::Debug for KeyedRef<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRef")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
