//! What a program exits with that no signal ends. For those that one does see the tests of tasks.

use std::{process::ExitCode, time::Duration};

use actix::prelude::*;
use futures::{FutureExt, executor::block_on};
use resurgam::{
    RestartType, ServiceSpec, Shutdown, SupervisorActor, SupervisorSpec, TaskActor, TaskContext,
};
use tokio::time;

use crate::support::{patiently, plain};

fn is(code: ExitCode, wanted: ExitCode) -> bool {
    // There is no other way to compare them.
    format!("{code:?}") == format!("{wanted:?}")
}

/// What a service does, and what the program exits with whose other service has the tree end.
async fn code_of(task: ServiceSpec<TaskActor>, spec: SupervisorSpec) -> ExitCode {
    let mut root = SupervisorActor::new("root", spec);
    root.add(task).unwrap();
    root.add(ServiceSpec::task("last", |cx: TaskContext| async move {
        time::sleep(Duration::from_secs(1)).await;
        // Nobody has to wait for that end: this one is stopped by it.
        let root = cx.supervisor();
        actix_rt::spawn(async move { root.shutdown().await });
        cx.shutdown().await;
    }))
    .unwrap();
    patiently(root.run(), "run").await
}

/// Fails when it is asked to stop, or does not stop at all.
fn ends(how: &'static str) -> ServiceSpec<TaskActor> {
    let task = ServiceSpec::task("task", move |cx: TaskContext| async move {
        cx.shutdown().await;
        if how == "never" {
            std::future::pending::<()>().await;
        }
        Err::<(), _>(how)
    });
    task.shutdown(Shutdown::Timeout(Duration::from_secs(5)))
}

#[actix::test]
async fn program_that_is_shut_down_exits_with_what_came_of_that() {
    time::pause();
    let fatal = || SupervisorSpec::default().fatal(|error| error.to_string() == "not saved");
    for (how, code) in [
        ("no answer", ExitCode::SUCCESS),
        ("not saved", ExitCode::FAILURE),
        ("never", ExitCode::FAILURE),
    ] {
        assert!(is(code_of(ends(how), fatal()).await, code), "{how}");
    }
}

#[actix::test]
async fn program_whose_start_fails_exits_with_one() {
    let mut root = SupervisorActor::with_defaults("root");
    root.add(plain("a")).unwrap();
    let failing = ServiceSpec::task("failing", |_: TaskContext| async { Err::<(), _>("no") });
    let failing = failing.readiness(resurgam::Readiness::Explicit);
    root.add(failing.restart(RestartType::Temporary)).unwrap();
    assert!(is(patiently(root.run(), "run").await, ExitCode::FAILURE));
}

#[test]
fn program_without_a_system_exits_with_one() {
    let root = SupervisorActor::with_defaults("root");
    assert!(is(block_on(root.run()), ExitCode::FAILURE));
}

#[test]
fn program_whose_system_is_stopped_under_it_exits_with_one() {
    let system = System::new();
    let root = system.block_on(async {
        let mut root = SupervisorActor::with_defaults("root");
        root.add(plain("a")).unwrap();
        root.start().await.unwrap()
    });
    System::current().stop();
    drop(system);
    assert!(is(block_on(root.run_until_signal()), ExitCode::FAILURE));
}

#[actix::test]
async fn program_that_has_ended_already_says_how() {
    let mut root = SupervisorActor::with_defaults("root");
    root.add(plain("a")).unwrap();
    let root = root.start().await.unwrap();
    root.shutdown().await.unwrap();
    let code = root.run_until_signal().now_or_never().unwrap();
    assert!(is(code, ExitCode::SUCCESS));
    let root = SupervisorActor::new("root", SupervisorSpec::default().fatal(|_| true));
    let root = root.start().await.unwrap();
    let failing = ServiceSpec::task("failing", |_: TaskContext| async { Err::<(), _>("no") });
    root.add(failing).await.unwrap();
    patiently(root.join(), "join").await.unwrap_err();
    let code = root.run_until_signal().now_or_never().unwrap();
    assert!(is(code, ExitCode::FAILURE));
}
