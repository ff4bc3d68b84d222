//! Work that blocks, in a task and as a service. In real time: threads are involved.

use std::{
    io,
    sync::{Arc, Mutex, mpsc as blocking},
    thread,
    time::Duration,
};

use resurgam::{
    BlockingError, EventKind, ExitReason, KillCause, Readiness, RestartType, ServiceSpec,
    ServiceState, Shutdown, TaskActor, TaskContext,
};
use tokio::sync::mpsc;

use crate::support::{AnyError, event, idle, removed, root, soon, wait_for_stop};

/// What a blocking function waits for, until the test says more.
type Gate = Arc<Mutex<blocking::Receiver<()>>>;

fn gate() -> (blocking::Sender<()>, Gate) {
    let (open, wait) = blocking::channel();
    (open, Arc::new(Mutex::new(wait)))
}

fn pass(gate: &Gate) {
    let wait = gate.lock().unwrap();
    wait.recv_timeout(Duration::from_secs(20)).unwrap();
}

#[actix::test]
async fn blocking_work_runs_on_another_thread_and_gives_its_result() {
    let root = root().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let here = thread::current().id();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let tell = tell.clone();
        async move {
            let there = cx.run_blocking(|| thread::current().id()).await?;
            let failed: Result<(), &str> = cx.run_blocking(|| Err("its own error")).await?;
            tell.send((there, failed))?;
            wait_for_stop(cx).await
        }
    });
    root.add(task).await.unwrap();
    let (there, failed) = soon(told.recv()).await.unwrap();
    assert_ne!(there, here);
    assert_eq!(failed, Err("its own error"));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn panic_in_awaited_blocking_work_is_a_panic_of_the_service() {
    let root = root().await;
    let mut events = root.events();
    let task = ServiceSpec::task("task", |cx: TaskContext| async move {
        let lost = cx.run_blocking(|| panic!("in the pool")).await;
        lost.map_err(AnyError::from)
    })
    .restart(RestartType::Temporary);
    root.add(task).await.unwrap();
    let reason = removed(&mut events, "root/task").await;
    assert!(
        reason.starts_with("panicked at tests/tasks/blocking.rs:"),
        "{reason}"
    );
    assert!(reason.ends_with("in the pool"), "{reason}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn panic_in_blocking_work_that_nobody_awaits_is_a_panic_of_the_service_too() {
    let root = root().await;
    let mut events = root.events();
    let (tell, mut told) = mpsc::unbounded_channel();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let tell = tell.clone();
        async move {
            if cx.generation() == 0 {
                drop(cx.run_blocking(|| panic!("unseen")));
            }
            tell.send(cx.generation())?;
            wait_for_stop(cx).await
        }
    });
    root.add(task).await.unwrap();
    event(
        &mut events,
        "root/task",
        |kind| matches!(kind, EventKind::ServicePanicked { message, .. } if message == "unseen"),
    )
    .await;
    assert_eq!(soon(told.recv()).await, Some(0));
    assert_eq!(soon(told.recv()).await, Some(1));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn helper_that_awaits_blocking_work_sees_its_panic_as_an_error() {
    let root = root().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let tell = tell.clone();
        async move {
            let helper = cx.clone();
            actix::spawn(async move {
                let seen: Result<(), _> = helper.run_blocking(|| panic!("seen")).await;
                tell.send(seen).unwrap();
            });
            wait_for_stop(cx).await
        }
    });
    let task = task.restart(RestartType::Temporary);
    root.add(task).await.unwrap();
    let seen = soon(told.recv()).await.unwrap().unwrap_err();
    let BlockingError::Panicked { reason, .. } = &seen else {
        panic!("{seen}");
    };
    assert!(reason.to_string().ends_with("seen"), "{reason}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn panic_in_blocking_work_of_an_earlier_incarnation_ends_nobody() {
    let root = root().await;
    let (open, wait) = gate();
    let (tell, mut told) = mpsc::unbounded_channel();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let (tell, wait) = (tell.clone(), Arc::clone(&wait));
        async move {
            if cx.generation() == 0 {
                let late = cx.clone();
                tell.send(cx.run_blocking(move || {
                    pass(&wait);
                    assert!(!late.is_killed(), "too late");
                }))?;
                return Err("first".into());
            }
            cx.ready();
            wait_for_stop(cx).await
        }
    });
    let task = task.readiness(Readiness::Explicit);
    let task = root.add(task).await.unwrap();
    let ready = soon(root.when_ready::<TaskActor>("root/task")).await;
    assert!(ready.is_ok(), "{ready:?}");
    open.send(()).unwrap();
    let work = soon(told.recv()).await.unwrap();
    let error = soon(work).await.unwrap_err();
    assert!(error.to_string().ends_with("too late"), "{error}");
    let service = root.services().await.unwrap()[0].clone();
    assert_eq!(service.generation(), 1);
    assert_eq!(service.state(), ServiceState::Ready);
    assert_eq!(root.remove(task.token()).await, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn blocking_work_outlives_a_stop_and_can_look_for_it() {
    let root = root().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let tell = tell.clone();
        async move {
            let look = cx.clone();
            let mut work = cx.run_blocking(move || {
                while !look.is_stopping() {
                    thread::park_timeout(Duration::from_millis(1));
                }
                "noticed"
            });
            let early = cx.run_until_shutdown(&mut work).await;
            // Either it was seen at once, or the work goes on and is awaited.
            let done = match early {
                Some(done) => done,
                None => work.await,
            };
            tell.send(done)?;
            Ok::<_, AnyError>(())
        }
    });
    let task = root.add_and_wait(task).await.unwrap();
    let reason = soon(root.remove(task.token())).await;
    assert_eq!(reason, Ok(ExitReason::Shutdown));
    assert_eq!(told.recv().await, Some(Ok("noticed")));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn blocking_service_has_a_thread_of_its_own_and_is_told_to_stop() {
    let root = root().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let service = ServiceSpec::blocking("crunch", move |cx| {
        let names = (cx.name().to_owned(), cx.path().to_owned(), cx.generation());
        let up = cx.supervisor().path().to_owned();
        tell.send((thread::current().id(), names, up)).unwrap();
        while !cx.is_stopping() {
            thread::park_timeout(Duration::from_millis(1));
        }
        Ok::<_, io::Error>(())
    });
    let beside = root.add_and_wait(idle("beside")).await.unwrap();
    let service = root.add_and_wait(service).await.unwrap();
    let (thread, names, up) = soon(told.recv()).await.unwrap();
    assert_ne!(thread, thread::current().id());
    assert_eq!(names, ("crunch".into(), "root/crunch".into(), 0));
    assert_eq!(up, "root");
    // Nobody waits for it meanwhile.
    root.restart(beside.token()).await.unwrap();
    root.restart(service.token()).await.unwrap();
    assert_eq!(soon(told.recv()).await.unwrap().1.2, 1);
    let reason = soon(root.remove(service.token())).await;
    assert_eq!(reason, Ok(ExitReason::Shutdown));
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn blocking_service_that_fails_or_panics_is_called_again() {
    let root = root().await;
    let mut events = root.events();
    let service = ServiceSpec::blocking("crunch", |cx| {
        match cx.generation() {
            0 => return Err("first"),
            1 => panic!("second"),
            _ => {}
        }
        while !cx.is_stopping() {
            thread::park_timeout(Duration::from_millis(1));
        }
        Ok(())
    });
    root.add(service).await.unwrap();
    let failed = event(&mut events, "root/crunch", |kind| {
        matches!(kind, EventKind::ServiceFailed { .. })
    });
    assert!(failed.await.to_string().contains("first"));
    event(
        &mut events,
        "root/crunch",
        |kind| matches!(kind, EventKind::ServicePanicked { message, location, .. } if message == "second" && location.contains("blocking.rs")),
    )
    .await;
    let ready = soon(root.when_ready::<TaskActor>("root/crunch")).await;
    assert!(ready.is_ok(), "{ready:?}");
    assert!(soon(root.shutdown()).await.unwrap().is_clean());
}

#[actix::test]
async fn blocking_service_under_explicit_readiness_is_ready_when_it_says_so() {
    let root = root().await;
    let (open, wait) = gate();
    let service = ServiceSpec::blocking("crunch", move |cx| {
        pass(&wait);
        cx.ready();
        while !cx.is_stopping() {
            thread::park_timeout(Duration::from_millis(1));
        }
        Ok::<_, io::Error>(())
    })
    .readiness(Readiness::Explicit);
    let mut events = root.events();
    root.add(service).await.unwrap();
    event(&mut events, "root/crunch", |kind| {
        matches!(kind, EventKind::ServiceStarted)
    })
    .await;
    let state = root.services().await.unwrap()[0].state();
    assert_eq!(state, ServiceState::Starting);
    open.send(()).unwrap();
    let ready = soon(root.when_ready::<TaskActor>("root/crunch")).await;
    assert!(ready.is_ok(), "{ready:?}");
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn blocking_service_that_does_not_return_is_abandoned_and_listed() {
    let root = root().await;
    let (open, wait) = gate();
    let service = ServiceSpec::blocking("stuck", move |_| {
        pass(&wait);
        Ok::<_, io::Error>(())
    })
    .shutdown(Shutdown::Timeout(Duration::from_millis(10)));
    root.add_and_wait(service).await.unwrap();
    let report = soon(root.shutdown()).await.unwrap();
    let paths: Vec<_> = report.unstopped().iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["root/stuck"]);
    open.send(()).unwrap();
}

#[actix::test]
async fn brutal_kill_reaches_a_blocking_service_that_looks() {
    let root = root().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let service = ServiceSpec::blocking("crunch", move |cx| {
        tell.send(()).unwrap();
        while !cx.is_stopping() {
            thread::park_timeout(Duration::from_millis(1));
        }
        Ok::<_, io::Error>(())
    })
    .shutdown(Shutdown::BrutalKill);
    let service = root.add_and_wait(service).await.unwrap();
    soon(told.recv()).await.unwrap();
    let reason = soon(root.remove(service.token())).await.unwrap();
    assert!(
        matches!(reason, ExitReason::Killed(KillCause::Requested)),
        "{reason}"
    );
    root.shutdown().await.unwrap();
}
