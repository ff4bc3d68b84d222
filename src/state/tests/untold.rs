//! Ends that are not judged at once, because the supervisor starts or somebody is asked first, are told whatever comes in between.

use super::*;
use crate::state::Goes;

/// A supervisor whose start waits for `slow`, and in which `a` was ready and has failed meanwhile.
fn starting() -> Bench {
    let mut bench = Bench::new(SupervisorRules::default());
    bench.add(named("a")).unwrap();
    bench.add(named("slow")).unwrap();
    bench.state.start(bench.now);
    bench.run();
    bench.ready("a");
    bench.fail("a");
    bench
}

/// A supervisor that runs, and in which somebody is asked about `a`, which has failed.
fn consulting() -> Bench {
    let mut bench = Bench::running(SupervisorRules::default(), vec![]);
    let mut rules = named("a");
    rules.rare().consults = true;
    bench.add(rules).unwrap();
    bench.ready("a");
    bench.fail("a");
    bench
}

impl Bench {
    /// How often it was told that `a` has failed, and what was said of its restart.
    fn told(&self) -> Vec<Restarting> {
        let told = |event: &Occurrence| match event.kind() {
            EventKind::ServiceFailed { restarting, .. } => Some(*restarting),
            _ => None,
        };
        self.events.iter().filter_map(told).collect()
    }

    fn request(&mut self, what: &str) {
        let (token, waiter, now) = (self.token("a"), Waiter(7), self.now);
        let done = match what {
            "remove" => self.state.remove(token, waiter, now).is_ok(),
            "reset" => self.state.reset(token, waiter, now).is_ok(),
            "restart" => self.state.restart(token, waiter, now).is_ok(),
            _ => self.state.stop(token, waiter, now).is_ok(),
        };
        assert!(done, "{what}");
        self.run();
    }
}

#[test]
fn end_is_told_once_whatever_is_asked_for_before_it_is_judged() {
    for begin in [starting, consulting] {
        for (what, restarting) in [
            ("remove", Restarting::No),
            ("stop", Restarting::No),
            ("restart", Restarting::Now),
            ("reset", Restarting::Now),
        ] {
            let mut bench = begin();
            assert_eq!(bench.told(), [], "{what}");
            bench.request(what);
            assert_eq!(bench.told(), [restarting], "{what}");
            let first = bench
                .story()
                .iter()
                .position(|line| line == "a ServiceFailed");
            assert!(first.is_some(), "{what}");
            // A later answer, or the end of the start, tells nothing more.
            if let Some((token, ticket)) = bench.consulted.pop() {
                bench.state.answered(token, ticket, Goes::On, bench.now);
                bench.run();
            }
            bench.get_ready();
            assert_eq!(bench.told(), [restarting], "{what}");
        }
    }
}

#[test]
fn end_is_told_if_its_supervisor_ends_before_it_is_judged() {
    for begin in [starting, consulting] {
        for end in [Bench::shutdown, Bench::drop_all] {
            let mut bench = begin();
            end(&mut bench);
            assert_eq!(bench.told(), [Restarting::No]);
            let story = bench.story();
            let of = |what: &str| story.iter().position(|line| line == what);
            let stopped = of("root SupervisorStopped");
            assert!(
                stopped.is_none() || of("a ServiceFailed") < stopped,
                "{story:?}"
            );
        }
    }
}

#[test]
fn end_is_told_if_the_start_fails_before_it_is_judged() {
    let mut bench = starting();
    bench.fail("slow");
    assert_eq!(bench.told(), [Restarting::No]);
}

#[test]
fn each_of_several_ends_during_a_start_is_told() {
    let mut bench = starting();
    for _ in 0..3 {
        bench.request("restart");
        bench.ready("a");
        bench.fail("a");
    }
    bench.ready("slow");
    let now = [Restarting::Now; 4];
    assert_eq!(bench.told(), now);
}

#[test]
fn ends_are_told_though_the_first_that_is_judged_ends_the_supervisor() {
    let mut bench = Bench::new(SupervisorRules {
        limit: RestartLimit::window(0, seconds(1)).escalate(),
        ..SupervisorRules::default()
    });
    for name in ["b", "a", "slow"] {
        bench.add(named(name)).unwrap();
    }
    bench.state.start(bench.now);
    bench.run();
    for name in ["b", "a"] {
        bench.ready(name);
    }
    for name in ["b", "a"] {
        bench.fail(name);
    }
    bench.ready("slow");
    assert_eq!(bench.told(), [Restarting::No; 2]);
    let story = bench.story();
    let of = |what: &str| story.iter().position(|line| line == what).unwrap();
    assert!(of("b ServiceFailed") < of("a ServiceFailed"), "{story:?}");
    bench.get_stopped();
    assert!(bench.ended.is_some());
}
