//! Where a service differs from a plain actor, and from one under actix's own `Supervisor`.

use std::{cell::Cell, rc::Rc, task::Poll};

use actix::prelude::*;
use futures::future;
use tokio::{sync::oneshot, time};

use crate::{
    kind::SubjectContext,
    support::{Act, Note, Probe, Script, Subject, idle, ms},
};

#[actix::test]
async fn service_outlives_its_addresses() {
    time::pause();
    let Subject {
        root,
        service,
        mut entries,
    } = Subject::with_defaults().await;
    let weak = service.downgrade();

    // A plain actor ends when its last address is dropped.
    drop(service);
    idle().await;

    assert_eq!(entries.so_far(), [""; 0]);
    assert_eq!(weak.upgrade().unwrap().send(Note("here")).await, Ok(()));
    drop(root);
}

#[actix::test]
async fn service_that_nobody_has_an_address_of_is_told_so() {
    time::pause();
    let Subject {
        root,
        service,
        mut entries,
    } = Script::new()
        .started(|_, ctx| {
            ctx.run_interval(ms(100), |probe, ctx| {
                if !ctx.connected() {
                    probe.note("alone");
                    ctx.stop();
                }
            });
        })
        .run()
        .await;
    time::sleep(ms(350)).await;
    assert_eq!(entries.so_far(), [""; 0]);

    drop(service);

    assert_eq!(
        entries.until("dropped").await,
        ["alone", "stopping", "stopped", "dropped"]
    );
    drop(root);
}

#[actix::test]
async fn removal_calls_the_hooks_of_a_stop() {
    let mut subject = Script::new().permanent().run().await;

    subject.root.remove(subject.service.token()).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["stopping", "stopped", "dropped"]);
    subject.ended().await;
}

#[actix::test]
async fn wait_is_not_polled_after_a_removal() {
    let mut subject = Script::new().permanent().run().await;
    subject
        .act(|probe, ctx| {
            let polled = probe.poll_counter();
            ctx.wait(polled.into_actor(probe));
        })
        .await;
    assert_eq!(subject.entries.next().await, "polled");

    subject.root.remove(subject.service.token()).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["stopping", "stopped", "dropped"]);
}

#[actix::test]
async fn removal_does_not_queue_behind_messages_or_waits() {
    let mut subject = Script::new().permanent().run().await;
    let _held = subject.hold().await;
    let (tx, rx) = oneshot::channel::<()>();
    subject.do_send(Act::new(move |_, _| drop(tx)));

    subject.root.remove(subject.service.token()).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["stopping", "stopped", "dropped"]);
    assert!(rx.await.is_err());
}

#[test]
fn end_of_the_system_calls_no_hooks() {
    let system = System::new();
    let mut subject = system.block_on(Script::new().run());

    drop(system);

    // A plain actor is polled once more, to stop.
    assert_eq!(subject.entries.so_far(), ["dropped"]);
    assert!(!subject.connected());
}

#[actix::test]
async fn flooded_service_lets_its_arbiter_do_other_things() {
    assert_yields_when_flooded(|_, _| {}).await;
}

#[actix::test]
async fn service_flooded_with_messages_that_spawn_futures_lets_its_arbiter_do_other_things() {
    assert_yields_when_flooded(|probe, ctx| {
        future::ready(()).into_actor(probe).spawn(ctx);
    })
    .await;
}

#[actix::test]
async fn service_flooded_with_messages_that_wait_lets_its_arbiter_do_other_things() {
    assert_yields_when_flooded(|probe, ctx| {
        future::ready(()).into_actor(probe).wait(ctx);
    })
    .await;
}

/// Asserts that another future of the arbiter gets its turns while many messages are handled.
async fn assert_yields_when_flooded(act: fn(&mut Probe, &mut SubjectContext<Probe>)) {
    /// A plain actor handles them all before anything else gets its turn.
    const MESSAGES: u64 = 100_000;

    let subject = Subject::with_defaults().await;
    let turns = Rc::new(Cell::new(0));
    let counted = Rc::clone(&turns);
    // Not `yield_now`, which lets a whole round of the runtime pass.
    let other = actix::spawn(future::poll_fn(move |cx| {
        counted.set(counted.get() + 1);
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    }));

    for _ in 0..MESSAGES {
        subject.do_send(Act::new(move |probe, ctx| {
            probe.count += 1;
            act(probe, ctx);
        }));
    }
    let handled = subject.act(|probe, _| probe.count).await;
    other.abort();

    assert_eq!(handled, MESSAGES);
    assert!(turns.get() > 500, "{} turns", turns.get());
}

#[actix::test]
async fn service_whose_futures_go_on_spawning_others_ends_when_it_is_removed() {
    /// A plain actor does nothing else, until this has come to its end.
    const ENOUGH: u64 = 1_000_000;

    fn go_on(probe: &mut Probe, ctx: &mut SubjectContext<Probe>) {
        probe.count += 1;
        if probe.count == ENOUGH {
            probe.note("enough");
            return;
        }
        let ready = future::ready(()).into_actor(probe);
        ctx.spawn(ready.map(|(), probe, ctx| go_on(probe, ctx)));
    }

    let mut subject = Subject::with_defaults().await;
    subject.act(go_on).await;

    subject.root.remove(subject.service.token()).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["stopping", "stopped", "dropped"]);
}

#[actix::test]
async fn future_that_is_cancelled_before_its_first_poll_is_never_polled() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let held = probe.tombstone("future dropped");
            let ready = future::ready(()).into_actor(probe);
            let handle = ctx.spawn(ready.map(move |(), probe: &mut Probe, _| {
                let _held = held;
                probe.note("polled");
            }));
            assert!(ctx.cancel_future(handle));
        })
        .await;
    idle().await;

    // A plain actor polls it once if nothing else is spawned.
    assert_eq!(subject.entries.so_far(), ["future dropped"]);
}
