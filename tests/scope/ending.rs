//! How a scope ends, and what it waits for.

use std::{future::pending, time::Duration};

use actix::Actor;
use resurgam::{
    ExitReason, KillCause, ServiceContext, ServiceSpec, Shutdown, TaskActor, TaskContext, Verdict,
    scope::{Scope, ScopeError, ScopeSpec},
};
use tokio::{
    sync::oneshot,
    time::{self, Instant},
};

use crate::support::{AnyError, Boom, Log, Tracer, blame, idle_after, member, quiet, soon};

#[actix::test]
async fn scope_that_is_stopped_gives_the_value_that_its_work_returns_then() {
    time::pause();
    let run = Scope::run("s", |scope| async move {
        let stopper = scope.clone();
        scope
            .spawn(|_| async move {
                stopper.stop();
                Ok::<_, Boom>(())
            })
            .await?;
        assert_eq!(scope.run_until_ending(pending::<()>()).await, None);
        assert_eq!(scope.run_until_ending(async { 7 }).await, Some(7));
        Ok::<_, AnyError>("in time")
    });
    assert_eq!(soon(run).await.unwrap(), "in time");
}

#[actix::test]
async fn everybody_is_told_of_the_end_at_once() {
    time::pause();
    let (tell, told) = oneshot::channel();
    let result = idle_after(|scope| async move {
        // This one and the work are asked last, since the one that requires them takes its time.
        let early = scope.clone();
        let early = scope.spawn_named("early", |_| async move {
            early.ending().await;
            tell.send(Instant::now()).unwrap();
            Ok::<_, Boom>(())
        });
        early.await?;
        let slow = scope.spawn_named("slow", |cx| async move {
            cx.shutdown().await;
            time::sleep(Duration::from_secs(5)).await;
            Ok::<_, Boom>(())
        });
        slow.spec(|spec| spec.requires("work").requires("early"))
            .await?;
        scope
            .spawn(|_| async {
                time::sleep(Duration::from_secs(1)).await;
                Err(Boom("late"))
            })
            .await?;
        Ok(())
    });
    let begun = Instant::now();
    assert_eq!(blame(result.await).1, "failed: late");
    assert_eq!((told.await.unwrap() - begun).as_secs(), 1);
    assert_eq!(begun.elapsed().as_secs(), 6);
}

#[actix::test]
async fn scope_is_ending_as_soon_as_it_was_told_to() {
    time::pause();
    for error in [None, Some(Boom("told"))] {
        let expected = error.clone();
        let result = idle_after(|scope| async move {
            assert!(!scope.is_ending());
            match error {
                Some(error) => scope.fail(error),
                None => scope.stop(),
            }
            assert!(scope.is_ending());
            Ok(())
        });
        let error = result.await.err();
        assert_eq!(error.as_ref().and_then(ScopeError::find), expected.as_ref());
    }
}

#[actix::test]
async fn member_that_ignores_the_stop_is_dropped_in_time_and_is_an_error() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let spec = ScopeSpec::new("s").shutdown_timeout(Duration::from_secs(2));
    let run = spec.run(|scope| async move {
        scope
            .spawn_named("deaf", |_| async move {
                let _trace = Tracer(writes, "deaf");
                pending::<Result<(), Boom>>().await
            })
            .await?;
        quiet().await;
        Ok::<_, AnyError>(())
    });
    let begun = Instant::now();
    let error = soon(run).await.unwrap_err();
    let ScopeError::Member { member, reason, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(&*member, "s/deaf");
    assert_eq!(reason, ExitReason::Killed(KillCause::StopTimeout));
    assert_eq!(begun.elapsed().as_secs(), 2);
    assert_eq!(log.lines(), ["deaf dropped"]);
}

#[actix::test]
async fn future_that_may_be_dropped_at_once_is_and_that_is_no_error() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let run = Scope::run("s", |scope| async move {
        scope
            .spawn(|_| async move {
                let _trace = Tracer(writes, "deaf");
                pending::<Result<(), Boom>>().await
            })
            .spec(|spec| spec.shutdown(Shutdown::BrutalKill))
            .await?;
        quiet().await;
        Ok::<_, AnyError>(())
    });
    let begun = Instant::now();
    soon(run).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 0);
    assert_eq!(log.lines(), ["deaf dropped"]);
}

/// A member that removes the work of its scope.
async fn remove_work(cx: TaskContext) -> Result<(), AnyError> {
    let root = cx.supervisor();
    let work = root.lookup::<TaskActor>("s/work").await?;
    root.remove(work.token()).await?;
    cx.shutdown().await;
    Ok(())
}

#[actix::test]
async fn scope_whose_work_is_removed_ends() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let run = Scope::run("s", |scope| async move {
        scope.add(member("a", &writes, Ok(()))).await?;
        scope.spawn(remove_work).await?;
        scope.ending().await;
        Ok::<_, AnyError>("told")
    });
    assert_eq!(soon(run).await.unwrap(), "told");
    assert_eq!(log.lines(), ["a stops", "a dropped"]);
}

#[actix::test]
async fn work_that_may_be_dropped_at_once_is_and_leaves_no_value() {
    time::pause();
    let log = Log::default();
    for removed in [true, false] {
        let writes = log.clone();
        let spec = ScopeSpec::new("s").work_spec(|work| work.shutdown(Shutdown::BrutalKill));
        let run = spec.run(move |scope| async move {
            let _trace = Tracer(writes.clone(), "work");
            scope.add(member("a", &writes, Ok(()))).await?;
            if removed {
                scope.spawn(remove_work).await?;
            } else {
                scope.stop();
            }
            pending::<Result<(), AnyError>>().await
        });
        let begun = Instant::now();
        let error = soon(run).await.unwrap_err();
        assert!(matches!(error, ScopeError::Stopped { .. }), "{error:?}");
        assert_eq!(begun.elapsed().as_secs(), 0);
    }
    assert_eq!(log.lines().len(), 6);
}

#[actix::test]
async fn work_that_ignores_the_end_is_dropped_at_its_stop_timeout() {
    time::pause();
    let result = Scope::run("s", |scope| async move {
        scope.spawn(|_| async { Err(Boom("first")) }).await?;
        pending::<Result<(), AnyError>>().await
    });
    let begun = Instant::now();
    assert_eq!(blame(soon(result).await).1, "failed: first");
    assert_eq!(begun.elapsed().as_secs(), 10);
}

/// A member that asks for the end of its scope.
struct Last;

impl Actor for Last {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.exit(Verdict::TerminateTree { propagate: false });
    }
}

#[actix::test]
async fn member_may_ask_for_the_end_without_an_error() {
    time::pause();
    let result = idle_after(|scope| async move {
        scope.add(ServiceSpec::new("last", || Last)).await?;
        Ok(())
    });
    result.await.unwrap();
}

#[actix::test]
async fn end_may_be_awaited_by_several_and_again() {
    time::pause();
    let (tell, told) = oneshot::channel();
    let run = actix::spawn(idle_after(|scope| async move {
        tell.send(scope).unwrap();
        Ok(())
    }));
    let scope = soon(told).await.unwrap();
    // A wait that is given up harms nobody.
    let early = time::timeout(Duration::from_secs(1), scope.join()).await;
    assert!(early.is_err());
    scope.fail(Boom("told"));
    let (one, two) = tokio::join!(scope.join(), scope.join());
    assert_eq!(blame(one), blame(two));
    assert_eq!(blame(scope.join().await), ("s".into(), "told".into()));
    assert_eq!(blame(soon(run).await.unwrap()).1, "told");
}

#[actix::test]
async fn member_that_waits_for_its_own_scope_is_dropped_at_its_stop_timeout() {
    time::pause();
    let result = idle_after(|scope| async move {
        let waits = scope.clone();
        let waits = scope.spawn_named("waits", |_| async move { waits.join().await });
        waits.await?;
        scope.stop();
        Ok(())
    });
    let begun = Instant::now();
    assert_eq!(
        blame(result.await),
        ("s/waits".into(), "killed: stop timeout".into())
    );
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[test]
fn scope_whose_system_stops_says_that_it_was_dropped() {
    let (tell, told) = oneshot::channel();
    actix::System::new().block_on(async {
        actix::spawn(idle_after(|scope| async move {
            tell.send(scope).unwrap();
            Ok(())
        }));
        quiet().await;
    });
    let scope: Scope = futures::executor::block_on(told).unwrap();
    let error = futures::executor::block_on(scope.join()).unwrap_err();
    assert!(matches!(error, ScopeError::Dropped { .. }), "{error:?}");
    assert!(scope.is_ending());
}
