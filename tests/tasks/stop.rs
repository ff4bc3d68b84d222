//! How a task is stopped. In paused time, but for sockets.

use std::{io, time::Duration};

use resurgam::{ExitReason, KillCause, ServiceSpec, Shutdown, SupervisorActor, TaskContext};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time,
};

use crate::support::{AnyError, Log, Tracer, root, soon};

#[actix::test]
async fn shutdown_resolves_while_the_function_still_does_its_io() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let root = root().await;
    let client = ServiceSpec::task("client", move |cx: TaskContext| async move {
        let mut stream = TcpStream::connect(at).await?;
        cx.shutdown().await;
        stream.write_all(b"bye").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        if answer != "farewell" {
            return Err(AnyError::from(answer));
        }
        Ok(())
    });
    let client = root.add(client).await.unwrap();
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    let removal = root.remove(client.token());
    let peer = async {
        let mut request = [0; 3];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"bye");
        stream.write_all(b"farewell").await.unwrap();
        drop(stream);
    };
    let (reason, ()) = soon(async { tokio::join!(removal, peer) }).await;
    assert_eq!(reason, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn task_that_never_looks_is_dropped_at_its_stop_timeout() {
    time::pause();
    let (root, log) = (root().await, Log::default());
    let notes = log.clone();
    let task = ServiceSpec::task("deaf", move |_| {
        let held = Tracer(notes.clone(), "future");
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok::<_, io::Error>(())
        }
    })
    .shutdown(Shutdown::Timeout(Duration::from_secs(7)));
    let task = root.add_and_wait(task).await.unwrap();
    let before = time::Instant::now();
    let killed = ExitReason::Killed(KillCause::StopTimeout);
    assert_eq!(root.remove(task.token()).await, Ok(killed));
    let took = before.elapsed().as_secs_f64();
    assert!((7.0..7.1).contains(&took), "{took}");
    assert_eq!(log.lines(), ["future dropped"]);
    root.shutdown().await.unwrap();
}

/// Panics when it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("in the drop");
    }
}

#[actix::test]
async fn task_whose_drop_panics_is_gone_all_the_same() {
    time::pause();
    let root = root().await;
    let held = |wait: bool| {
        ServiceSpec::task("task", move |cx: TaskContext| async move {
            let grenade = Grenade;
            cx.shutdown().await;
            if wait {
                std::future::pending::<()>().await;
            }
            drop(grenade);
            Ok::<_, io::Error>(())
        })
    };
    let task = root.add_and_wait(held(true)).await.unwrap();
    let killed = ExitReason::Killed(KillCause::StopTimeout);
    assert_eq!(root.remove(task.token()).await, Ok(killed));
    let task = root.add_and_wait(held(false)).await.unwrap();
    let panicked = root.remove(task.token()).await.unwrap();
    assert!(panicked.to_string().ends_with("in the drop"), "{panicked}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn what_outlives_a_task_learns_that_it_was_killed() {
    time::pause();
    let root = root().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let tell = tell.clone();
        async move {
            let (shutdown, killed) = (cx.shutdown(), cx.killed());
            tokio::spawn(async move {
                shutdown.await;
                tell.send("stopping").unwrap();
                killed.await;
                tell.send("killed").unwrap();
            });
            std::future::pending::<io::Result<()>>().await
        }
    })
    .shutdown(Shutdown::BrutalKill);
    let task = root.add_and_wait(task).await.unwrap();
    root.remove(task.token()).await.unwrap();
    assert_eq!(soon(told.recv()).await, Some("stopping"));
    assert_eq!(soon(told.recv()).await, Some("killed"));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn error_after_the_request_to_stop_is_reported_and_nothing_is_restarted() {
    time::pause();
    let root = root().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let tell = tell.clone();
        async move {
            tell.send(cx.generation()).unwrap();
            cx.shutdown().await;
            Err::<(), _>(io::Error::other("could not flush"))
        }
    });
    root.add_and_wait(task).await.unwrap();
    let report = root.shutdown().await.unwrap();
    assert_eq!(report.to_string(), "root/task: failed: could not flush");
    root.join().await.unwrap();
    drop(root);
    assert_eq!(told.recv().await, Some(0));
    assert_eq!(told.recv().await, None);
}

#[actix::test]
async fn prompt_tasks_end_in_reverse_start_order() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    for name in ["a", "b", "c", "d"] {
        let log = log.clone();
        root.add(ServiceSpec::task(name, move |cx: TaskContext| {
            let log = log.clone();
            async move {
                cx.shutdown().await;
                log.write(cx.name());
                Ok::<_, io::Error>(())
            }
        }))
        .unwrap();
    }
    let root = root.start().await.unwrap();
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(log.lines(), ["d", "c", "b", "a"]);
}

#[actix::test]
async fn tasks_that_need_time_to_stop_need_it_at_the_same_time() {
    time::pause();
    let root = root().await;
    for number in 0..10 {
        root.add_and_wait(ServiceSpec::task(format!("slow{number}"), {
            |cx: TaskContext| async move {
                cx.shutdown().await;
                time::sleep(Duration::from_secs(5)).await;
                Ok::<_, io::Error>(())
            }
        }))
        .await
        .unwrap();
    }
    let before = time::Instant::now();
    assert!(root.shutdown().await.unwrap().is_clean());
    let took = before.elapsed().as_secs_f64();
    assert!((5.0..5.05).contains(&took), "{took}");
}

#[actix::test]
async fn task_is_stopped_before_what_it_requires() {
    time::pause();
    let (root, log) = (root().await, Log::default());
    let slow = |name: &'static str| {
        let log = log.clone();
        ServiceSpec::task(name, move |cx: TaskContext| {
            let log = log.clone();
            async move {
                cx.shutdown().await;
                log.write(format!("{name} asked"));
                time::sleep(Duration::from_secs(1)).await;
                log.write(format!("{name} ends"));
                Ok::<_, io::Error>(())
            }
        })
    };
    root.add_and_wait(slow("db")).await.unwrap();
    root.add_and_wait(slow("api").requires("db")).await.unwrap();
    assert!(root.shutdown().await.unwrap().is_clean());
    let order = ["api asked", "api ends", "db asked", "db ends"];
    assert_eq!(log.lines(), order);
}

#[actix::test]
async fn work_that_is_done_when_the_stop_comes_is_not_lost() {
    time::pause();
    let root = root().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let tell = tell.clone();
        async move {
            let long = cx.run_until_shutdown(std::future::pending::<&str>());
            tell.send(long.await)?;
            // Asked to stop by now: what is ready comes first, what is not is dropped.
            let done = std::future::ready("done");
            tell.send(cx.run_until_shutdown(done).await)?;
            let never = std::future::pending();
            let cleaned = cx.run_until_shutdown_or(never, || async { "cleaned up" });
            tell.send(Some(cleaned.await))?;
            let done = std::future::ready("error");
            let kept = cx.run_until_shutdown_or(done, || async { "cleaned up" });
            tell.send(Some(kept.await))?;
            Ok::<_, AnyError>(())
        }
    });
    let task = root.add_and_wait(task).await.unwrap();
    assert_eq!(root.remove(task.token()).await, Ok(ExitReason::Shutdown));
    assert_eq!(told.recv().await, Some(None));
    assert_eq!(told.recv().await, Some(Some("done")));
    assert_eq!(told.recv().await, Some(Some("cleaned up")));
    assert_eq!(told.recv().await, Some(Some("error")));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn clean_up_runs_after_the_work_was_dropped_and_its_result_counts() {
    time::pause();
    let (root, log) = (root().await, Log::default());
    let notes = log.clone();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let log = notes.clone();
        async move {
            let held = Tracer(log.clone(), "work");
            let work = async move {
                std::future::pending::<()>().await;
                drop(held);
                Ok::<_, AnyError>(())
            };
            let clean_up = || async move {
                time::sleep(Duration::from_millis(10)).await;
                log.write("cleaned up");
                Err("aborted".into())
            };
            cx.run_until_shutdown_or(work, clean_up).await
        }
    });
    root.add_and_wait(task).await.unwrap();
    let report = root.shutdown().await.unwrap();
    assert_eq!(report.to_string(), "root/task: failed: aborted");
    assert_eq!(log.lines(), ["work dropped", "cleaned up"]);
}
