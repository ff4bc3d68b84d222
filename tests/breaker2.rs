//! Second round.
#![allow(clippy::all, clippy::pedantic, missing_docs, reason = "tests")]
use actix::prelude::*;
use resurgam::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};

#[derive(Default)]
struct Plain;
impl Actor for Plain {
    type Context = ServiceContext<Self>;
}
#[derive(Message)]
#[rtype(result = "u64")]
struct Ping;
impl Handler<Ping> for Plain {
    type Result = u64;
    fn handle(&mut self, _: Ping, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

#[actix::test]
async fn shutdown_of_nested_while_its_supervisor_stops_it() {
    let mut top = SupervisorActor::with_defaults("root");
    let sub = top
        .add(ServiceSpec::supervisor(SupervisorActor::with_defaults(
            "sub",
        )))
        .unwrap();
    let root = top.start().await.unwrap();
    let sub_ref = SupervisorRef::try_from(&sub).unwrap();
    let both = async { tokio::join!(root.stop(sub.token()), sub_ref.shutdown()) };
    let answer = timeout(Duration::from_secs(2), both).await;
    assert!(answer.is_ok(), "shutdown hangs");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn shutdown_of_nested_that_ends_by_itself() {
    // Escalates and is kept as given up.
    let mut top = SupervisorActor::with_defaults("root");
    let sub = top
        .add(
            ServiceSpec::supervisor(SupervisorActor::with_defaults("sub"))
                .restart(RestartType::Temporary),
        )
        .unwrap();
    let root = top.start().await.unwrap();
    let sub_ref = SupervisorRef::try_from(&sub).unwrap();
    let (a, b) = (sub_ref.clone(), sub_ref.clone());
    let both = async { tokio::join!(a.shutdown(), b.shutdown(), root.remove(sub.token())) };
    let answer = timeout(Duration::from_secs(2), both).await;
    assert!(answer.is_ok(), "shutdown hangs");
    println!("{answer:?}");
    root.shutdown().await.unwrap();
}

fn rss() -> u64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    s.lines()
        .find(|l| l.starts_with("VmRSS"))
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}
fn threads() -> u64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    s.lines()
        .find(|l| l.starts_with("Threads"))
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

#[actix::test]
#[ignore]
async fn memory() {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let mut marks = vec![];
    for round in 0..4 {
        for i in 0..5_000 {
            let s = root
                .add(ServiceSpec::new("same", Plain::default))
                .await
                .unwrap();
            if i % 7 == 0 {
                let r = root.when_ready::<Plain>(s.token());
                tokio::select! { _ = r => {}, _ = tokio::task::yield_now() => {} }
            }
            if i % 3 == 0 {
                s.send(Ping).await.unwrap();
            }
            root.remove(s.token()).await.unwrap();
        }
        marks.push((round, rss()));
    }
    println!("RSS {marks:?}");
    root.shutdown().await.unwrap();
}

#[actix::test]
#[ignore]
async fn dedicated_threads() {
    let before = threads();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    for i in 0..20 {
        let sub = SupervisorActor::with_defaults(format!("sub{i}"));
        let mut sub = sub;
        sub.add(ServiceSpec::new("child", Plain::default).placement(Placement::Dedicated))
            .unwrap();
        let sub = root
            .add_and_wait(
                ServiceSpec::supervisor(sub)
                    .placement(Placement::Dedicated)
                    .shutdown(if i % 2 == 0 {
                        Shutdown::BrutalKill
                    } else {
                        Shutdown::Infinity
                    }),
            )
            .await
            .unwrap();
        let child = root
            .lookup::<Plain>(format!("root/sub{i}/child"))
            .await
            .unwrap();
        child.send(Ping).await.unwrap();
        timeout(Duration::from_secs(5), root.restart(sub.token()))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            timeout(Duration::from_secs(5), child.send(Ping))
                .await
                .unwrap()
                .unwrap(),
            1
        );
        timeout(Duration::from_secs(5), root.remove(sub.token()))
            .await
            .unwrap()
            .unwrap();
    }
    sleep(Duration::from_millis(500)).await;
    println!("threads {before} {}", threads());
    assert!(threads() <= before + 1);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn arbiter_of_the_root_stops() {
    let main = Arbiter::current();
    let arbiter = Arbiter::new();
    let (tx, rx) = tokio::sync::oneshot::channel();
    arbiter.spawn(async move {
        let root = SupervisorActor::with_defaults("root")
            .start()
            .await
            .unwrap();
        let here = root
            .add_and_wait(
                ServiceSpec::new("there", Plain::default).placement(Placement::Arbiter(main)),
            )
            .await
            .unwrap();
        let pool = root
            .add_and_wait(ServiceSpec::new("pool", Plain::default).placement(Placement::Pool))
            .await
            .unwrap();
        let gated = root
            .add(ServiceSpec::new("gated", Plain::default).requires("x"))
            .await
            .unwrap();
        let _ = tx.send((root, here, pool, gated));
    });
    let (root, here, pool, gated) = rx.await.unwrap();
    let (r1, r2, t) = (root.clone(), root.clone(), gated.token());
    let w1 = actix::spawn(async move { r1.when_ready::<Plain>(t).await.map(|_| ()) });
    let w2 = actix::spawn(async move {
        r2.add_and_wait(ServiceSpec::new("never", Plain::default).readiness(Readiness::Explicit))
            .await
            .map(|_| ())
    });
    let g2 = gated.clone();
    let w3 = actix::spawn(async move { g2.send(Ping).await });
    sleep(Duration::from_millis(50)).await;
    arbiter.stop();
    println!(
        "{:?}",
        timeout(Duration::from_secs(2), w1)
            .await
            .expect("when_ready hangs")
    );
    println!(
        "{:?}",
        timeout(Duration::from_secs(2), w2)
            .await
            .expect("add_and_wait hangs")
    );
    println!(
        "{:?}",
        timeout(Duration::from_secs(2), w3)
            .await
            .expect("send to gated hangs")
    );
    println!(
        "{:?}",
        timeout(Duration::from_secs(2), root.join())
            .await
            .expect("join hangs")
    );
    println!(
        "{:?}",
        timeout(Duration::from_secs(2), root.shutdown())
            .await
            .expect("shutdown hangs")
    );
    println!(
        "{:?}",
        timeout(
            Duration::from_secs(2),
            root.shutdown_within(Duration::from_secs(1))
        )
        .await
        .expect("shutdown hangs")
    );
    println!(
        "{:?}",
        timeout(Duration::from_secs(2), here.send(Ping))
            .await
            .expect("send hangs")
    );
    println!(
        "{:?}",
        timeout(Duration::from_secs(2), pool.send(Ping))
            .await
            .expect("send hangs")
    );
    println!(
        "{:?}",
        timeout(Duration::from_secs(2), root.report())
            .await
            .expect("report hangs")
            .is_err()
    );
}

#[actix::test]
async fn last_reference_dropped_in_the_middle_of_an_operation() {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let plain = root
        .add_and_wait(ServiceSpec::new("plain", Plain::default).placement(Placement::Pool))
        .await
        .unwrap();
    let task = actix::spawn(async move {
        root.add_and_wait(ServiceSpec::new("never", Plain::default).readiness(Readiness::Explicit))
            .await
            .map(|_| ())
    });
    sleep(Duration::from_millis(20)).await;
    task.abort();
    sleep(Duration::from_millis(200)).await;
    assert!(
        timeout(Duration::from_secs(2), plain.send(Ping))
            .await
            .unwrap()
            .is_err()
    );
}

struct Late(Arc<AtomicUsize>);
impl Actor for Late {
    type Context = ServiceContext<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        if self.0.fetch_add(1, Ordering::SeqCst) >= 3 {
            ctx.ready();
        }
    }
}
impl Handler<Ping> for Late {
    type Result = u64;
    fn handle(&mut self, _: Ping, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

#[actix::test]
async fn nested_killed_by_its_start_timeout_with_children_elsewhere() {
    let root = SupervisorActor::new(
        "root",
        SupervisorSpec::default().limit(RestartLimit::Unlimited),
    )
    .start()
    .await
    .unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let mut sub = SupervisorActor::with_defaults("sub");
    let early = sub
        .add(ServiceSpec::new("early", Plain::default).placement(Placement::Pool))
        .unwrap();
    let late = sub
        .add(
            ServiceSpec::new("late", move || Late(Arc::clone(&tries)))
                .readiness(Readiness::Explicit)
                .placement(Placement::Dedicated),
        )
        .unwrap();
    let sub = root
        .add(
            ServiceSpec::supervisor(sub)
                .start_timeout(Duration::from_millis(100))
                .placement(Placement::Pool),
        )
        .await
        .unwrap();
    let ready = timeout(
        Duration::from_secs(5),
        root.when_ready::<SupervisorActor>(sub.token()),
    )
    .await;
    assert!(matches!(ready, Ok(Ok(_))));
    assert_eq!(
        timeout(Duration::from_secs(1), late.send(Ping))
            .await
            .unwrap()
            .unwrap(),
        3
    );
    assert_eq!(
        timeout(Duration::from_secs(1), early.send(Ping))
            .await
            .unwrap()
            .unwrap(),
        3
    );
    timeout(Duration::from_secs(5), root.shutdown())
        .await
        .unwrap()
        .unwrap();
}

// A child that finishes its work while its sibling is down: in a nested supervisor.
struct Down;
impl Actor for Down {
    type Context = ServiceContext<Self>;
}
impl Handler<Ping> for Down {
    type Result = u64;
    fn handle(&mut self, _: Ping, _: &mut Self::Context) -> u64 {
        0
    }
}
struct Finisher(Addr<Down>, bool);
impl Actor for Finisher {
    type Context = ServiceContext<Self>;
    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        if self.1 {
            return Running::Stop;
        }
        let f = self.0.send(Ping).into_actor(self).map(
            |_, me: &mut Self, ctx: &mut ServiceContext<Self>| {
                me.1 = true;
                ctx.stop();
            },
        );
        ctx.spawn(f);
        Running::Continue
    }
}
#[actix::test]
async fn finishing_work_with_a_sibling_that_is_down_below_a_nested_supervisor() {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let sub = SupervisorActor::with_defaults("sub");
    let sub = root
        .add_and_wait(ServiceSpec::supervisor(sub))
        .await
        .unwrap();
    let sub = SupervisorRef::try_from(&sub).unwrap();
    let down = sub
        .add_and_wait(ServiceSpec::new("down", || Down))
        .await
        .unwrap();
    sub.stop(down.token()).await.unwrap();
    let addr = down.addr().clone();
    sub.add_and_wait(ServiceSpec::new("finisher", move || {
        Finisher(addr.clone(), false)
    }))
    .await
    .unwrap();
    let report = timeout(Duration::from_secs(2), root.shutdown()).await;
    assert!(report.is_ok(), "waits for the whole stop timeout");
}

#[actix::test]
async fn subscription_made_after_the_end_of_the_tree_ends() {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    root.shutdown().await.unwrap();
    let mut events = root.events();
    let next = timeout(Duration::from_secs(1), events.next()).await;
    assert!(matches!(next, Ok(None)), "never ends");
}

/// A reference from inside, made after the last one outside was dropped.
struct Keeps(Option<tokio::sync::oneshot::Sender<SupervisorRef>>);
impl Actor for Keeps {
    type Context = ServiceContext<Self>;
    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        if let Some(tx) = self.0.take() {
            let _ = tx.send(ctx.supervisor());
        }
        Running::Stop
    }
}
#[actix::test]
async fn late_reference_of_the_root_has_the_report() {
    let (tx, rx) = tokio::sync::oneshot::channel();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let mut tx = Some(tx);
    root.add_and_wait(ServiceSpec::new("keeps", move || Keeps(tx.take())))
        .await
        .unwrap();
    drop(root);
    let late = rx.await.unwrap();
    timeout(Duration::from_secs(1), late.join())
        .await
        .unwrap()
        .unwrap();
    let report = timeout(Duration::from_secs(1), late.shutdown()).await;
    assert!(matches!(report, Ok(Ok(_))), "{report:?}");
}
