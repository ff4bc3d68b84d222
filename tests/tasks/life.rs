//! How the function of a task is called, becomes ready and ends. In paused time.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use actix::Arbiter;
use resurgam::{
    EventKind, ExitReason, Placement, Readiness, RestartType, ServiceError, ServiceRef,
    ServiceSpec, ServiceState, StartError, TaskActor, TaskContext, Verdict,
};
use tokio::{
    sync::{Notify, mpsc},
    time,
};

use crate::support::{AnyError, event, idle, names, removed, root, soon, wait_for_stop};

#[actix::test]
async fn task_is_ready_when_it_is_started_and_saying_so_is_harmless() {
    time::pause();
    let root = root().await;
    let mut events = root.events();
    let task = ServiceSpec::task("task", |cx: TaskContext| {
        cx.ready(); // before it is started
        async move {
            cx.ready();
            cx.ready();
            cx.shutdown().await;
            cx.ready(); // too late
            Ok::<_, io::Error>(())
        }
    });
    let task = root.add_and_wait(task).await.unwrap();
    let state = root.services().await.unwrap()[0].state();
    assert_eq!(state, ServiceState::Ready);
    assert_eq!(root.remove(task.token()).await, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
    let mut ready = 0;
    while let Some(event) = events.next().await {
        ready += usize::from(matches!(event.kind(), EventKind::ServiceReady));
    }
    assert_eq!(ready, 1);
}

#[actix::test]
async fn task_under_explicit_readiness_is_ready_when_it_says_so() {
    time::pause();
    let root = root().await;
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            cx.ready();
            wait_for_stop(cx).await
        }
    })
    .readiness(Readiness::Explicit);
    let mut events = root.events();
    root.add(task).await.unwrap();
    event(&mut events, "root/task", |kind| {
        matches!(kind, EventKind::ServiceStarted)
    })
    .await;
    let state = root.services().await.unwrap()[0].state();
    assert_eq!(state, ServiceState::Starting);
    go.notify_one();
    let ready: ServiceRef<TaskActor> = soon(root.when_ready("root/task")).await.unwrap();
    assert_eq!(ready.path(), "root/task");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn return_before_ready_under_explicit_readiness_declines_or_fails_the_start() {
    time::pause();
    let root = root().await;
    let early = ServiceSpec::task("early", |_| async { Ok::<_, io::Error>(()) })
        .readiness(Readiness::Explicit);
    let failed = root.add_and_wait(early).await.unwrap_err();
    assert!(
        matches!(&failed, StartError::Declined { path, .. } if &**path == "root/early"),
        "{failed:?}"
    );
    let broken = ServiceSpec::task("broken", |_| async { Err::<(), _>("no socket") })
        .readiness(Readiness::Explicit);
    let failed = root.add_and_wait(broken).await.unwrap_err();
    let StartError::Failed { reason, .. } = failed else {
        panic!("{failed}");
    };
    assert_eq!(reason.to_string(), "failed: no socket");
    assert!(names(&root).await.is_empty());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn start_timeout_drops_a_task_that_does_not_become_ready() {
    time::pause();
    let root = root().await;
    let slow = idle("slow")
        .readiness(Readiness::Explicit)
        .start_timeout(Duration::from_secs(3));
    let before = time::Instant::now();
    let failed = root.add_and_wait(slow).await.unwrap_err();
    let StartError::Failed { reason, .. } = failed else {
        panic!("{failed}");
    };
    assert_eq!(reason.to_string(), "killed: start timeout");
    assert!(before.elapsed() >= Duration::from_secs(3));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn task_that_returns_ends_as_it_returns() {
    time::pause();
    let root = root().await;
    let mut events = root.events();
    let run = async |spec: ServiceSpec<TaskActor>| {
        let task = root
            .add(spec.restart(RestartType::Temporary))
            .await
            .unwrap();
        task.path().to_owned()
    };
    let path = run(ServiceSpec::task("fine", |_| async {
        Ok::<_, io::Error>(())
    }))
    .await;
    assert_eq!(removed(&mut events, &path).await, "normal");
    let path = run(ServiceSpec::task("fails", |_| async {
        Err::<(), _>(io::Error::other("disk full"))
    }))
    .await;
    assert_eq!(removed(&mut events, &path).await, "failed: disk full");
    let path = run(ServiceSpec::task("panics", |_| async {
        assert!(!always(), "on purpose");
        Ok::<_, io::Error>(())
    }))
    .await;
    let reason = removed(&mut events, &path).await;
    assert!(
        reason.starts_with("panicked at tests/tasks/life.rs:"),
        "{reason}"
    );
    assert!(reason.ends_with(": on purpose"), "{reason}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn panic_in_the_call_of_the_function_is_a_failed_start() {
    time::pause();
    let root = root().await;
    let kept = Arc::new(std::sync::Mutex::new(None));
    let keep = Arc::clone(&kept);
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        *keep.lock().unwrap() = Some(cx);
        assert!(!always(), "in the call");
        async { Ok::<_, io::Error>(()) }
    });
    let failed = root.add_and_wait(task).await.unwrap_err();
    let StartError::Failed { reason, .. } = failed else {
        panic!("{failed}");
    };
    assert!(reason.to_string().ends_with("in the call"), "{reason}");
    let cx = kept
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .take()
        .unwrap();
    assert!(cx.is_killed());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn permanent_task_that_fails_is_called_again_with_the_next_generation() {
    time::pause();
    let root = root().await;
    let (seen, mut generations) = mpsc::unbounded_channel();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let seen = seen.clone();
        async move {
            seen.send(cx.generation()).unwrap();
            match cx.generation() {
                0 => Err(AnyError::from("first")),
                1 => panic!("second"),
                2 => Ok(()),
                _ => wait_for_stop(cx).await,
            }
        }
    });
    root.add(task).await.unwrap();
    for generation in 0..4 {
        assert_eq!(soon(generations.recv()).await, Some(generation));
    }
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn verdict_in_the_error_of_a_task_decides() {
    time::pause();
    let root = root().await;
    let mut events = root.events();
    let task = ServiceSpec::task("task", |_| async {
        Err::<(), _>(io::Error::other(Verdict::Uninstall))
    });
    root.add(task).await.unwrap();
    removed(&mut events, "root/task").await;
    assert!(names(&root).await.is_empty());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn error_of_a_task_is_found_by_its_type() {
    time::pause();
    let root = root().await;
    let task = ServiceSpec::task("task", |_| async {
        Err::<(), _>(io::Error::from(io::ErrorKind::AddrInUse))
    });
    let task = task.readiness(Readiness::Explicit);
    let error = root.add_and_wait(task).await.unwrap_err();
    let StartError::Failed { reason, .. } = &error else {
        panic!("{error}");
    };
    let found: Option<&io::Error> = reason.error().and_then(ServiceError::downcast_ref);
    assert_eq!(
        found.map(io::Error::kind),
        Some(io::ErrorKind::AddrInUse),
        "{error:?}"
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn context_says_who_and_where_the_task_is() {
    time::pause();
    let root = root().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let tell = tell.clone();
        async move {
            let supervisor = cx.supervisor();
            let services = supervisor.services().await?;
            assert_eq!(services[0].token(), cx.token());
            let names = format!("{} {} {}", cx.name(), cx.path(), supervisor.path());
            tell.send((cx.token(), names))?;
            wait_for_stop(cx).await
        }
    });
    let task = root.add(task).await.unwrap();
    let (token, names) = soon(told.recv()).await.unwrap();
    assert_eq!(token, task.token());
    assert_eq!(names, "task root/task root");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn task_starts_when_what_it_requires_is_ready_and_gets_its_reference() {
    time::pause();
    let root = root().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let tell = tell.clone();
        async move {
            let db = cx.get::<TaskActor>("db")?;
            assert!(cx.get::<TaskActor>("cache").is_err());
            tell.send(db.path().to_owned())?;
            wait_for_stop(cx).await
        }
    });
    root.add(task.requires("db")).await.unwrap();
    root.add(idle("db")).await.unwrap();
    assert_eq!(soon(told.recv()).await.as_deref(), Some("root/db"));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn future_of_a_task_need_not_be_send_wherever_it_runs() {
    let root = root().await;
    let arbiter = Arbiter::new();
    let places = [
        Placement::Inherit,
        Placement::Pool,
        Placement::Dedicated,
        Placement::Arbiter(arbiter.handle()),
    ];
    for (number, place) in places.into_iter().enumerate() {
        let (tell, mut told) = mpsc::unbounded_channel();
        let task = ServiceSpec::task(format!("task{number}"), move |cx: TaskContext| {
            let tell = tell.clone();
            async move {
                let here = Rc::new(number);
                let local = Rc::clone(&here);
                let spawned = actix::spawn(async move { *local + 1 }).await?;
                tell.send(spawned + *here)?;
                wait_for_stop(cx).await
            }
        });
        let task = root.add(task.placement(place)).await.unwrap();
        assert_eq!(soon(told.recv()).await, Some(2 * number + 1));
        assert_eq!(root.remove(task.token()).await, Ok(ExitReason::Shutdown));
    }
    root.shutdown().await.unwrap();
    arbiter.stop();
}

#[actix::test]
async fn context_of_an_earlier_incarnation_says_nothing_about_a_later_one() {
    time::pause();
    let root = root().await;
    let kept = Arc::new(std::sync::Mutex::new(Vec::<TaskContext>::new()));
    let keep = Arc::clone(&kept);
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        keep.lock().unwrap().push(cx.clone());
        async move {
            if cx.generation() == 0 {
                return Err(AnyError::from("early"));
            }
            wait_for_stop(cx).await
        }
    })
    .readiness(Readiness::Explicit);
    let mut events = root.events();
    root.add(task).await.unwrap();
    event(&mut events, "root/task", |kind| {
        matches!(kind, EventKind::ServiceStartFailed { .. })
    })
    .await;
    event(&mut events, "root/task", |kind| {
        matches!(kind, EventKind::ServiceStarted)
    })
    .await;
    let first = kept.lock().unwrap()[0].clone();
    assert!(first.is_killed() && first.is_stopping());
    first.ready();
    root.counts().await.unwrap(); // queues behind the notice
    let state = root.services().await.unwrap()[0].state();
    assert_eq!(state, ServiceState::Starting);
    let second = kept.lock().unwrap()[1].clone();
    assert!(!second.is_killed() && !second.is_stopping());
    second.ready();
    let ready = soon(root.when_ready::<TaskActor>("root/task")).await;
    assert!(ready.is_ok(), "{ready:?}");
    root.shutdown().await.unwrap();
}

/// Not a constant: what follows it is not dead code.
fn always() -> bool {
    std::hint::black_box(true)
}
