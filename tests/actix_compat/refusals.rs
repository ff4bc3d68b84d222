//! A service that answers `Running::Continue` when it is to stop.

use actix::prelude::*;
use tokio::{sync::oneshot, time};

use crate::support::{Act, Note, Probe, Script, ms};

/// Refuses to stop for the first time.
fn stubborn() -> Script {
    Script::new().stopping(|probe, _| {
        probe.count += 1;
        if probe.count == 1 {
            Running::Continue
        } else {
            Running::Stop
        }
    })
}

#[actix::test]
async fn service_that_refuses_to_stop_goes_on() {
    let mut subject = stubborn().run().await;

    subject.act(|_, ctx| ctx.stop()).await;
    subject.send(Note("going on")).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["stopping", "going on"]);
}

#[actix::test]
async fn messages_behind_a_refused_stop_are_handled() {
    let mut subject = stubborn().run().await;

    subject.do_send(Act::new(|_, ctx| ctx.stop()));
    subject.do_send(Note("behind"));

    assert_eq!(
        subject.entries.until("behind").await,
        ["stopping", "behind"]
    );
}

#[actix::test]
async fn service_that_refused_to_stop_is_asked_again_by_the_next_stop() {
    let mut subject = stubborn().run().await;

    subject.act(|_, ctx| ctx.stop()).await;
    subject.act(|_, ctx| ctx.stop()).await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn service_that_refused_to_stop_is_running() {
    let subject = stubborn().run().await;

    subject.act(|_, ctx| ctx.stop()).await;

    let state = subject.act(|_, ctx| ctx.state()).await;
    assert_eq!(state, ActorState::Running);
}

#[actix::test]
async fn futures_go_on_after_a_refused_stop() {
    let mut subject = stubborn().run().await;
    let (tx, rx) = oneshot::channel();

    subject
        .act(|probe, ctx| {
            rx.into_actor(probe)
                .map(|arrived: Result<&str, _>, probe, _| probe.note(arrived.unwrap()))
                .spawn(ctx);
            ctx.stop();
        })
        .await;
    tx.send("arrived").unwrap();

    assert_eq!(
        subject.entries.until("arrived").await,
        ["stopping", "arrived"]
    );
}

#[actix::test]
async fn service_finishes_its_work_before_it_stops() {
    time::pause();
    let script = Script::new().stopping(|probe, ctx| {
        probe.count += 1;
        if probe.count > 1 {
            return Running::Stop;
        }
        ctx.run_later(ms(100), |probe, ctx| {
            probe.note("finished");
            ctx.stop();
        });
        Running::Continue
    });
    let mut subject = script.run().await;

    subject.act(|_, ctx| ctx.stop()).await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "finished", "stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn wait_begun_while_stopping_holds_back_messages() {
    time::pause();
    let script = Script::new().stopping(|probe, ctx| {
        let wait = time::sleep(ms(1000)).into_actor(probe);
        ctx.wait(wait.map(|(), probe: &mut Probe, _| probe.note("waited")));
        Running::Continue
    });
    let mut subject = script.run().await;

    subject.do_send(Act::new(|_, ctx| ctx.stop()));
    subject.do_send(Note("behind"));

    assert_eq!(
        subject.entries.until("behind").await,
        ["stopping", "waited", "behind"]
    );
}
