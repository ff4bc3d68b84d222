//! How services become members, and cease to be.

use std::time::Duration;

use resurgam::{
    AddError, Placement, RestartType, ServiceSpec, Shutdown, Verdict,
    scope::{AddMemberError, Scope, ScopeError, ScopeSpec},
};
use tokio::{
    sync::{mpsc, oneshot},
    time,
};

use crate::support::{
    AnyError, Boom, Clerk, Log, Order, Tracer, blame, clerk, idle_after, member, quiet, soon,
};

#[actix::test]
async fn member_that_fails_ends_the_scope_with_its_path_and_its_error() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let result = idle_after(|scope| async move {
        scope.add(member("a", &writes, Ok(()))).await?;
        scope
            .add(clerk("b", &writes))
            .await?
            .do_send(Order::Fail("b"));
        Ok(())
    });
    let error = result.await.unwrap_err();
    assert_eq!(error.member(), Some("s/b"));
    assert_eq!(error.find::<Boom>(), Some(&Boom("b")));
    assert_eq!(log.lines(), ["b dropped", "a stops", "a dropped"]);
}

#[actix::test]
async fn panic_of_a_member_is_an_error_with_its_message_and_place() {
    time::pause();
    let log = Log::default();
    let result = idle_after(|scope| async move {
        scope.add(clerk("a", &log)).await?.do_send(Order::Panic);
        Ok(())
    });
    let (who, why) = blame(result.await);
    assert_eq!(who, "s/a");
    assert!(
        why.contains("a panics") && why.contains("support.rs"),
        "{why}"
    );
}

#[actix::test]
async fn future_that_fails_at_once_ends_the_scope() {
    time::pause();
    let result = idle_after(|scope| async move {
        scope.spawn(|_| async { Err(Boom("at once")) }).await?;
        Ok(())
    });
    assert_eq!(
        blame(result.await),
        ("s/task[1]".into(), "failed: at once".into())
    );
}

#[actix::test]
async fn member_that_finishes_changes_nothing_and_is_forgotten() {
    time::pause();
    let log = Log::default();
    let run = ScopeSpec::new("s").run(|scope| async move {
        let restless = clerk("a", &log).restart(RestartType::Permanent);
        let a = scope.add(restless).await?;
        a.send(Order::Stop).await?;
        scope
            .spawn_named("b", |_| async { Ok::<_, Boom>(()) })
            .await?;
        quiet().await;
        assert!(a.send(Order::Stop).await.is_err());
        assert_eq!(scope.supervisor().services().await?.len(), 1);
        assert!(!scope.is_ending());
        // The name is free.
        scope.add(clerk("a", &log)).await?;
        Ok::<_, AnyError>(())
    });
    soon(run).await.unwrap();
}

#[actix::test]
async fn initial_member_that_finishes_is_forgotten_too() {
    time::pause();
    let log = Log::default();
    let spec = ScopeSpec::new("s").on_start(move |members| {
        members.add(clerk("a", &log))?;
        Ok::<_, AddError>(())
    });
    let run = spec.run(|scope| async move {
        let a = scope.supervisor().lookup::<Clerk>("s/a").await?;
        a.send(Order::Stop).await?;
        quiet().await;
        assert_eq!(scope.supervisor().services().await?.len(), 1);
        assert!(!scope.is_ending());
        Ok::<_, AnyError>(())
    });
    soon(run).await.unwrap();
}

#[actix::test]
async fn member_may_be_removed_by_anybody() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let run = ScopeSpec::new("s").run(|scope| async move {
        let root = scope.supervisor();
        let asked = scope.add(member("asked", &writes, Ok(()))).await?;
        let cut = member("cut", &writes, Ok(())).shutdown(Shutdown::BrutalKill);
        let cut = scope.add(cut).await?;
        quiet().await;
        root.remove(asked.token()).await?;
        root.remove(cut.token()).await?;
        assert!(!scope.is_ending());
        Ok::<_, AnyError>(())
    });
    soon(run).await.unwrap();
    assert_eq!(log.lines(), ["asked stops", "asked dropped", "cut dropped"]);
}

#[actix::test]
async fn verdict_without_an_error_is_no_failure() {
    time::pause();
    let result = ScopeSpec::new("s").run(|scope| async move {
        scope
            .spawn(|_| async { Err(Verdict::DoNotRestart) })
            .await?;
        quiet().await;
        assert!(!scope.is_ending());
        Ok::<_, AnyError>(())
    });
    soon(result).await.unwrap();
}

#[actix::test]
async fn significant_member_ends_the_scope_when_it_finishes() {
    time::pause();
    let log = Log::default();
    let result = idle_after(|scope| async move {
        let first = scope.add(clerk("a", &log).significant()).await?;
        first.do_send(Order::Stop);
        Ok(())
    });
    result.await.unwrap();
}

#[actix::test]
async fn spec_that_is_refused_is_dropped_and_the_scope_goes_on() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let run = ScopeSpec::new("s").run(|scope| async move {
        scope.add(clerk("a", &writes)).await?;
        let trace = Tracer(writes.clone(), "second");
        let second = ServiceSpec::task("a", move |_| {
            let _held = &trace;
            async { Ok::<_, Boom>(()) }
        });
        let refused = scope.add(second).await.unwrap_err();
        assert!(
            matches!(
                refused,
                AddMemberError::Refused(AddError::DuplicateName { .. })
            ),
            "{refused:?}"
        );
        assert_eq!(writes.lines(), ["second dropped"]);
        assert!(!scope.is_ending());
        Ok::<_, AnyError>(())
    });
    soon(run).await.unwrap();
}

#[actix::test]
async fn member_that_comes_while_the_scope_ends_or_later_is_dropped_and_never_made() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let (tell, told) = oneshot::channel();
    let late = move |name: &'static str| {
        let trace = Tracer(writes.clone(), name);
        ServiceSpec::new(name, move || -> Clerk { panic!("{} is made", trace.1) })
    };
    let later = late.clone();
    let result = idle_after(|scope| async move {
        scope.fail(Boom("first"));
        let refused = scope.add(late("ending")).await.unwrap_err();
        assert_eq!(refused.to_string(), "nothing is added");
        assert!(matches!(refused, AddMemberError::Ending(_)), "{refused:?}");
        tell.send(scope).unwrap();
        Err(refused.into())
    });
    assert_eq!(blame(result.await), ("s".into(), "first".into()));
    assert_eq!(log.lines(), ["ending dropped"]);
    let scope = told.await.unwrap();
    let refused = scope.add(later("over")).await.unwrap_err();
    assert!(matches!(refused, AddMemberError::Ending(_)), "{refused:?}");
    assert_eq!(log.lines(), ["ending dropped", "over dropped"]);
    assert_eq!(blame(scope.join().await), ("s".into(), "first".into()));
}

#[actix::test]
async fn refusal_that_the_work_returns_leaves_a_clean_end_clean() {
    time::pause();
    let log = Log::default();
    let run = ScopeSpec::new("s").run(|scope| async move {
        scope.stop();
        scope.add(clerk("a", &log)).await?;
        Ok::<_, AnyError>("unreached")
    });
    let error = soon(run).await.unwrap_err();
    assert!(matches!(error, ScopeError::Stopped { .. }), "{error:?}");
}

#[actix::test]
async fn refusal_is_neutral_also_in_an_error_that_may_not_leave_its_thread() {
    time::pause();
    let log = Log::default();
    let run = ScopeSpec::new("s").run(|scope| async move {
        scope.stop();
        scope.add(clerk("a", &log)).await?;
        Ok::<_, Box<dyn std::error::Error>>("unreached")
    });
    let error = soon(run).await.unwrap_err();
    assert!(matches!(error, ScopeError::Stopped { .. }), "{error:?}");
}

#[actix::test]
async fn refusal_of_another_scope_is_an_error() {
    time::pause();
    let (tell, told) = oneshot::channel();
    let other = idle_after(|scope| async move {
        scope.stop();
        tell.send(scope).unwrap();
        Ok(())
    });
    other.await.unwrap();
    let other = told.await.unwrap();
    let run = Scope::run("t", move |_| async move {
        other.spawn(|_| async { Ok::<_, Boom>(()) }).await?;
        Ok::<_, AnyError>(())
    });
    assert_eq!(
        blame(soon(run).await),
        ("t/work".into(), "failed: nothing is added".into())
    );
}

#[actix::test]
async fn members_may_run_on_other_threads() {
    // Real time: the clock of another arbiter cannot be paused.
    let (tell, mut told) = mpsc::unbounded_channel();
    let run = Scope::run("s", |scope| async move {
        let here = std::thread::current().id();
        for _ in 0..4 {
            let tell = tell.clone();
            scope
                .spawn(move |cx| async move {
                    tell.send(std::thread::current().id())?;
                    cx.shutdown().await;
                    Ok::<_, mpsc::error::SendError<_>>(())
                })
                .spec(|spec| spec.placement(Placement::Dedicated))
                .await?;
        }
        for _ in 0..4 {
            assert_ne!(told.recv().await, Some(here));
        }
        Ok::<_, AnyError>(())
    });
    time::timeout(Duration::from_secs(30), run)
        .await
        .unwrap()
        .unwrap();
}

#[actix::test]
async fn thousands_of_short_members_leave_nothing_behind() {
    time::pause();
    let run = Scope::run("s", |scope| async move {
        let root = scope.supervisor();
        for _ in 0..50 {
            for _ in 0..100 {
                scope.spawn(|_| async { Ok::<_, Boom>(()) }).await?;
            }
            quiet().await;
            assert_eq!(root.services().await?.len(), 1);
            assert_eq!(root.counts().await?.services, 1);
        }
        Ok::<_, AnyError>(())
    });
    soon(run).await.unwrap();
}
