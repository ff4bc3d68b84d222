//! What the functions of services may return: nothing, a result, or never anything. In paused time, but for those that block.

use std::{future::pending, thread, time::Duration};

use resurgam::{
    AddError, ExitReason, Readiness, RestartType, ServiceError, ServiceSpec, StartError,
    TaskContext, scope::Scope,
};
use tokio::time;

use crate::support::{removed, root};

#[actix::test]
async fn task_without_a_result_ends_normally_or_because_it_was_asked_to() {
    time::pause();
    let root = root().await;
    let mut events = root.events();
    let short = ServiceSpec::task("short", |_: TaskContext| async {});
    root.add(short.restart(RestartType::Temporary))
        .await
        .unwrap();
    assert_eq!(removed(&mut events, "root/short").await, "normal");
    let long = ServiceSpec::task("long", |cx: TaskContext| async move { cx.shutdown().await });
    let long = root.add_and_wait(long).await.unwrap();
    assert_eq!(root.remove(&long).await, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn task_may_have_no_end() {
    time::pause();
    let root = root().await;
    let beats = ServiceSpec::task("beats", |cx: TaskContext| async move {
        let _alive = cx.run_until_shutdown(pending::<()>()).await;
        loop {
            time::sleep(Duration::from_millis(1)).await;
        }
    });
    let beats = root.add_and_wait(beats).await.unwrap();
    root.remove(&beats).await.unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn spawned_functions_and_those_of_scopes_need_no_result() {
    time::pause();
    let root = root().await;
    let parent = ServiceSpec::task("parent", |cx: TaskContext| async move {
        cx.spawn(|cx| async move { cx.shutdown().await }).await?;
        cx.spawn_named("x", |cx| async move { cx.shutdown().await })
            .await?;
        cx.ready();
        cx.shutdown().await;
        Ok::<_, AddError>(())
    });
    root.add_and_wait(parent).await.unwrap();
    let scope = ServiceSpec::scope("scope", |scope: Scope| async move {
        let one = scope.spawn(|cx| async move { cx.shutdown().await }).await;
        assert_eq!(one.unwrap().path(), "root/scope/task[1]");
        scope.ending().await;
    });
    root.add_and_wait(scope).await.unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn function_that_panics_is_a_panic_whatever_it_returns() {
    time::pause();
    let root = root().await;
    let never = ServiceSpec::task("never", |_: TaskContext| async { panic!("on purpose") });
    let error = root.add_and_wait(never.readiness(Readiness::Explicit));
    let error = error.await.unwrap_err();
    assert!(
        matches!(&error, StartError::Failed { reason: ExitReason::Panicked { message, .. }, .. } if message == "on purpose"),
        "{error:?}"
    );
    root.shutdown().await.unwrap();
}

/// Without a type that anybody would have to write, wherever a function is taken: it compiles, and is refused while there is no name.
#[actix::test]
async fn function_without_an_end_needs_no_type_anywhere() {
    time::pause();
    let root = root().await;
    let tick = || time::sleep(Duration::from_secs(1));
    let task = ServiceSpec::task("", move |_: TaskContext| async move {
        loop {
            tick().await;
        }
    });
    assert!(root.add(task).await.is_err());
    let scope = ServiceSpec::scope("", move |_: Scope| async move {
        loop {
            tick().await;
        }
    });
    assert!(root.add(scope).await.is_err());
    let blocking = ServiceSpec::blocking("", |_| {
        loop {
            thread::yield_now();
        }
    });
    assert!(root.add(blocking).await.is_err());
    let fails = ServiceSpec::task("", |_: TaskContext| async {
        Err::<(), _>(ServiceError::new("told to"))?;
        Ok::<_, ServiceError>(())
    });
    assert!(root.add(fails).await.is_err());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn blocking_function_needs_no_result() {
    let root = root().await;
    let blocking = ServiceSpec::blocking("blocking", |cx| {
        while !cx.is_stopping() {
            thread::yield_now();
        }
    });
    let blocking = root.add_and_wait(blocking).await.unwrap();
    assert_eq!(root.remove(&blocking).await, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
}
