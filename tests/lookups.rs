//! Look-ups, snapshots and waiting for readiness, in paused time.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use actix::prelude::*;
use futures::FutureExt;
use resurgam::{
    EndedAs, LookupError, Placement, Readiness, RestartLimit, RestartType, ServiceContext,
    ServiceRef, ServiceSpec, ServiceState, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

#[derive(Default)]
struct Quiet;

impl Actor for Quiet {
    type Context = ServiceContext<Self>;
}

/// Ready two seconds after its start.
struct Slow;

impl Actor for Slow {
    type Context = ServiceContext<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(Duration::from_secs(2), |_, ctx| ctx.ready());
    }
}

fn slow(name: &str) -> ServiceSpec<Slow> {
    ServiceSpec::new(name, || Slow).readiness(Readiness::Explicit)
}

async fn root() -> SupervisorRef {
    SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap()
}

#[actix::test]
async fn service_is_found_by_token_and_by_path() {
    time::pause();
    let root = root().await;
    let quiet = root
        .add(ServiceSpec::new("quiet", Quiet::default))
        .await
        .unwrap();
    let by_token: ServiceRef<Quiet> = root.lookup(quiet.token()).await.unwrap();
    let by_path: ServiceRef<Quiet> = root.lookup("root/quiet").await.unwrap();
    let by_owned: ServiceRef<Quiet> = root.lookup(String::from("root/quiet")).await.unwrap();
    assert_eq!(by_token.addr(), quiet.addr());
    assert_eq!(by_path.addr(), quiet.addr());
    assert_eq!(by_owned, quiet);
    let itself: ServiceRef<SupervisorActor> = root.lookup("root").await.unwrap();
    assert_eq!(itself.addr(), root.addr());
    assert_eq!(root.to_string(), "root");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn path_is_found_whether_its_service_was_added_before_or_after_the_first_look_up_by_path() {
    time::pause();
    let root = root().await;
    let spec = |name: &str| ServiceSpec::new(name, Quiet::default);
    let gone = root.add(spec("gone")).await.unwrap();
    let before = root.add(spec("before")).await.unwrap();
    root.remove(gone.token()).await.unwrap();
    let found: ServiceRef<Quiet> = root.lookup("root/before").await.unwrap();
    assert_eq!(found, before);
    let unknown = root.lookup::<Quiet>("root/gone").await;
    assert!(matches!(unknown, Err(LookupError::UnknownPath { .. })));

    let after = root.add(spec("after")).await.unwrap();
    let found: ServiceRef<Quiet> = root.lookup("root/after").await.unwrap();
    assert_eq!(found, after);
    root.remove(before.token()).await.unwrap();
    let unknown = root.lookup::<Quiet>("root/before").await;
    assert!(matches!(unknown, Err(LookupError::UnknownPath { .. })));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn look_up_of_another_type_names_both() {
    time::pause();
    let root = root().await;
    root.add(ServiceSpec::new("quiet", Quiet::default))
        .await
        .unwrap();
    let refused = root.lookup::<Slow>("root/quiet").await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, LookupError::WrongType { .. }));
    assert!(
        text.contains("lookups::Quiet") && text.contains("lookups::Slow"),
        "{text}"
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn unknown_path_and_old_token_are_errors() {
    time::pause();
    let (root, other) = (root().await, root().await);
    let quiet = root
        .add(ServiceSpec::new("quiet", Quiet::default))
        .await
        .unwrap();
    let token = quiet.token();
    assert_eq!(
        root.lookup::<Quiet>("root/nobody").await.unwrap_err(),
        LookupError::unknown_path("root/nobody")
    );
    assert_eq!(
        other.lookup::<Quiet>(token).await.unwrap_err(),
        LookupError::unknown_token(token)
    );
    root.remove(token).await.unwrap();
    assert_eq!(
        root.when_ready::<Quiet>(token).await.unwrap_err(),
        LookupError::unknown_token(token)
    );
    root.shutdown().await.unwrap();
    other.shutdown().await.unwrap();
}

#[actix::test]
async fn name_of_a_removed_service_can_be_given_again() {
    time::pause();
    let root = root().await;
    let first = root
        .add(ServiceSpec::new("quiet", Quiet::default))
        .await
        .unwrap();
    root.remove(first.token()).await.unwrap();
    let second = root
        .add(ServiceSpec::new("quiet", Quiet::default))
        .await
        .unwrap();
    assert_ne!(first.token(), second.token());
    assert_eq!(root.lookup::<Quiet>("root/quiet").await.unwrap(), second);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn when_ready_waits_while_a_service_starts_and_while_it_is_down() {
    time::pause();
    let root = root().await;
    let started = time::Instant::now();
    let service = root.add(slow("slow")).await.unwrap();
    root.when_ready::<Slow>("root/slow").await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 2);
    root.stop(service.token()).await.unwrap();
    let waiting = root.when_ready::<Slow>(service.token());
    let restarting = root.restart(service.token());
    let (ready, restarted) = tokio::join!(waiting, restarting);
    assert!(ready.is_ok() && restarted.is_ok());
    assert_eq!(started.elapsed().as_secs(), 4);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn when_ready_ends_with_an_error_when_the_tree_ends() {
    time::pause();
    let root = root().await;
    root.add(slow("slow")).await.unwrap();
    let other = root.clone();
    let (waited, report) = tokio::join!(other.when_ready::<Slow>("root/slow"), root.shutdown());
    assert!(
        matches!(waited, Err(LookupError::Removed { .. })),
        "{waited:?}"
    );
    assert!(report.unwrap().is_clean());
}

/// Ends in the way that it is told.
struct Ending;

impl Actor for Ending {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
enum End {
    Fail,
    Finish,
}

impl Handler<End> for Ending {
    type Result = ();
    fn handle(&mut self, how: End, ctx: &mut Self::Context) {
        match how {
            End::Fail => ctx.fail("failed on purpose"),
            End::Finish => ctx.stop(),
        }
    }
}

/// A tree with services that are kept when they have ended for good; `edge` runs on `arbiter`.
async fn tree_of_endings(arbiter: &Arbiter) -> (SupervisorRef, [ServiceRef<Ending>; 3]) {
    let mut root = SupervisorActor::with_defaults("root");
    let transient = ServiceSpec::new("transient", || Ending).restart(RestartType::Transient);
    let limited = ServiceSpec::new("limited", || Ending).limit(no_restart().give_up());
    let edge = ServiceSpec::new("edge", || Ending).placement(Placement::Arbiter(arbiter.handle()));
    let services = [transient, limited, edge].map(|spec| root.add(spec).unwrap());
    (root.start().await.unwrap(), services)
}

fn no_restart() -> RestartLimit {
    RestartLimit::window(0, Duration::from_secs(60))
}

fn ended(path: &str, how: EndedAs) -> LookupError {
    LookupError::ended(path, how)
}

#[actix::test]
async fn when_ready_says_that_a_service_has_ended_for_good_and_how() {
    let arbiter = Arbiter::new();
    let (root, [transient, limited, edge]) = tree_of_endings(&arbiter).await;
    let mut events = root.events();
    transient.do_send(End::Finish);
    limited.do_send(End::Fail);
    arbiter.stop();
    let cases = [
        (transient, EndedAs::Finished),
        (limited, EndedAs::GaveUp),
        (edge, EndedAs::Lost),
    ];
    // Until all three are down: which is seen first does not matter.
    let mut down = 0;
    while down < 3 {
        let services = root.services().await.unwrap();
        let over = |state| matches!(state, ServiceState::Stopped | ServiceState::Failed);
        down = services.iter().filter(|s| over(s.state())).count();
        if down < 3 {
            events.next().await.unwrap();
        }
    }
    for (service, how) in &cases {
        let asked = root.when_ready::<Ending>(service.token());
        assert_eq!(asked.await.unwrap_err(), ended(service.path(), *how));
    }
    // Each that can be started again can be awaited again.
    for (service, _) in &cases[..2] {
        root.restart(service.token()).await.unwrap();
        let again = root.when_ready::<Ending>(service.token()).await;
        assert!(again.is_ok(), "{again:?}");
    }
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn whoever_waits_when_a_service_ends_for_good_is_told() {
    time::pause();
    let spec = SupervisorSpec::default().limit(no_restart().escalate());
    let mut sub = SupervisorActor::new("sub", spec);
    let failing = ServiceSpec::new("failing", || Ending).readiness(Readiness::Explicit);
    let failing = failing.start_timeout(Duration::from_secs(60));
    sub.add(ServiceSpec::new("steady", || Ending)).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    let spec = ServiceSpec::supervisor(sub).restart(RestartType::Temporary);
    let sub = root.add(spec).unwrap();
    let root = root.start().await.unwrap();
    let sub = SupervisorRef::try_from(&sub).unwrap();
    let failing = sub.add(failing).await.unwrap();
    let waiting = root.when_ready::<Ending>(failing.token());
    let (waited, ()) = tokio::join!(waiting, async { failing.do_send(End::Fail) });
    assert_eq!(waited.unwrap_err(), ended("root/sub", EndedAs::Finished));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn snapshot_is_in_start_order_and_shows_states() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::new("z", Quiet::default)).unwrap();
    root.add(ServiceSpec::new("a", Quiet::default)).unwrap();
    let root = root.start().await.unwrap();
    let m = root
        .add(ServiceSpec::new("m", Quiet::default))
        .await
        .unwrap();
    root.add(slow("b")).await.unwrap();
    root.stop(m.token()).await.unwrap();
    let services = root.services().await.unwrap();
    let seen: Vec<_> = services.iter().map(|s| (s.name(), s.state())).collect();
    assert_eq!(
        seen,
        [
            ("z", ServiceState::Ready),
            ("a", ServiceState::Ready),
            ("m", ServiceState::Stopped),
            ("b", ServiceState::Starting)
        ]
    );
    let counts = root.counts().await.unwrap();
    assert_eq!((counts.services, counts.active, counts.ready), (4, 3, 2));
    let report = root.report().await.unwrap().to_string();
    assert_eq!(report.lines().count(), 5, "{report}");
    root.shutdown().await.unwrap();
}

/// Blocks its supervisor's mailbox for as long as it likes.
#[actix::test]
async fn look_up_does_not_wait_for_the_mailbox_of_the_supervisor() {
    time::pause();
    let root = root().await;
    let quiet = root
        .add(ServiceSpec::new("quiet", Quiet::default))
        .await
        .unwrap();
    for number in 0..10_000 {
        let spec = ServiceSpec::new(format!("s{number}"), Quiet::default);
        root.addr().do_send(resurgam::message::Add::new(spec));
    }
    root.lookup::<Quiet>(quiet.token()).await.unwrap();
    let last = root.lookup::<Quiet>("root/s9999").await;
    assert!(last.is_err(), "the queue was waited for");
    let done = root.shutdown().now_or_never();
    assert!(done.is_none());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn snapshot_is_in_start_order_after_a_requirement_has_moved_services() {
    time::pause();
    let names = |services: Vec<resurgam::ServiceSummary>| -> Vec<String> {
        services.iter().map(|s| s.name().to_owned()).collect()
    };
    let quiet = |name: &str| ServiceSpec::new(name, Quiet::default);
    let root = root().await;
    root.add(quiet("a").requires("d")).await.unwrap();
    root.add(quiet("b")).await.unwrap();
    root.add(quiet("c").requires("a")).await.unwrap();
    assert_eq!(names(root.services().await.unwrap()), ["a", "b", "c"]);
    root.add(quiet("d")).await.unwrap();
    // Behind what they require, in the order that they had.
    let order = ["b", "d", "a", "c"];
    assert_eq!(names(root.services().await.unwrap()), order);
    let report = root.report().await.unwrap();
    let reported = report.services().iter();
    let reported: Vec<_> = reported
        .map(|s| s.path().rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(reported, order);
    root.add(quiet("e")).await.unwrap();
    let order = ["b", "d", "a", "c", "e"];
    assert_eq!(names(root.services().await.unwrap()), order);
    root.shutdown().await.unwrap();
}
