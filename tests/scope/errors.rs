//! Which error counts.

use std::{
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use resurgam::scope::{Scope, ScopeSpec};
use tokio::{sync::oneshot, time};

use crate::support::{AnyError, Boom, Log, Order, blame, clerk, idle_after, member, quiet, soon};

#[actix::test]
async fn first_of_several_errors_counts() {
    time::pause();
    let log = Log::default();
    let result = idle_after(|scope| async move {
        scope.add(member("a", &log, Err(Boom("third")))).await?;
        scope.add(member("b", &log, Err(Boom("second")))).await?;
        scope
            .add(clerk("c", &log))
            .await?
            .do_send(Order::Fail("first"));
        Ok(())
    });
    assert_eq!(blame(result.await), ("s/c".into(), "failed: first".into()));
}

#[actix::test]
async fn error_that_was_given_counts_before_one_that_the_work_returns_after_it() {
    time::pause();
    let run = Scope::run("s", |scope| async move {
        scope.fail(Boom("given"));
        Err::<(), _>(Boom("returned"))
    });
    assert_eq!(blame(soon(run).await), ("s".into(), "given".into()));
}

#[actix::test]
async fn error_that_the_work_returns_replaces_a_stop() {
    time::pause();
    let run = Scope::run("s", |scope| async move {
        scope.stop();
        Err::<(), _>(Boom("returned"))
    });
    assert_eq!(
        blame(soon(run).await),
        ("s/work".into(), "failed: returned".into())
    );
}

#[actix::test]
async fn stop_never_replaces_an_error() {
    time::pause();
    let result = idle_after(|scope| async move {
        scope.fail(Boom("first"));
        scope.stop();
        Ok(())
    });
    assert_eq!(blame(result.await), ("s".into(), "first".into()));
}

#[actix::test]
async fn error_replaces_a_stop_until_the_scope_is_over_and_not_after_it() {
    time::pause();
    let (tell, told) = oneshot::channel();
    let result = idle_after(|scope| async move {
        scope.stop();
        scope.fail(Boom("late"));
        tell.send(scope).unwrap();
        Ok(())
    });
    assert_eq!(blame(result.await), ("s".into(), "late".into()));
    let scope = told.await.unwrap();
    scope.fail(Boom("too late"));
    quiet().await;
    assert_eq!(blame(scope.join().await), ("s".into(), "late".into()));
}

#[actix::test]
async fn error_of_a_member_that_is_being_stopped_replaces_a_clean_end() {
    time::pause();
    let log = Log::default();
    let run = Scope::run("s", |scope| async move {
        scope.add(member("a", &log, Err(Boom("a")))).await?;
        scope.add(member("b", &log, Err(Boom("b")))).await?;
        quiet().await;
        Ok::<_, AnyError>(())
    });
    assert_eq!(blame(soon(run).await), ("s/b".into(), "failed: b".into()));
}

#[actix::test]
async fn error_of_a_member_that_is_being_stopped_does_not_replace_an_earlier_one() {
    time::pause();
    let log = Log::default();
    let run = Scope::run("s", |scope| async move {
        scope.add(member("a", &log, Err(Boom("a")))).await?;
        quiet().await;
        Err::<(), AnyError>(Boom("work").into())
    });
    assert_eq!(
        blame(soon(run).await),
        ("s/work".into(), "failed: work".into())
    );
}

#[actix::test]
async fn most_important_error_counts_if_somebody_ranks_them() {
    time::pause();
    let log = Log::default();
    let spec = ScopeSpec::new("s").more_important(|new, kept| new.to_string() > kept.to_string());
    let run = spec.run(|scope| async move {
        scope.add(member("a", &log, Err(Boom("4")))).await?;
        scope.add(member("b", &log, Err(Boom("9")))).await?;
        quiet().await;
        scope.fail(Boom("5"));
        Ok::<_, AnyError>(())
    });
    assert_eq!(blame(soon(run).await), ("s/b".into(), "failed: 9".into()));
}

#[actix::test]
async fn one_of_a_thousand_members_that_fail_wins_and_all_end() {
    time::pause();
    let log = Log::default();
    let writes = log.clone();
    let result = idle_after(|scope| async move {
        for number in 0..1000 {
            let trace = crate::support::Tracer(writes.clone(), "member");
            let fails = scope.spawn(move |_| async move {
                let _trace = trace;
                time::sleep(Duration::from_millis(10)).await;
                Err::<(), _>(number.to_string())
            });
            fails.await?;
        }
        Ok(())
    });
    let (who, why) = blame(result.await);
    let number: usize = why.strip_prefix("failed: ").unwrap().parse().unwrap();
    assert_eq!(who, format!("s/task[{}]", number + 1));
    assert_eq!(log.lines().len(), 1000);
}

#[actix::test]
async fn one_error_wins_of_five_hundred_racing_pairs_of_add_and_fail() {
    // Real time: half of the pairs race on other threads.
    let log = Log::default();
    let writes = log.clone();
    let run = Scope::run("s", |scope| async move {
        let threads: Vec<_> = (0..2).map(|_| actix::Arbiter::new()).collect();
        for number in 0..500_usize {
            let (adds, fails) = (scope.clone(), scope.clone());
            let trace = crate::support::Tracer(writes.clone(), "member");
            let add = async move {
                let added = adds.spawn(|cx| async move {
                    let _trace = trace;
                    cx.shutdown().await;
                    Ok::<_, Boom>(())
                });
                let _added_or_refused = added.await;
            };
            threads[number % 2].spawn(add);
            threads[(number + 1) % 2].spawn_fn(move || fails.fail(number.to_string()));
        }
        scope.ending().await;
        for thread in threads {
            // Queued behind the pairs, whose adds are answered by this thread.
            let (tell, told) = oneshot::channel();
            thread.spawn_fn(move || tell.send(()).unwrap());
            told.await?;
        }
        Ok::<_, AnyError>(scope)
    });
    let error = time::timeout(Duration::from_secs(60), run).await.unwrap();
    let (who, why) = blame(error);
    assert_eq!(who, "s");
    assert!(why.parse::<usize>().unwrap() < 500, "{why}");
    let all = async {
        while log.lines().len() < 500 {
            tokio::task::yield_now().await;
        }
    };
    time::timeout(Duration::from_secs(60), all).await.unwrap();
}

#[actix::test]
async fn error_counts_although_the_work_sees_the_end_and_returns_before_fail_does() {
    // Real time: the error is given on another thread, which is held up as soon as the scope is ending.
    let (go_on, hold) = mpsc::channel();
    let run = Scope::run("s", |scope| async move {
        let fails = scope.clone();
        thread::spawn(move || {
            let held = Waker::from(Arc::new(Hold(Mutex::new(hold))));
            let mut ending = pin!(fails.ending());
            assert!(
                ending
                    .as_mut()
                    .poll(&mut Context::from_waker(&held))
                    .is_pending()
            );
            fails.fail(Boom("on another thread"));
        });
        while !scope.is_ending() {
            tokio::task::yield_now().await;
        }
        Ok::<_, AnyError>(())
    });
    let result = time::timeout(Duration::from_secs(60), run).await.unwrap();
    drop(go_on);
    assert_eq!(blame(result), ("s".into(), "on another thread".into()));
}

/// Holds up whoever wakes it until the other end is dropped.
struct Hold(Mutex<mpsc::Receiver<()>>);

impl Wake for Hold {
    fn wake(self: Arc<Self>) {
        let _until_it_is_dropped = self.0.lock().unwrap().recv();
    }
}
