//! When a service counts as started, what follows when it does not, and the order of a start.

use std::{error::Error, io, time::Duration};

use actix::MailboxError;
use resurgam::{
    EventKind, ExitReason, KillCause, Readiness, ServiceSpec, ServiceState, StartError,
    SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use super::support::{
    Act, Generation, Log, Recorder, Start, Stop, patiently, planned, probe, root, settle,
};

/// The ends and the readiness of everybody, without the steps in between.
fn milestones(events: &mut Recorder) -> Vec<String> {
    let steps = ["ServiceAdded", "ServiceStarted", "ServiceRemoved"];
    let mut lines = events.take();
    lines.retain(|line| !steps.iter().any(|step| line.ends_with(step)));
    lines
}

#[actix::test]
async fn service_is_ready_when_its_started_hook_has_run() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let mut events = Recorder::new(&root);
    root.add_and_wait(probe("a", &log)).await.unwrap();
    assert_eq!(
        events.take(),
        [
            "root/a ServiceAdded",
            "root/a ServiceStarted",
            "root/a ServiceReady"
        ]
    );
}

#[actix::test]
async fn explicit_service_is_ready_when_it_says_so() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let began = time::Instant::now();
    let slow = planned("a", &log, |_| {
        (Start::ReadyAfter(Duration::from_secs(3)), Stop::Obey)
    });
    let slow = slow.readiness(Readiness::Explicit);
    root.add_and_wait(slow).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[actix::test]
async fn second_ready_is_ignored() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let mut events = Recorder::new(&root);
    let service = probe("a", &log).readiness(Readiness::Explicit);
    let service = root.add(service).await.unwrap();
    service.do_send(Act::Ready);
    service.do_send(Act::Ready);
    assert_eq!(service.send(Generation).await, Ok(0));
    settle().await;
    let ready = milestones(&mut events);
    assert_eq!(ready, ["root/a ServiceReady"]);
}

#[actix::test]
async fn explicit_service_fails_to_start_with_its_own_error() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let failing = planned("a", &log, |_| (Start::Fail, Stop::Obey));
    let failing = failing.readiness(Readiness::Explicit);
    let error = root.add_and_wait(failing).await.unwrap_err();
    let StartError::Failed { path, reason, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(&*path, "root/a");
    assert_eq!(reason.to_string(), "failed: failed to start");
}

#[actix::test]
async fn service_that_ends_without_an_error_before_it_is_ready_has_declined() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let quitter = planned("a", &log, |_| (Start::Complete, Stop::Obey));
    let quitter = quitter.readiness(Readiness::Explicit);
    let error = patiently(root.add_and_wait(quitter)).await.unwrap_err();
    assert!(matches!(error, StartError::Declined { .. }), "{error}");
}

#[actix::test]
async fn supervisor_does_not_hang_on_a_service_that_ends_before_it_is_ready() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    let quitter = planned("a", &log, |_| (Start::Complete, Stop::Obey));
    root.add(quitter.readiness(Readiness::Explicit)).unwrap();
    // Nobody waits for it any more: it has declined.
    let root = patiently(root.start()).await.unwrap();
    let services = root.services().await.unwrap();
    assert_eq!(services[0].state(), ServiceState::Stopped);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_never_says_that_it_is_ready_fails_at_its_start_timeout() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    let silent = probe("a", &log).readiness(Readiness::Explicit);
    root.add(silent.start_timeout(Duration::from_secs(5)))
        .unwrap();
    let began = time::Instant::now();
    let error = patiently(root.start()).await.unwrap_err();
    let StartError::Failed { reason, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(reason, ExitReason::Killed(KillCause::StartTimeout));
    assert_eq!(began.elapsed().as_secs(), 5);
    assert_eq!(log.alive("a"), 0);
}

#[actix::test]
async fn panic_before_ready_is_a_failed_start_that_carries_the_panic() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let panicking = planned("a", &log, |_| (Start::Panic, Stop::Obey));
    let error = root.add_and_wait(panicking).await.unwrap_err();
    let StartError::Failed { reason, .. } = error else {
        panic!("{error}");
    };
    assert!(
        matches!(&reason, ExitReason::Panicked { message, .. } if message == "panicked at start"),
        "{reason}"
    );
}

#[actix::test]
async fn services_are_started_one_after_the_other() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    for name in ["a", "b", "c"] {
        let slow = planned(name, &log, |_| {
            (Start::ReadyAfter(Duration::from_secs(1)), Stop::Obey)
        });
        root.add(slow.readiness(Readiness::Explicit)).unwrap();
    }
    let began = time::Instant::now();
    let starting = actix::spawn(root.start());
    time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(log.take(), ["+a", "+b"]);
    let root = starting.await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(root.services().await.unwrap().len(), 3);
}

#[actix::test]
async fn subtree_is_started_when_all_its_services_are_and_before_the_next_sibling() {
    time::pause();
    let log = Log::default();
    let mut tier = SupervisorActor::with_defaults("tier");
    let slow = planned("slow", &log, |_| {
        (Start::ReadyAfter(Duration::from_secs(2)), Stop::Obey)
    });
    tier.add(slow.readiness(Readiness::Explicit)).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::supervisor(tier)).unwrap();
    root.add(probe("last", &log)).unwrap();
    let starting = actix::spawn(root.start());
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(log.take(), ["+slow"]);
    let _root = starting.await.unwrap().unwrap();
    assert_eq!(log.take(), ["+last"]);
}

#[actix::test]
async fn services_are_reported_ready_before_their_supervisor() {
    time::pause();
    let log = Log::default();
    let mut inner = SupervisorActor::with_defaults("inner");
    inner.add(probe("c", &log)).unwrap();
    let mut tier = SupervisorActor::with_defaults("tier");
    tier.add(probe("a", &log)).unwrap();
    tier.add(ServiceSpec::supervisor(inner)).unwrap();
    let root = root(SupervisorSpec::default()).await;
    let mut events = Recorder::new(&root);
    root.add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    assert_eq!(
        milestones(&mut events),
        [
            "root/tier/a ServiceReady",
            "root/tier/inner/c ServiceReady",
            "root/tier/inner SupervisorStarted",
            "root/tier/inner ServiceReady",
            "root/tier SupervisorStarted",
            "root/tier ServiceReady",
        ]
    );
}

/// `tier` with `a`, a subtree `inner` whose second service does not start, and `z`.
fn tier_that_fails_to_start(log: &Log) -> SupervisorActor {
    let mut inner = SupervisorActor::with_defaults("inner");
    inner.add(probe("b", log)).unwrap();
    let refusing = planned("c", log, |_| (Start::Refuse, Stop::Obey));
    inner.add(refusing).unwrap();
    inner.add(probe("d", log)).unwrap();
    let mut tier = SupervisorActor::with_defaults("tier");
    tier.add(probe("a", log)).unwrap();
    tier.add(ServiceSpec::supervisor(inner)).unwrap();
    tier.add(probe("z", log)).unwrap();
    tier
}

#[actix::test]
async fn failed_start_undoes_in_reverse_what_was_started_and_starts_nothing_more() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let tier = ServiceSpec::supervisor(tier_that_fails_to_start(&log));
    root.add_and_wait(tier).await.unwrap_err();
    // `c` is tried once: nothing is restarted during a start.
    assert_eq!(log.take(), ["+a", "+b", "!c", "-b", "-a"]);
}

#[actix::test]
async fn failed_start_is_reported_from_the_service_up_to_the_top() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let mut events = Recorder::new(&root);
    let tier = ServiceSpec::supervisor(tier_that_fails_to_start(&log));
    root.add_and_wait(tier).await.unwrap_err();
    assert_eq!(
        milestones(&mut events),
        [
            "root/tier/a ServiceReady",
            "root/tier/inner/b ServiceReady",
            "root/tier/inner/c ServiceStartFailed",
            "root/tier/inner/b ServiceStopped",
            "root/tier/inner SupervisorStartFailed",
            "root/tier/inner ServiceStartFailed",
            "root/tier/a ServiceStopped",
            "root/tier SupervisorStartFailed",
            "root/tier ServiceStartFailed",
        ]
    );
}

#[actix::test]
async fn start_error_names_the_service_and_what_failed_while_it_was_undone() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    let unwilling = planned("a", &log, |_| (Start::Go, Stop::Fail));
    root.add(unwilling).unwrap();
    root.add(planned("b", &log, |_| (Start::Refuse, Stop::Obey)))
        .unwrap();
    let error = root.start().await.unwrap_err();
    let StartError::Failed {
        path,
        reason,
        unwinding,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(&*path, "root/b");
    assert_eq!(reason.to_string(), "failed: refused to start");
    let [(path, reason)] = &unwinding[..] else {
        panic!("{unwinding:?}");
    };
    assert_eq!(&**path, "root/a");
    assert_eq!(reason.to_string(), "failed: failed to stop");
}

#[actix::test]
async fn start_error_leads_to_the_error_of_the_service_itself() {
    time::pause();
    for depth in [0, 2] {
        let log = Log::default();
        let mut root = SupervisorActor::with_defaults("root");
        root.add(planned("before", &log, |_| (Start::Go, Stop::Panic)))
            .unwrap();
        let unwilling = planned("c", &log, |_| (Start::Refuse, Stop::Obey));
        let mut tier = SupervisorActor::with_defaults("tier-0");
        tier.add(planned("sibling", &log, |_| (Start::Go, Stop::Fail)))
            .unwrap();
        tier.add(unwilling).unwrap();
        for level in 1..=depth {
            let mut above = SupervisorActor::with_defaults(format!("tier-{level}"));
            above.add(ServiceSpec::supervisor(tier)).unwrap();
            tier = above;
        }
        root.add(ServiceSpec::supervisor(tier)).unwrap();
        let error = root.start().await.unwrap_err();
        let StartError::Failed { unwinding, .. } = &error else {
            panic!("{error}");
        };
        // What failed while it was undone, the innermost first.
        let undone: Vec<_> = unwinding
            .iter()
            .map(|(path, reason)| (path.rsplit('/').next().unwrap(), reason.to_string()))
            .collect();
        assert_eq!(undone[0], ("sibling", "failed: failed to stop".to_owned()));
        assert_eq!(undone[1].0, "before");
        assert!(undone[1].1.contains("panicked at stop"), "{undone:?}");
        assert_eq!(undone.len(), 2);
        // The innermost reason among the sources holds the error as it was given.
        let (mut innermost, mut next) = (None, error.source());
        while let Some(source) = next {
            innermost = source.downcast_ref::<ExitReason>().or(innermost);
            next = source.source();
        }
        let own = innermost.and_then(ExitReason::error).unwrap();
        let own = own.downcast_ref::<io::Error>().unwrap();
        assert_eq!(own.to_string(), "refused to start");
    }
}

#[actix::test]
async fn start_error_of_a_subtree_names_the_service_that_is_to_blame() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::supervisor(tier_that_fails_to_start(&log)))
        .unwrap();
    let error = root.start().await.unwrap_err();
    let StartError::Failed { path, reason, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(&*path, "root/tier");
    let chain = format!("{reason:#}");
    assert!(chain.contains("root/tier/inner/c"), "{chain}");
    assert!(chain.contains("refused to start"), "{chain}");
}

#[actix::test]
async fn failed_start_returns_when_all_that_was_started_has_stopped() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    let slow = planned("a", &log, |_| {
        (Start::Go, Stop::Late(Duration::from_secs(3)))
    });
    root.add(slow).unwrap();
    root.add(planned("b", &log, |_| (Start::Fail, Stop::Obey)))
        .unwrap();
    let began = time::Instant::now();
    root.start().await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(log.take(), ["+a", "+b", "-b", "-a"]);
}

#[actix::test]
async fn failed_start_leaves_nobody_behind() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    let first = root.add(probe("a", &log)).unwrap();
    let failing = planned("b", &log, |_| (Start::Panic, Stop::Obey));
    let second = root.add(failing).unwrap();
    root.start().await.unwrap_err();
    assert_eq!((log.alive("a"), log.alive("b")), (0, 0));
    // Nor does anybody wait in a mailbox that nobody will ever read.
    assert_eq!(first.send(Generation).await, Err(MailboxError::Closed));
    assert_eq!(second.send(Generation).await, Err(MailboxError::Closed));
}

#[actix::test]
async fn failure_during_the_start_of_later_siblings_is_handled_after_it() {
    time::pause();
    let log = Log::default();
    let mut tier = SupervisorActor::with_defaults("tier");
    let early = tier.add(probe("a", &log)).unwrap();
    let slow = planned("b", &log, |_| {
        (Start::ReadyAfter(Duration::from_secs(2)), Stop::Obey)
    });
    tier.add(slow.readiness(Readiness::Explicit)).unwrap();
    let root = root(SupervisorSpec::default()).await;
    let mut events = Recorder::new(&root);
    // Queued before its mailbox is read for the first time.
    early.do_send(Act::Fail);
    let tier = root.add_and_wait(ServiceSpec::supervisor(tier)).await;
    let _tier = SupervisorRef::try_from(tier.unwrap()).unwrap();
    assert_eq!(early.send(Generation).await, Ok(1));
    settle().await;
    let lines = milestones(&mut events);
    let at = |wanted: &str| lines.iter().position(|line| line == wanted).unwrap();
    assert!(at("root/tier SupervisorStarted") < at("root/tier/a ServiceFailed"));
    assert!(at("root/tier/b ServiceReady") < at("root/tier/a ServiceFailed"));
}

#[actix::test]
async fn failed_start_is_one_event_with_its_reason() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let mut events = Recorder::new(&root);
    let refusing = planned("a", &log, |_| (Start::Refuse, Stop::Obey));
    root.add_and_wait(refusing).await.unwrap_err();
    let event = events
        .until(|kind| matches!(kind, EventKind::ServiceStartFailed { .. }))
        .await;
    assert!(event.to_string().contains("refused to start"), "{event}");
    assert_eq!(event.monotonic(), time::Instant::now().into_std());
}
