//! What `start`, `join` and `shutdown` say of an end two levels below the root.

use std::error::Error;

use actix::prelude::*;
use resurgam::{
    ExitReason, JoinError, RestartLimit, ServiceContext, ServiceError, ServiceSpec, StartError,
    SupervisorActor, SupervisorRef, SupervisorSpec, Verdict,
};
use tokio::{sync::oneshot, time};

use crate::support::{
    ExitWith, FailWith, failing_last, patiently, plain, supervisor, three_levels,
};

fn escalating() -> SupervisorSpec {
    let limit = RestartLimit::window(0, std::time::Duration::from_secs(60));
    SupervisorSpec::default().limit(limit.escalate())
}

fn says(error: &ServiceError, text: &str) -> bool {
    error.to_string() == text
}

/// Errors with this text are fatal.
fn fatal(text: &'static str) -> impl Fn() -> SupervisorSpec {
    move || SupervisorSpec::default().fatal(move |error| says(error, text))
}

/// The message of an error and of all its sources.
fn chain(error: &dyn Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        messages.push(error.to_string());
        next = error.source();
    }
    messages
}

#[actix::test]
async fn service_that_ends_the_tree_is_named_from_any_depth_with_its_reason() {
    time::pause();
    let (root, services) = three_levels(SupervisorSpec::default, [plain("a"), plain("b")]);
    let root = root.start().await.unwrap();
    services[1].do_send(ExitWith(Verdict::TerminateTree { propagate: true }));
    let error = patiently(root.join(), "join").await.unwrap_err();
    let JoinError::Terminated { path, reason, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(&**path, "root/mid/low/b");
    assert_eq!(*reason, ExitReason::Normal);
    assert_eq!(
        error.to_string(),
        "service `root/mid/low/b` asked for the end of the tree"
    );
}

#[actix::test]
async fn service_with_a_fatal_error_is_named_from_any_depth_with_that_error() {
    time::pause();
    let (root, services) = three_levels(fatal("the disk is full"), [plain("a"), plain("b")]);
    let root = root.start().await.unwrap();
    services[0].do_send(FailWith("the disk is full"));
    let error = patiently(root.join(), "join").await.unwrap_err();
    let JoinError::Fatal { path, error, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(&**path, "root/mid/low/a");
    assert!(says(error, "the disk is full"), "{error}");
}

#[actix::test]
async fn supervisor_whose_end_is_fatal_above_alone_is_named_itself() {
    time::pause();
    // An escalation is what the supervisor below ended with, and that is the fatal error.
    let mut low = SupervisorActor::new("low", escalating());
    let a = low.add(plain("a")).unwrap();
    let spec = SupervisorSpec::default().fatal(|error| error.to_string().contains("escalated"));
    let mut root = SupervisorActor::new("root", spec);
    root.add(ServiceSpec::supervisor(low)).unwrap();
    let root = root.start().await.unwrap();
    a.do_send(FailWith("again and again"));
    let error = patiently(root.join(), "join").await.unwrap_err();
    let JoinError::Fatal { path, error, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(&**path, "root/low");
    assert_eq!(error.to_string(), "escalated by `root/low/a`");
}

#[actix::test]
async fn escalation_names_the_root_and_every_supervisor_on_the_way_down() {
    time::pause();
    let (root, services) = three_levels(escalating, [plain("a")]);
    let root = root.start().await.unwrap();
    services[0].do_send(FailWith("again and again"));
    let error = patiently(root.join(), "join").await.unwrap_err();
    let JoinError::Escalated { path, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(&**path, "root");
    assert_eq!(
        chain(&error)[..4],
        [
            "supervisor `root` gave up: escalated by `root/mid`",
            "escalated by `root/mid`",
            "escalated by `root/mid/low`",
            "escalated by `root/mid/low/a`",
        ]
    );
}

/// Fails to start.
struct Broken;

impl Actor for Broken {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.fail("no such device");
    }
}

/// Gives its supervisor away.
struct Herald(Option<oneshot::Sender<SupervisorRef>>);

impl Actor for Herald {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let _test_gone = self.0.take().unwrap().send(ctx.supervisor());
    }
}

/// A supervisor that fails to start, and whose first service fails while that is undone.
fn broken() -> SupervisorActor {
    let mut low = SupervisorActor::with_defaults("low");
    low.add(failing_last("first", "not saved")).unwrap();
    low.add(ServiceSpec::new("broken", || Broken)).unwrap();
    let mut mid = SupervisorActor::with_defaults("mid");
    mid.add(failing_last("second", "not flushed")).unwrap();
    mid.add(ServiceSpec::supervisor(low)).unwrap();
    mid
}

/// What failed while the start was undone, from the inside out.
const UNWOUND: [&str; 2] = [
    "root/mid/low/first: failed: not saved",
    "root/mid/second: failed: not flushed",
];

fn lines(unwinding: &[(std::sync::Arc<str>, ExitReason)]) -> Vec<String> {
    let lines = unwinding.iter();
    lines.map(|(path, why)| format!("{path}: {why}")).collect()
}

#[actix::test]
async fn failed_start_below_tells_its_path_its_cause_and_what_failed_while_it_was_undone() {
    time::pause();
    let (give, given) = oneshot::channel();
    let mut give = Some(give);
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::new("herald", move || Herald(give.take())))
        .unwrap();
    root.add(ServiceSpec::supervisor(broken())).unwrap();
    let error = patiently(root.start(), "start").await.unwrap_err();
    assert_eq!(
        chain(&error),
        [
            "service `root/mid` failed to start: escalated by `root/mid/low`",
            "escalated by `root/mid/low`",
            "escalated by `root/mid/low/broken`",
            "failed: no such device",
        ]
    );
    let StartError::Failed { unwinding, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(lines(unwinding), UNWOUND);

    let root = given.await.unwrap();
    let joined = root.join().await.unwrap_err();
    let JoinError::StartFailed {
        path,
        reason,
        unwinding,
        ..
    } = &joined
    else {
        panic!("{joined:?}");
    };
    assert_eq!(&**path, "root/mid");
    assert_eq!(reason.to_string(), "escalated by `root/mid/low`");
    assert_eq!(lines(unwinding), UNWOUND);
    let report = root.shutdown().await.unwrap();
    assert_eq!(lines(report.failures()), UNWOUND);
}

#[actix::test]
async fn first_start_below_a_running_root_tells_what_failed_while_it_was_undone() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let added = root.add_and_wait(ServiceSpec::supervisor(broken()));
    let error = patiently(added, "add_and_wait").await.unwrap_err();
    let StartError::Failed {
        path, unwinding, ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(&**path, "root/mid");
    assert_eq!(lines(unwinding), UNWOUND);
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn root_that_is_served_and_does_not_start_says_why() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::supervisor(broken())).unwrap();
    let error = patiently(root.serve(), "serve").await.unwrap_err();
    let JoinError::NotStarted { path, error, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(&**path, "root");
    assert_eq!(
        error.to_string(),
        "service `root/mid` failed to start: escalated by `root/mid/low`"
    );
    assert_eq!(
        format!("{error:#}"),
        "service `root/mid` failed to start: escalated by `root/mid/low`: escalated by `root/mid/low/broken`: failed: no such device"
    );
}

#[test]
fn tree_whose_system_stops_says_that() {
    let system = System::new();
    let root = system.block_on(async {
        let (root, _) = three_levels(SupervisorSpec::default, [plain("a")]);
        root.start().await.unwrap()
    });
    System::current().stop();
    drop(system);
    let joined = futures::executor::block_on(root.join());
    assert!(
        matches!(joined, Err(JoinError::SystemStopped)),
        "{joined:?}"
    );
}

#[actix::test]
async fn what_fails_below_while_a_tree_ends_is_in_its_report_whatever_the_cause() {
    time::pause();
    let services = || [plain("a"), failing_last("b", "not saved")];
    let left = ["root/mid/low/b: failed: not saved"];
    for cause in 0..4 {
        let spec: Box<dyn Fn() -> SupervisorSpec> = match cause {
            1 => Box::new(fatal("the disk is full")),
            2 => Box::new(escalating),
            _ => Box::new(SupervisorSpec::default),
        };
        let (root, services) = three_levels(spec, services());
        let root = root.start().await.unwrap();
        match cause {
            0 => {}
            1 => services[0].do_send(FailWith("the disk is full")),
            2 => services[0].do_send(FailWith("again and again")),
            _ => services[0].do_send(ExitWith(Verdict::TerminateTree { propagate: true })),
        }
        if cause != 0 {
            patiently(root.join(), "join").await.unwrap_err();
        }
        let report = patiently(root.shutdown(), "shutdown").await.unwrap();
        assert_eq!(lines(report.failures()), left, "cause {cause}");
    }
}

#[actix::test]
async fn shutdown_below_the_root_returns_everything_that_went_wrong_there() {
    time::pause();
    let (root, _) = three_levels(SupervisorSpec::default, [failing_last("a", "not saved")]);
    let root = root.start().await.unwrap();
    let mid = supervisor(&root, "root/mid").await;
    let low = supervisor(&root, "root/mid/low").await;
    mid.add_and_wait(failing_last("b", "not flushed"))
        .await
        .unwrap();
    let (of_mid, of_low) = futures::join!(mid.shutdown(), low.shutdown());
    let (of_mid, of_low) = (of_mid.unwrap(), of_low.unwrap());
    assert_eq!(
        lines(of_mid.failures()),
        [
            "root/mid/b: failed: not flushed",
            "root/mid/low/a: failed: not saved"
        ]
    );
    assert_eq!(
        lines(of_low.failures()),
        ["root/mid/low/a: failed: not saved"]
    );
    // Whoever asked has it: the end of the tree is not to blame for it.
    assert!(root.shutdown().await.unwrap().is_clean());
}
