//! In a program that inherits the orphans below it, as process 1 of a container does, none of them stays a zombie.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{fs, future::Future, time::Duration};

use resurgam::{
    ExitReason, KillCause, RestartType, Shutdown, SupervisorActor,
    process::{Command, Lines},
};

/// How long a test waits for something that is to happen.
const DEADLINE: Duration = Duration::from_secs(10);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("not within ten seconds")
}

/// The state and the group of each child of this program, zombies among them.
fn children() -> Vec<(String, String)> {
    let entries = fs::read_dir("/proc").unwrap();
    let processes =
        entries.filter_map(|dir| fs::read_to_string(dir.ok()?.path().join("stat")).ok());
    let me = std::process::id().to_string();
    processes
        .filter_map(|line| {
            let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace();
            let (state, parent, group) = (fields.next()?, fields.next()?, fields.next()?);
            (parent == me).then(|| (state.to_owned(), group.to_owned()))
        })
        .collect()
}

/// `/proc` cannot be waited for, hence the polling.
async fn no_child_is_left() {
    soon(async {
        while !children().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

async fn text(lines: &mut Lines) -> String {
    let line = soon(lines.next()).await.expect("no line any more");
    line.text().to_owned()
}

#[actix::test]
async fn orphans_that_the_program_inherits_are_killed_and_reaped() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();

    // Killed at the stop timeout, with a child and a grandchild.
    let script = "trap '' TERM; sh -c 'sleep 60 & echo up; wait' & wait";
    let command = Command::new("sh").args(["-c", script]);
    let mut lines = command.lines();
    let spec = command.service("stubborn");
    let spec = spec.shutdown(Shutdown::Timeout(Duration::from_millis(50)));
    let service = root.add(spec).await.unwrap();
    assert_eq!(text(&mut lines).await, "up");
    let reason = soon(root.remove(service.token())).await;
    assert_eq!(reason, Ok(ExitReason::Killed(KillCause::StopTimeout)));
    no_child_is_left().await;

    // Left behind by a process that ends by itself.
    let script = "sleep 60 & sleep 60 & echo up";
    let command = Command::new("sh").args(["-c", script]);
    let mut lines = command.lines();
    let spec = command.service("parent").restart(RestartType::Temporary);
    root.add(spec).await.unwrap();
    assert_eq!(text(&mut lines).await, "up");
    no_child_is_left().await;
    root.shutdown().await.unwrap();
}
