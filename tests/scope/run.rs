//! The life of a scope that is run for its own sake.

use std::{future::Ready, rc::Rc, time::Duration};

use resurgam::{
    AddError, EventKind, Placement, Readiness, SpecError, StartError,
    scope::{Scope, ScopeError, ScopeSpec},
};
use tokio::{
    sync::oneshot,
    time::{self, Instant},
};

use crate::support::{AnyError, Boom, Log, Tracer, blame, member, quiet, soon};

#[actix::test]
async fn value_of_the_work_is_what_a_scope_gives() {
    time::pause();
    let run = Scope::run("s", |scope| async move {
        let not_send = Rc::new(41);
        tokio::task::yield_now().await;
        assert_eq!(scope.path(), "s");
        Ok::<_, Boom>(*not_send + 1)
    });
    assert_eq!(soon(run).await.unwrap(), 42);
}

#[actix::test]
async fn return_of_the_work_stops_all_members_and_waits_for_them() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let run = Scope::run("s", |scope| async move {
        for name in ["a", "b"] {
            scope.add(member(name, &writes, Ok(()))).await?;
        }
        let slow = writes.clone();
        let slow = scope.spawn_named("slow", |cx| async move {
            cx.shutdown().await;
            time::sleep(Duration::from_secs(5)).await;
            slow.write("slow done");
            Ok::<_, Boom>(())
        });
        slow.await?;
        quiet().await;
        writes.write("work done");
        Ok::<_, AnyError>(())
    });
    let begun = Instant::now();
    soon(run).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(
        log.lines(),
        [
            "work done",
            "b stops",
            "b dropped",
            "a stops",
            "a dropped",
            "slow done"
        ]
    );
}

#[actix::test]
async fn error_of_the_work_is_the_error_of_the_scope_and_keeps_its_type() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let run = Scope::run("s", |scope| async move {
        scope.add(member("a", &writes, Ok(()))).await?;
        quiet().await;
        Err::<(), AnyError>(Boom("work").into())
    });
    let error = soon(run).await.unwrap_err();
    assert_eq!(error.path(), "s");
    assert_eq!(error.member(), Some("s/work"));
    assert_eq!(error.find::<Boom>(), Some(&Boom("work")));
    assert_eq!(
        error.to_string(),
        "service `s/work` ended scope `s`: failed: work"
    );
    assert_eq!(log.lines(), ["a stops", "a dropped"]);
}

#[actix::test]
async fn panic_of_the_work_is_an_error_with_its_message_and_place_and_stops_the_members() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let run = Scope::run("s", |scope| async move {
        scope.add(member("a", &writes, Ok(()))).await?;
        quiet().await;
        if !writes.lines().is_empty() {
            return Ok::<_, AnyError>(());
        }
        panic!("work panics");
    });
    let (who, why) = blame(soon(run).await);
    assert_eq!(who, "s/work");
    assert!(
        why.contains("work panics") && why.contains("run.rs"),
        "{why}"
    );
    assert_eq!(log.lines(), ["a stops", "a dropped"]);
}

fn no_future() -> Ready<Result<(), Boom>> {
    panic!("not even a future")
}

#[actix::test]
async fn panic_before_the_first_await_of_the_work_is_an_error_as_well() {
    time::pause();
    let run = Scope::run("s", |_| no_future());
    let (who, why) = blame(soon(run).await);
    assert_eq!(who, "s/work");
    assert!(why.contains("not even a future"), "{why}");
}

#[actix::test]
async fn initial_members_are_ready_before_the_work_and_end_with_the_scope() {
    time::pause();
    let log = Log::default();
    let (writes, works) = (log.clone(), log.clone());
    let spec = ScopeSpec::new("s").on_start(move |members| {
        members.add(member("a", &writes, Ok(())))?;
        let late = resurgam::ServiceSpec::task("late", {
            let log = writes.clone();
            move |cx: resurgam::TaskContext| {
                let log = log.clone();
                async move {
                    time::sleep(Duration::from_secs(3)).await;
                    log.write("late ready");
                    cx.ready();
                    cx.shutdown().await;
                    Ok::<_, Boom>(())
                }
            }
        });
        members.add(late.readiness(Readiness::Explicit))?;
        let cleaned = writes.clone();
        members.on_cleanup(move || cleaned.write("cleaned"));
        Ok::<_, AddError>(())
    });
    let run = spec.run(|_| async move {
        works.write("work");
        Ok::<_, Boom>(())
    });
    soon(run).await.unwrap();
    assert_eq!(
        log.lines(),
        ["late ready", "work", "a stops", "a dropped", "cleaned"]
    );
}

#[actix::test]
async fn initial_member_that_fails_to_start_ends_the_scope_and_the_work_is_never_called() {
    time::pause();
    let log = Log::default();
    let (writes, works) = (log.clone(), log.clone());
    let spec = ScopeSpec::new("s").on_start(move |members| {
        members.add(member("a", &writes, Ok(())))?;
        members.add(resurgam::ServiceSpec::try_new(
            "b",
            |_: &resurgam::StartContext| Err::<crate::support::Clerk, _>(Boom("b")),
        ))?;
        members.add(member("c", &writes, Ok(())))?;
        Ok::<_, AddError>(())
    });
    let run = spec.run(|_| async move {
        works.write("work");
        Ok::<_, Boom>(())
    });
    let error = soon(run).await.unwrap_err();
    assert_eq!(error.member(), Some("s/b"));
    assert_eq!(error.find::<Boom>(), Some(&Boom("b")));
    assert_eq!(log.lines(), ["a stops", "a dropped"]);
}

#[actix::test]
async fn build_function_that_fails_is_the_error_of_the_scope_and_nothing_runs() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let spec = ScopeSpec::new("s").on_start(move |members| {
        members.add(member("a", &writes, Ok(()))).unwrap();
        Err(Boom("no resource"))
    });
    let error = soon(spec.run(|_| async { Ok::<_, Boom>(()) })).await;
    assert_eq!(blame(error), ("s".into(), "no resource".into()));
    assert_eq!(log.lines(), Vec::<String>::new());
}

#[actix::test]
async fn build_function_that_panics_is_an_error_with_its_message() {
    time::pause();
    let spec = ScopeSpec::new("s").on_start(|_| -> Result<(), Boom> { panic!("no resource") });
    let (who, why) = blame(soon(spec.run(|_| async { Ok::<_, Boom>(()) })).await);
    assert_eq!(who, "s");
    assert!(why.contains("no resource"), "{why}");
}

#[actix::test]
async fn work_may_run_on_a_thread_of_its_own() {
    // Real time: the clock of another arbiter cannot be paused.
    let here = std::thread::current().id();
    let spec = ScopeSpec::new("s").work_spec(|work| work.placement(Placement::Dedicated));
    let run = spec.run(|_| async { Ok::<_, Boom>(std::thread::current().id()) });
    let there = time::timeout(Duration::from_secs(30), run).await.unwrap();
    assert_ne!(there.unwrap(), here);
}

#[actix::test]
async fn name_that_is_refused_runs_nothing_and_drops_everything() {
    time::pause();
    let log = Log::default();
    let trace = Tracer(log.clone(), "work");
    let run = Scope::run("a/b", |_| async move {
        drop(trace);
        Ok::<_, Boom>(())
    });
    let error = soon(run).await.unwrap_err();
    let ScopeError::NotStarted { path, error, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(&*path, "a/b");
    let name = matches!(
        error,
        StartError::Refused(AddError::Spec(SpecError::InvalidName { .. }))
    );
    assert!(name, "{error:?}");
    assert_eq!(log.lines(), ["work dropped"]);
}

#[test]
fn scope_outside_of_an_actix_system_says_so() {
    let run = Scope::run("s", |_| async { Ok::<_, Boom>(()) });
    let error = futures::executor::block_on(run).unwrap_err();
    assert!(
        matches!(
            error,
            ScopeError::NotStarted {
                error: StartError::NoSystem,
                ..
            }
        ),
        "{error:?}"
    );
}

#[actix::test]
async fn call_that_is_dropped_ends_the_scope_in_order_and_leaves_nothing_running() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let (tell, told) = oneshot::channel();
    let run = Scope::run("s", |scope| async move {
        let _trace = Tracer(writes.clone(), "work");
        scope.add(member("a", &writes, Ok(()))).await?;
        // One that holds the tree does not hold the scope.
        let _keeps_the_tree = scope.supervisor();
        quiet().await;
        tell.send(scope.clone()).unwrap();
        scope.ending().await;
        Ok::<_, AnyError>(())
    });
    let run = actix::spawn(run);
    let scope = soon(told).await.unwrap();
    assert!(!scope.is_ending());
    run.abort();
    soon(scope.join()).await.unwrap();
    assert_eq!(log.lines(), ["work dropped", "a stops", "a dropped"]);
}

#[actix::test]
async fn call_that_is_dropped_while_it_starts_leaves_nothing_running() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let spec = ScopeSpec::new("s").on_start(move |members| {
        members.add(member("a", &writes, Ok(())))?;
        let never = member("never", &writes, Ok(())).readiness(Readiness::Explicit);
        members.add(never)?;
        Ok::<_, AddError>(())
    });
    let run = spec.run(|_| async { Ok::<_, Boom>(()) });
    assert!(time::timeout(Duration::from_secs(1), run).await.is_err());
    time::sleep(Duration::from_secs(11)).await;
    let lines = log.lines();
    assert!(lines.contains(&"a dropped".into()), "{lines:?}");
    assert!(lines.contains(&"never dropped".into()), "{lines:?}");
}

#[actix::test]
async fn members_are_in_events_look_ups_and_reports() {
    time::pause();
    let log = Log::default();
    let run = Scope::run("s", |scope| async move {
        let root = scope.supervisor();
        let mut events = root.events();
        let clerk = scope.add(crate::support::clerk("clerk", &log)).await?;
        assert_eq!(clerk.path(), "s/clerk");
        let found = root.lookup::<crate::support::Clerk>("s/clerk").await?;
        assert_eq!(found.token(), clerk.token());
        let report = root.report().await?.to_string();
        assert!(
            report.contains("clerk") && report.contains("work"),
            "{report}"
        );
        let event = events.next().await.unwrap();
        assert_eq!(event.path(), "s/clerk");
        assert_eq!(event.kind(), &EventKind::ServiceAdded);
        Ok::<_, AnyError>(())
    });
    soon(run).await.unwrap();
}
