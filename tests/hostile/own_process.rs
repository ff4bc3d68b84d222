//! What would abort the process, or never leave a thread, if it went wrong: each runs in a process of its own.

use std::{
    env,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use actix::prelude::*;
use resurgam::{ServiceContext, ServiceSpec};
use tokio::{process::Command, time};

use crate::support::{Bomb, assert_alive, root};

/// Says to the process which case it is for.
const CASE: &str = "RESURGAM_HOSTILE_CASE";

/// Done at once, and panics when it is dropped.
struct DoneBomb {
    _bomb: Bomb,
}

impl DoneBomb {
    fn armed() -> Self {
        Self {
            _bomb: Bomb::armed(),
        }
    }
}

impl ActorFuture<Twice> for DoneBomb {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Twice,
        _: &mut ServiceContext<Twice>,
        _: &mut Context<'_>,
    ) -> Poll<()> {
        Poll::Ready(())
    }
}

/// Spawns two bombs in its first incarnation.
struct Twice {
    first: bool,
}

impl Actor for Twice {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.first {
            ctx.spawn(DoneBomb::armed());
            ctx.spawn(DoneBomb::armed());
        }
    }
}

/// Sends itself again when it is dropped unhandled.
#[derive(Message)]
#[rtype(result = "()")]
struct Requeue(Option<Addr<Down>>);

impl Drop for Requeue {
    fn drop(&mut self) {
        if let Some(addr) = self.0.take().filter(Addr::connected) {
            addr.do_send(Self(Some(addr.clone())));
        }
    }
}

struct Down;

impl Actor for Down {
    type Context = ServiceContext<Self>;
}

impl Handler<Requeue> for Down {
    type Result = ();

    fn handle(&mut self, mut requeue: Requeue, ctx: &mut Self::Context) {
        requeue.0 = None;
        ctx.stop();
    }
}

async fn two_done_bombs() {
    let root = root().await;
    let first = AtomicBool::new(true);
    let twice = ServiceSpec::new("twice", move || Twice {
        first: first.swap(false, Ordering::SeqCst),
    });
    root.add(twice).await.unwrap();
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

async fn requeue() {
    let root = root().await;
    let down = ServiceSpec::new("down", || Down);
    let down = root.add_and_wait(down).await.unwrap();
    root.stop(down.token()).await.unwrap();
    down.do_send(Requeue(Some(down.addr().clone())));
    root.remove(down.token()).await.unwrap();
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

/// Runs `child` for one case, which must pass in time.
async fn alone(case: &str) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["own_process::child", "--exact", "--ignored"])
        .env(CASE, case)
        .kill_on_drop(true)
        .output();
    let output = time::timeout(Duration::from_secs(10), output).await;
    let output = output.unwrap_or_else(|_| panic!("{case}: hangs"));
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{case}: {} {text}", output.status);
    assert!(text.contains("1 passed"), "{case} was not run: {text}");
}

#[actix::test]
#[ignore = "runs in a process of its own, for the tests below"]
async fn child() {
    time::pause();
    match env::var(CASE).unwrap_or_default().as_str() {
        "two_done_bombs" => two_done_bombs().await,
        "requeue" => requeue().await,
        _ => {}
    }
}

#[actix::test]
async fn two_futures_that_are_done_and_panic_in_drop_do_not_abort_the_process() {
    alone("two_done_bombs").await;
}

#[actix::test]
async fn message_that_sends_itself_again_when_dropped_does_not_hang_its_removal() {
    alone("requeue").await;
}
