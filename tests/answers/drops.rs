//! Values of the user's that panic when they are dropped, where a supervisor drops them on its turn.

use futures::FutureExt;
use resurgam::{
    AddError, OnStart, ServiceSpec, SupervisorActor, SupervisorRef, SupervisorSpec, message,
};
use tokio::time;

use crate::support::{Plain, soon};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("broken in Drop");
    }
}

/// A service whose factory holds a bomb.
fn bomb(name: &str) -> ServiceSpec<Plain> {
    let bomb = Bomb;
    ServiceSpec::new(name.to_owned(), move || {
        let _held = &bomb;
        Plain
    })
}

/// Rules whose closures hold bombs.
fn bombs() -> SupervisorSpec {
    let (fatal, more_important) = (Bomb, Bomb);
    SupervisorSpec::default()
        .fatal(move |_| {
            let _held = &fatal;
            false
        })
        .more_important(move |_, _| {
            let _held = &more_important;
            false
        })
}

fn building(spec: SupervisorSpec) -> SupervisorSpec {
    let held = Bomb;
    spec.on_start(move |_: &mut OnStart<'_>| {
        let _held = &held;
        Ok::<_, AddError>(())
    })
}

/// A root, and a supervisor below it.
async fn tree() -> (SupervisorRef, SupervisorRef) {
    let mut root = SupervisorActor::with_defaults("root");
    let sub = SupervisorActor::with_defaults("sub");
    let sub = root.add(ServiceSpec::supervisor(sub)).unwrap();
    let root = root.start().await.unwrap();
    let sub = SupervisorRef::try_from(&sub).unwrap();
    (root, sub)
}

#[actix::test]
async fn specs_that_are_refused_or_replaced_harm_nobody() {
    time::pause();
    let (root, sub) = tree().await;
    for supervisor in [&root, &sub] {
        // Answered to nobody, and refused the second time.
        for _ in 0..2 {
            assert!(supervisor.add(bomb("plain")).now_or_never().is_none());
            let add = message::AddAndWait::new(bomb("plain"));
            assert!(supervisor.addr().send(add).now_or_never().is_none());
        }
        assert!(soon(supervisor.add(bomb("plain")), "add").await.is_err());
        assert!(soon(supervisor.add(bomb("")), "add").await.is_err());
        for _ in 0..2 {
            let done = supervisor.reconfigure(bombs());
            assert!(soon(done, "reconfigure").await.is_ok());
            assert!(supervisor.reconfigure(bombs()).now_or_never().is_none());
        }
        let _refused_or_not = soon(supervisor.reconfigure(building(bombs())), "reconfigure").await;
        assert!(soon(supervisor.counts(), "counts").await.is_ok());
    }
    soon(root.shutdown(), "shutdown").await.unwrap();
}

#[actix::test]
async fn requests_that_are_refused_unread_harm_nobody() {
    time::pause();
    let (root, sub) = tree().await;
    let queue = || {
        for _ in 0..3 {
            sub.addr().do_send(message::Add::new(bomb("plain")));
            sub.addr()
                .do_send(message::Reconfigure::new(building(bombs())));
        }
    };
    // Down, and then gone with what is in its mailbox.
    soon(root.stop(sub.token()), "stop").await.unwrap();
    queue();
    time::sleep(time::Duration::from_millis(1)).await;
    queue();
    soon(root.remove(sub.token()), "remove").await.unwrap();
    time::sleep(time::Duration::from_millis(1)).await;
    assert!(!sub.addr().connected());
    assert!(soon(root.counts(), "counts").await.is_ok());
    soon(root.shutdown(), "shutdown").await.unwrap();
}
