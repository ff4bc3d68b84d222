//! What is kept of the requirements of services: what is looked up is the same as without, and a long chain takes linear time.

use super::{
    super::{
        dependencies::{blocker, ended_requirement},
        findings::LOOKED,
    },
    dependencies::{bound, requiring},
    *,
};

/// What is kept of a service is what would be found now.
pub(super) fn assert_found_anew(state: &SupervisorState, slot: u32) {
    let found = || {
        let ended = ended_requirement(state, slot);
        (blocker(state, slot), ended.map(|reason| reason.to_string()))
    };
    let kept = found();
    let findings = std::mem::take(&mut *state.services.findings());
    let anew = found();
    *state.services.findings() = findings;
    assert_eq!(kept, anew, "{:?}", state.services[slot]);
}

const MANY: usize = 10_000;

/// A supervisor with a chain of services, each of which requires the one before.
struct Chain {
    state: SupervisorState,
    now: Instant,
    looked: usize,
}

impl Chain {
    /// Not a bench, which looks at all services after each input.
    fn new(rules: SupervisorRules, link: impl Fn(&str, &[&str]) -> ServiceRules) -> Self {
        let looked = LOOKED.get();
        let Bench { mut state, now, .. } = Bench::new(rules);
        let mut head = named("s0");
        head.rare().backoff = Some(Backoff::constant(seconds(1)));
        state.add(head, now).unwrap();
        for number in 1..MANY {
            let before = format!("s{}", number - 1);
            let service = link(&format!("s{number}"), &[&before]);
            state.add(service, now).unwrap();
        }
        state.start(now);
        let mut chain = Self { state, now, looked };
        chain.obey();
        assert_eq!(chain.state.counts().ready, MANY);
        chain
    }

    /// Has all cells do what they are told, until there is nothing to do.
    fn obey(&mut self) {
        while let Some(effect) = self.state.next_effect() {
            match effect {
                Effect::Start { token, generation } => {
                    self.state.ready(token, generation, self.now);
                }
                Effect::Stop { token, .. } => self.exit(token, ExitReason::Shutdown),
                _ => {}
            }
        }
    }

    fn exit(&mut self, token: ServiceToken, reason: ExitReason) {
        let generation = self.state.service(token).unwrap().generation;
        let exit = Exit::from(reason);
        self.state.exited(token, generation, exit, self.now);
    }

    fn fail(&mut self, number: usize) {
        let token = self.state.named(&format!("s{number}")).unwrap();
        self.exit(token, failed());
    }

    /// Looks at all services, and returns how many wait for this.
    fn waiting_for(&self, what: fn(Obstacle) -> bool) -> usize {
        let waits = |view: &ServiceView| {
            let obstacle = view.waits_for.as_ref();
            obstacle.is_some_and(|(name, why)| &**name == "s0" && what(*why))
        };
        self.state.services().filter(waits).count()
    }

    fn pass(&mut self, duration: Duration) {
        self.now += duration;
        self.state.timeout(self.now);
        self.obey();
    }

    #[track_caller]
    fn assert_linear(&mut self, what: &str) {
        let looked = LOOKED.get();
        let steps = looked - self.looked;
        assert!(steps <= 20 * MANY, "{what}: {steps} steps");
        self.looked = looked;
    }

    fn remove_head(&mut self) {
        let head = self.state.named("s0").unwrap();
        self.state.remove(head, Waiter(0), self.now).unwrap();
        self.obey();
    }
}

const fn is_delayed(why: Obstacle) -> bool {
    matches!(why, Obstacle::Delayed(_))
}

#[test]
fn long_chain_takes_linear_time_whatever_becomes_of_its_head() {
    let all = [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
    ];
    for (kind, link) in [
        ("requires", requiring as fn(&str, &[&str]) -> ServiceRules),
        ("binds", bound),
    ] {
        for which in all {
            let mut chain = Chain::new(strategy(which), link);
            chain.assert_linear("start");
            chain.fail(0);
            chain.obey();
            chain.assert_linear("failure");
            let waiting = chain.waiting_for(is_delayed);
            let expected = if chain.state.counts().ready > 0 {
                0
            } else {
                MANY - 1
            };
            assert_eq!(waiting, expected, "{kind} {which:?}");
            chain.assert_linear("picture");
            chain.pass(seconds(2));
            assert_eq!(chain.state.counts().ready, MANY);
            chain.assert_linear("end of the delay");
            chain.fail(0);
            chain.obey();
            chain.remove_head();
            chain.assert_linear("removal");
            chain.waiting_for(|why| why == Obstacle::Missing);
            chain.assert_linear("picture after the removal");
        }
    }
}

#[test]
fn long_chain_takes_linear_time_if_one_after_the_other_fails() {
    let mut chain = Chain::new(unlimited(), requiring);
    for number in 0..MANY {
        chain.fail(number);
        chain.obey();
    }
    assert_eq!(chain.waiting_for(is_delayed), MANY - 1);
    chain.assert_linear("failures");
    chain.remove_head();
    assert_eq!(chain.waiting_for(|why| why == Obstacle::Missing), MANY - 1);
    chain.assert_linear("removal");
}

#[test]
fn start_of_a_long_chain_takes_linear_time_also_if_all_are_started_at_once() {
    let rules = SupervisorRules {
        start_order: StartOrder::Parallel,
        ..unlimited()
    };
    Chain::new(rules, requiring).assert_linear("start");
}

/// A supervisor with one service that requires all others, which are added after it, and are ready in this order.
fn assert_linear_for_one_that_requires_many(
    hub: impl Fn(&str, &[&str]) -> ServiceRules,
    order: StartOrder,
    ready: fn(&mut Vec<ServiceToken>),
    end: Option<&ExitReason>,
) {
    let looked = LOOKED.get();
    let Bench { mut state, now, .. } = Bench::new(SupervisorRules {
        start_order: order,
        ..unlimited()
    });
    let names: Vec<String> = (0..MANY).map(|number| format!("s{number}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    // Sequential starts never wait for one that comes before what it requires: it is put behind.
    let hub = state.add(hub("hub", &all), now).unwrap();
    for name in &names {
        let mut rules = named(name);
        rules.restart = RestartType::Temporary;
        state.add(rules, now).unwrap();
    }
    state.start(now);
    loop {
        let mut started = Vec::new();
        while let Some(effect) = state.next_effect() {
            if let Effect::Start { token, .. } = effect {
                started.push(token);
            }
        }
        assert!(!started.is_empty(), "{:?}", state.counts());
        ready(&mut started);
        for token in started {
            state.ready(token, 0, now);
            if let Some(reason) = end.filter(|_| token != hub) {
                state.exited(token, 0, Exit::from(reason.clone()), now);
            }
        }
        if state.service(hub).unwrap().state == ServiceState::Ready {
            break;
        }
    }
    let steps = LOOKED.get() - looked;
    assert!(steps <= 20 * MANY, "{order:?}: {steps} steps");
}

#[test]
fn one_that_requires_many_is_not_looked_through_for_each_that_becomes_ready() {
    let keep: fn(&mut Vec<ServiceToken>) = |_| {};
    for order in [StartOrder::Sequential, StartOrder::Parallel] {
        for ready in [keep, |started| started.reverse()] {
            assert_linear_for_one_that_requires_many(requiring, order, ready, None);
            assert_linear_for_one_that_requires_many(bound, order, ready, None);
        }
        let end = Some(&ExitReason::Normal);
        assert_linear_for_one_that_requires_many(requiring_end, order, keep, end);
    }
}

/// One that waits for the end of others.
fn requiring_end(name: &str, required: &[&str]) -> ServiceRules {
    let mut rules = named(name);
    rules.rare().requires_completed = required.iter().map(|name| Arc::from(*name)).collect();
    rules
}

/// A supervisor of a head that runs, and services that each require the one before. Not a bench, for the same reason.
fn waiting_chain(
    link: impl Fn(&str, &[&str]) -> ServiceRules,
) -> (SupervisorState, ServiceToken, Instant) {
    let Bench { mut state, now, .. } = Bench::new(unlimited());
    state.start(now);
    let mut head = named("s0");
    head.restart = RestartType::Temporary;
    let token = state.add(head, now).unwrap();
    for number in 1..MANY {
        let before = format!("s{}", number - 1);
        let mut rules = link(&format!("s{number}"), &[&before]);
        rules.restart = RestartType::Temporary;
        state.add(rules, now).unwrap();
    }
    while state.next_effect().is_some() {}
    (state, token, now)
}

/// Not by recursion, for which a stack is too small.
#[test]
fn long_chain_whose_first_starts_are_awaited_is_refused_when_its_head_has_failed_for_good() {
    let (mut state, head, now) = waiting_chain(requiring);
    let tokens: Vec<_> = state.tokens().skip(1).collect();
    for (number, token) in (0..).zip(tokens) {
        state.await_ready(token, Waiter(number), now);
    }
    state.exited(head, 0, Exit::from(failed()), now);
    let effects = std::iter::from_fn(|| state.next_effect());
    let answered = effects.filter(|effect| matches!(effect, Effect::Answer { .. }));
    assert_eq!(answered.count(), MANY - 1);
    assert_eq!(state.counts().services, 0);
}

#[test]
fn long_chain_of_what_was_kept_for_one_alone_is_forgotten_with_that_one() {
    let (mut state, mut next, now) = waiting_chain(requiring_end);
    // Each ends when it is its turn, but for the last one.
    for number in 1..MANY {
        state.ready(next, 0, now);
        state.exited(next, 0, Exit::from(ExitReason::Normal), now);
        next = state.named(&format!("s{number}")).unwrap();
    }
    assert_eq!(state.counts().services, MANY);
    state.exited(next, 0, Exit::from(failed()), now);
    assert_eq!(state.counts().services, 0);
}
