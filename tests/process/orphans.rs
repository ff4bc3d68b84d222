//! Whatever happens, no process and no zombie is left behind.

use std::{fs, io::Write, sync::mpsc, thread, time::Duration};

use futures::future::{self, Future};
use resurgam::{
    EventKind, ExitReason, Placement, RestartType, Shutdown, SupervisorActor,
    process::{Command, Lines},
};

use crate::support::{
    end, entry, event, group_is_gone, group_of, members, number, root, sh, soon, text,
};

/// Prints its id, and has a child and a grandchild, which do not mind the stop signal.
const FAMILY: &str = "trap '' TERM; sh -c 'sleep 60 & wait' & echo $$; wait";

async fn family_is_complete(lines: &mut Lines) -> u32 {
    let group = number(lines).await;
    soon(async {
        while members(group).len() < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    group
}

#[actix::test]
async fn descendants_end_with_a_process_that_ends_by_itself() {
    let root = root().await;
    let mut events = root.events();
    let command = sh("sleep 60 & sleep 60 & echo $$; exit 0");
    let mut lines = command.lines();
    let spec = command.service("parent").restart(RestartType::Temporary);
    root.add(spec).await.unwrap();
    let group = number(&mut lines).await;
    assert_eq!(end(&mut events).await, ExitReason::Normal);
    group_is_gone(group).await;
    root.shutdown().await.unwrap();
}

/// Panics on its thread, with a supervisor and a process on it.
fn thread_that_panics(placement: Placement) -> (u32, thread::Result<()>) {
    let (tell, told) = mpsc::channel();
    let supervisor = thread::spawn(move || {
        actix::System::new().block_on(async move {
            let root = SupervisorActor::with_defaults("root")
                .start()
                .await
                .unwrap();
            let command = sh(FAMILY);
            let mut lines = command.lines();
            let spec = command.service("family").placement(placement);
            let _family = root.add(spec).await.unwrap();
            tell.send(family_is_complete(&mut lines).await).unwrap();
            panic!("the supervisor's thread panics on purpose");
        });
    });
    let group = told.recv().unwrap();
    (group, supervisor.join())
}

#[actix::test]
async fn process_and_descendants_end_when_the_thread_of_their_supervisor_panics() {
    let (group, ended) = thread_that_panics(Placement::Inherit);
    assert!(ended.is_err());
    group_is_gone(group).await;
}

#[actix::test]
async fn process_and_descendants_on_a_thread_of_their_own_end_when_that_of_their_supervisor_panics()
{
    let (group, ended) = thread_that_panics(Placement::Dedicated);
    assert!(ended.is_err());
    group_is_gone(group).await;
}

#[actix::test]
async fn process_and_descendants_end_when_their_system_is_stopped_without_a_shutdown() {
    let (tell, told) = mpsc::channel();
    let supervisor = thread::spawn(move || {
        let system = actix::System::new();
        system.block_on(async move {
            let root = SupervisorActor::with_defaults("root")
                .start()
                .await
                .unwrap();
            let command = sh(FAMILY);
            let mut lines = command.lines();
            root.add(command.service("family")).await.unwrap();
            tell.send(family_is_complete(&mut lines).await).unwrap();
        });
    });
    let group = told.recv().unwrap();
    supervisor.join().unwrap();
    group_is_gone(group).await;
}

#[actix::test]
async fn process_and_descendants_end_when_the_incarnation_panics() {
    let root = root().await;
    let mut events = root.events();
    let (tell, told) = mpsc::channel();
    let command = sh(FAMILY).ready_on_match(move |line| {
        tell.send(line.parse::<u32>().unwrap()).unwrap();
        panic!("a matcher that panics on purpose")
    });
    let spec = command.service("family").restart(RestartType::Temporary);
    root.add(spec).await.unwrap();
    let failed = event(&mut events, |kind| {
        matches!(kind, EventKind::ServiceStartFailed { .. })
    });
    failed.await;
    group_is_gone(told.recv().unwrap()).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn capture_that_is_dropped_takes_process_and_descendants_with_it() {
    let command = sh(FAMILY);
    let mut lines = command.lines();
    let captured = tokio::spawn(command.capture());
    let group = family_is_complete(&mut lines).await;
    captured.abort();
    group_is_gone(group).await;
}

#[actix::test]
async fn start_that_is_given_up_leaves_no_process() {
    for _ in 0..20 {
        let command = sh("echo given up; exec sleep 60");
        let mut lines = command.lines();
        {
            let mut captured = Box::pin(command.capture());
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            // The process has been ordered, and nobody will wait for it.
            assert!(captured.as_mut().poll(&mut cx).is_pending());
        }
        assert!(soon(lines.next()).await.is_none());
    }
    soon(async {
        // What this thread asks for now is started after those.
        let last = Command::new("true").capture();
        last.await.unwrap();
        while given_up() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Processes of this test and of no other.
fn given_up() -> usize {
    let children = fs::read_dir("/proc").unwrap();
    let children = children.filter_map(|dir| {
        let id: u32 = dir.ok()?.file_name().to_str()?.parse().ok()?;
        entry(id)
    });
    children
        .filter(|child| {
            let command = fs::read(format!("/proc/{}/cmdline", child.id));
            command
                .is_ok_and(|command| command.starts_with(b"sh\0-c\0echo given up; exec sleep 60\0"))
        })
        .count()
}

#[actix::test]
async fn thread_that_asked_for_a_process_may_end_before_it() {
    // A parent-death signal comes when the thread ends that has started the process.
    let fifo = fifo();
    let script = "echo $$; read line < \"$FIFO\"; echo got $line";
    let command = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "sh", "-c", script])
        .env("FIFO", &fifo);
    let mut lines = command.lines();
    let (ask, asked) = tokio::sync::oneshot::channel();
    let handle = tokio::runtime::Handle::current();
    let asking = thread::spawn(move || {
        let mut captured = Box::pin(command.capture());
        // Until the signal is set, which `setpriv` does before it runs the script.
        let started = future::select(&mut captured, Box::pin(lines.next()));
        handle.block_on(async { drop(started.await) });
        ask.send((captured, lines)).ok();
    });
    let (captured, mut lines) = soon(asked).await.unwrap();
    asking.join().unwrap();
    let captured = tokio::spawn(captured);
    // For reading too: opening it does not wait for the script then, which may be gone.
    let mut pipe = fs::File::options();
    let mut pipe = pipe.read(true).write(true).open(&fifo).unwrap();
    pipe.write_all(b"it\n").unwrap();
    assert_eq!(text(&mut lines).await, "got it");
    assert!(soon(captured).await.unwrap().is_ok());
    fs::remove_file(&fifo).unwrap();
}

fn fifo() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("resurgam-fifo-{}", std::process::id()));
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    path
}

#[actix::test]
async fn hundred_processes_end_together_and_none_is_left() {
    let root = root().await;
    let mut groups = Vec::new();
    for index in 0..100 {
        let spec = Command::new("sleep").arg("60");
        let spec = spec.service(format!("sleeper-{index}"));
        let service = root.add_and_wait(spec).await.unwrap();
        groups.push(group_of(&service).await);
    }
    let report = soon(root.shutdown()).await.unwrap();
    assert!(report.is_clean(), "{report}");
    for group in groups {
        assert!(members(group).is_empty(), "{:?}", members(group));
    }
}

#[actix::test]
async fn process_that_has_left_the_group_lives_on_and_does_not_hold_up_the_stop() {
    // The documented limit. What escapes keeps the pipe open too.
    let script = "setsid --fork sh -c 'echo $$; exec sleep 60'; while :; do sleep 0.01; done";
    let command = sh(script);
    let mut lines = command.lines();
    let spec = command.service("leader");
    let root = root().await;
    let service = root.add(spec).await.unwrap();
    let escaped = number(&mut lines).await;
    soon(root.remove(service.token())).await.unwrap();
    assert!(
        entry(escaped).is_some(),
        "killed, although it is in a session of its own"
    );
    soon(Command::new("kill").arg(escaped.to_string()).capture())
        .await
        .unwrap();
    group_is_gone(escaped).await;
    root.shutdown().await.unwrap();
}

/// Writes for ever, from a session of its own, to the output that it has inherited.
const DAEMON: &str =
    "setsid --fork sh -c 'echo $$; trap \"\" PIPE; while echo on; do sleep 0.02; done'";

#[actix::test]
async fn end_is_told_while_a_descendant_that_has_left_the_group_goes_on_writing() {
    let root = root().await;
    let mut events = root.events();
    let command = sh(&format!("{DAEMON}; sleep 0.1; exit 0"));
    let mut lines = command.lines();
    let spec = command.service("parent").restart(RestartType::Temporary);
    root.add(spec).await.unwrap();
    let daemon = number(&mut lines).await;
    assert_eq!(soon(end(&mut events)).await, ExitReason::Normal);
    // Nobody reads the output any more, and so it ends.
    group_is_gone(daemon).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn stop_without_a_limit_is_not_held_up_by_a_descendant_that_goes_on_writing() {
    let root = root().await;
    let command = sh(&format!("{DAEMON}; while :; do sleep 0.01; done"));
    let mut lines = command.lines();
    let spec = command.service("leader").shutdown(Shutdown::Infinity);
    let service = root.add(spec).await.unwrap();
    let daemon = number(&mut lines).await;
    let reason = soon(root.remove(service.token())).await;
    assert_eq!(reason, Ok(ExitReason::Shutdown));
    group_is_gone(daemon).await;
    let captured = sh(&format!("{DAEMON}; sleep 0.1; exit 0")).capture();
    let captured = soon(captured).await.unwrap();
    let daemon = captured.lines().next().unwrap().parse().unwrap();
    group_is_gone(daemon).await;
    root.shutdown().await.unwrap();
}
