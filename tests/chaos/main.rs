//! Chaos: services on every kind of thread panic wherever they can, while several threads send to them and operate on them, and
//! every message is accounted for.
//!
//! Each message is handled exactly once, or its sender gets an error. One that was sent with `do_send` is handled at most once, and lost
//! only to a panic of its own handler, or with a service that is removed. Nothing else happens to any of them.
//!
//! What is done, and what goes wrong, is decided by a seed, which is printed; `RESURGAM_SEED` sets it. In which order threads do
//! it is not.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

mod ledger;
mod random;
mod victim;
mod world;

use std::{
    panic,
    sync::{Arc, Once},
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    EventKind, Placement, RestartLimit, ServiceSpec, Strategy, SupervisorActor, SupervisorSpec,
};
use tokio::{task::yield_now, time::timeout};

use self::{
    ledger::{PLACES, Place},
    random::seeds,
    world::{Bonds, World},
};

/// How long one run may take before it counts as hung. It takes a second or two.
const PATIENCE: Duration = Duration::from_secs(10);

#[actix::test]
async fn every_message_is_accounted_for() {
    for seed in seeds() {
        let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
        rage(Scenario::new("unlimited", seed, spec)).await;
    }
}

#[actix::test]
async fn every_message_is_accounted_for_through_pauses() {
    for seed in seeds() {
        let short = Duration::from_millis(2);
        let spec = SupervisorSpec::default()
            .limit(RestartLimit::decay(Duration::from_secs(1), 5.0, short).jitter(0.5))
            .resume_spacing(Duration::from_micros(100));
        let pauses = rage(Scenario::new("pauses", seed, spec)).await.pauses;
        assert!(pauses > 10, "{pauses} pauses");
    }
}

#[actix::test]
async fn every_message_is_accounted_for_when_all_are_restarted_with_one() {
    for seed in seeds() {
        let spec = SupervisorSpec::default()
            .strategy(Strategy::OneForAll)
            .limit(RestartLimit::unlimited());
        rage(Scenario::new("one for all", seed, spec).mischief(100)).await;
    }
}

#[actix::test]
async fn every_message_is_accounted_for_when_the_rest_is_restarted_with_one() {
    for seed in seeds() {
        let spec = SupervisorSpec::default()
            .strategy(Strategy::RestForOne)
            .limit(RestartLimit::unlimited());
        rage(Scenario::new("rest for one", seed, spec).mischief(60)).await;
    }
}

#[actix::test]
async fn every_message_is_accounted_for_when_supervisors_give_up() {
    for seed in seeds() {
        let spec = SupervisorSpec::default()
            .limit(RestartLimit::window(8, Duration::from_secs(60)).escalate());
        rage(Scenario::new("escalations", seed, spec).below_a_root()).await;
    }
}

#[actix::test]
async fn every_message_is_accounted_for_when_services_depend_on_each_other() {
    for seed in seeds() {
        let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
        rage(Scenario::new("dependencies", seed, spec).with_bonds()).await;
    }
}

/// What is supervised how.
struct Scenario {
    name: &'static str,
    seed: u64,
    spec: SupervisorSpec,
    nesting: Nesting,
    bonds: Bonds,
    mischief: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Nesting {
    /// The services are the root's own.
    Flat,
    /// The services have a supervisor of their own, which may give up.
    Nested,
}

impl Scenario {
    fn new(name: &'static str, seed: u64, spec: SupervisorSpec) -> Self {
        Self {
            name,
            seed,
            spec,
            nesting: Nesting::Flat,
            bonds: Bonds::None,
            mischief: 25,
        }
    }

    fn below_a_root(mut self) -> Self {
        self.nesting = Nesting::Nested;
        self
    }

    fn with_bonds(mut self) -> Self {
        self.bonds = Bonds::Some;
        self
    }

    /// One message in so many does harm.
    fn mischief(mut self, one_in: u64) -> Self {
        self.mischief = one_in;
        self
    }
}

/// What was seen from outside.
#[derive(Debug, Default)]
struct Seen {
    pauses: usize,
    panics: usize,
}

async fn rage(scenario: Scenario) -> Seen {
    quieten();
    println!("{}: RESURGAM_SEED={}", scenario.name, scenario.seed);
    let root_spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    let (root, supervisor) = match scenario.nesting {
        Nesting::Flat => {
            let root = SupervisorActor::new("root", scenario.spec);
            let root = root.start().await.unwrap();
            let addr = root.addr().clone();
            (root, addr)
        }
        Nesting::Nested => {
            let root = SupervisorActor::new("root", root_spec)
                .start()
                .await
                .unwrap();
            let tier = SupervisorActor::new("tier", scenario.spec);
            let tier = root.add(ServiceSpec::supervisor(tier)).await.unwrap();
            (root, tier.addr().clone())
        }
    };
    let mut events = root.events_with_capacity(1 << 20);
    let arbiters = [Arbiter::new(), Arbiter::new()];
    let [one, two] = [arbiters[0].handle(), arbiters[1].handle()];
    let placements = vec![
        Placement::Inherit,
        Placement::Inherit,
        Placement::Pool,
        Placement::Pool,
        Placement::Dedicated,
        Placement::Dedicated,
        // One beside a sender.
        Placement::Arbiter(one.clone()),
        Placement::Arbiter(two.clone()),
    ];
    let world = World::new(
        scenario.seed,
        3_000,
        scenario.mischief,
        supervisor,
        placements,
        scenario.bonds,
    )
    .await;
    let world = Arc::new(world);

    patiently(&world, world.rage(&[one, two])).await;
    patiently(&world, world.settle()).await;
    let begun = world.ledger.begun();
    let report = patiently(&world, root.shutdown()).await.unwrap();

    assert!(report.unstopped().is_empty(), "{report}");
    assert_eq!(world.ledger.alive(), 0, "an incarnation outlived the tree");
    // The mailbox of a service that was removed is emptied on its own thread.
    patiently(&world, async {
        while !world.ledger.in_flight().is_empty() {
            yield_now().await;
        }
    })
    .await;
    println!(
        "{}, {} operations",
        world.ledger.summary(),
        world.operations()
    );
    let complaints = world.ledger.audit();
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(begun > 9_000, "{begun} messages were handled");
    let thrown: u64 = PLACES
        .into_iter()
        .map(|place| world.ledger.panics(place))
        .sum();
    assert!(thrown > 60, "{thrown} panics");

    let mut seen = Seen::default();
    while let Some(event) = events.next().await {
        match event.kind() {
            EventKind::PauseStarted { .. } => seen.pauses += 1,
            EventKind::EventsLost { count, .. } => panic!("{count} events were lost"),
            EventKind::ServicePanicked {
                message, location, ..
            } => {
                seen.panics += 1;
                assert!(message.starts_with("chaos: "), "{message}");
                assert!(location.contains("ledger.rs"), "{location}");
            }
            _ => {}
        }
    }
    assert!(seen.panics > 0);
    for arbiter in arbiters {
        arbiter.stop();
        arbiter.join().expect("no panic reaches an arbiter");
    }
    seen
}

/// Fails instead of waiting for ever, and says what is missing.
async fn patiently<F: Future>(world: &World, future: F) -> F::Output {
    let Ok(output) = timeout(PATIENCE, future).await else {
        let missing = world.ledger.in_flight();
        panic!("somebody waits for ever, perhaps for {missing:#?}");
    };
    output
}

/// Prints no panic that is thrown on purpose.
fn quieten() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<String>();
            if text.is_none_or(|text| !text.starts_with("chaos: ")) {
                loud(info);
            }
        }));
    });
}

#[test]
fn every_place_has_its_number() {
    for (index, place) in PLACES.into_iter().enumerate() {
        assert_eq!(place as usize, index);
    }
    assert_eq!(PLACES[0], Place::ActorDrop);
}
