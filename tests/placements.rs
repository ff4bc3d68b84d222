//! What every service does, wherever it runs. In real time: another arbiter has a clock of its own.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    EventKind, Events, ExitReason, KillCause, LookupError, Placement, Readiness, RestartLimit,
    ServiceContext, ServiceSpec, ServiceState, Shutdown, SupervisorActor, SupervisorRef,
    SupervisorSpec,
};

/// What has happened, in order, in whichever thread.
type Log = Arc<Mutex<Vec<String>>>;

struct Probe {
    name: &'static str,
    log: Log,
    handled: u64,
}

impl Probe {
    fn note(&self, what: &str) {
        self.log
            .lock()
            .unwrap()
            .push(format!("{} {what}", self.name));
    }
}

impl Actor for Probe {
    type Context = ServiceContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.note("started");
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.note("stopped");
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.note("dropped");
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Count;

impl Handler<Count> for Probe {
    type Result = u64;
    fn handle(&mut self, _: Count, _: &mut Self::Context) -> u64 {
        self.handled += 1;
        self.handled
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Crash> for Probe {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on purpose");
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Hang;

impl Handler<Hang> for Probe {
    type Result = AtomicResponse<Self, ()>;
    fn handle(&mut self, _: Hang, _: &mut Self::Context) -> Self::Result {
        AtomicResponse::new(Box::pin(std::future::pending::<()>().into_actor(self)))
    }
}

/// Stays when it is asked to stop.
struct Stubborn;

impl Actor for Stubborn {
    type Context = ServiceContext<Self>;
    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}

fn probe(name: &'static str, log: &Log, placement: Placement) -> ServiceSpec<Probe> {
    let log = Arc::clone(log);
    ServiceSpec::new(name, move || Probe {
        name,
        log: Arc::clone(&log),
        handled: 0,
    })
    .placement(placement)
}

async fn root() -> SupervisorRef {
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    SupervisorActor::new("root", spec).start().await.unwrap()
}

/// Waits for an event; the time limit is for a test that has failed.
async fn event(events: &mut Events, wanted: impl Fn(&EventKind) -> bool) {
    let search = async {
        while let Some(event) = events.next().await {
            if wanted(event.kind()) {
                return;
            }
        }
        panic!("the events ended");
    };
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, search)
        .await
        .expect("no such event");
}

async fn panic_loses_one_message_and_no_address(placement: Placement) {
    let (root, log) = (root().await, Log::default());
    let service = root.add(probe("probe", &log, placement)).await.unwrap();
    let weak = service.addr().downgrade();
    let recipient = service.addr().clone().recipient::<Count>();
    assert_eq!(service.send(Count).await, Ok(1));
    let (before, lost, after) = tokio::join!(
        service.send(Count),
        service.send(Crash),
        service.send(Count)
    );
    assert_eq!((before, after), (Ok(2), Ok(1)));
    assert_eq!(lost, Err(MailboxError::Closed));
    assert_eq!(recipient.send(Count).await, Ok(2));
    assert_eq!(weak.upgrade().unwrap().send(Count).await, Ok(3));
    let report = root.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
    let log = log.lock().unwrap();
    let whole = ["started", "dropped", "started", "stopped", "dropped"];
    assert_eq!(*log, whole.map(|what| format!("probe {what}")));
}

async fn remove_ends_the_service_for_all_callers_alike(placement: Placement) {
    let (root, log) = (root().await, Log::default());
    let service = root
        .add_and_wait(probe("probe", &log, placement))
        .await
        .unwrap();
    let removals = (0..10).map(|_| root.remove(service.token()));
    for reason in futures::future::join_all(removals).await {
        assert_eq!(reason, Ok(ExitReason::Shutdown));
    }
    assert_eq!(service.send(Count).await, Err(MailboxError::Closed));
    assert_eq!(log.lock().unwrap().len(), 3);
    let found = root.lookup::<Probe>("root/probe").await;
    assert!(
        matches!(found, Err(LookupError::UnknownPath { .. })),
        "{found:?}"
    );
    root.shutdown().await.unwrap();
}

async fn shutdown_stops_in_reverse_order(placement: Placement) {
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    for name in ["a", "b", "c", "d"] {
        root.add(probe(name, &log, placement.clone())).unwrap();
    }
    let root = root.start().await.unwrap();
    root.shutdown().await.unwrap();
    let log = log.lock().unwrap();
    let of = |what: &str| -> String {
        let lines = log.iter().filter(|line| line.ends_with(what));
        lines.map(|line| &line[..1]).collect()
    };
    assert_eq!(
        (of("started"), of("stopped")),
        ("abcd".into(), "dcba".into())
    );
}

async fn service_that_hangs_is_dropped_at_its_timeout(placement: Placement) {
    let (root, log) = (root().await, Log::default());
    let hanging = probe("hanging", &log, placement.clone());
    let hanging = root.add_and_wait(hanging).await.unwrap();
    hanging.do_send(Hang);
    let stubborn = ServiceSpec::new("stubborn", || Stubborn)
        .shutdown(Shutdown::Timeout(Duration::from_millis(20)))
        .placement(placement);
    let stubborn = root.add_and_wait(stubborn).await.unwrap();
    let killed = ExitReason::Killed(KillCause::StopTimeout);
    assert_eq!(root.remove(stubborn.token()).await, Ok(killed));
    // A future that hangs holds up nothing: the stop goes through.
    assert_eq!(root.remove(hanging.token()).await, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
}

async fn stopped_service_queues_until_it_is_restarted(placement: Placement) {
    let (root, log) = (root().await, Log::default());
    let service = root
        .add_and_wait(probe("probe", &log, placement))
        .await
        .unwrap();
    root.stop(service.token()).await.unwrap();
    let state = root.services().await.unwrap()[0].state();
    assert_eq!(state, ServiceState::Stopped);
    let queued = service.send(Count);
    root.restart(service.token()).await.unwrap();
    assert_eq!(queued.await, Ok(1));
    root.restart(service.token()).await.unwrap();
    assert_eq!(service.send(Count).await, Ok(1));
    let again: u64 = root.services().await.unwrap()[0].generation();
    assert_eq!(again, 2);
    root.shutdown().await.unwrap();
}

async fn waiting_for_readiness_ends_with_the_service(placement: Placement) {
    let (root, log) = (root().await, Log::default());
    let spec = probe("probe", &log, placement).readiness(Readiness::Explicit);
    let service = root.add(spec).await.unwrap();
    let mut events = root.events();
    let (waited, ()) = tokio::join!(root.when_ready::<Probe>("root/probe"), async {
        root.remove(service.token()).await.unwrap();
    });
    assert!(
        matches!(waited, Err(LookupError::Removed { .. })),
        "{waited:?}"
    );
    event(&mut events, |kind| {
        matches!(kind, EventKind::ServiceRemoved { .. })
    })
    .await;
    root.shutdown().await.unwrap();
}

macro_rules! everywhere {
    ($($place:ident: $placement:expr;)*) => {
        $(mod $place {
            use super::*;

            everywhere!(@ $placement;
                panic_loses_one_message_and_no_address
                remove_ends_the_service_for_all_callers_alike
                shutdown_stops_in_reverse_order
                service_that_hangs_is_dropped_at_its_timeout
                stopped_service_queues_until_it_is_restarted
                waiting_for_readiness_ends_with_the_service
            );
        })*
    };
    (@ $placement:expr; $($test:ident)*) => {
        $(#[actix::test]
        async fn $test() {
            super::$test($placement).await;
        })*
    };
}

everywhere! {
    inherit: Placement::Inherit;
    pool: Placement::Pool;
    dedicated: Placement::Dedicated;
    arbiter: Placement::Arbiter(Arbiter::new().handle());
}

/// A thread that ends may take the cell along that was just released, and its notice comes when the service has said that it stopped.
#[actix::test]
async fn services_with_threads_of_their_own_stop_without_being_told_lost() {
    for round in 0..20 {
        let mut root = SupervisorActor::with_defaults("root");
        for number in 0..8 {
            let spec = ServiceSpec::blocking(format!("b{number}"), |cx| {
                while !cx.is_stopping() {
                    std::thread::park_timeout(Duration::from_millis(1));
                }
                Ok::<_, std::io::Error>(())
            });
            root.add(spec).unwrap();
        }
        let root = root.start().await.unwrap();
        let mut events = root.events();
        assert!(root.shutdown().await.unwrap().is_clean(), "round {round}");
        while let Some(event) = events.next().await {
            assert!(!event.kind().is_failure(), "round {round}: {event}");
        }
    }
}

/// On which thread a service is handled.
struct Where;

impl Actor for Where {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct WhichThread(std::sync::mpsc::Sender<std::thread::ThreadId>);

impl Handler<WhichThread> for Where {
    type Result = ();
    fn handle(&mut self, msg: WhichThread, _: &mut Self::Context) {
        let _test_gone = msg.0.send(std::thread::current().id());
    }
}

#[actix::test]
async fn placement_of_a_service_that_never_ran_is_not_inherited_by_the_next_in_its_slot() {
    let root = SupervisorActor::with_defaults("root");
    let root = root.start().await.unwrap();
    let never = ServiceSpec::new("never", || Where)
        .requires("nobody")
        .placement(Placement::Dedicated);
    let never = root.add(never).await.unwrap();
    root.remove(never.token()).await.unwrap();
    let next = root
        .add_and_wait(ServiceSpec::new("next", || Where))
        .await
        .unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    next.send(WhichThread(tell)).await.unwrap();
    assert_eq!(told.recv(), Ok(std::thread::current().id()));
    root.shutdown().await.unwrap();
}
