//! When nobody holds a tree any more, and when its system stops, nothing is left behind.

use std::{
    cell::RefCell,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    Placement, RestartLimit, ServiceContext, ServiceRef, ServiceSpec, ShutdownError, StartError,
    SupervisorActor, SupervisorSpec, message,
};
use tokio::{runtime::Builder, task::yield_now};

use crate::support::{Barrier, Book, Clerk, Tally, Write, patiently, placements, root};

/// How long to wait for another thread. It takes no time.
const DEADLINE: Duration = Duration::from_secs(30);

#[actix::test]
async fn when_the_last_reference_is_dropped_everything_stops() {
    let (arbiter, placements) = placements();
    let root = root().await;
    let book = Book::default();
    let mut services = Vec::new();
    for (number, placement) in placements.into_iter().enumerate() {
        let spec = Clerk::spec(&number.to_string(), &book).placement(placement);
        services.push(root.add_and_wait(spec).await.unwrap());
    }
    let another = root.clone();
    let mut events = root.events();

    drop(root);
    for service in &services {
        patiently(service.send(Barrier)).await.unwrap();
    }
    assert_eq!(book.dropped.get(), 0);

    drop(another);
    book.dropped.until(services.len()).await;
    // The stream ends with the tree.
    patiently(async { while events.next().await.is_some() {} }).await;
    for service in &services {
        assert_eq!(
            patiently(service.send(Barrier)).await,
            Err(MailboxError::Closed)
        );
    }
    arbiter.stop();
    arbiter.join().unwrap();
}

#[actix::test]
async fn addresses_alone_do_not_keep_a_tree() {
    let root = root().await;
    let book = Book::default();
    let service = root
        .add_and_wait(Clerk::spec("clerk", &book))
        .await
        .unwrap();
    let addr = root.addr().clone();

    drop(root);

    book.dropped.until(1).await;
    assert_eq!(
        patiently(service.send(Barrier)).await,
        Err(MailboxError::Closed)
    );
    assert_eq!(
        patiently(addr.send(message::Count)).await.unwrap_err(),
        MailboxError::Closed
    );
}

#[actix::test]
async fn service_that_keeps_its_supervisor_keeps_the_tree() {
    let root = root().await;
    let dropped = Tally::default();
    let keeper = {
        let dropped = dropped.clone();
        ServiceSpec::new("keeper", move || Keeper {
            kept: None,
            dropped: dropped.clone(),
        })
    };
    let keeper = root.add_and_wait(keeper).await.unwrap();

    drop(root);
    patiently(keeper.send(LetGo(false))).await.unwrap();
    assert_eq!(dropped.get(), 0);

    patiently(keeper.send(LetGo(true))).await.unwrap();
    dropped.until(1).await;
}

#[actix::test]
async fn tree_that_is_dropped_in_the_midst_of_everything_stops() {
    let spec = SupervisorSpec::default().limit(RestartLimit::decay(
        Duration::from_secs(60),
        1.0,
        Duration::from_secs(60),
    ));
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    let book = Book::default();
    let attempts = Tally::default();
    for number in 0..10 {
        let attempts = attempts.clone();
        // They fail until the supervisor pauses, and then wait.
        let spec = ServiceSpec::<Clerk>::try_new(format!("failing-{number}"), move |_| {
            attempts.add();
            Err("no luck")
        });
        root.add(spec).await.unwrap();
    }
    attempts.until(10).await;
    let flooded = root.add(Clerk::spec("flooded", &book)).await.unwrap();
    for number in 0..10_000 {
        flooded.do_send(Write(number));
    }

    drop(root);

    book.dropped.until(1).await;
    assert_eq!(
        patiently(flooded.send(Barrier)).await,
        Err(MailboxError::Closed)
    );
    assert_eq!(book.made.get(), 1);
}

#[actix::test]
async fn thread_of_a_dedicated_service_ends_with_the_service() {
    let root = root().await;
    let ended = Tally::default();
    let threads = [
        Threaded::spec("first", &ended),
        Threaded::spec("second", &ended),
    ];
    let mut services = Vec::new();
    for spec in threads {
        let spec = spec.placement(Placement::Dedicated);
        services.push(root.add_and_wait(spec).await.unwrap());
    }

    patiently(root.remove(services[0].token())).await.unwrap();
    ended.until(1).await;
    assert!(services[1].connected());

    patiently(root.shutdown()).await.unwrap();
    ended.until(2).await;
}

#[actix::test]
async fn threads_of_the_pool_end_with_the_tree() {
    let root = root().await;
    let ended = Tally::default();
    let cores = thread::available_parallelism().unwrap().get();
    // Services take turns on the threads.
    for number in 0..cores {
        let spec = Threaded::spec(&number.to_string(), &ended).placement(Placement::Pool);
        root.add_and_wait(spec).await.unwrap();
    }
    for service in root.services().await.unwrap() {
        patiently(root.remove(service.token())).await.unwrap();
    }
    assert_eq!(ended.get(), 0);

    patiently(root.shutdown()).await.unwrap();
    ended.until(cores).await;
}

#[actix::test]
async fn nothing_that_a_tree_was_given_outlives_it() {
    let (arbiter, placements) = placements();
    for end in [
        Ending::Shutdown,
        Ending::Drop,
        Ending::Remove,
        Ending::Pause,
    ] {
        for placement in placements.clone() {
            let given = Arc::new(());
            let root = root().await;
            let spec = {
                let given = Arc::clone(&given);
                ServiceSpec::new("holder", move || Holder(Arc::clone(&given)))
            };
            let service = root.add_and_wait(spec.placement(placement)).await.unwrap();
            service.do_send(Hold(Arc::clone(&given)));
            patiently(service.send(Hold(Arc::clone(&given))))
                .await
                .unwrap();
            assert!(Arc::strong_count(&given) > 1);

            match end {
                Ending::Drop => drop(root),
                Ending::Pause => {
                    // What is queued for a service that is down goes with it.
                    patiently(root.stop(service.token())).await.unwrap();
                    service.do_send(Hold(Arc::clone(&given)));
                    patiently(root.shutdown()).await.unwrap();
                }
                Ending::Remove => {
                    patiently(root.remove(service.token())).await.unwrap();
                }
                Ending::Shutdown => {
                    patiently(root.shutdown()).await.unwrap();
                }
            }
            // The reference of the service is still held.
            let gone = async {
                while Arc::strong_count(&given) > 1 {
                    yield_now().await;
                }
            };
            patiently(gone).await;
            drop(service);
        }
    }
    arbiter.stop();
    arbiter.join().unwrap();
}

#[test]
fn when_the_system_stops_nothing_hangs_and_every_actor_is_dropped() {
    let (tx, rx) = mpsc::channel();
    let book = Book::default();
    let in_system = book.clone();
    let system = thread::spawn(move || {
        let system = System::new();
        let services = system.block_on(async {
            let (arbiter, placements) = placements();
            let root = root().await;
            let mut services: Vec<ServiceRef<Clerk>> = Vec::new();
            for (number, placement) in placements.into_iter().enumerate() {
                let spec = Clerk::spec(&number.to_string(), &in_system).placement(placement);
                services.push(root.add_and_wait(spec).await.unwrap());
            }
            for service in &services {
                for number in 0..1_000 {
                    service.do_send(Write(number));
                }
            }
            // Somebody outside wants to know how it ends.
            let outside = root.clone();
            let waiting = thread::spawn(move || {
                let joined = block_on(outside.join());
                let shut_down = block_on(outside.shutdown());
                tx.send((joined.is_err(), shut_down.map(|_| ()))).unwrap();
            });
            System::current().stop();
            (services, root, arbiter, waiting)
        });
        system.run().unwrap();
        services
    });
    let (services, root, arbiter, waiting) = system.join().unwrap();

    // References that outlive the system are refused, and hold nothing up.
    for service in &services {
        let answer = service.send(Barrier);
        assert_eq!(block_on(answer), Err(MailboxError::Closed));
    }
    assert_eq!(
        rx.recv_timeout(DEADLINE).unwrap(),
        (true, Err(ShutdownError::SystemStopped))
    );
    waiting.join().unwrap();
    drop(root);
    arbiter.join().unwrap();
    // The threads of the tree end on their own time.
    while book.dropped.get() < book.made.get() {
        thread::yield_now();
    }
    assert_eq!(book.made.get(), 4);
}

#[test]
fn service_whose_arbiter_stops_is_lost_and_its_siblings_are_not() {
    System::new().block_on(async {
        let root = root().await;
        let book = Book::default();
        let arbiter = Arbiter::new();
        let placement = Placement::Arbiter(arbiter.handle());
        let lost = root
            .add_and_wait(Clerk::spec("lost", &book).placement(placement))
            .await
            .unwrap();
        let kept = root.add_and_wait(Clerk::spec("kept", &book)).await.unwrap();

        arbiter.stop();

        book.dropped.until(1).await;
        assert_eq!(
            patiently(lost.send(Barrier)).await,
            Err(MailboxError::Closed)
        );
        assert_eq!(patiently(kept.send(Barrier)).await, Ok(()));
        arbiter.join().unwrap();
        let report = patiently(root.shutdown()).await.unwrap();
        assert!(report.unstopped().is_empty(), "{report}");
        assert_eq!(book.dropped.get(), 2);
    });
}

/// Runs a future outside of any actix system.
fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(future)
}

#[actix::test]
async fn service_on_an_arbiter_that_has_stopped_is_an_error() {
    let root = root().await;
    let book = Book::default();
    let arbiter = Arbiter::new();
    let placement = Placement::Arbiter(arbiter.handle());
    arbiter.stop();
    arbiter.join().unwrap();

    let spec = Clerk::spec("first", &book).placement(placement.clone());
    let refused = patiently(root.add_and_wait(spec)).await;
    assert!(
        matches!(refused, Err(StartError::Failed { .. })),
        "{refused:?}"
    );

    let spec = Clerk::spec("second", &book).placement(placement);
    let service = root.add(spec).await.unwrap();
    assert_eq!(
        patiently(service.send(Barrier)).await,
        Err(MailboxError::Closed)
    );
    // Whether it is kept or not, it is no use.
    let _ = patiently(root.restart(service.token())).await.unwrap_err();
    assert_eq!(book.made.get(), 0);
    patiently(root.shutdown()).await.unwrap();
}

/// How a service comes to its end.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Drop,
    Pause,
    Remove,
    Shutdown,
}

/// Holds what it gets, in a future that never ends.
struct Holder(Arc<()>);

impl Actor for Holder {
    type Context = ServiceContext<Self>;
}

#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Hold(Arc<()>);

impl Handler<Hold> for Holder {
    type Result = ();

    fn handle(&mut self, Hold(given): Hold, ctx: &mut Self::Context) {
        assert!(Arc::ptr_eq(&given, &self.0));
        let forever = async move {
            std::future::pending::<()>().await;
            drop(given);
        };
        ctx.spawn(forever.into_actor(self));
    }
}

/// Notices when its thread ends.
struct Threaded(Tally);

impl Threaded {
    fn spec(name: &str, ended: &Tally) -> ServiceSpec<Self> {
        let ended = ended.clone();
        ServiceSpec::new(name, move || Self(ended.clone()))
    }
}

impl Actor for Threaded {
    type Context = ServiceContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        EPITAPH.set(Some(Epitaph(self.0.clone())));
    }
}

/// Dropped with its thread.
struct Epitaph(Tally);

impl Drop for Epitaph {
    fn drop(&mut self) {
        self.0.add();
    }
}

thread_local! {
    static EPITAPH: RefCell<Option<Epitaph>> = const { RefCell::new(None) };
}

/// Holds a reference of its own tree.
struct Keeper {
    kept: Option<resurgam::SupervisorRef>,
    dropped: Tally,
}

impl Actor for Keeper {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.kept = Some(ctx.supervisor());
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.dropped.add();
    }
}

/// Whether to drop the reference.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct LetGo(bool);

impl Handler<LetGo> for Keeper {
    type Result = ();

    fn handle(&mut self, LetGo(now): LetGo, _: &mut Self::Context) {
        if now {
            self.kept = None;
        }
    }
}
