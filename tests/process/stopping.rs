//! A process is asked to stop, and killed if it does not.

use std::time::Duration;

use resurgam::{
    ExitReason, KillCause, Placement, ReportedKind, Shutdown,
    process::{Command, ExitError, Signal},
};

use crate::support::{entry, exit_error, group_is_gone, members, number, root, sh, soon, written};

#[actix::test]
async fn process_that_dies_of_the_stop_signal_has_stopped_as_asked() {
    let root = root().await;
    let spec = Command::new("sleep").arg("60").service("sleeper");
    let sleeper = root.add_and_wait(spec).await.unwrap();
    let report = root.report().await.unwrap();
    assert_eq!(report.services()[0].kind(), ReportedKind::Process);
    let reason = soon(root.remove(sleeper.token())).await;
    assert_eq!(reason, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_may_finish_its_work_when_it_is_asked_to_stop() {
    let root = root().await;
    let script = "trap 'echo cleaning; sleep 0.1; echo cleaned; exit 0' TERM; echo $$; while :; do sleep 0.01; done";
    let command = sh(script);
    let mut lines = command.lines();
    let service = root.add(command.service("careful")).await.unwrap();
    let group = number(&mut lines).await;
    let reason = soon(root.remove(service.token())).await;
    assert_eq!(reason, Ok(ExitReason::Shutdown));
    drop(service);
    assert_eq!(written(&mut lines).await, ["cleaning", "cleaned"]);
    // Reaped before its end was told.
    assert!(members(group).is_empty(), "{:?}", members(group));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_is_asked_with_the_signal_that_its_command_names() {
    let root = root().await;
    // Not SIGINT: whoever runs the tests in the background has them ignore it, and their processes with them.
    let script = "trap 'exit 5' TERM; trap 'exit 0' USR2; echo up; while :; do sleep 0.01; done";
    let spec = sh(script).ready_on_line("up").stop_signal(Signal::Usr2);
    let service = root.add_and_wait(spec.service("server")).await.unwrap();
    let reason = soon(root.remove(service.token())).await;
    assert_eq!(reason, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn exit_status_that_a_shell_gives_to_the_stop_signal_is_a_stop_as_asked() {
    let root = root().await;
    let script = "trap 'exit 143' TERM; echo up; while :; do sleep 0.01; done";
    let spec = sh(script).ready_on_line("up").service("server");
    let service = root.add_and_wait(spec).await.unwrap();
    let reason = soon(root.remove(service.token())).await;
    assert_eq!(reason, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn failure_after_the_stop_was_asked_for_is_told_and_not_restarted() {
    let root = root().await;
    let script = "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done";
    let command = sh(script).ready_on_line("up");
    let mut lines = command.lines();
    let service = root.add_and_wait(command.service("server")).await.unwrap();
    let reason = soon(root.remove(service.token())).await.unwrap();
    let program = String::from("sh");
    assert_eq!(exit_error(&reason), ExitError::exited(program, 9));
    drop(service);
    // A shell says here that its command was terminated.
    while let Some(line) = soon(lines.next()).await {
        assert_eq!(line.generation(), 0, "started again");
    }
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_that_ignores_the_stop_signal_is_killed_with_its_descendants() {
    let root = root().await;
    // A child and a grandchild, which ignore it too.
    let script = "trap '' TERM; sh -c 'sleep 60 & wait' & echo $$; wait";
    let command = sh(script);
    let mut lines = command.lines();
    let spec = command.service("stubborn");
    let spec = spec.shutdown(Shutdown::Timeout(Duration::from_millis(200)));
    let service = root.add(spec).await.unwrap();
    let group = number(&mut lines).await;
    soon(async {
        while members(group).len() < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    let reason = soon(root.remove(service.token())).await;
    assert_eq!(reason, Ok(ExitReason::Killed(KillCause::StopTimeout)));
    group_is_gone(group).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn stop_signal_reaches_the_whole_group() {
    let root = root().await;
    let inner = r#"sh -c 'trap "echo inner; exit 0" TERM; echo up; while :; do sleep 0.01; done'"#;
    let script = format!("trap 'wait; echo outer; exit 0' TERM; {inner} & wait");
    let command = sh(&script).ready_on_line("up");
    let mut lines = command.lines();
    let service = root.add_and_wait(command.service("pair")).await.unwrap();
    let reason = soon(root.remove(service.token())).await;
    assert_eq!(reason, Ok(ExitReason::Shutdown));
    drop(service);
    assert_eq!(written(&mut lines).await, ["up", "inner", "outer"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn suspended_process_goes_on_to_stop_as_asked() {
    let root = root().await;
    let command = sh("echo $$; kill -STOP $$; exec sleep 60");
    let mut lines = command.lines();
    let service = root.add(command.service("suspended")).await.unwrap();
    let group = number(&mut lines).await;
    soon(async {
        while !entry(group).is_some_and(|entry| entry.is_suspended()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    let reason = soon(root.remove(service.token())).await;
    assert_eq!(reason, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn brutally_killed_process_is_not_asked() {
    let root = root().await;
    let command = sh("trap 'echo asked; exit 0' TERM; echo $$; while :; do sleep 0.01; done");
    let mut lines = command.lines();
    let spec = command.service("victim").shutdown(Shutdown::BrutalKill);
    let service = root.add(spec).await.unwrap();
    let group = number(&mut lines).await;
    let reason = soon(root.remove(service.token())).await;
    assert_eq!(reason, Ok(ExitReason::Killed(KillCause::Requested)));
    group_is_gone(group).await;
    drop(service);
    assert!(soon(lines.next()).await.is_none(), "it was asked");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn stop_during_the_start_ends_the_process() {
    let root = root().await;
    let command = sh("echo $$; exec sleep 60").ready_on_line("never");
    let mut lines = command.lines();
    let service = root.add(command.service("server")).await.unwrap();
    let group = number(&mut lines).await;
    let reason = soon(root.remove(service.token())).await;
    assert_eq!(reason, Ok(ExitReason::Shutdown));
    group_is_gone(group).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_is_started_and_stopped_on_every_thread_that_a_service_can_have() {
    let root = root().await;
    let other = actix::Arbiter::new();
    for (name, placement) in [
        ("inherit", Placement::Inherit),
        ("pool", Placement::Pool),
        ("dedicated", Placement::Dedicated),
        ("arbiter", Placement::Arbiter(other.handle())),
    ] {
        let command = sh("echo $$; exec sleep 60").ready_on_line("");
        let mut lines = command.lines();
        let spec = command.service(name).placement(placement);
        let service = soon(root.add_and_wait(spec)).await.unwrap();
        let group = number(&mut lines).await;
        let reason = soon(root.remove(service.token())).await;
        assert_eq!(reason, Ok(ExitReason::Shutdown), "{name}");
        assert!(members(group).is_empty(), "{name}: {:?}", members(group));
    }
    root.shutdown().await.unwrap();
    other.stop();
}
