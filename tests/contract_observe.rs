//! What the public API names, as its users write it: it must compile.
//!
//! The design's `contract-observe.rs`, word for word, as far as it is built.
#![expect(dead_code, unused_variables, reason = "only the types matter here")]
#![cfg_attr(
    feature = "serde",
    expect(clippy::print_stdout, reason = "users print a report")
)]

use std::time::Duration;
#[cfg(feature = "serde")]
use std::time::SystemTime;

use actix::prelude::*;
use resurgam::{
    Directive, EventKind, ExitReason, Failure, RestartLimit, ServiceContext, ServiceEnded,
    ServiceRef, ServiceSpec, StartOrder, SupervisorActor, SupervisorRef, SupervisorSpec, WhileDown,
};
#[cfg(feature = "serde")]
use resurgam::{Event, Report, ServiceReport, ServiceState};

#[derive(Default)]
struct Store;

impl Actor for Store {
    type Context = ServiceContext<Self>;
}

async fn names(root: &SupervisorRef) -> Result<(), Box<dyn std::error::Error>> {
    // A supervisor below, with a reference that has all operations.
    let site: SupervisorRef = root
        .add_supervisor(SupervisorActor::with_defaults("site"))
        .await?;
    let first = site.add(ServiceSpec::new("store", Store::default)).await?;
    // Every operation takes a token or a reference of a service of this supervisor, a name among its services (no `/`), or a path whose
    // first element is the root's name, which is carried to its owner.
    site.restart("store").await?;
    site.stop(&first).await?;
    root.restart("root/site/store").await?;
    let found: ServiceRef<Store> = site.lookup("store").await?;
    let reason: ExitReason = root.remove("root/site/store").await?;
    // A dependency outside of the own supervisor, by its path: the start waits until that one is ready.
    site.add(ServiceSpec::new("writer", Store::default).requires("root/store"))
        .await?;
    // A window with a pause of its own length; without one it waits until the window has room again.
    let limit = RestartLimit::window(5, Duration::from_secs(60)).pause(Duration::from_secs(15));
    // A service with a limit of its own is counted by that alone, not by its supervisor as well.
    site.add(ServiceSpec::new("device", Store::default).limit(limit))
        .await?;
    // What holds for all services of a supervisor that say nothing else.
    let spec = SupervisorSpec::default().each_service(|defaults| {
        defaults.limit(RestartLimit::window(5, Duration::from_secs(60)).give_up())
    });
    // A program that stops within a bound.
    let code: std::process::ExitCode = root.run_until_signal_within(Duration::from_secs(20)).await;
    let code: std::process::ExitCode = SupervisorActor::with_defaults("program").run().await; // starts, listening for signals from the first line
    // What becomes of messages while it is down; one-shot requirements; a decision by the error's type.
    site.add(
        ServiceSpec::new("strict", Store::default)
            .while_down(WhileDown::Refuse)
            .requires_completed("migrate")
            .decide(|failure: &Failure| match failure.find::<std::io::Error>() {
                Some(_) => Directive::RestartAfter(Duration::from_secs(1)),
                None => Directive::Restart,
            }),
    )
    .await?;
    // Names that nobody has to make up: session[1], session[2] …
    let session: ServiceRef<Store> = site
        .add(ServiceSpec::unnamed("session", Store::default))
        .await?;
    // The factory sees the context, as in actix's `Actor::create`.
    site.add(ServiceSpec::create(
        "framed",
        |ctx: &mut ServiceContext<Store>| {
            let me = ctx.address();
            Store
        },
    ))
    .await?;
    let spec = SupervisorSpec::default()
        .start_order(StartOrder::Parallel)
        .max_services(10_000);
    Ok(())
}

/// Events of the start.
async fn before() -> Result<(), Box<dyn std::error::Error>> {
    let mut root = SupervisorActor::with_defaults("root");
    let mut events = root.events();
    let store = root.add(ServiceSpec::new("store", Store::default))?;
    let root = root.start().await?;
    while let Some(event) = events.next().await {
        if matches!(event.kind(), EventKind::SupervisorStarted) {
            break;
        }
    }
    Ok(())
}

#[cfg(feature = "serde")]
async fn see(root: &SupervisorRef) -> Result<(), Box<dyn std::error::Error>> {
    let report: Report = root.report().await?;
    println!("{report}");
    let json: String = serde_json::to_string(&report)?;
    for service in report.walk() {
        let (path, kind, state): (&str, &str, ServiceState) =
            (service.path(), service.type_name(), service.state());
        let (restarts, handled): (u64, u64) = (service.restarts(), service.handled());
        let (since, last): (Option<SystemTime>, Option<&ExitReason>) =
            (service.since(), service.last_exit());
        let below: Option<&Report> = service.supervisor();
        let age: Option<Duration> = service.age(); // `None`: this is live
        let (token, generation) = (service.token(), service.generation());
        let (next, waits): (Option<SystemTime>, Option<&str>) =
            (service.next_start(), service.waits_for());
    }
    let (count, paused): (f64, Option<SystemTime>) =
        (report.failure_count(), report.paused_until());
    let one: Option<&ServiceReport> = report.find("root/site/store");
    root.by("ada").restart("root/site/store").await?; // an operation that says who asked: EventKind::Requested

    let service: ServiceRef<Store> = root.lookup("root/site/store").await?;
    let mut states = service.states(); // impl Stream<Item = ServiceState>, the present one first
    let state: Option<ServiceState> = states.next().await;
    let reason: ExitReason = service.ended().await; // when it has ended for good

    let mut failures = root.events().below("root/site").failures();
    let event: Option<Event> = failures.next().await;
    if let Some(event) = event {
        let (at, n): (SystemTime, u64) = (event.at(), event.sequence());
        let json: String = serde_json::to_string(&event)?;
    }
    Ok(())
}

/// OTP's monitor: the end of a service as a message.
struct Watcher(ServiceRef<Store>);

impl Actor for Watcher {
    type Context = ServiceContext<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.watch(&self.0);
    }
}

impl Handler<ServiceEnded> for Watcher {
    type Result = ();
    fn handle(&mut self, ended: ServiceEnded, _: &mut Self::Context) {
        let (path, reason) = (ended.path().to_owned(), ended.reason().clone());
    }
}

#[cfg(feature = "test-util")]
mod policy {
    use resurgam::testing::{Kind, Recorder, Script};

    use super::*;

    /// After five crashes within a minute it pauses for 15 s: in a millisecond.
    #[actix::test]
    async fn pauses_after_five_crashes() {
        tokio::time::pause();
        let limit = RestartLimit::window(5, Duration::from_secs(60)).pause(Duration::from_secs(15));
        let mut root = SupervisorActor::new("root", SupervisorSpec::default().limit(limit));
        let mut events = Recorder::of(&root);
        let script = Script::new(); // crash(), fail(error), hang(), refuse_to_stop(), end()
        root.add(script.service("victim")).unwrap();
        let root = root.start().await.unwrap();
        for _ in 0..6 {
            script.crash().await; // resolves when the crash was told
        }
        let pause = events.next(Kind::PauseStarted).await; // with a deadline in real time: a missing event is a failed test, not a hang
        events
            .expect([Kind::PauseEnded, Kind::ServiceStarted, Kind::ServiceReady])
            .await;
        root.shutdown().await.unwrap();
    }
}
