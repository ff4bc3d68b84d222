//! Scopes as services of a supervisor.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::poll;
use resurgam::{
    EventKind, ExitReason, JoinError, RestartLimit, RestartType, ServiceSpec, ServiceState,
    Shutdown, SupervisorActor, SupervisorRef, SupervisorSpec, Verdict,
    scope::{AddMemberError, Scope, ScopeError, ScopeSpec},
};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};

use crate::support::{AnyError, Boom, Log, Order, blame, clerk, idle_after, member, quiet, soon};

async fn root() -> SupervisorRef {
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    SupervisorActor::new("root", spec).start().await.unwrap()
}

/// A scope whose work hands out its handle and waits for the end.
fn idle(name: &'static str) -> (ServiceSpec<SupervisorActor>, mpsc::UnboundedReceiver<Scope>) {
    let (tell, told) = mpsc::unbounded_channel();
    let scope = ServiceSpec::scope(name, move |scope| {
        let tell = tell.clone();
        async move {
            tell.send(scope.clone())?;
            scope.ending().await;
            Ok::<_, mpsc::error::SendError<Scope>>(())
        }
    });
    (scope, told)
}

#[actix::test]
async fn members_have_paths_below_the_scope() {
    time::pause();
    let root = root().await;
    let (spec, mut scopes) = idle("import");
    root.add_and_wait(spec).await.unwrap();
    let scope = soon(scopes.recv()).await.unwrap();
    assert_eq!(scope.path(), "root/import");
    let log = Log::default();
    let reader = scope.add(clerk("reader", &log)).await.unwrap();
    assert_eq!(reader.path(), "root/import/reader");
    let report = scope.supervisor().report().await.unwrap();
    assert!(report.to_string().contains("reader"), "{report}");
    root.shutdown().await.unwrap();
    assert_eq!(log.lines(), ["reader dropped"]);
}

#[actix::test]
async fn scope_that_fails_is_restarted_as_a_whole_with_none_of_its_members() {
    time::pause();
    let root = root().await;
    let mut events = root.events();
    let (spec, mut scopes) = idle("import");
    root.add(spec).await.unwrap();
    let first = soon(scopes.recv()).await.unwrap();
    let log = Log::default();
    let a = first.add(clerk("a", &log)).await.unwrap();
    let b = first.add(clerk("b", &log)).await.unwrap();
    a.do_send(Order::Fail("a"));
    assert_eq!(blame(first.join().await).0, "root/import/a");
    let second = soon(scopes.recv()).await.unwrap();
    assert!(!second.is_ending());
    assert!(b.send(Order::Stop).await.is_err());
    let services = second.supervisor().services().await.unwrap();
    assert_eq!(services.len(), 1);
    let failed = soon(async {
        loop {
            let event = events.next().await.unwrap();
            if event.path() == "root/import"
                && let EventKind::ServiceFailed { reason, .. } = event.kind()
            {
                return reason.clone();
            }
        }
    })
    .await;
    let error = failed.error().and_then(|error| error.downcast_ref());
    let Some(ScopeError::Member { path, member, .. }) = error else {
        panic!("{failed:?}");
    };
    assert_eq!((&**path, &**member), ("root/import", "root/import/a"));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn handle_of_an_earlier_start_neither_adds_nor_ends_anything() {
    time::pause();
    let root = root().await;
    let (spec, mut scopes) = idle("import");
    root.add(spec).await.unwrap();
    let first = soon(scopes.recv()).await.unwrap();
    first.fail(Boom("first"));
    let second = soon(scopes.recv()).await.unwrap();
    first.fail(Boom("again"));
    first.stop();
    let refused = first.spawn(|_| async { Err(Boom("member")) }).await;
    assert!(matches!(refused, Err(AddMemberError::Ending(_))));
    quiet().await;
    assert!(!second.is_ending());
    assert_eq!(blame(first.join().await).1, "first");
    root.shutdown().await.unwrap();
    second.join().await.unwrap();
}

#[actix::test]
async fn scope_that_ends_without_an_error_is_treated_as_its_restart_type_says() {
    time::pause();
    let root = root().await;
    for (restart, starts) in [(RestartType::Permanent, 3), (RestartType::Transient, 1)] {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        let spec = ServiceSpec::scope("import", move |scope| {
            let before = counter.fetch_add(1, Ordering::Relaxed);
            async move {
                match before {
                    0 => {}
                    1 => scope.stop(),
                    _ => scope.ending().await,
                }
                Ok::<_, Boom>(())
            }
        });
        let import = root.add(spec.restart(restart)).await.unwrap();
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(count.load(Ordering::Relaxed), starts);
        let _gone_if_transient = root.remove(import.token()).await;
    }
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn verdict_of_a_members_error_counts_for_the_scope() {
    #[derive(Debug, thiserror::Error)]
    #[error("done for good")]
    struct Done(#[source] Verdict);

    time::pause();
    let root = root().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let spec = ServiceSpec::scope("import", move |scope: Scope| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move {
            let member = scope.spawn(|_| async { Err(Done(Verdict::DoNotRestart)) });
            member.await?;
            scope.ending().await;
            Ok::<_, AnyError>(())
        }
    });
    root.add(spec).await.unwrap();
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(count.load(Ordering::Relaxed), 1);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn stop_from_above_ends_the_members_in_reverse_order_and_without_an_error() {
    time::pause();
    let root = root().await;
    let (spec, mut scopes) = idle("import");
    root.add(spec).await.unwrap();
    let scope = soon(scopes.recv()).await.unwrap();
    let log = Log::default();
    for name in ["a", "b", "c"] {
        scope.add(member(name, &log, Ok(()))).await.unwrap();
    }
    quiet().await;
    let report = root.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
    scope.join().await.unwrap();
    let stops: Vec<_> = log.lines();
    assert_eq!(
        stops,
        [
            "c stops",
            "c dropped",
            "b stops",
            "b dropped",
            "a stops",
            "a dropped"
        ]
    );
}

#[actix::test]
async fn error_during_a_stop_from_above_is_the_error_of_the_scope() {
    time::pause();
    let root = root().await;
    let (spec, mut scopes) = idle("import");
    let import = root.add(spec).await.unwrap();
    let scope = soon(scopes.recv()).await.unwrap();
    let log = Log::default();
    scope.add(member("a", &log, Err(Boom("a")))).await.unwrap();
    quiet().await;
    let reason = root.remove(import.token()).await.unwrap();
    assert_eq!(blame(scope.join().await).0, "root/import/a");
    let ExitReason::Failed(error) = reason else {
        panic!("{reason:?}");
    };
    assert!(error.downcast_ref::<ScopeError>().is_some());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn scope_in_a_scope_fails_the_outer_one_with_both_named() {
    time::pause();
    let result = idle_after(|scope| async move {
        let inner = ServiceSpec::scope("inner", |scope: Scope| async move {
            let deep = scope.spawn_named("deep", |_| async { Err(Boom("deep")) });
            deep.await?;
            scope.ending().await;
            Ok::<_, AnyError>(())
        });
        scope.add(inner).await?;
        Ok(())
    });
    let error = result.await.unwrap_err();
    assert_eq!(error.member(), Some("s/inner"));
    assert_eq!(error.find::<Boom>(), Some(&Boom("deep")));
    let mut chain = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = next {
        chain.push(error.to_string());
        next = error.source();
    }
    let chain = chain.join(": ");
    assert!(
        chain.contains("`s/inner/deep` ended scope `s/inner`"),
        "{chain}"
    );
}

#[actix::test]
async fn scope_that_is_dropped_takes_its_members_along_and_says_so() {
    time::pause();
    let root = root().await;
    let (spec, mut scopes) = idle("import");
    let import = root.add(spec.shutdown(Shutdown::BrutalKill)).await.unwrap();
    let scope = soon(scopes.recv()).await.unwrap();
    let log = Log::default();
    scope.add(member("a", &log, Ok(()))).await.unwrap();
    quiet().await;
    root.remove(import.token()).await.unwrap();
    quiet().await;
    assert_eq!(log.lines(), ["a dropped"]);
    let error = soon(scope.join()).await.unwrap_err();
    assert!(matches!(error, ScopeError::Dropped { .. }), "{error:?}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn scope_that_was_dropped_starts_again_with_none_of_its_members() {
    time::pause();
    let root = root().await;
    let (spec, mut scopes) = idle("import");
    let import = root.add(spec.shutdown(Shutdown::BrutalKill)).await.unwrap();
    let log = Log::default();
    for _ in 0..3 {
        let scope = soon(scopes.recv()).await.unwrap();
        scope.add(member("a", &log, Ok(()))).await.unwrap();
        quiet().await;
        assert_eq!(scope.supervisor().services().await.unwrap().len(), 2);
        root.restart(import.token()).await.unwrap();
        assert!(scope.is_ending());
    }
    let last = soon(scopes.recv()).await.unwrap();
    assert_eq!(last.supervisor().services().await.unwrap().len(), 1);
    assert_eq!(log.lines(), ["a dropped"; 3]);
    last.stop();
    soon(last.join()).await.unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_is_on_its_way_to_a_scope_that_is_dropped_is_refused_and_not_added_to_the_next()
 {
    time::pause();
    let root = root().await;
    let (spec, mut scopes) = idle("import");
    let import = root.add(spec.shutdown(Shutdown::BrutalKill)).await.unwrap();
    let log = Log::default();

    let scope = soon(scopes.recv()).await.unwrap();
    let mut restart = pin!(root.restart(import.token()));
    let mut add = pin!(scope.add(clerk("a", &log)));
    assert!(poll!(&mut restart).is_pending() && poll!(&mut add).is_pending());
    soon(restart).await.unwrap();
    assert!(matches!(soon(add).await, Err(AddMemberError::Ending(_))));
    quiet().await;
    let scope = soon(scopes.recv()).await.unwrap();
    assert_eq!(scope.supervisor().services().await.unwrap().len(), 1);

    // Nobody reads the mailbox of one that is kept as stopped.
    let mut stop = pin!(root.stop(import.token()));
    let mut add = pin!(scope.add(clerk("a", &log)));
    assert!(poll!(&mut stop).is_pending() && poll!(&mut add).is_pending());
    soon(stop).await.unwrap();
    assert!(matches!(soon(add).await, Err(AddMemberError::Ending(_))));
    assert_eq!(log.lines(), Vec::<String>::new());
    let trace = crate::support::Tracer(log.clone(), "late");
    let late = scope.spawn(move |_| async move {
        drop(trace);
        Ok::<_, Boom>(())
    });
    assert!(matches!(
        soon(late.into_future()).await,
        Err(AddMemberError::Ending(_))
    ));
    assert_eq!(log.lines(), ["late dropped"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn scope_that_is_given_less_time_than_its_members_drops_them_in_that_time() {
    time::pause();
    let root = root().await;
    let (spec, mut scopes) = idle("import");
    let spec = spec.shutdown(Shutdown::Timeout(Duration::from_secs(1)));
    let import = root.add(spec).await.unwrap();
    let scope = soon(scopes.recv()).await.unwrap();
    let log = Log::default();
    let deaf = log.clone();
    scope
        .spawn(|_| async move {
            let _trace = crate::support::Tracer(deaf, "deaf");
            std::future::pending::<Result<(), Boom>>().await
        })
        .await
        .unwrap();
    quiet().await;
    let begun = Instant::now();
    root.remove(import.token()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3));
    quiet().await;
    assert_eq!(log.lines(), ["deaf dropped"]);
    let (who, why) = blame(scope.join().await);
    assert_eq!(who, "root/import/task[1]");
    assert_eq!(why, "killed: stop timeout");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn member_may_be_a_supervisor_that_gives_up() {
    time::pause();
    let log = Log::default();
    let result = idle_after(|scope| async move {
        let rules = SupervisorSpec::default()
            .limit(RestartLimit::window(0, Duration::from_secs(1)).escalate());
        let mut below = SupervisorActor::new("below", rules);
        let a = below.add(clerk("a", &log))?;
        scope.add(ServiceSpec::supervisor(below)).await?;
        a.do_send(Order::Fail("a"));
        Ok(())
    });
    assert_eq!(
        blame(result.await),
        ("s/below".into(), "escalated by `s/below/a`".into())
    );
}

#[actix::test]
async fn initial_members_are_added_anew_for_each_start() {
    time::pause();
    let root = root().await;
    let log = Log::default();
    let (made, starts) = (log.clone(), log.clone());
    let (tell, mut told) = mpsc::unbounded_channel();
    let spec = ScopeSpec::new("import").on_start(move |members| {
        starts.write("started");
        members.add(clerk("a", &made))?;
        Ok::<_, resurgam::AddError>(())
    });
    let spec = spec.service(move |scope| {
        let tell = tell.clone();
        async move {
            tell.send(scope.clone()).unwrap();
            scope.ending().await;
            Ok::<_, Boom>(())
        }
    });
    root.add(spec).await.unwrap();
    let first = soon(told.recv()).await.unwrap();
    first.fail(Boom("first"));
    let second = soon(told.recv()).await.unwrap();
    assert_eq!(second.supervisor().services().await.unwrap().len(), 2);
    root.shutdown().await.unwrap();
    assert_eq!(
        log.lines(),
        ["started", "a dropped", "started", "a dropped"]
    );
}

#[actix::test]
async fn error_of_a_scope_is_fatal_if_its_supervisor_says_so() {
    time::pause();
    let spec =
        SupervisorSpec::default().fatal(|error| error.downcast_ref::<ScopeError>().is_some());
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    let scope = ServiceSpec::scope("import", |_| async { Err(Boom("work")) });
    root.add(scope).await.unwrap();
    let Err(JoinError::Fatal { path, error, .. }) = soon(root.join()).await else {
        panic!("not fatal");
    };
    assert_eq!(&*path, "root/import");
    assert_eq!(
        error
            .downcast_ref::<ScopeError>()
            .and_then(ScopeError::find),
        Some(&Boom("work"))
    );
}

#[actix::test]
async fn scope_that_has_ended_for_good_is_stopped_and_its_members_are_gone() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    let (spec, mut scopes) = idle("import");
    root.add(spec.restart(RestartType::Temporary)).unwrap();
    let root = root.start().await.unwrap();
    let scope = soon(scopes.recv()).await.unwrap();
    let log = Log::default();
    let a = scope.add(clerk("a", &log)).await.unwrap();
    scope.fail(Boom("told"));
    soon(scope.join()).await.unwrap_err();
    quiet().await;
    assert!(a.send(Order::Stop).await.is_err());
    let services = root.services().await.unwrap();
    assert_eq!(services[0].state(), ServiceState::Stopped);
    root.shutdown().await.unwrap();
}
