//! A busy service does not keep its siblings from running.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use actix::prelude::*;
use futures::stream;
use resurgam::{
    EventKind, Placement, RestartType, ServiceContext, ServiceSpec, Shutdown, SupervisorRef,
};

use crate::support::{
    Barrier, Book, Clerk, SLICE, Tally, Write, among_tasks, patiently, placements, root,
};

/// How often a sibling is asked during a flood.
const ROUNDS: usize = 200;

/// What a busy service gives up after, so that a test that fails ends.
const STARVED: usize = 1_000_000;

#[actix::test]
async fn service_flooded_from_another_thread_delays_its_sibling_by_a_slice() {
    for placement in [
        Placement::Inherit,
        Placement::Arbiter(Arbiter::new().handle()),
    ] {
        let root = root().await;
        let book = Book::default();
        let flooded = root
            .add_and_wait(Clerk::spec("flooded", &book).placement(placement.clone()))
            .await
            .unwrap();
        let asked = Tally::default();
        let sibling = root
            .add_and_wait(Sibling::spec("sibling", &asked).placement(placement.clone()))
            .await
            .unwrap();
        // What the flood is never shorter than: far more than is handled while the sibling is asked once.
        for number in 0..10 * SLICE {
            flooded.do_send(Write(number));
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let flooder = {
            let (service, book, is_over) = (flooded.clone(), book.clone(), Arc::clone(&is_over));
            thread::spawn(move || {
                let mut sent = 10 * SLICE;
                while !is_over.load(Ordering::SeqCst) {
                    if sent < book.len() + 100 * SLICE {
                        service.do_send(Write(sent));
                        sent += 1;
                    } else {
                        thread::yield_now();
                    }
                }
            })
        };

        // The sibling's arbiter asks it, so that nothing but the flood is between two of its messages.
        let gaps = on_arbiter(&placement, {
            let (sibling, book) = (sibling.clone(), book.clone());
            move || async move {
                let (mut gaps, mut floods) = (Vec::new(), 0);
                // On a busy machine the flooding thread is not always at work.
                while floods < ROUNDS {
                    let before = book.len();
                    sibling.send(Ask).await.unwrap();
                    let gap = book.len() - before;
                    floods += usize::from(gap > 0);
                    gaps.push(gap);
                }
                gaps
            }
        })
        .await;

        is_over.store(true, Ordering::SeqCst);
        flooder.join().unwrap();
        assert_eq!(asked.get(), gaps.len());
        assert!(gaps.iter().all(|gap| *gap < SLICE), "{gaps:?}");
        patiently(root.shutdown()).await.unwrap();
    }
}

#[actix::test]
async fn service_that_notifies_itself_for_ever_does_not_starve_its_siblings() {
    assert_fair(|busy, ctx| busy.step(ctx, |ctx| ctx.notify(Busily::Notify))).await;
}

#[actix::test]
async fn service_that_sends_to_itself_for_ever_does_not_starve_its_siblings() {
    assert_fair(|busy, ctx| busy.step(ctx, |ctx| ctx.address().do_send(Busily::Send))).await;
}

#[actix::test]
async fn service_with_an_endless_stream_does_not_starve_its_siblings() {
    assert_fair(|_, ctx| {
        ctx.add_stream(stream::repeat(Item));
    })
    .await;
}

#[actix::test]
async fn service_with_endless_streams_does_not_starve_its_siblings() {
    assert_fair(|_, ctx| {
        for _ in 0..4 {
            ctx.add_stream(stream::repeat(Item));
        }
    })
    .await;
}

#[actix::test]
async fn service_that_waits_again_and_again_does_not_starve_its_siblings() {
    assert_fair(|busy, ctx| busy.step(ctx, wait_again)).await;
}

#[actix::test]
async fn service_that_spawns_again_and_again_does_not_starve_its_siblings() {
    assert_fair(|busy, ctx| busy.step(ctx, spawn_again)).await;
}

#[actix::test]
async fn service_that_cancels_and_spawns_for_ever_does_not_starve_its_siblings() {
    assert_fair(|busy, ctx| busy.step(ctx, cancel_again)).await;
}

#[actix::test]
async fn service_that_will_not_stop_does_not_starve_its_siblings() {
    assert_fair(|busy, ctx| {
        busy.reluctant = true;
        ctx.stop();
    })
    .await;
}

#[actix::test]
async fn service_that_stops_in_started_for_ever_does_not_starve_its_siblings() {
    let steps = Tally::default();
    let spec = {
        let steps = steps.clone();
        ServiceSpec::new("busy", move || StillBorn(steps.clone()))
    };
    let root = root().await;
    root.add(spec).await.unwrap();
    among_tasks(assert_siblings_run(root, steps)).await;
}

#[actix::test]
async fn service_whose_factory_fails_for_ever_does_not_starve_its_siblings() {
    let steps = Tally::default();
    let spec = {
        let steps = steps.clone();
        ServiceSpec::<Clerk>::try_new("busy", move |_| {
            steps.add();
            Err("no luck")
        })
    };
    let root = root().await;
    root.add(spec).await.unwrap();
    among_tasks(assert_siblings_run(root, steps)).await;
}

#[actix::test]
async fn busy_service_does_not_keep_a_supervisor_on_its_thread_from_working() {
    among_tasks(assert_supervisor_works()).await;
}

async fn assert_supervisor_works() {
    let root = root().await;
    let steps = Tally::default();
    let busy = root
        .add(Busy::spec(&steps, |busy, ctx| {
            busy.step(ctx, |ctx| ctx.notify(Busily::Notify));
        }))
        .await
        .unwrap();
    steps.until(1).await;

    let book = Book::default();
    let before = steps.get();
    let service = root.add_and_wait(Clerk::spec("new", &book)).await.unwrap();
    root.remove(service.token()).await.unwrap();
    let between = steps.get() - before;
    assert!(
        between < 20 * SLICE,
        "{between} steps for an add and a remove"
    );

    patiently(root.remove(busy.token())).await.unwrap();
    assert!(steps.get() < STARVED);
}

/// Starts a service that does `busily` when it is started, and asserts that others run.
async fn assert_fair(busily: fn(&mut Busy, &mut ServiceContext<Busy>)) {
    among_tasks(assert_fair_everywhere(busily)).await;
}

async fn assert_fair_everywhere(busily: fn(&mut Busy, &mut ServiceContext<Busy>)) {
    let (arbiter, placements) = placements();
    for placement in placements {
        let root = root().await;
        let steps = Tally::default();
        let busy = Busy::spec(&steps, busily).placement(placement.clone());
        let busy = root.add(busy).await.unwrap();
        steps.until(1).await;
        let asked = Tally::default();
        let mut siblings = Vec::new();
        // Of a pool's threads some share that of the busy service.
        for number in 0..4 {
            let sibling = Sibling::spec(&format!("sibling-{number}"), &asked);
            let sibling = sibling.placement(placement.clone());
            siblings.push(root.add_and_wait(sibling).await.unwrap());
        }

        let mut longest = 0;
        for _ in 0..ROUNDS {
            let before = steps.get();
            for sibling in &siblings {
                patiently(sibling.send(Ask)).await.unwrap();
            }
            longest = longest.max(steps.get() - before);
        }

        // On another thread it goes on while this one rests.
        if matches!(placement, Placement::Inherit) {
            assert!(steps.get() < STARVED, "it gave up being busy");
            assert!(longest < 4 * SLICE, "{longest} steps in a round");
        }
        // Nor does it escape its supervisor.
        patiently(root.remove(busy.token())).await.unwrap();
        patiently(root.shutdown()).await.unwrap();
    }
    arbiter.stop();
    arbiter.join().unwrap();
}

/// Asserts that others run beside a service that cannot run.
async fn assert_siblings_run(root: SupervisorRef, steps: Tally) {
    steps.until(10).await;
    let book = Book::default();
    let sibling = root
        .add_and_wait(Clerk::spec("sibling", &book))
        .await
        .unwrap();
    let mut longest = 0;
    for _ in 0..ROUNDS {
        let before = steps.get();
        patiently(sibling.send(Barrier)).await.unwrap();
        longest = longest.max(steps.get() - before);
    }
    assert!(longest < SLICE, "{longest} starts between two messages");
    // It did go on.
    let before = steps.get();
    steps.until(before + 10).await;
    patiently(root.shutdown()).await.unwrap();
}

/// Runs a task on the arbiter of a placement, and returns what it returns.
async fn on_arbiter<T, F>(placement: &Placement, task: impl FnOnce() -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let (done, result) = tokio::sync::oneshot::channel();
    let run = move || {
        actix_rt::spawn(async move {
            let _ = done.send(task().await);
        });
    };
    match placement {
        Placement::Arbiter(arbiter) => {
            arbiter.spawn_fn(run);
        }
        _ => run(),
    }
    patiently(result).await.unwrap()
}

/// Never has nothing to do.
struct Busy {
    steps: Tally,
    busily: fn(&mut Self, &mut ServiceContext<Self>),
    reluctant: bool,
}

impl Busy {
    fn spec(steps: &Tally, busily: fn(&mut Self, &mut ServiceContext<Self>)) -> ServiceSpec<Self> {
        let steps = steps.clone();
        let spec = ServiceSpec::new("busy", move || Self {
            steps: steps.clone(),
            busily,
            reluctant: false,
        });
        // For those that will not stop.
        spec.shutdown(Shutdown::Timeout(Duration::from_millis(50)))
    }

    /// Counts a step, and takes the next one unless that is pointless.
    fn step(&mut self, ctx: &mut ServiceContext<Self>, next: fn(&mut ServiceContext<Self>)) {
        if self.steps.add() < STARVED {
            next(ctx);
        }
    }
}

impl Actor for Busy {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        (self.busily)(self, ctx);
    }

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        if self.reluctant && self.steps.add() < STARVED {
            ctx.notify(Busily::Stop);
            return Running::Continue;
        }
        Running::Stop
    }
}

fn wait_again(ctx: &mut ServiceContext<Busy>) {
    ctx.wait(
        fut::ready(()).map(|(), busy: &mut Busy, ctx: &mut ServiceContext<Busy>| {
            busy.step(ctx, wait_again);
        }),
    );
}

fn spawn_again(ctx: &mut ServiceContext<Busy>) {
    ctx.spawn(
        fut::ready(()).map(|(), busy: &mut Busy, ctx: &mut ServiceContext<Busy>| {
            busy.step(ctx, spawn_again);
        }),
    );
}

fn cancel_again(ctx: &mut ServiceContext<Busy>) {
    let handle = ctx.spawn(fut::wrap_future(std::future::pending()));
    ctx.cancel_future(handle);
    spawn_once_more(ctx);
}

fn spawn_once_more(ctx: &mut ServiceContext<Busy>) {
    ctx.spawn(
        fut::ready(()).map(|(), busy: &mut Busy, ctx: &mut ServiceContext<Busy>| {
            busy.step(ctx, cancel_again);
        }),
    );
}

#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
enum Busily {
    Notify,
    Send,
    Stop,
}

impl Handler<Busily> for Busy {
    type Result = ();

    fn handle(&mut self, msg: Busily, ctx: &mut Self::Context) {
        match msg {
            Busily::Notify => self.step(ctx, |ctx| ctx.notify(Busily::Notify)),
            Busily::Send => self.step(ctx, |ctx| ctx.address().do_send(Busily::Send)),
            Busily::Stop => ctx.stop(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Item;

impl StreamHandler<Item> for Busy {
    fn handle(&mut self, _: Item, ctx: &mut Self::Context) {
        if self.steps.add() >= STARVED {
            ctx.terminate();
        }
    }
}

/// Stops as soon as it is started.
struct StillBorn(Tally);

impl Actor for StillBorn {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.0.add();
        ctx.stop();
    }
}

/// Counts what it is asked.
struct Sibling(Tally);

impl Sibling {
    fn spec(name: &str, asked: &Tally) -> ServiceSpec<Self> {
        let asked = asked.clone();
        ServiceSpec::new(name, move || Self(asked.clone()))
    }
}

impl Actor for Sibling {
    type Context = ServiceContext<Self>;
}

#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Ask;

impl Handler<Ask> for Sibling {
    type Result = ();

    fn handle(&mut self, _: Ask, _: &mut Self::Context) {
        self.0.add();
    }
}

/// What a supervisor does on its arbiter when all of its services end at once is bounded as well: it gives way after a batch of ends. tokio's
/// channel gives way by itself after as many; this fails if both bounds are gone.
#[actix::test]
async fn supervisor_whose_services_end_all_at_once_gives_way_to_others_of_its_arbiter() {
    const SERVICES: usize = 3_000;
    /// More than a batch of notices, and far less than all of them.
    const MOST: usize = 400;

    let root = root().await;
    let (end, ended) = tokio::sync::watch::channel(());
    for number in 0..SERVICES {
        let ended = ended.clone();
        let task = ServiceSpec::task(format!("task-{number}"), move |_| {
            let mut ended = ended.clone();
            async move { ended.changed().await }
        });
        let task = task.restart(RestartType::Temporary);
        root.add_and_wait(task).await.unwrap();
    }
    let mut events = root.events_with_capacity(4 * SERVICES);
    end.send(()).unwrap();

    let (mut seen, mut most) = (0, 0);
    while seen < SERVICES {
        actix_rt::task::yield_now().await;
        let mut now = 0;
        while let Some(event) = events.try_next() {
            now += usize::from(matches!(event.kind(), EventKind::ServiceCompleted { .. }));
        }
        seen += now;
        most = most.max(now);
    }
    assert!(most <= MOST, "{most} ends were handled without a pause");
    root.shutdown().await.unwrap();
}
