//! Services about which somebody is asked before they are started again.

use super::{random::World, *};
use crate::state::Goes;

impl World {
    /// The registry answers a question, which may be an old one by now.
    pub(super) fn find(&mut self) {
        let now = self.bench.now;
        if !self.bench.consulted.is_empty() && self.random.chance(2) {
            let (token, ticket) = self.random.pick(&self.bench.consulted);
            let goes = self.random.pick(&[Goes::On, Goes::On, Goes::Away]);
            return self.state().answered(token, ticket, goes, now);
        }
        if self.bench.asked.is_empty() {
            return;
        }
        let (token, ticket) = self.random.pick(&self.bench.asked);
        match self.random.below(6) {
            0 => {
                let why = self.random.pick(&[Obstacle::Missing, Obstacle::NotReady]);
                let on = Arc::from("root/x/y");
                self.state().not_found(token, ticket, on, why, now);
            }
            1 => self
                .state()
                .ring(token, ticket, vec![Arc::from("root/a")], now),
            _ => self.state().found(token, ticket, now),
        }
    }

    /// The registry answers all questions.
    pub(super) fn find_all(&mut self) {
        let now = self.bench.now;
        while let Some((token, ticket)) = self.bench.consulted.pop() {
            self.state().answered(token, ticket, Goes::On, now);
            self.carry_out();
        }
        while let Some((token, ticket)) = self.bench.asked.first().copied() {
            self.state().found(token, ticket, now);
            self.bench.asked.remove(0);
            self.carry_out();
        }
    }
}

/// A service about which somebody is asked.
fn consulting(name: &str) -> ServiceRules {
    let mut rules = named(name);
    rules.rare().consults = true;
    rules
}

impl Bench {
    /// Asks for something, and waits for no answer.
    fn operate(&mut self, what: &str, token: ServiceToken) {
        let (waiter, now) = (Waiter(9), self.now);
        let done = match what {
            "stop" => self.state.stop(token, waiter, now).is_ok(),
            "remove" => self.state.remove(token, waiter, now).is_ok(),
            _ => self.state.restart(token, waiter, now).is_ok(),
        };
        assert!(done, "{what}");
        self.run();
    }

    /// Whoever was asked about the end of a service answers.
    fn answer(&mut self, goes: Goes) {
        let (token, ticket) = self.consulted.pop().expect("somebody was asked");
        self.state.answered(token, ticket, goes, self.now);
        self.run();
    }

    /// Whoever was asked about the start of a service has it go on.
    fn let_start(&mut self) {
        let (token, ticket) = self.asked.pop().expect("somebody was asked");
        self.state.found(token, ticket, self.now);
        self.run();
    }
}

/// A supervisor that runs, with one service that runs and is asked about.
fn running(rules: ServiceRules) -> (Bench, ServiceToken) {
    let mut bench = Bench::running(SupervisorRules::default(), vec![]);
    let token = bench.add(rules).unwrap();
    bench.ready("a");
    bench.forget();
    (bench, token)
}

#[test]
fn end_is_judged_when_it_is_known_whether_the_service_goes_on() {
    let (mut bench, token) = running(consulting("a"));
    bench.fail("a");
    assert_eq!(bench.actions(), ["consult a"]);
    assert_eq!(bench.story(), [""; 0]);
    let state = bench.state.service(token).unwrap().state;
    assert_eq!(state, ServiceState::Waiting, "and not `Ready`");
    bench.answer(Goes::On);
    // In the same turn: it is not asked about once more.
    assert_eq!(bench.actions(), ["start a 1"]);
    assert_eq!(bench.story(), ["a ServiceFailed"]);
}

#[test]
fn service_that_does_not_go_on_is_forgotten_and_not_counted() {
    for reason in [failed(), ExitReason::Normal] {
        let (mut bench, token) = running(consulting("a"));
        bench.exit("a", reason);
        bench.actions();
        bench.answer(Goes::Away);
        assert_eq!(bench.actions(), ["release a"]);
        assert!(bench.state.service(token).is_none());
        assert_eq!(bench.story().last().unwrap(), "a ServiceRemoved");
        // Nothing is counted against the next one.
        bench.add(named("b")).unwrap();
        bench.ready("b");
        bench.fail("b");
        let counts = bench.events.iter().filter_map(|event| match event.kind() {
            EventKind::ServiceFailed { count, .. } => Some(*count),
            _ => None,
        });
        assert_eq!(counts.max_by(f64::total_cmp), Some(1.0));
    }
}

#[test]
fn start_after_a_delay_is_asked_about_once_more() {
    let mut rules = consulting("a");
    rules.rare().backoff = Some(Backoff::constant(seconds(10)));
    let (mut bench, token) = running(rules);
    bench.fail("a");
    bench.actions();
    bench.answer(Goes::On);
    assert_eq!(bench.actions(), [""; 0]);
    bench.pass(seconds(10));
    assert_eq!(bench.actions(), ["find a"]);
    bench.let_start();
    assert_eq!(bench.actions(), ["start a 1"]);
    // Also one that is asked for.
    bench.ready("a");
    bench.operate("restart", token);
    bench.get_stopped();
    assert_eq!(bench.actions().last().unwrap(), "find a");
    bench.let_start();
    assert_eq!(bench.actions(), ["start a 2"]);
}

#[test]
fn what_is_done_meanwhile_counts_and_a_late_answer_is_none() {
    for (what, expected) in [
        ("stop", ServiceState::Stopped),
        ("restart", ServiceState::Waiting),
    ] {
        for goes in [Goes::On, Goes::Away] {
            let (mut bench, token) = running(consulting("a"));
            bench.fail("a");
            bench.operate(what, token);
            bench.actions();
            bench.answer(goes);
            assert_eq!(bench.actions(), [""; 0], "{what}");
            assert_eq!(
                bench.state.service(token).unwrap().state,
                expected,
                "{what}"
            );
        }
    }
    // One that was removed, and another one in its slot.
    let (mut bench, token) = running(consulting("a"));
    bench.fail("a");
    bench.operate("remove", token);
    let next = bench.add(consulting("b")).unwrap();
    assert_eq!(next.slot(), token.slot());
    bench.answer(Goes::Away);
    assert!(bench.state.service(next).is_some());
}

#[test]
fn answer_to_an_earlier_question_is_none() {
    let (mut bench, token) = running(consulting("a"));
    bench.fail("a");
    let first = bench.consulted.pop().unwrap();
    bench.operate("restart", token);
    bench.let_start();
    bench.ready("a");
    bench.fail("a");
    bench
        .state
        .answered(first.0, first.1, Goes::Away, bench.now);
    bench.run();
    assert!(bench.state.service(token).is_some());
    bench.actions();
    bench.answer(Goes::On);
    assert_eq!(bench.actions(), ["start a 2"]);
}

#[test]
fn supervisor_that_ends_does_not_wait_for_an_answer() {
    let (mut bench, _) = running(consulting("a"));
    bench.fail("a");
    bench.shutdown();
    assert!(bench.ended.is_some());
    bench.forget();
    bench.answer(Goes::On);
    assert_eq!(bench.actions(), [""; 0]);
}

#[test]
fn whoever_awaits_a_first_start_gets_its_error_and_nobody_is_asked() {
    let mut bench = Bench::running(SupervisorRules::default(), vec![]);
    let token = bench.add(consulting("a")).unwrap();
    bench.state.await_ready(token, Waiter(1), bench.now);
    bench.run();
    bench.fail("a");
    assert!(bench.consulted.is_empty());
    assert!(bench.state.service(token).is_none());
}
