//! How a process ends is how its incarnation ends.

use std::{thread, time::Duration};

use resurgam::{
    EventKind, ExitReason, RestartType, StartError,
    process::{Command, ExitError, SendSignal, Signal, SpawnError},
};

use crate::support::{
    end, event, exit_error, group_is_gone, group_of, members, number, root, sh, soon, text,
};

#[actix::test]
async fn process_that_exits_with_zero_has_ended_normally() {
    let root = root().await;
    let mut events = root.events();
    let spec = sh("exit 0").service("brief");
    let spec = spec.restart(RestartType::Transient);
    let brief = root.add(spec).await.unwrap();
    assert_eq!(end(&mut events).await, ExitReason::Normal);
    assert!(!brief.connected() || root.services().await.unwrap().is_empty());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn exit_status_is_in_the_error_of_the_failure() {
    let root = root().await;
    let mut events = root.events();
    let spec = sh("exit 3").service("failing");
    root.add(spec.restart(RestartType::Temporary))
        .await
        .unwrap();
    let reason = end(&mut events).await;
    let program = String::from("sh");
    assert_eq!(exit_error(&reason), ExitError::exited(program, 3));
    assert_eq!(reason.to_string(), "failed: `sh` exited with status 3");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn signal_that_ended_the_process_is_in_the_error_of_the_failure() {
    let root = root().await;
    let mut events = root.events();
    let spec = sh("kill -KILL $$").service("killed");
    root.add(spec.restart(RestartType::Temporary))
        .await
        .unwrap();
    let program = String::from("sh");
    let signal = Signal::Kill.number();
    assert_eq!(
        exit_error(&end(&mut events).await),
        ExitError::signalled(program, signal)
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn stop_signal_that_nobody_asked_for_is_a_failure() {
    let root = root().await;
    let mut events = root.events();
    let spec = Command::new("sleep").arg("60").service("sleeper");
    let spec = spec.restart(RestartType::Temporary);
    let sleeper = root.add_and_wait(spec).await.unwrap();
    let sent = sleeper.send(SendSignal(Signal::Term)).await;
    assert_eq!(sent, Ok(Ok(())));
    let program = String::from("sleep");
    let signal = Signal::Term.number();
    assert_eq!(
        exit_error(&end(&mut events).await),
        ExitError::signalled(program, signal)
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_that_fails_is_started_again_under_the_same_address() {
    let root = root().await;
    let mut events = root.events();
    let command = sh("echo $$; exec sleep 60");
    let mut lines = command.lines();
    let spec = command.service("sleeper");
    let sleeper = root.add_and_wait(spec).await.unwrap();
    let first = number(&mut lines).await;
    assert_eq!(group_of(&sleeper).await, first);
    sleeper
        .send(SendSignal(Signal::Kill))
        .await
        .unwrap()
        .unwrap();
    let again = event(&mut events, |kind| {
        matches!(kind, EventKind::ServiceFailed { .. })
    });
    again.await;
    let second = group_of(&sleeper).await;
    assert_ne!(first, second);
    assert_eq!(number(&mut lines).await, second);
    // Reaped before its end was told.
    assert!(members(first).is_empty(), "{:?}", members(first));
    root.shutdown().await.unwrap();
    group_is_gone(second).await;
}

#[actix::test]
async fn program_that_does_not_exist_is_a_failed_start() {
    let root = root().await;
    let spec = Command::new("/no/such/program").service("nothing");
    let Err(StartError::Failed { path, reason, .. }) = soon(root.add_and_wait(spec)).await else {
        panic!("started");
    };
    assert_eq!(&*path, "root/nothing");
    let error = reason.error().unwrap().downcast_ref::<SpawnError>();
    let kind = error.unwrap().io_error().kind();
    assert_eq!(kind, std::io::ErrorKind::NotFound);
    assert_eq!(
        error.unwrap().to_string(),
        "could not start `/no/such/program`: No such file or directory (os error 2)"
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn what_a_process_wrote_before_its_end_is_read_to_the_last_byte() {
    let root = root().await;
    let mut events = root.events();
    let command = sh("i=0; while [ $i -lt 1000 ]; do echo $i; i=$((i+1)); done; printf last");
    let mut lines = command.lines();
    let spec = command.service("writer").restart(RestartType::Temporary);
    root.add(spec).await.unwrap();
    for expected in 0..1000 {
        assert_eq!(number(&mut lines).await, expected);
    }
    assert_eq!(text(&mut lines).await, "last");
    assert_eq!(end(&mut events).await, ExitReason::Normal);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn what_a_process_wrote_is_read_to_the_last_byte_also_if_reading_takes_long() {
    let root = root().await;
    let mut events = root.events();
    // About a second for all of it.
    let command = Command::new("seq").arg("600").ready_on_match(|line| {
        thread::park_timeout(Duration::from_millis(2));
        line == "600"
    });
    let spec = command.service("writer").restart(RestartType::Temporary);
    root.add(spec).await.unwrap();
    let ready = event(&mut events, |kind| matches!(kind, EventKind::ServiceReady));
    ready.await;
    assert_eq!(end(&mut events).await, ExitReason::Normal);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_that_has_left_the_group_and_floods_the_output_does_not_hold_up_the_end() {
    let root = root().await;
    let mut events = root.events();
    let flood = "setsid --fork sh -c 'echo left; exec yes'";
    let script = format!("trap 'exit 0' TERM; {flood}; while :; do sleep 0.01; done");
    let spec = sh(&script).ready_on_line("left").service("leader");
    let spec = spec.restart(RestartType::Temporary);
    let leader = soon(root.add_and_wait(spec)).await.unwrap();
    let sent = leader.send(SendSignal(Signal::Term)).await;
    assert_eq!(sent, Ok(Ok(())));
    // The flood dies of its output, which nobody reads any more.
    assert_eq!(end(&mut events).await, ExitReason::Normal);
    root.shutdown().await.unwrap();
}
