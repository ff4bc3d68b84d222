//! A supervisor below another one is asked while it has no incarnation: between two of its starts, or while it is down.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use futures::{FutureExt, future::join};
use resurgam::{
    Backoff, Event, EventKind, Events, Placement, Readiness, ResetError, RestartError,
    RestartLimit, RestartType, ServiceContext, ServiceRef, ServiceSpec, ServiceToken, Shutdown,
    StartError, SupervisorActor, SupervisorGone, SupervisorRef, SupervisorSpec, message,
};
use tokio::time;

use crate::support::{FailWith, Operation, Plain, SOON, Way, soon, told};

/// How long `sub` waits between two starts, where it waits.
const PAUSE: Duration = Duration::from_secs(1000);

/// A root with a supervisor `sub`, that has a service `plain`.
struct Tree {
    root: SupervisorRef,
    service: ServiceRef<SupervisorActor>,
    sub: SupervisorRef,
    plain: ServiceRef<Plain>,
    events: Events,
}

type ChangeSub = fn(ServiceSpec<SupervisorActor>) -> ServiceSpec<SupervisorActor>;

impl Tree {
    /// `change` says how `sub` is treated. It ends with the first failure of a service.
    async fn new(change: ChangeSub) -> Self {
        let fragile = SupervisorSpec::default()
            .limit(RestartLimit::window(0, Duration::from_secs(60)).escalate());
        let mut sub = SupervisorActor::new("sub", fragile);
        let plain = sub.add(ServiceSpec::new("plain", Plain::default)).unwrap();
        let unlimited = SupervisorSpec::default().limit(RestartLimit::unlimited());
        let mut root = SupervisorActor::new("root", unlimited);
        let service = root.add(change(ServiceSpec::supervisor(sub))).unwrap();
        let root = root.start().await.unwrap();
        let sub = SupervisorRef::try_from(&service).unwrap();
        let events = root.events();
        Self {
            root,
            service,
            sub,
            plain,
            events,
        }
    }

    /// One that is waiting for its second start.
    async fn between() -> Self {
        let mut tree = Self::new(|sub| sub.backoff(Backoff::constant(PAUSE))).await;
        tree.fail().await;
        tree
    }

    /// Has `sub` fail, and waits until that is told and everything is at rest.
    async fn fail(&mut self) {
        self.plain.do_send(FailWith("escalates".into()));
        self.told("root/sub", |kind| {
            matches!(kind, EventKind::SupervisorEscalated { .. })
        })
        .await;
        rest().await;
    }

    async fn told(&mut self, path: &str, fits: impl Fn(&EventKind) -> bool) {
        let fits = |event: &Event| event.path() == path && fits(event.kind());
        told(&mut self.events, fits, path).await;
    }

    fn token(&self) -> ServiceToken {
        self.service.token()
    }

    /// The name is free, and the root is well.
    async fn assert_removed(&self) {
        let again = SupervisorActor::with_defaults("sub");
        let added = soon(self.root.add(ServiceSpec::supervisor(again)), "add").await;
        assert!(added.is_ok(), "{added:?}");
        assert!(!self.service.connected());
    }
}

/// Everything that needs no time is done when this returns.
async fn rest() {
    time::sleep(Duration::from_millis(1)).await;
}

#[actix::test]
async fn what_needs_no_start_is_done_at_once_between_two_starts() {
    time::pause();
    let tree = Tree::between().await;
    let before = time::Instant::now();
    let sub = &tree.sub;

    let counts = soon(sub.counts(), "counts").await.unwrap();
    assert_eq!((counts.services, counts.active), (1, 0));
    let late = ServiceSpec::new("late", Plain::default);
    let late = soon(sub.add(late), "add").await.unwrap();
    assert_eq!(late.path(), "root/sub/late");
    let found = tree.root.lookup::<Plain>("root/sub/late");
    assert_eq!(soon(found, "lookup").await.unwrap().token(), late.token());
    let gone = ServiceSpec::new("gone", Plain::default);
    let gone = soon(sub.add(gone), "add").await.unwrap();
    assert!(soon(sub.remove(gone.token()), "remove").await.is_ok());
    assert!(!gone.connected());
    assert_eq!(soon(sub.stop(tree.plain.token()), "stop").await, Ok(()));
    // It is stopped, so that there is nothing to start.
    assert_eq!(soon(sub.reset(tree.plain.token()), "reset").await, Ok(()));
    let spec = SupervisorSpec::default();
    assert_eq!(soon(sub.reconfigure(spec), "reconfigure").await, Ok(()));
    let report = soon(sub.report(), "report").await.unwrap().to_string();
    assert!(report.contains("late"), "{report}");
    let listed = sub.addr().send(message::Services);
    assert_eq!(soon(listed, "services").await.unwrap().len(), 2);
    assert_eq!(before.elapsed(), Duration::ZERO);

    time::sleep(PAUSE).await;
    // What was added runs, and what was stopped stays so.
    let counts = soon(sub.counts(), "counts").await.unwrap();
    assert_eq!((counts.services, counts.ready, counts.stopped), (2, 1, 1));
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn what_needs_a_start_waits_for_the_next_one() {
    time::pause();
    let tree = Tree::between().await;
    let before = time::Instant::now();
    let plain = tree.plain.token();
    let late = ServiceSpec::new("late", Plain::default);
    let (restarted, reset) = (tree.sub.restart(plain), tree.sub.reset(plain));
    let (both, added) = join(join(restarted, reset), tree.sub.add_and_wait(late)).await;
    assert_eq!(both, (Ok(()), Ok(())));
    assert!(added.is_ok(), "{added:?}");
    let waited = before.elapsed();
    assert!(waited > PAUSE / 2 && waited <= PAUSE, "{waited:?}");
    tree.root.shutdown().await.unwrap();
}

/// A service that fails from its second start on.
fn starts_once(starts: &Arc<AtomicUsize>) -> ServiceSpec<Plain> {
    let starts = Arc::clone(starts);
    ServiceSpec::try_new("broken", move |_| {
        match starts.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(Plain),
            _ => Err("broken"),
        }
    })
}

#[actix::test]
async fn request_that_cures_a_start_is_answered_though_the_starts_follow_each_other_without_a_delay()
 {
    time::pause();
    let starts = Arc::new(AtomicUsize::new(0));
    let broken = starts_once(&starts);
    let mut sub = SupervisorActor::with_defaults("sub");
    let broken = sub.add(broken).unwrap();
    let unlimited = SupervisorSpec::default().limit(RestartLimit::unlimited());
    let mut root = SupervisorActor::new("root", unlimited);
    let service = root.add(ServiceSpec::supervisor(sub)).unwrap();
    let root = root.start().await.unwrap();
    let sub = SupervisorRef::try_from(&service).unwrap();
    assert!(root.restart(service.token()).now_or_never().is_none());
    while starts.load(Ordering::SeqCst) < 100 {
        actix_rt::task::yield_now().await;
    }

    // No time passes: the clock is paused, and somebody is always at work.
    let mut removed = Box::pin(sub.remove(broken.token()));
    for turn in 0.. {
        if removed.as_mut().now_or_never().is_some() {
            break;
        }
        assert!(turn < 100_000, "remove is never answered");
        actix_rt::task::yield_now().await;
    }
    soon(root.when_ready::<SupervisorActor>("root/sub"), "when_ready")
        .await
        .unwrap();
    root.shutdown().await.unwrap();
}

/// How the next start of `sub` does not come.
#[derive(Clone, Copy, Debug)]
enum NoStart {
    Removed,
    RootEnds,
    ShutDown,
    Stopped,
}

#[actix::test]
async fn whoever_waits_for_a_start_that_does_not_come_is_told() {
    time::pause();
    for no_start in [
        NoStart::Removed,
        NoStart::RootEnds,
        NoStart::ShutDown,
        NoStart::Stopped,
    ] {
        let tree = Tree::between().await;
        let (sub, root, token) = (&tree.sub, &tree.root, tree.token());
        let plain = tree.plain.token();
        let late = ServiceSpec::new("late", Plain::default);
        let operations = join(sub.restart(plain), sub.reset(plain));
        let asked = join(operations, sub.add_and_wait(late));
        let no_start_comes = async {
            rest().await;
            match no_start {
                NoStart::Removed => drop(root.remove(token).await),
                NoStart::RootEnds => drop(root.shutdown().await),
                NoStart::ShutDown => drop(sub.shutdown().await),
                NoStart::Stopped => drop(root.stop(token).await),
            }
        };
        let all = soon(join(asked, no_start_comes), "an operation").await;
        let ((restarted, reset), added) = all.0;

        assert_eq!(restarted, Err(RestartError::SupervisorGone), "{no_start:?}");
        assert_eq!(reset, Err(ResetError::SupervisorGone), "{no_start:?}");
        assert!(
            matches!(added, Err(StartError::SupervisorGone)),
            "{no_start:?}: {added:?}"
        );
        // Also whoever asks afterwards.
        assert_eq!(soon(sub.counts(), "counts").await, Err(SupervisorGone));
        assert!(soon(sub.addr().send(message::Count), "send").await.is_err());
        let _ended = soon(root.shutdown(), "shutdown").await;
    }
}

#[actix::test]
async fn whoever_waits_for_a_start_that_fails_is_told_and_who_asks_after_the_last_one_is_refused() {
    time::pause();
    let starts = Arc::new(AtomicUsize::new(0));
    let mut sub = SupervisorActor::with_defaults("sub");
    sub.add(starts_once(&starts)).unwrap();
    let behind = ServiceSpec::new("behind", Plain::default);
    let behind = sub.add(behind).unwrap().token();
    let sub = ServiceSpec::supervisor(sub)
        .backoff(Backoff::constant(PAUSE))
        .limit(RestartLimit::window(1, 10 * PAUSE).give_up());
    let mut root = SupervisorActor::with_defaults("root");
    let service = root.add(sub).unwrap();
    let root = root.start().await.unwrap();
    let sub = SupervisorRef::try_from(&service).unwrap();
    assert!(root.restart(service.token()).now_or_never().is_none());
    rest().await;
    assert_eq!(starts.load(Ordering::SeqCst), 2);

    let restarted = sub.restart(behind).await;

    assert_eq!(restarted, Err(RestartError::ShuttingDown));
    assert_eq!(starts.load(Ordering::SeqCst), 3);
    rest().await;
    let refused = soon(sub.restart(behind), "restart").await;
    assert_eq!(refused, Err(RestartError::SupervisorGone));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_that_is_down_refuses_what_is_queued_and_what_comes() {
    time::pause();
    let tree = Tree::new(|sub| sub).await;
    // Read after the stop, which overtakes it.
    let stopped = tree.root.stop(tree.token());
    soon(stopped, "stop").await.unwrap();
    let queued: Vec<_> = (0..1_000)
        .map(|_| tree.sub.addr().send(message::Count))
        .collect();
    for answer in queued {
        assert!(soon(answer, "send").await.is_err());
    }
    let by_recipient = tree.sub.addr().clone().recipient();
    let removed = by_recipient.send(message::Remove::new(tree.plain.token()));
    assert!(soon(removed, "send").await.is_err());
    soon(tree.root.restart(tree.token()), "restart")
        .await
        .unwrap();
    assert_eq!(tree.sub.counts().await.unwrap().ready, 1);
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_that_is_shut_down_while_it_has_no_incarnation_is_removed() {
    time::pause();
    for caller_leaves in [false, true] {
        for down in ["between", "stopped", "given up"] {
            let mut tree = match down {
                "between" => Tree::between().await,
                "stopped" => Tree::new(|sub| sub).await,
                _ => {
                    let gives_up: ChangeSub = |sub| {
                        let limit = RestartLimit::window(0, Duration::from_secs(60));
                        sub.limit(limit.give_up())
                    };
                    Tree::new(gives_up).await
                }
            };
            match down {
                "stopped" => drop(soon(tree.root.stop(tree.token()), "stop").await),
                "given up" => tree.fail().await,
                _ => {}
            }
            if caller_leaves {
                assert!(tree.sub.shutdown().now_or_never().is_none());
            } else {
                let report = soon(tree.sub.shutdown(), "shutdown").await;
                assert!(report.unwrap().is_clean(), "{down}");
            }
            tree.told("root/sub", |kind| {
                matches!(kind, EventKind::ServiceRemoved { .. })
            })
            .await;
            rest().await;
            tree.assert_removed().await;
            tree.root.shutdown().await.unwrap();
        }
    }
}

#[actix::test]
async fn supervisor_below_one_that_is_down_itself_is_removed_when_it_is_shut_down() {
    time::pause();
    let mut mid = SupervisorActor::with_defaults("mid");
    let leaf = mid
        .add(ServiceSpec::supervisor(SupervisorActor::with_defaults(
            "leaf",
        )))
        .unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    let mid = root.add(ServiceSpec::supervisor(mid)).unwrap();
    let root = root.start().await.unwrap();
    let leaf_ref = SupervisorRef::try_from(&leaf).unwrap();
    soon(root.stop(mid.token()), "stop").await.unwrap();
    rest().await;
    let report = soon(leaf_ref.shutdown(), "shutdown").await;
    assert!(report.is_ok(), "{report:?}");
    soon(root.restart(mid.token()), "restart").await.unwrap();
    let mid = SupervisorRef::try_from(&mid).unwrap();
    assert_eq!(mid.counts().await.unwrap().services, 0);
    root.shutdown().await.unwrap();
}

/// Never stops when it is asked to.
#[derive(Default)]
struct Stubborn;

impl Actor for Stubborn {
    type Context = ServiceContext<Self>;

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}

#[actix::test]
async fn supervisor_that_is_shut_down_is_removed_whatever_becomes_of_that_life() {
    time::pause();
    for meanwhile in ["restart", "stop", "kill and restart", "kill and stop"] {
        let kills = meanwhile.starts_with("kill");
        let change: ChangeSub = if kills {
            |sub| sub.shutdown(Shutdown::Timeout(Duration::from_millis(100)))
        } else {
            |sub| sub
        };
        let mut tree = Tree::new(change).await;
        let stubborn = ServiceSpec::new("stubborn", Stubborn::default).shutdown(if kills {
            Shutdown::Infinity
        } else {
            Shutdown::Timeout(Duration::from_millis(100))
        });
        tree.sub.add_and_wait(stubborn).await.unwrap();
        let (root, token) = (tree.root.clone(), tree.token());
        let restarts = meanwhile.ends_with("restart");
        let other = actix_rt::spawn(async move {
            if restarts {
                drop(root.restart(token).await);
            } else {
                drop(root.stop(token).await);
            }
        });
        rest().await;
        // It is stopping already, for the supervisor above.
        let report = soon(tree.sub.shutdown(), "shutdown").await;
        assert!(report.is_ok(), "{meanwhile}: {report:?}");
        soon(other, "the other operation").await.unwrap();
        tree.told("root/sub", |kind| {
            matches!(kind, EventKind::ServiceRemoved { .. })
        })
        .await;
        rest().await;
        tree.assert_removed().await;
        tree.root.shutdown().await.unwrap();
    }
}

#[actix::test]
async fn what_was_asked_between_two_starts_is_done_though_its_caller_left() {
    time::pause();
    for operation in Operation::ALL {
        for way in Way::ALL {
            let mut tree = Tree::between().await;
            let plain = tree.plain.token();
            operation.ask_and_leave(way, &tree.sub, plain);
            time::sleep(PAUSE).await;
            let what = format!("{operation:?} by {way:?}");
            let fits = |event: &_| operation.is_told_by(event, "root/sub");
            told(&mut tree.events, fits, &what).await;
            tree.root.shutdown().await.unwrap();
        }
    }
}

#[actix::test]
async fn operations_on_a_supervisor_that_ends_are_answered_or_refused() {
    time::pause();
    for kills in [false, true] {
        let change: ChangeSub = if kills {
            |sub| sub.shutdown(Shutdown::Timeout(SOON / 20))
        } else {
            |sub| sub
        };
        let tree = Tree::new(change).await;
        let stubborn =
            ServiceSpec::new("stubborn", Stubborn::default).shutdown(Shutdown::Timeout(SOON / 10));
        let stubborn = tree.sub.add_and_wait(stubborn).await.unwrap().token();
        // Waits for the end of a service that takes its time, and outlives the incarnation that was asked if that is killed.
        let removed = tree.sub.remove(stubborn);
        let (root, token) = (tree.root.clone(), tree.token());
        let all = async {
            rest().await;
            let (sub, plain) = (&tree.sub, tree.plain.token());
            let others = async {
                rest().await;
                let late = || ServiceSpec::new("late", Plain::default);
                assert!(sub.add(late()).await.is_err());
                assert!(sub.add_and_wait(late()).await.is_err());
                assert!(sub.remove(plain).await.is_err());
                assert!(sub.stop(plain).await.is_err());
                assert!(sub.restart(plain).await.is_err());
                assert!(sub.reset(plain).await.is_err());
            };
            join(root.stop(token), others).await.0
        };
        let (removed, stopped) = soon(join(removed, all), "an operation").await;
        assert!(removed.is_ok(), "{removed:?}");
        assert_eq!(stopped, Ok(()));
        soon(root.restart(token), "restart").await.unwrap();
        // A removal that was under way is complete.
        assert_eq!(tree.sub.counts().await.unwrap().services, 1);
        tree.root.shutdown().await.unwrap();
    }
}

/// A message of the user's to a supervisor.
#[derive(Message)]
#[rtype(result = "usize")]
enum Own {
    Count,
    Later,
    Panic,
}

impl Handler<Own> for SupervisorActor {
    type Result = ResponseActFuture<Self, usize>;

    fn handle(&mut self, msg: Own, ctx: &mut Self::Context) -> Self::Result {
        let later = async {
            time::sleep(Duration::from_millis(1)).await;
            2
        };
        match msg {
            Own::Count => {
                ctx.set_mailbox_capacity(1);
                Box::pin(fut::ready(1))
            }
            Own::Later => Box::pin(later.into_actor(self)),
            Own::Panic => panic!("of the user's"),
        }
    }
}

#[actix::test]
async fn messages_of_the_users_to_a_supervisor_without_an_incarnation_do_no_harm() {
    time::pause();
    let tree = Tree::between().await;
    for msg in [Own::Count, Own::Later, Own::Panic] {
        // What such a handler spawns has nobody to run it.
        assert!(soon(tree.sub.addr().send(msg), "send").await.is_err());
    }
    assert_eq!(soon(tree.sub.counts(), "counts").await.unwrap().services, 1);
    time::sleep(PAUSE).await;
    assert_eq!(
        soon(tree.sub.addr().send(Own::Later), "send")
            .await
            .unwrap(),
        2
    );
    assert_eq!(tree.sub.counts().await.unwrap().ready, 1);
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_that_was_never_started_refuses_what_is_queued_when_it_is_stopped() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let sub = ServiceSpec::supervisor(SupervisorActor::with_defaults("sub")).requires("nobody");
    let sub = root.add(sub).await.unwrap();
    let nested = SupervisorRef::try_from(&sub).unwrap();
    let asked = join(nested.counts(), nested.shutdown());
    let stopped = async {
        rest().await;
        root.stop(sub.token()).await
    };
    let ((counted, shut_down), _) = soon(join(asked, stopped), "an operation").await;
    assert_eq!(counted, Err(SupervisorGone));
    assert!(shut_down.is_ok(), "{shut_down:?}");
    assert_eq!(root.counts().await.unwrap().services, 0);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn made_supervisor_that_is_down_refuses_and_is_removed_when_it_is_shut_down() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let made = ServiceSpec::new("made", || SupervisorActor::with_defaults("made"))
        .readiness(Readiness::Explicit);
    let made = root.add_and_wait(made).await.unwrap();
    let sub = SupervisorRef::try_from(&made).unwrap();
    soon(root.stop(made.token()), "stop").await.unwrap();
    assert!(soon(made.send(message::Count), "send").await.is_err());
    assert_eq!(soon(sub.counts(), "counts").await, Err(SupervisorGone));
    soon(root.restart(made.token()), "restart").await.unwrap();
    assert_eq!(soon(sub.counts(), "counts").await.unwrap().services, 0);
    soon(root.stop(made.token()), "stop").await.unwrap();
    assert!(soon(sub.shutdown(), "shutdown").await.is_ok());
    assert_eq!(root.counts().await.unwrap().services, 0);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn what_is_added_between_two_starts_is_no_service_of_the_start() {
    time::pause();
    let tree = Tree::between().await;
    let temporary = ServiceSpec::new("temporary", Plain::default).restart(RestartType::Temporary);
    soon(tree.sub.add(temporary), "add").await.unwrap();
    time::sleep(PAUSE).await;
    assert_eq!(tree.sub.counts().await.unwrap().ready, 2);
    // Added later than the first start: forgotten with the life that it was added to.
    soon(tree.root.restart(tree.token()), "restart")
        .await
        .unwrap();
    assert_eq!(tree.sub.counts().await.unwrap().services, 1);
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn name_of_a_supervisor_that_was_shut_down_is_free_at_once() {
    let root = SupervisorActor::with_defaults("root");
    let root = root.start().await.unwrap();
    for placement in [Placement::Inherit, Placement::Dedicated] {
        for by_message in [false, true].repeat(20) {
            let sub = ServiceSpec::supervisor(SupervisorActor::with_defaults("sub"));
            let added = root.add_and_wait(sub.placement(placement.clone())).await;
            let sub = SupervisorRef::try_from(&added.expect("the name is free")).unwrap();
            let report = if by_message {
                let sent = sub.addr().send(message::Shutdown::new());
                sent.await.unwrap()
            } else {
                sub.shutdown().await
            };
            assert!(report.unwrap().is_clean());
        }
    }
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_that_is_shut_down_does_not_wait_for_the_end_of_the_one_above() {
    time::pause();
    let mut middle = SupervisorActor::with_defaults("middle");
    middle.add(ServiceSpec::new("endless", || Endless)).unwrap();
    let sub = ServiceSpec::supervisor(SupervisorActor::with_defaults("sub"));
    let sub = middle.add(sub).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    let middle = root.add(ServiceSpec::supervisor(middle)).unwrap();
    let root = root.start().await.unwrap();
    let sub = SupervisorRef::try_from(&sub).unwrap();
    assert!(root.stop(middle.token()).now_or_never().is_none());
    rest().await;
    assert!(soon(sub.shutdown(), "shutdown").await.is_ok());
    assert!(!sub.addr().connected());
    root.shutdown().await.unwrap();
}

/// Does not stop by itself.
struct Endless;

impl Actor for Endless {
    type Context = ServiceContext<Self>;

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}
