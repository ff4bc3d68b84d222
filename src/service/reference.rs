//! What users hold of a service.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use actix::{Actor, Addr, Handler, Message, Recipient, dev::ToEnvelope};

use super::{
    link::{AnyLink, Link, LinkCore, ServiceKind},
    watch::{EndedRecipient, ServiceStates, UntilEnded, WatchId},
};
use crate::{
    policy::ExitReason,
    state::EndedAs,
    token::{ServiceKey, ServiceToken},
};

/// An address of a service, with the token and path that name it.
///
/// Stays valid through restarts. Two are equal that lead to the same service. It prints as its path, becomes an [`Addr`] or a
/// [`Recipient`] where one is wanted, and derefs to [`Addr`], so that [`send`](Addr::send), [`do_send`](Addr::do_send) and
/// [`recipient`](Addr::recipient) are at hand. Holding one keeps nothing alive: once the service is removed, messages fail with
/// [`MailboxError::Closed`](actix::MailboxError).
pub struct ServiceRef<A: Actor> {
    address: Addr<A>,
    link: Arc<Link<A>>,
}

impl<A: Actor> ServiceRef<A> {
    pub(crate) fn new(address: Addr<A>, link: Arc<Link<A>>) -> Self {
        Self { address, link }
    }

    /// A reference to a service whose mailbox may be dropped by now.
    pub(crate) fn from_link(link: Arc<Link<A>>) -> Option<Self> {
        let address = link.address()?;
        Some(Self { address, link })
    }

    /// The address of the service.
    pub fn addr(&self) -> &Addr<A> {
        &self.address
    }

    /// The token of the service.
    pub fn token(&self) -> ServiceToken {
        self.core().token()
    }

    /// The names from the root to the service, as in `root/db/pool`.
    ///
    /// Before its supervisor is part of a tree, the path begins with that supervisor.
    pub fn path(&self) -> &str {
        self.core().path()
    }

    /// How many messages were refused while the service was down, in all its life: see [`WhileDown`](crate::WhileDown).
    ///
    /// Counts those of `try_send` and `do_send` as well, whose senders cannot tell.
    pub fn refused(&self) -> u64 {
        self.core().refused()
    }

    /// Why a sender may have got [`MailboxError::Closed`](actix::MailboxError::Closed), as far as is known at present; `None` if nothing that
    /// closes is known.
    ///
    /// Read from what any thread can read, without waiting. It is about the service and not about one message: of several reasons the
    /// one that lasts comes first, and a panic is told until the next incarnation has ended, whoever's message has caused it. A message
    /// that was dropped by the actor itself, or whose reply was, is no reason that is known here.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix::prelude::*;
    /// use resurgam::{ServiceContext, ServiceSpec, SupervisorActor, WhyClosed};
    ///
    /// struct Parser;
    ///
    /// impl Actor for Parser {
    ///     type Context = ServiceContext<Self>;
    /// }
    ///
    /// #[derive(Message)]
    /// #[rtype(result = "()")]
    /// struct Line(&'static str);
    ///
    /// impl Handler<Line> for Parser {
    ///     type Result = ();
    ///     fn handle(&mut self, line: Line, _: &mut Self::Context) {
    ///         line.0.parse::<u32>().expect("a number");
    ///     }
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// let parser = root.add_and_wait(ServiceSpec::new("parser", || Parser)).await?;
    /// assert!(parser.send(Line("seven")).await.is_err());
    /// let Some(WhyClosed::Panicked { message, .. }) = parser.why_closed() else {
    ///     panic!("it has panicked with this message");
    /// };
    /// assert!(message.starts_with("a number"));
    /// root.remove(parser.token()).await?;
    /// assert_eq!(parser.why_closed(), Some(WhyClosed::Removed));
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn why_closed(&self) -> Option<WhyClosed> {
        let core = self.core();
        if core.is_released() || self.link.address().is_none() {
            return Some(WhyClosed::Removed);
        }
        let latest = core.latest_exit();
        let down = core.kind() == ServiceKind::Supervisor && core.state().is_down();
        if down || core.refuses() {
            return Some(match core.ended() {
                Some(how) => WhyClosed::Ended {
                    how,
                    reason: latest.unwrap_or(ExitReason::Normal),
                },
                None => WhyClosed::Down,
            });
        }
        match latest? {
            ExitReason::Panicked {
                message, location, ..
            } => Some(WhyClosed::Panicked { message, location }),
            reason if reason.is_abnormal() => Some(WhyClosed::Interrupted { reason }),
            _ => None,
        }
    }

    /// The states of the service, from any thread and with any executor: the present one first, and then the latest whenever it has changed.
    ///
    /// States that nobody has taken in time are passed over: an item is the state at the moment when it is taken. Two that are the same in a
    /// row say that it has changed and changed back, as after a restart. The stream ends when the service is removed for ever, with its tree or
    /// without; of one that is gone already it is at its end. It does not end while the service is down: that may be started again.
    ///
    /// Nothing is kept for it but one entry, and nothing once it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use resurgam::{ServiceSpec, ServiceState, SupervisorActor, TaskContext};
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// let idle = ServiceSpec::task("idle", |cx: TaskContext| async move { cx.shutdown().await });
    /// let idle = root.add_and_wait(idle).await?;
    /// let mut states = idle.states();
    /// assert_eq!(states.next().await, Some(ServiceState::Ready));
    /// root.stop(&idle).await?;
    /// assert_eq!(states.next().await, Some(ServiceState::Stopped)); // that it was `Stopping` before is passed over
    /// root.remove(&idle).await?;
    /// assert_eq!(states.next().await, None);
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn states(&self) -> ServiceStates {
        ServiceStates::new(Arc::clone(&self.link) as Arc<dyn AnyLink>)
    }

    /// Waits until the service has ended for good, and says why its latest incarnation ended ([`Normal`](ExitReason::Normal) if it has had
    /// none).
    ///
    /// It has when it has finished, was given up, is lost or was removed, or when its supervisor has ended for good and it with that; the
    /// same holds for [`watch`](Self::watch) and [`ServiceContext::watch`](crate::ServiceContext::watch). Not after a stop on request, and not
    /// while it is down between two lives, its own or those of its supervisor. Called after the fact it returns at once; after a
    /// [`reset`](crate::SupervisorRef::reset) or a start by hand it waits for the next end. Whoever waits when the service ends is told of that
    /// end, also if it runs again before they look.
    ///
    /// May be called on any thread, with any executor. The future borrows nothing, and keeps nothing but one entry until it is dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe. The wait begins with the call: an end is not missed by a future that is polled late.
    pub fn ended(&self) -> UntilEnded {
        UntilEnded::new(Arc::clone(&self.link) as Arc<dyn AnyLink>)
    }

    /// Has an actor told, with the message [`ServiceEnded`](crate::ServiceEnded), whenever the service has [ended](Self::ended) for good: at once if it has, and
    /// once for each end.
    ///
    /// For plain actix actors, and for whoever outlives the incarnations of a service; an incarnation of a service itself uses
    /// [`ServiceContext::watch`](crate::ServiceContext::watch). What is given says whether the actor is kept running by that: a
    /// [`Recipient`] or an [`Addr`] does, until the service is removed, a [`WeakRecipient`](actix::WeakRecipient) or a
    /// [`WeakAddr`](actix::WeakAddr) does not. The message comes past the capacity of the mailbox. Each call begins a watch of its own, which
    /// ends with [`unwatch`](Self::unwatch), when the service is removed, or with the actor; dropping the id ends nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix::prelude::*;
    /// use resurgam::{ServiceEnded, ServiceSpec, SupervisorActor, TaskContext};
    ///
    /// struct Monitor;
    ///
    /// impl Actor for Monitor {
    ///     type Context = Context<Self>;
    /// }
    ///
    /// impl Handler<ServiceEnded> for Monitor {
    ///     type Result = ();
    ///     fn handle(&mut self, ended: ServiceEnded, _: &mut Self::Context) {
    ///         println!("{ended}"); // root/job has ended: normal
    ///     }
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// let job = root.add(ServiceSpec::task("job", |_: TaskContext| async {})).await?;
    /// let monitor = Monitor.start();
    /// let watch = job.watch(monitor.downgrade());
    /// job.unwatch(watch);
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self, recipient: impl Into<EndedRecipient>) -> WatchId {
        WatchId::begin(self.core(), recipient.into())
    }

    /// Ends a watch of this service. What is queued for the actor by then is still handled.
    pub fn unwatch(&self, watch: WatchId) {
        watch.end(self.core());
    }

    pub(crate) fn link(&self) -> &Arc<Link<A>> {
        &self.link
    }

    pub(crate) fn core(&self) -> &LinkCore {
        self.link.core()
    }
}

impl<A: Actor> Deref for ServiceRef<A> {
    type Target = Addr<A>;

    fn deref(&self) -> &Addr<A> {
        &self.address
    }
}

impl<A: Actor> From<&ServiceRef<A>> for ServiceKey {
    fn from(service: &ServiceRef<A>) -> Self {
        Self::from(service.token())
    }
}

impl<A: Actor> From<ServiceRef<A>> for ServiceKey {
    fn from(service: ServiceRef<A>) -> Self {
        Self::from(service.token())
    }
}

impl<A: Actor> Clone for ServiceRef<A> {
    fn clone(&self) -> Self {
        Self {
            address: self.address.clone(),
            link: Arc::clone(&self.link),
        }
    }
}

impl<A: Actor> PartialEq for ServiceRef<A> {
    fn eq(&self, other: &Self) -> bool {
        self.token() == other.token()
    }
}

impl<A: Actor> Eq for ServiceRef<A> {}

impl<A: Actor> Hash for ServiceRef<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.token().hash(state);
    }
}

impl<A: Actor> AsRef<Addr<A>> for ServiceRef<A> {
    fn as_ref(&self) -> &Addr<A> {
        &self.address
    }
}

impl<A: Actor> From<ServiceRef<A>> for Addr<A> {
    fn from(service: ServiceRef<A>) -> Self {
        service.address
    }
}

impl<A, M> From<ServiceRef<A>> for Recipient<M>
where
    A: Actor<Context: ToEnvelope<A, M>> + Handler<M>,
    M: Message<Result: Send> + Send + 'static,
{
    fn from(service: ServiceRef<A>) -> Self {
        service.address.recipient()
    }
}

impl<A: Actor> fmt::Display for ServiceRef<A> {
    /// The path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.path())
    }
}

impl<A: Actor> fmt::Debug for ServiceRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRef")
            .field("token", &self.token())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// Why a sender may have got [`MailboxError::Closed`](actix::MailboxError::Closed), see [`ServiceRef::why_closed`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WhyClosed {
    /// The service was removed, or its supervisor has ended for good: every message fails from now on.
    Removed,
    /// The service has ended for good, and refuses messages until it is started again.
    #[non_exhaustive]
    Ended {
        /// How.
        how: EndedAs,
        /// Why its latest incarnation ended.
        reason: ExitReason,
    },
    /// The service is down and refuses messages meanwhile, as [`WhileDown`](crate::WhileDown) says.
    Down,
    /// The latest incarnation that has ended has panicked. The message that it was handling is lost.
    #[non_exhaustive]
    Panicked {
        /// What the panic said.
        message: String,
        /// Where it happened.
        location: String,
    },
    /// The latest incarnation that has ended has failed or was dropped. Messages that it was still working on are lost.
    #[non_exhaustive]
    Interrupted {
        /// Why it ended.
        reason: ExitReason,
    },
}

impl WhyClosed {
    /// An [`Ended`](Self::Ended), to compare with.
    pub const fn ended(how: EndedAs, reason: ExitReason) -> Self {
        Self::Ended { how, reason }
    }
}

impl fmt::Display for WhyClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("the service was removed"),
            Self::Ended { how, reason } => write!(f, "the service {how}: {reason}"),
            Self::Down => f.write_str("the service is down and refuses messages"),
            Self::Panicked { message, location } => {
                write!(f, "the service panicked: {message} (at {location})")
            }
            Self::Interrupted { reason } => write!(f, "the service was interrupted: {reason}"),
        }
    }
}
