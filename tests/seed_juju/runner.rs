//! Starting and stopping services, as juju's runner does.

use std::{io::Error, time::Duration};

use actix::prelude::*;
use resurgam::{
    AddError, Backoff, EventKind, ExitReason, KillCause, Readiness, RestartType, ServiceSpec,
    ServiceState, Shutdown, SpecError, StartContext, StartError, SupervisorActor, SupervisorGone,
    Verdict,
};
use tokio::{
    sync::oneshot,
    time::{self, Instant},
};

use crate::support::{
    Habit, Log, Probe, What, act, add, ask, crash, fail, failing, joined, probe, quiet, root,
    root_with, rounded, spec, spec_with, state, stop, unlimited,
};

const SECOND: Duration = Duration::from_secs(1);

#[actix::test]
async fn supervisor_without_a_name_is_refused() {
    time::pause();
    for name in ["", "a/b"] {
        let refused = SupervisorActor::with_defaults(name)
            .start()
            .await
            .unwrap_err();
        assert!(
            matches!(
                refused,
                StartError::Refused(AddError::Spec(SpecError::InvalidName { .. }))
            ),
            "{refused}"
        );
    }
}

#[actix::test]
async fn service_is_known_as_soon_as_add_returns_whether_it_is_ready_or_not() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let slow = spec("a", &log).readiness(Readiness::Explicit);
    let a = root.add(slow).await.unwrap();
    assert_eq!(root.lookup::<Probe>("root/a").await.unwrap(), a);
    assert_eq!(state(&root, a.token()).await, Some(ServiceState::Starting));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn name_is_taken_while_its_service_runs_stops_or_waits_for_a_restart() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let slow = spec_with("a", &log, Habit::Slow(SECOND)).backoff(Backoff::constant(SECOND));
    let a = add(&root, slow).await;
    let refused = async || matches!(root.add(spec("a", &log)).await, Err(AddError::DuplicateName { token, .. }) if token == a.token());
    assert!(refused().await);
    a.do_send(fail("boom"));
    quiet().await;
    assert_eq!(
        state(&root, a.token()).await,
        Some(ServiceState::BackingOff)
    );
    assert!(refused().await);
    assert_eq!(a.send(ask()).await, Ok(1));
    let (stopped, ()) = tokio::join!(root.stop(a.token()), async {
        quiet().await;
        assert_eq!(state(&root, a.token()).await, Some(ServiceState::Stopping));
        assert!(refused().await);
    });
    stopped.unwrap();
    assert_eq!(log.count(What::Made, "a"), 2);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn adding_is_told_apart_while_the_supervisor_ends_and_when_it_has() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec_with("a", &log, Habit::Slow(SECOND))).await;
    let (report, ending) = tokio::join!(root.shutdown(), async {
        quiet().await;
        root.add(spec("b", &log)).await
    });
    report.unwrap();
    assert_eq!(ending.unwrap_err(), AddError::ShuttingDown);
    let ended = root.add(spec("b", &log)).await;
    assert_eq!(ended.unwrap_err(), AddError::SupervisorGone);
    assert_eq!(log.count(What::Made, "b"), 0);
}

#[actix::test]
async fn caller_that_goes_away_takes_nothing_back() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let slow = spec("a", &log).readiness(Readiness::Explicit);
    let waited = time::timeout(SECOND, root.add_and_wait(slow)).await;
    assert!(waited.is_err());
    let a = root.lookup::<Probe>("root/a").await.unwrap();
    assert_eq!(a.send(ask()).await, Ok(0));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn factory_of_a_restart_is_told_the_same_as_that_of_the_first_start() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec("db", &log)).await;
    let held = log.clone();
    let factory = move |cx: &StartContext| {
        let db = cx.get::<Probe>("db")?;
        held.write(
            What::Made,
            &format!("{} {} {}", cx.path(), cx.generation(), db.path()),
        );
        Ok::<_, StartError>(probe("api", &held, Habit::Prompt))
    };
    let api = add(&root, ServiceSpec::try_new("api", factory).requires("db")).await;
    api.do_send(fail("boom"));
    assert_eq!(api.send(ask()).await, Ok(1));
    let told = log.names(What::Made);
    let told: Vec<_> = told.iter().filter(|line| line.contains(' ')).collect();
    assert_eq!(told, ["root/api 0 root/db", "root/api 1 root/db"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn failed_start_is_treated_like_a_failed_run() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let delayed = failing("a", &log, 2).backoff(Backoff::constant(3 * SECOND));
    let a = root.add(delayed).await.unwrap();
    assert_eq!(a.send(ask()).await, Ok(2));
    assert_eq!(log.delays("a"), [3_000, 3_000]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn fatal_error_of_a_factory_ends_the_tree() {
    time::pause();
    let log = Log::default();
    let root = root_with(unlimited().fatal(|_| true)).await;
    root.add(failing("a", &log, 1)).await.unwrap();
    let ended = joined(&root).await.unwrap_err();
    assert_eq!(
        ended.to_string(),
        "service `root/a` ended the tree: not made"
    );
    assert_eq!(log.count(What::Made, "a"), 1);
}

#[actix::test]
async fn service_that_ends_normally_is_forgotten_and_nobody_is_asked() {
    time::pause();
    let log = Log::default();
    let asked = Log::default();
    let book = asked.clone();
    let root = root_with(unlimited().fatal(move |_| {
        book.write(What::Asked, "fatal");
        true
    }))
    .await;
    let a = add(&root, spec("a", &log).restart(RestartType::Transient)).await;
    a.do_send(stop());
    quiet().await;
    assert_eq!(root.counts().await.unwrap().services, 0);
    assert!(asked.names(What::Asked).is_empty());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_fails_is_restarted_for_ever_after_a_constant_delay() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let delayed = spec("a", &log).backoff(Backoff::constant(3 * SECOND));
    let a = add(&root, delayed).await;
    for generation in 0..20 {
        assert_eq!(a.send(fail("boom")).await, Ok(generation));
    }
    assert_eq!(a.send(ask()).await, Ok(20));
    assert_eq!(log.delays("a"), [3_000; 20]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn error_that_says_so_keeps_its_service_from_being_restarted() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log)).await;
    let b = add(&root, spec("b", &log)).await;
    a.do_send(act(|ctx| {
        let verdict = Error::other(Verdict::DoNotRestart);
        ctx.fail(Error::other(Error::other(verdict)));
    }));
    quiet().await;
    assert_eq!(state(&root, a.token()).await, None);
    assert_eq!(log.count(What::Made, "a"), 1);
    assert_eq!(b.send(ask()).await, Ok(0));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn factory_that_panics_is_a_start_that_failed() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let mut events = root.events();
    let (held, mut calls) = (log.clone(), 0);
    let a = root
        .add(ServiceSpec::new("a", move || {
            calls += 1;
            assert!(calls > 1, "no disk");
            probe("a", &held, Habit::Prompt)
        }))
        .await
        .unwrap();
    assert_eq!(a.send(ask()).await, Ok(1));
    let mut failed = None;
    while let Some(event) = events.try_next() {
        if let EventKind::ServiceStartFailed { reason, .. } = event.kind() {
            failed = Some(reason.clone());
        }
    }
    assert!(
        matches!(&failed, Some(ExitReason::Panicked { message, location, .. }) if message == "no disk" && location.contains("runner.rs")),
        "{failed:?}"
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn panic_in_a_run_is_a_failure_and_tells_its_place() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log)).await;
    let mut events = root.events();
    a.do_send(crash());
    let event = events.next().await.unwrap();
    assert!(
        matches!(event.kind(), EventKind::ServicePanicked { message, location, .. } if message == "crashed on purpose" && location.contains("support.rs:")),
        "{event}"
    );
    assert_eq!(a.send(ask()).await, Ok(1));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn factory_may_add_a_service_itself() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let (supervisor, held) = (root.addr().clone(), log.clone());
    let adding = ServiceSpec::new_async("a", move |_| {
        let (supervisor, log) = (supervisor.clone(), held.clone());
        async move {
            let b = resurgam::message::Add::new(spec("b", &log));
            supervisor.send(b).await??;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(probe("a", &log, Habit::Prompt))
        }
    });
    root.add_and_wait(adding).await.unwrap();
    quiet().await;
    assert_eq!(log.count(What::Started, "b"), 1);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn shutdown_reaches_services_that_are_still_being_made() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let (held, (_never, gate)) = (log.clone(), oneshot::channel::<()>());
    let mut gate = Some(gate);
    let pending = ServiceSpec::new_async("a", move |_| {
        let (gate, log) = (gate.take(), held.clone());
        log.write(What::Made, "a");
        async move {
            gate.expect("it is made once").await?;
            Ok::<_, oneshot::error::RecvError>(probe("a", &log, Habit::Prompt))
        }
    });
    root.add(pending).await.unwrap();
    quiet().await;
    assert_eq!(log.count(What::Made, "a"), 1);
    let begun = Instant::now();
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(rounded(begun.elapsed()), 0);
    assert_eq!(log.count(What::Started, "a"), 0);
}

#[actix::test]
async fn service_that_ignores_a_stop_is_dropped_when_its_time_is_up() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let stubborn = spec_with("a", &log, Habit::Stubborn);
    let a = add(&root, stubborn.shutdown(Shutdown::Timeout(2 * SECOND))).await;
    let begun = Instant::now();
    assert_eq!(
        root.remove(a.token()).await,
        Ok(ExitReason::Killed(KillCause::StopTimeout))
    );
    assert_eq!(rounded(begun.elapsed()), 2_000);
    assert_eq!(log.count(What::Dropped, "a"), 1);
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn end_is_told_to_all_who_wait_and_again_to_who_comes_later() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec("a", &log)).await;
    let other = root.clone();
    let (first, second, report) = tokio::join!(root.join(), other.join(), root.shutdown());
    first.unwrap();
    second.unwrap();
    report.unwrap();
    joined(&root).await.unwrap();
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(root.counts().await, Err(SupervisorGone));
    assert_eq!(log.names(What::Asked), ["a"]);
    let closed = root.addr().send(resurgam::message::Count).await;
    assert_eq!(closed, Err(MailboxError::Closed));
}
