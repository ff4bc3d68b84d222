//! Every operation of a supervisor, every way to ask for it, and how it shows that it was done.

use std::{error::Error, time::Duration};

use actix::prelude::*;
use futures::FutureExt;
use resurgam::{
    Event, EventKind, Events, ServiceContext, ServiceSpec, ServiceToken, SupervisorActor,
    SupervisorRef, SupervisorSpec, message,
};
use tokio::time;

/// How long is waited for what must happen, on a paused clock. Shorter than the time in which services have to stop.
pub(crate) const SOON: Duration = Duration::from_secs(2);

/// Fails when it is told to.
#[derive(Default)]
pub(crate) struct Plain;

impl Actor for Plain {
    type Context = ServiceContext<Self>;
}

/// Fails with this.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FailWith(pub(crate) Box<dyn Error + Send + Sync>);

impl Handler<FailWith> for Plain {
    type Result = ();

    fn handle(&mut self, FailWith(error): FailWith, ctx: &mut Self::Context) {
        ctx.fail(error);
    }
}

/// What a supervisor can be asked to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Add,
    AddAndWait,
    Reconfigure,
    Remove,
    Reset,
    Restart,
    Shutdown,
    Stop,
}

impl Operation {
    pub(crate) const ALL: [Self; 8] = [
        Self::Add,
        Self::AddAndWait,
        Self::Reconfigure,
        Self::Remove,
        Self::Reset,
        Self::Restart,
        Self::Shutdown,
        Self::Stop,
    ];

    /// Asks, and goes away before the supervisor can have read it.
    pub(crate) fn ask_and_leave(self, way: Way, of: &SupervisorRef, service: ServiceToken) {
        match self {
            Self::Add => match way {
                Way::Method => assert!(of.add(new()).now_or_never().is_none()),
                _ => way.send(of, message::Add::new(new())),
            },
            Self::AddAndWait => match way {
                Way::Method => assert!(of.add_and_wait(new()).now_or_never().is_none()),
                _ => way.send(of, message::AddAndWait::new(new())),
            },
            Self::Reconfigure => match way {
                Way::Method => {
                    let spec = SupervisorSpec::default();
                    assert!(of.reconfigure(spec).now_or_never().is_none());
                }
                _ => way.send(of, message::Reconfigure::new(SupervisorSpec::default())),
            },
            Self::Remove => match way {
                Way::Method => assert!(of.remove(service).now_or_never().is_none()),
                _ => way.send(of, message::Remove::new(service)),
            },
            Self::Reset => match way {
                Way::Method => assert!(of.reset(service).now_or_never().is_none()),
                _ => way.send(of, message::Reset::new(service)),
            },
            Self::Restart => match way {
                Way::Method => assert!(of.restart(service).now_or_never().is_none()),
                _ => way.send(of, message::Restart::new(service)),
            },
            Self::Shutdown => match way {
                Way::Method => assert!(of.shutdown().now_or_never().is_none()),
                _ => way.send(of, message::Shutdown::new()),
            },
            Self::Stop => match way {
                Way::Method => assert!(of.stop(service).now_or_never().is_none()),
                _ => way.send(of, message::Stop::new(service)),
            },
        }
    }

    /// Asks, and waits for the answer, whatever it is.
    pub(crate) fn ask_and_wait(self, of: &SupervisorRef, service: ServiceToken) {
        let of = of.clone();
        let mut answer = Box::pin(async move {
            match self {
                Self::Add => drop(of.add(new()).await),
                Self::AddAndWait => drop(of.add_and_wait(new()).await),
                Self::Reconfigure => drop(of.reconfigure(SupervisorSpec::default()).await),
                Self::Remove => drop(of.remove(service).await),
                Self::Reset => drop(of.reset(service).await),
                Self::Restart => drop(of.restart(service).await),
                Self::Shutdown => drop(of.shutdown().await),
                Self::Stop => drop(of.stop(service).await),
            }
        });
        // Sent here and now.
        if answer.as_mut().now_or_never().is_none() {
            actix_rt::spawn(answer);
        }
    }

    /// Reports whether an event says that this was done, to a supervisor at `path` with a service `plain`.
    pub(crate) fn is_told_by(self, event: &Event, path: &str) -> bool {
        let of = |name: &str| *event.path() == *format!("{path}/{name}");
        match self {
            Self::Add | Self::AddAndWait => of("new") && *event.kind() == EventKind::ServiceAdded,
            Self::Reconfigure => event.path() == path && *event.kind() == EventKind::Reconfigured,
            Self::Remove => of("plain") && matches!(event.kind(), EventKind::ServiceRemoved { .. }),
            Self::Reset => of("plain") && *event.kind() == EventKind::ServiceReset,
            // Again: the subscription is younger than the first start.
            Self::Restart => of("plain") && *event.kind() == EventKind::ServiceReady,
            Self::Shutdown => {
                event.path() == path
                    && matches!(
                        event.kind(),
                        EventKind::ServiceRemoved { .. } | EventKind::SupervisorStopped { .. }
                    )
            }
            Self::Stop => of("plain") && matches!(event.kind(), EventKind::ServiceStopped { .. }),
        }
    }
}

fn new() -> ServiceSpec<Plain> {
    ServiceSpec::new("new", Plain::default)
}

/// How a request gets to its supervisor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    Addr,
    DoSend,
    Method,
    Recipient,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Addr, Self::DoSend, Self::Method, Self::Recipient];

    fn send<M>(self, of: &SupervisorRef, msg: M)
    where
        SupervisorActor: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        let address = of.addr().clone();
        match self {
            Self::Addr => assert!(address.send(msg).now_or_never().is_none()),
            Self::DoSend => address.do_send(msg),
            Self::Recipient => assert!(address.recipient().send(msg).now_or_never().is_none()),
            Self::Method => unreachable!("a method makes its message itself"),
        }
    }
}

/// Waits until an event fits.
pub(crate) async fn told(events: &mut Events, fits: impl Fn(&Event) -> bool, what: &str) {
    let reading = async {
        while let Some(event) = events.next().await {
            if fits(&event) {
                return;
            }
        }
        panic!("events end before {what}");
    };
    let told = time::timeout(SOON, reading).await;
    assert!(told.is_ok(), "not told: {what}");
}

/// Fails the test instead of waiting for ever.
pub(crate) async fn soon<F: Future>(future: F, what: &str) -> F::Output {
    let output = time::timeout(SOON, future).await;
    output.unwrap_or_else(|_| panic!("{what} hangs"))
}
