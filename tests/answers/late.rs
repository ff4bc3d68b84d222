//! The caller goes away, and its supervisor is ending, is killed, or is busy on another thread when it is asked: what happens is the same as
//! if the caller had waited.

use std::{
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use actix::prelude::*;
use futures::FutureExt;
use resurgam::{
    Backoff, Events, Placement, ServiceContext, ServiceRef, ServiceSpec, ServiceToken, Shutdown,
    SupervisorActor, SupervisorRef,
};
use tokio::time;

use crate::support::{Operation, Plain, Way, soon, told};

/// What becomes of the supervisor when it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// It stops for a restart, and one of its services takes its time.
    Ending,
    /// It is killed before it has read what it was asked, and starts again later.
    Killed,
    /// It stops for ever, and one of its services takes its time.
    Leaving,
}

/// Takes a second to stop.
#[derive(Default)]
struct Slow {
    is_asked: bool,
}

impl Actor for Slow {
    type Context = ServiceContext<Self>;

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        if self.is_asked {
            return Running::Stop;
        }
        self.is_asked = true;
        ctx.run_later(Duration::from_secs(1), |_, ctx| ctx.stop());
        Running::Continue
    }
}

struct Asked {
    root: SupervisorRef,
    sub: SupervisorRef,
    plain: ServiceToken,
    events: Events,
}

impl Asked {
    async fn new(state: State) -> Self {
        let mut sub = SupervisorActor::with_defaults("sub");
        let plain = sub.add(ServiceSpec::new("plain", Plain::default)).unwrap();
        sub.add(ServiceSpec::new("slow", Slow::default)).unwrap();
        let mut sub =
            ServiceSpec::supervisor(sub).backoff(Backoff::constant(Duration::from_secs(5)));
        if state == State::Killed {
            sub = sub.shutdown(Shutdown::BrutalKill);
        }
        let mut root = SupervisorActor::with_defaults("root");
        let sub = root.add(sub).unwrap();
        let root = root.start().await.unwrap();
        let sub = SupervisorRef::try_from(&sub).unwrap();
        let events = root.events();
        let (of, token) = (root.clone(), sub.token());
        match state {
            State::Ending | State::Killed => drop(actix_rt::spawn(async move {
                of.restart(token).await.unwrap();
            })),
            State::Leaving => drop(actix_rt::spawn(async move {
                of.remove(token).await.unwrap();
            })),
        }
        Self {
            root,
            sub,
            plain: plain.token(),
            events,
        }
    }

    /// All that has happened in the end, without times.
    async fn rest(mut self) -> Vec<String> {
        time::sleep(Duration::from_secs(60)).await;
        let services = self.root.services().await.unwrap();
        let mut rest: Vec<_> = services.iter().map(|one| one.path().to_owned()).collect();
        soon(self.root.shutdown(), "shutdown").await.unwrap();
        while let Some(event) = self.events.next().await {
            rest.push(format!("{} {}", event.path(), event.kind()));
        }
        rest
    }
}

#[actix::test]
async fn supervisor_that_ends_does_the_same_whether_the_caller_waits_or_has_left() {
    time::pause();
    for state in [State::Ending, State::Killed, State::Leaving] {
        for operation in Operation::ALL {
            for turns in 0..4 {
                let mut outcomes = Vec::new();
                for way in Way::ALL.map(Some).into_iter().chain([None]) {
                    let asked = Asked::new(state).await;
                    for _ in 0..turns {
                        actix_rt::task::yield_now().await;
                    }
                    match way {
                        Some(way) => operation.ask_and_leave(way, &asked.sub, asked.plain),
                        None => operation.ask_and_wait(&asked.sub, asked.plain),
                    }
                    outcomes.push((way, asked.rest().await));
                }
                let (_, waited) = outcomes.pop().unwrap();
                for (way, left) in outcomes {
                    let what = format!("{operation:?} by {way:?}, {state:?}, {turns}");
                    assert_eq!(left, waited, "{what}");
                }
            }
        }
    }
}

/// Blocks its thread until the other end says something.
#[derive(Message)]
#[rtype(result = "()")]
struct Block(Receiver<()>, tokio::sync::oneshot::Sender<()>);

impl Handler<Block> for Plain {
    type Result = ();

    fn handle(&mut self, Block(until, begun): Block, _: &mut Self::Context) {
        begun.send(()).unwrap();
        until.recv().unwrap();
    }
}

#[actix::test]
async fn supervisor_that_was_busy_on_another_thread_does_what_it_was_asked_though_its_caller_left()
{
    for operation in Operation::ALL {
        for way in Way::ALL {
            let mut sub = SupervisorActor::with_defaults("sub");
            let plain = sub.add(ServiceSpec::new("plain", Plain::default)).unwrap();
            let block: ServiceRef<Plain> =
                sub.add(ServiceSpec::new("block", Plain::default)).unwrap();
            let mut root = SupervisorActor::with_defaults("root");
            let sub = ServiceSpec::supervisor(sub).placement(Placement::Dedicated);
            let sub = root.add(sub).unwrap();
            let root = root.start().await.unwrap();
            let sub = SupervisorRef::try_from(&sub).unwrap();
            let mut events = sub.events();
            let (release, until) = mpsc::channel();
            let (begin, begun) = tokio::sync::oneshot::channel();
            block.do_send(Block(until, begin));
            begun.await.unwrap();

            operation.ask_and_leave(way, &sub, plain.token());

            assert!(events.next().now_or_never().is_none());
            release.send(()).unwrap();
            let fits = |event: &_| operation.is_told_by(event, "root/sub");
            told(&mut events, fits, &format!("{operation:?} by {way:?}")).await;
            root.shutdown().await.unwrap();
        }
    }
}
