//! A panic anywhere in user code ends the incarnation, and nothing else. In paused time.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

use std::{
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::{fut::wrap_future, prelude::*};
use futures::stream;
use resurgam::{
    EventKind, ExitReason, JoinError, Readiness, RestartLimit, ServiceContext, ServiceSpec,
    SupervisorActor, SupervisorRef, SupervisorSpec, Verdict,
};
use tokio::time;

/// Where the first incarnation panics.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Place {
    Factory,
    Started,
    Handler,
    ActFuture,
    Atomic,
    Spawned,
    Waited,
    Stream,
    Timer,
    Interval,
    Stopping,
    Stopped,
    DropOfActor,
    DropOfFuture,
}

const PLACES: [Place; 14] = [
    Place::Factory,
    Place::Started,
    Place::Handler,
    Place::ActFuture,
    Place::Atomic,
    Place::Spawned,
    Place::Waited,
    Place::Stream,
    Place::Timer,
    Place::Interval,
    Place::Stopping,
    Place::Stopped,
    Place::DropOfActor,
    Place::DropOfFuture,
];

struct Fragile {
    /// Taken by whoever panics, so that it is done once.
    place: Arc<Mutex<Option<Place>>>,
}

impl Fragile {
    fn breaks(&self, place: Place) -> bool {
        let mut slot = self.place.lock().unwrap();
        if *slot == Some(place) {
            *slot = None;
            return true;
        }
        false
    }

    fn check(&self, place: Place) {
        // The guard of the mutex is gone before the panic.
        let breaks = self.breaks(place);
        assert!(!breaks, "broken in {place:?}");
    }
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("broken in DropOfFuture");
    }
}

impl Actor for Fragile {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.check(Place::Started);
        if self.breaks(Place::Spawned) {
            ctx.spawn(wrap_future(async { panic!("broken in Spawned") }));
        }
        if self.breaks(Place::Waited) {
            ctx.wait(wrap_future(async { panic!("broken in Waited") }));
        }
        if self.breaks(Place::DropOfFuture) {
            let bomb = Bomb;
            ctx.spawn(wrap_future(async move {
                std::future::pending::<()>().await;
                drop(bomb);
            }));
        }
        if *self.place.lock().unwrap() == Some(Place::Stream) {
            ctx.add_stream(stream::iter([1]));
        }
        if *self.place.lock().unwrap() == Some(Place::Timer) {
            ctx.run_later(Duration::from_secs(1), |fragile, _| {
                fragile.check(Place::Timer);
            });
        }
        if *self.place.lock().unwrap() == Some(Place::Interval) {
            ctx.run_interval(Duration::from_secs(1), |fragile, _| {
                fragile.check(Place::Interval);
            });
        }
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        self.check(Place::Stopping);
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.check(Place::Stopped);
    }
}

impl StreamHandler<i32> for Fragile {
    fn handle(&mut self, _: i32, _: &mut Self::Context) {
        self.check(Place::Stream);
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.check(Place::DropOfActor);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Touch;

impl Handler<Touch> for Fragile {
    type Result = ResponseActFuture<Self, ()>;
    fn handle(&mut self, _: Touch, _: &mut Self::Context) -> Self::Result {
        self.check(Place::Handler);
        Box::pin(
            wrap_future(async {}).map(|(), fragile: &mut Self, _| fragile.check(Place::ActFuture)),
        )
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct TouchAtomically;

impl Handler<TouchAtomically> for Fragile {
    type Result = AtomicResponse<Self, ()>;
    fn handle(&mut self, _: TouchAtomically, _: &mut Self::Context) -> Self::Result {
        AtomicResponse::new(Box::pin(
            wrap_future(async {}).map(|(), fragile: &mut Self, _| fragile.check(Place::Atomic)),
        ))
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct End;

impl Handler<End> for Fragile {
    type Result = ();
    fn handle(&mut self, _: End, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Generation;

impl Handler<Generation> for Fragile {
    type Result = u64;
    fn handle(&mut self, _: Generation, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

async fn root() -> SupervisorRef {
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    SupervisorActor::new("root", spec).start().await.unwrap()
}

fn fragile(place: Place) -> ServiceSpec<Fragile> {
    let place = Arc::new(Mutex::new(Some(place)));
    ServiceSpec::new("fragile", move || {
        let fragile = Fragile {
            place: Arc::clone(&place),
        };
        fragile.check(Place::Factory);
        fragile
    })
}

#[actix::test]
async fn panic_in_any_place_is_the_end_of_one_incarnation() {
    time::pause();
    for place in PLACES {
        let root = root().await;
        let mut events = root.events();
        let service = root.add(fragile(place)).await.unwrap();
        // Only the message that was being handled may be lost, whichever it is.
        let _lost_perhaps = service.send(Touch).await;
        let _lost_perhaps = service.send(TouchAtomically).await;
        time::sleep(Duration::from_secs(2)).await;
        let _lost_perhaps = service.send(End).await;

        let panic = loop {
            let event = events.next().await.unwrap();
            match event.kind() {
                EventKind::ServicePanicked { message, .. } => break message.clone(),
                EventKind::ServiceStartFailed { reason, .. } => break reason.to_string(),
                _ => {}
            }
        };
        assert!(panic.contains(&format!("broken in {place:?}")), "{panic}");
        assert!(service.send(Generation).await.unwrap() > 0, "{place:?}");
        assert!(root.shutdown().await.unwrap().is_clean(), "{place:?}");
    }
}

#[actix::test]
async fn panic_while_stopping_is_how_a_removed_service_ended() {
    time::pause();
    for place in [
        Place::Stopping,
        Place::Stopped,
        Place::DropOfActor,
        Place::DropOfFuture,
    ] {
        let root = root().await;
        let service = root.add_and_wait(fragile(place)).await.unwrap();
        let reason = root.remove(service.token()).await.unwrap();
        let ExitReason::Panicked {
            message, location, ..
        } = reason
        else {
            panic!("{place:?}: {reason}");
        };
        assert_eq!(message, format!("broken in {place:?}"));
        assert!(location.contains("panics.rs:"), "{location}");
        assert_eq!(service.send(Touch).await, Err(MailboxError::Closed));
        root.shutdown().await.unwrap();
    }
}

/// Panics when it is dropped, wherever that is.
#[derive(Message)]
#[rtype(result = "()")]
struct Poison;

impl Drop for Poison {
    fn drop(&mut self) {
        panic!("broken in the drop of a message");
    }
}

impl Handler<Poison> for Fragile {
    type Result = ();
    fn handle(&mut self, _: Poison, _: &mut Self::Context) {}
}

/// Says how it ends, and panics after that.
struct Outspoken(Afterthought);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Afterthought {
    Handler,
    Stopped,
    Drop,
}

impl Outspoken {
    fn comes_to(&self, place: Afterthought) {
        assert!(self.0 != place, "an afterthought");
    }
}

impl Actor for Outspoken {
    type Context = ServiceContext<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.comes_to(Afterthought::Stopped);
    }
}

impl Drop for Outspoken {
    fn drop(&mut self) {
        self.comes_to(Afterthought::Drop);
    }
}

const AFTERTHOUGHTS: [Afterthought; 3] = [
    Afterthought::Handler,
    Afterthought::Stopped,
    Afterthought::Drop,
];

/// `None` to fail, or a verdict.
#[derive(Message)]
#[rtype(result = "()")]
struct Say(Option<Verdict>);

impl Handler<Say> for Outspoken {
    type Result = ();

    fn handle(&mut self, Say(verdict): Say, ctx: &mut Self::Context) {
        if let Some(verdict) = verdict {
            ctx.exit(verdict);
        } else {
            ctx.fail("the disk is full");
            // Consequences, which replace nothing.
            ctx.fail("nothing can be written");
            ctx.exit(Verdict::DoNotRestart);
        }
        self.comes_to(Afterthought::Handler);
    }
}

#[actix::test]
async fn panic_replaces_nothing_that_the_service_has_said_before() {
    time::pause();
    for place in AFTERTHOUGHTS {
        nothing_is_replaced_by_a_panic(place).await;
    }
}

async fn nothing_is_replaced_by_a_panic(place: Afterthought) {
    let root = root().await;
    let mut events = root.events();
    let outspoken = ServiceSpec::new("outspoken", move || Outspoken(place));
    let outspoken = root.add(outspoken).await.unwrap();
    // Whether there is an answer depends on where it panics.
    let _answer = outspoken.send(Say(None)).await;
    loop {
        let event = events.next().await.unwrap();
        if let EventKind::ServiceFailed { reason, .. } = event.kind() {
            assert_eq!(reason.to_string(), "failed: the disk is full");
            break;
        }
        assert!(!event.kind().is_failure(), "{event}");
    }
    // With this verdict an added service is forgotten, and not started again.
    let _answer = outspoken.send(Say(Some(Verdict::DoNotRestart))).await;
    loop {
        let event = events.next().await.unwrap();
        if let EventKind::ServiceRemoved { reason, .. } = event.kind() {
            assert_eq!(*reason, ExitReason::Normal);
            break;
        }
        assert!(!event.kind().is_failure(), "{event}");
    }
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn failure_is_fatal_whatever_panics_after_it() {
    time::pause();
    for place in AFTERTHOUGHTS {
        let spec = SupervisorSpec::default().fatal(|error| error.to_string() == "the disk is full");
        let root = SupervisorActor::new("root", spec).start().await.unwrap();
        let outspoken = ServiceSpec::new("outspoken", move || Outspoken(place));
        let outspoken = root.add(outspoken).await.unwrap();
        outspoken.do_send(Say(None));
        let ended = root.join().await.unwrap_err();
        let JoinError::Fatal { path, error, .. } = ended else {
            panic!("{place:?}: {ended:?}");
        };
        assert_eq!(&*path, "root/outspoken");
        assert_eq!(error.to_string(), "the disk is full");
    }
}

/// Fails, and then says that it is ready.
struct TooLate;

impl Actor for TooLate {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.fail("the disk is full");
        ctx.ready();
    }
}

#[actix::test]
async fn service_that_has_failed_is_never_ready() {
    time::pause();
    for readiness in [Readiness::OnStart, Readiness::Explicit] {
        let root = root().await;
        let mut events = root.events();
        let spec = ServiceSpec::new("late", || TooLate).readiness(readiness);
        let failed = root.add_and_wait(spec).await.unwrap_err();
        assert!(
            format!("{failed:?}").contains("the disk is full"),
            "{failed:?}"
        );
        root.shutdown().await.unwrap();
        while let Some(event) = events.next().await {
            assert!(!matches!(event.kind(), EventKind::ServiceReady), "{event}");
        }
    }
}

#[actix::test]
async fn panic_of_queued_messages_when_a_service_is_removed_harms_nobody() {
    time::pause();
    let root = root().await;
    let service = root.add_and_wait(fragile(Place::Factory)).await;
    assert!(service.is_err());
    let service = root.add_and_wait(fragile(Place::Timer)).await.unwrap();
    root.stop(service.token()).await.unwrap();
    for _ in 0..3 {
        service.do_send(Poison);
    }
    let waiting = service.send(Touch);
    root.remove(service.token()).await.unwrap();
    assert_eq!(waiting.await, Err(MailboxError::Closed));
    let other = root.add_and_wait(fragile(Place::Timer)).await.unwrap();
    assert_eq!(other.send(Generation).await, Ok(0));
    root.shutdown().await.unwrap();
}

/// Run by the test below in a process of its own, whose output it reads.
#[actix::test]
#[ignore = "only as a part of the test below"]
async fn one_panic_in_a_process_of_its_own() {
    let root = root().await;
    let service = root.add(fragile(Place::Handler)).await.unwrap();
    assert_eq!(service.send(Touch).await, Err(MailboxError::Closed));
    assert_eq!(service.send(Touch).await, Ok(()));
    root.shutdown().await.unwrap();
}

#[test]
fn panic_is_printed_once_by_the_standard_hook() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "one_panic_in_a_process_of_its_own",
            "--ignored",
            "--nocapture",
        ])
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(printed.matches("broken in Handler").count(), 1, "{printed}");
    assert_eq!(printed.matches("panicked at").count(), 1, "{printed}");
}

/// Says whether its thread unwinds when it is dropped.
struct Witness(Arc<Mutex<Vec<bool>>>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(std::thread::panicking());
    }
}

struct Observed {
    _own: Witness,
    seen: Arc<Mutex<Vec<bool>>>,
}

impl Actor for Observed {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let held = Witness(Arc::clone(&self.seen));
        ctx.spawn(wrap_future(async move {
            let _held = held;
            std::future::pending::<()>().await;
        }));
    }
}

impl Handler<Touch> for Observed {
    type Result = ();
    fn handle(&mut self, _: Touch, _: &mut Self::Context) {
        panic!("broken in a handler");
    }
}

#[actix::test]
async fn what_is_dropped_after_a_panic_does_not_see_it() {
    time::pause();
    let root = root().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&seen);
    let spec = ServiceSpec::new("observed", move || Observed {
        _own: Witness(Arc::clone(&shared)),
        seen: Arc::clone(&shared),
    });
    let observed = root.add_and_wait(spec).await.unwrap();
    assert_eq!(observed.send(Touch).await, Err(MailboxError::Closed));
    root.remove(observed.token()).await.unwrap();
    // The actor and the future of both incarnations.
    assert_eq!(*seen.lock().unwrap(), [false; 4]);
    root.shutdown().await.unwrap();
}
