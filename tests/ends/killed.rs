//! A supervisor that is dropped instead of being asked, and then kept, removed or started again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use futures::join;
use resurgam::{
    EventKind, ExitReason, RestartError, ServiceContext, ServiceSpec, ServiceState, Shutdown,
    SupervisorActor, SupervisorRef,
};
use tokio::time;

use crate::support::{failing_last, patiently, plain, supervisor};

/// Stays when it is asked to stop, and counts those of its kind that are there.
struct Stubborn(Arc<AtomicUsize>);

impl Stubborn {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Actor for Stubborn {
    type Context = ServiceContext<Self>;

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}

impl Drop for Stubborn {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn stubborn(alive: &Arc<AtomicUsize>) -> ServiceSpec<Stubborn> {
    let alive = Arc::clone(alive);
    ServiceSpec::new("stubborn", move || Stubborn::new(&alive)).shutdown(Shutdown::Infinity)
}

/// `root/mid/low` with a service that does not stop by itself, and `mid` is stopped like this.
async fn tree(how: Shutdown, alive: &Arc<AtomicUsize>) -> (SupervisorRef, SupervisorRef) {
    let mut low = SupervisorActor::with_defaults("low");
    low.add(plain("a")).unwrap();
    low.add(stubborn(alive)).unwrap();
    let mut mid = SupervisorActor::with_defaults("mid");
    mid.add(plain("b")).unwrap();
    mid.add(ServiceSpec::supervisor(low)).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::supervisor(mid).shutdown(how))
        .unwrap();
    let root = root.start().await.unwrap();
    let mid = supervisor(&root, "root/mid").await;
    (root, mid)
}

/// How a supervisor comes to be dropped: at once, or because its time is up.
const WAYS: [Shutdown; 2] = [
    Shutdown::BrutalKill,
    Shutdown::Timeout(Duration::from_millis(200)),
];

async fn state(root: &SupervisorRef, path: &str) -> ServiceState {
    let found = root.when_known(path).await;
    found.unwrap_or_else(|| panic!("{path} is gone"))
}

/// Looks a service up in the snapshot of its supervisor.
trait WhenKnown {
    async fn when_known(&self, path: &str) -> Option<ServiceState>;
}

impl WhenKnown for SupervisorRef {
    async fn when_known(&self, path: &str) -> Option<ServiceState> {
        let (above, _) = path.rsplit_once('/').unwrap();
        let above = supervisor(self, above).await;
        let services = above.services().await.unwrap();
        let found = services.iter().find(|service| service.path() == path);
        found.map(resurgam::ServiceSummary::state)
    }
}

#[actix::test]
async fn supervisor_that_is_dropped_and_kept_takes_everything_below_with_it() {
    for how in WAYS {
        time::pause();
        let alive = Arc::default();
        let (root, mid) = tree(how, &alive).await;
        assert_eq!(alive.load(Ordering::SeqCst), 1);
        patiently(root.stop(mid.token()), "stop").await.unwrap();
        time::sleep(Duration::from_millis(50)).await;
        assert_eq!(alive.load(Ordering::SeqCst), 0, "runs on: {how:?}");
        for path in ["root/mid/b", "root/mid/low", "root/mid/low/stubborn"] {
            assert_eq!(state(&root, path).await, ServiceState::Stopped, "{path}");
        }
        // And it starts again with all of them.
        patiently(root.restart(mid.token()), "restart")
            .await
            .unwrap();
        assert_eq!(alive.load(Ordering::SeqCst), 1);
        patiently(root.shutdown_within(Duration::from_secs(1)), "shutdown")
            .await
            .unwrap();
        time::resume();
    }
}

#[actix::test]
async fn whoever_waits_for_a_supervisor_that_is_dropped_is_told_and_what_was_asked_is_done() {
    for how in WAYS {
        for again in [false, true] {
            time::pause();
            let alive = Arc::default();
            let (root, mid) = tree(how, &alive).await;
            let low = supervisor(&root, "root/mid/low").await;
            let found = root.lookup::<Stubborn>("root/mid/low/stubborn").await;
            let stubborn = found.unwrap();
            let drop_it = async {
                // Once the three requests are read.
                low.counts().await.unwrap();
                if again {
                    root.restart(mid.token()).await.unwrap();
                } else {
                    root.stop(mid.token()).await.unwrap();
                }
            };
            let waiting = async {
                join!(
                    low.remove(stubborn.token()),
                    low.restart(stubborn.token()),
                    drop_it
                )
            };
            let (removed, restarted, ()) = patiently(waiting, "somebody").await;
            assert!(
                matches!(removed, Ok(ExitReason::Killed(_))),
                "{how:?}: {removed:?}"
            );
            assert_eq!(restarted, Err(RestartError::Interrupted), "{how:?}");
            if !again {
                root.restart(mid.token()).await.unwrap();
            }
            // What was removed does not come back.
            assert_eq!(root.when_known("root/mid/low/stubborn").await, None);
            assert_eq!(alive.load(Ordering::SeqCst), 0);
            assert!(root.shutdown().await.unwrap().is_clean());
            time::resume();
        }
    }
}

#[actix::test]
async fn supervisor_that_was_asked_to_shut_down_is_gone_also_if_it_is_dropped_before_it_has() {
    for how in WAYS {
        for again in [false, true] {
            time::pause();
            let alive = Arc::default();
            let (root, mid) = tree(how, &alive).await;
            let drop_it = async {
                mid.counts().await.unwrap();
                if again {
                    // The shutdown wins: then there is nothing to restart.
                    let _either = root.restart(mid.token()).await;
                } else {
                    let _either = root.stop(mid.token()).await;
                }
            };
            let (report, ()) =
                patiently(async { join!(mid.shutdown(), drop_it) }, "shutdown").await;
            report.unwrap();
            assert_eq!(root.when_known("root/mid").await, None, "{how:?}");
            assert_eq!(alive.load(Ordering::SeqCst), 0);
            root.shutdown().await.unwrap();
            time::resume();
        }
    }
}

#[actix::test]
async fn what_failed_in_an_earlier_life_is_not_in_the_report_of_a_later_one() {
    for how in WAYS {
        time::pause();
        let alive = Arc::default();
        let (root, mid) = tree(how, &alive).await;
        mid.add_and_wait(failing_last("c", "not saved"))
            .await
            .unwrap();
        let token = mid.lookup::<crate::support::Plain>("root/mid/c").await;
        let token = token.unwrap().token();
        patiently(root.restart(mid.token()), "restart")
            .await
            .unwrap();
        mid.remove(token).await.unwrap();
        let low = supervisor(&root, "root/mid/low").await;
        let found = low.lookup::<Stubborn>("root/mid/low/stubborn").await;
        // Gets the time to be dropped for itself.
        let removed = low.remove(found.unwrap().token());
        let stop = root.stop(mid.token());
        let both = async { join!(removed, stop) };
        patiently(both, "stop").await.1.unwrap();
        root.restart(mid.token()).await.unwrap();
        let report = patiently(mid.shutdown(), "shutdown").await.unwrap();
        assert!(report.is_clean(), "{how:?}: {report}");
        assert!(root.shutdown().await.unwrap().is_clean());
        time::resume();
    }
}

/// The paths of the services that are removed with this one.
async fn removed_with(root: &SupervisorRef, supervisor: &SupervisorRef) -> Vec<String> {
    let mut events = root.events();
    let removed = patiently(root.remove(supervisor.token()), "a removal").await;
    removed.unwrap();
    let mut gone = Vec::new();
    while let Ok(Some(event)) = time::timeout(Duration::from_secs(60), events.next()).await {
        if matches!(event.kind(), EventKind::ServiceRemoved { .. }) {
            gone.push(event.path().to_owned());
        }
    }
    gone.sort_unstable();
    gone
}

/// A listener that counts services up and down is told of each one that is gone, and once.
#[actix::test]
async fn services_below_a_supervisor_that_is_removed_are_removed_with_it() {
    time::pause();
    for how in WAYS {
        let (root, mid) = tree(how, &Arc::default()).await;
        let expected = [
            "root/mid",
            "root/mid/b",
            "root/mid/low",
            "root/mid/low/a",
            "root/mid/low/stubborn",
        ];
        assert_eq!(removed_with(&root, &mid).await, expected, "{how:?}");
        root.shutdown().await.unwrap();
    }
    let mut mid = SupervisorActor::with_defaults("mid");
    mid.add(plain("b")).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::supervisor(mid)).unwrap();
    let root = root.start().await.unwrap();
    let mid = supervisor(&root, "root/mid").await;
    assert_eq!(removed_with(&root, &mid).await, ["root/mid", "root/mid/b"]);
    root.shutdown().await.unwrap();
}

/// The end of a whole tree is told as such, and not as the removal of everything in it.
#[actix::test]
async fn nothing_is_removed_when_a_tree_ends() {
    time::pause();
    let alive = Arc::default();
    let (root, _) = tree(Shutdown::BrutalKill, &alive).await;
    let mut events = root.events();
    root.shutdown().await.unwrap();
    while let Some(event) = events.next().await {
        assert!(
            !matches!(event.kind(), EventKind::ServiceRemoved { .. }),
            "{event}"
        );
    }
}
