//! Wakers are the code of other executors. Whoever waits with one that panics, when it is woken or when it is dropped, harms nobody else.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
};

use resurgam::{
    EventKind, ExitReason, ServiceSpec, SupervisorActor, SupervisorRef, SupervisorSpec,
    TaskContext, message, scope::Scope,
};
use tokio::{sync::oneshot, time};

use crate::support::{Plain, SOON, assert_alive, quiet, root};

/// Panics when it is woken, and when it is dropped after that it was not.
struct Hostile(Arc<AtomicUsize>);

impl Wake for Hostile {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("woken on purpose");
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        // Two panics at once would abort the process, as everywhere in Rust.
        assert!(std::thread::panicking(), "dropped on purpose");
    }
}

type Waiting = Pin<Box<dyn Future<Output = ()>>>;

/// Somebody who waits on another executor.
struct Elsewhere {
    waiting: Option<Waiting>,
    woken: Arc<AtomicUsize>,
}

impl Elsewhere {
    /// Begins to wait. From then on nobody but whoever is to wake it has the waker.
    fn begin(mut waiting: Waiting) -> Self {
        let woken = Arc::new(AtomicUsize::new(0));
        let waker = Waker::from(Arc::new(Hostile(Arc::clone(&woken))));
        let polled = waiting.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(waker);
        Self {
            waiting: Some(waiting),
            woken,
        }
    }

    fn was_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // On the thread of whoever has waited, whose business that is.
        let waiting = self.waiting.take();
        let _dropped = catch_unwind(AssertUnwindSafe(|| drop(waiting)));
    }
}

fn plain(name: &str) -> ServiceSpec<Plain> {
    ServiceSpec::new(name, Plain::default)
}

/// A supervisor with a service that runs, and one that waits for the next that is added.
async fn tree() -> SupervisorRef {
    let root = root().await;
    root.add_and_wait(plain("plain")).await.unwrap();
    root.add(plain("waits").requires("late")).await.unwrap();
    root
}

/// Everything that somebody may wait for at a supervisor and its registry.
fn all(root: &SupervisorRef) -> Vec<(&'static str, Waiting)> {
    macro_rules! waits {
        ($($name:literal: |$root:ident| $future:expr,)*) => {
            vec![$(($name, {
                let $root = root.clone();
                Box::pin(async move { let _answer = $future.await; }) as Waiting
            })),*]
        };
    }
    waits! {
        "add": |root| root.add(plain("added")),
        "add twice": |root| root.add(plain("plain")),
        "add_and_wait": |root| root.add_and_wait(plain("awaited")),
        "add_supervisor": |root| root.add_supervisor(SupervisorActor::with_defaults("sub")),
        "stop": |root| root.stop("plain"),
        "restart": |root| root.restart("plain"),
        "reset": |root| root.reset("plain"),
        "remove": |root| root.remove("plain"),
        "remove nobody": |root| root.remove("root/nobody/there"),
        "services": |root| root.services(),
        "counts": |root| root.counts(),
        "report": |root| root.report(),
        "lookup": |root| root.lookup::<Plain>("root/plain"),
        "when_ready": |root| root.when_ready::<Plain>("root/waits"),
        "reconfigure": |root| root.reconfigure(SupervisorSpec::default()),
        "message to the supervisor": |root| root.addr().send(message::Services),
        "message to the registry": |root| root.registry().send(message::Services),
        "another": |root| root.registry().send(message::ServicesOf::new("root")),
        "one that waits": |root| root.registry().send(message::WhenReady::<Plain>::new("root/waits")),
        "event": |root| { let mut events = root.events(); async move { events.next().await } },
    }
}

#[actix::test]
async fn waker_that_panics_harms_nobody_but_whoever_waits_with_it() {
    time::pause();
    let names = all(&root().await).into_iter().map(|(name, _)| name);
    for (at, name) in names.enumerate() {
        for leaves in [false, true] {
            let root = tree().await;
            let waits = Elsewhere::begin(all(&root).swap_remove(at).1);
            if leaves {
                drop(waits);
            } else {
                quiet().await;
                root.add_and_wait(plain("late")).await.unwrap();
                quiet().await;
                assert!(waits.was_woken(), "{name}");
            }
            assert_alive(&root).await;
            root.add_and_wait(plain("another")).await.unwrap();
            let found = root.lookup::<Plain>("root/another").await;
            assert!(found.is_ok(), "{name}: {found:?}");
            assert!(root.shutdown().await.unwrap().is_clean(), "{name}");
        }
    }
}

/// tokio wakes those who wait for the same one after the other: also those behind a waker that panics are woken.
#[actix::test]
async fn waker_that_panics_at_the_end_of_a_tree_does_not_keep_it_from_ending() {
    time::pause();
    for waits in ["join", "registry", "shutdown"] {
        let root = tree().await;
        let held = root.clone();
        // Many, so that some stand behind one another wherever tokio puts them.
        let mut many = Vec::new();
        for _ in 0..40 {
            let held = held.clone();
            many.push(Elsewhere::begin(match waits {
                "join" => Box::pin(async move { drop(held.join().await) }),
                "shutdown" => Box::pin(async move { drop(held.shutdown().await) }),
                _ => {
                    let asked = held.registry().clone();
                    Box::pin(async move {
                        let ready = message::WhenReady::<Plain>::new("root/waits");
                        drop(asked.send(ready).await);
                    }) as Pin<Box<dyn Future<Output = ()>>>
                }
            }));
        }
        quiet().await;
        assert!(root.shutdown().await.unwrap().is_clean(), "{waits}");
        quiet().await;
        assert!(many.iter().all(Elsewhere::was_woken), "{waits}");
        let ended = time::timeout(SOON, root.join()).await;
        assert!(matches!(ended, Ok(Ok(()))), "{waits}: {ended:?}");
        assert!(root.lookup::<Plain>("root/plain").await.is_err(), "{waits}");
    }
}

#[actix::test]
async fn waker_that_panics_ends_neither_a_task_nor_a_scope_that_it_waits_for() {
    time::pause();
    let root = root().await;
    let (tell, told) = oneshot::channel();
    let mut tell = Some(tell);
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let tell = tell.take();
        async move {
            if let Some(tell) = tell {
                let _test_gone = tell.send(cx.clone());
            }
            // It is woken by the stop itself, too.
            cx.shutdown().await;
        }
    });
    let mut events = root.events();
    root.add_and_wait(task).await.unwrap();
    let cx = told.await.unwrap();
    let waits = Elsewhere::begin(Box::pin(async move { cx.shutdown().await }));
    let reason = root.remove("task").await.unwrap();
    assert!(waits.was_woken());
    // Not by a panic that is none of its own.
    assert!(!matches!(reason, ExitReason::Panicked { .. }), "{reason}");
    while let Some(event) = events.try_next() {
        assert!(!matches!(event.kind(), EventKind::ServicePanicked { .. }));
    }

    let (tell, told) = oneshot::channel();
    let done = Scope::run("scope", |scope: Scope| async move {
        let waits = scope.clone();
        let ends = Elsewhere::begin(Box::pin(scope.ending()));
        let joins = Elsewhere::begin(Box::pin(async move { drop(waits.join().await) }));
        let _test_gone = tell.send([&ends, &joins].map(|waits| Arc::clone(&waits.woken)));
        // They wait on.
        Box::leak(Box::new((ends, joins)));
        Ok::<_, std::io::Error>(7)
    });
    assert_eq!(done.await.unwrap(), 7);
    let woken = told.await.unwrap();
    assert!(woken.iter().any(|woken| woken.load(Ordering::SeqCst) > 0));
    assert_alive(&root).await;
    assert!(root.shutdown().await.unwrap().is_clean());
}
