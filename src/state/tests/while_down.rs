//! What becomes of messages to a service in each way to be down.

use super::*;
use crate::policy::WhileDown;

const MODES: [WhileDown; 3] = [
    WhileDown::RefuseWhenEnded,
    WhileDown::Refuse,
    WhileDown::Queue,
];

/// Whether messages are refused, in the order of [`MODES`].
type Refused = [bool; 3];

/// Whatever is said, they wait.
const NEVER: Refused = [false; 3];
/// Refused by whoever refuses whenever it is down.
const DOWN: Refused = [false, true, false];
/// Refused by whoever refuses when it has ended for good, and by the former.
const ENDED: Refused = [true, true, false];

/// Brings `a` into a state of which the test is told, for each of the modes, and looks there.
fn check(what: &str, expected: Refused, lead: impl Fn(ServiceRules) -> Bench) {
    let refused = MODES.map(|while_down| {
        let mut rules = named("a");
        rules.rare().while_down = while_down;
        let bench = lead(rules);
        // What was mirrored last is what is decided: `Bench::run` compares.
        bench.mirror[&bench.token("a")].senders == Senders::Refused
    });
    assert_eq!(refused, expected, "{what}");
}

fn supervisor(rules: SupervisorRules, services: Vec<ServiceRules>) -> Bench {
    let mut bench = Bench::new(rules);
    for service in services {
        bench.add(service).unwrap();
    }
    bench
}

fn starting(rules: SupervisorRules, services: Vec<ServiceRules>) -> Bench {
    let mut bench = supervisor(rules, services);
    bench.state.start(bench.now);
    bench.run();
    bench
}

fn parallel() -> SupervisorRules {
    SupervisorRules {
        start_order: StartOrder::Parallel,
        ..unlimited()
    }
}

fn requiring(mut rules: ServiceRules, name: &str) -> ServiceRules {
    rules.rare().requires.push(Arc::from(name));
    rules
}

fn giving_up(mut rules: ServiceRules) -> ServiceRules {
    rules.rare().limit = Some(RestartLimit::window(0, seconds(60)).give_up());
    rules
}

fn stop(bench: &mut Bench, name: &str) {
    let token = bench.token(name);
    bench.state.stop(token, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
}

fn restart(bench: &mut Bench, name: &str) {
    let token = bench.token(name);
    bench.state.restart(token, Waiter(2), bench.now).unwrap();
    bench.run();
}

/// Has `a` wait for `root/x/y`, and tells what is the matter with that.
fn not_found(bench: &mut Bench, why: Obstacle) {
    let (token, ticket) = *bench.asked.last().unwrap();
    let on = Arc::from("root/x/y");
    bench.state.not_found(token, ticket, on, why, bench.now);
    bench.run();
}

#[test]
fn messages_queue_before_the_first_start_whatever_is_waited_for_that_comes_by_itself() {
    check("not started", NEVER, |a| supervisor(unlimited(), vec![a]));
    check("in line", NEVER, |a| {
        starting(unlimited(), vec![named("b"), a])
    });
    check("in line behind what it requires", NEVER, |a| {
        starting(unlimited(), vec![named("b"), requiring(a, "b")])
    });
    check("gated in a parallel start", NEVER, |a| {
        let bench = starting(parallel(), vec![named("b"), requiring(a, "b")]);
        assert_eq!(bench.view("a").waits_for.unwrap().1, Obstacle::NotReady);
        bench
    });
    check("gated in a parallel start by a chain", NEVER, |a| {
        let c = requiring(named("c"), "b");
        starting(parallel(), vec![named("b"), c, requiring(a, "c")])
    });
    check("waits for an end in a start", NEVER, |mut a| {
        a.rare().requires_completed.push(Arc::from("b"));
        let mut bench = starting(parallel(), vec![named("b"), a]);
        bench.ready("b");
        bench
    });
    check("added, and one that it requires starts", NEVER, |a| {
        let mut bench = Bench::running(unlimited(), vec![]);
        bench.add(named("b")).unwrap();
        bench.add(requiring(a, "b")).unwrap();
        bench
    });
    check("added, and one that it requires backs off", NEVER, |a| {
        let mut b = named("b");
        b.rare().backoff = Some(Backoff::constant(seconds(5)));
        let mut bench = Bench::running(unlimited(), vec![b]);
        bench.fail("b");
        bench.add(requiring(a, "b")).unwrap();
        bench
    });
    check("starts", NEVER, |a| starting(unlimited(), vec![a]));
    check("runs", NEVER, |a| Bench::running(unlimited(), vec![a]));
}

#[test]
fn messages_queue_before_the_first_start_while_it_is_not_known_what_is_elsewhere() {
    let elsewhere = |a| requiring(a, "root/x/y");
    for rules in [unlimited(), parallel()] {
        check("looks elsewhere in a start", NEVER, |a| {
            starting(rules.clone(), vec![elsewhere(a)])
        });
        // It may come with those behind it, and if it does not, the start fails.
        check("finds nothing elsewhere in a start", NEVER, |a| {
            let mut bench = starting(rules.clone(), vec![elsewhere(a)]);
            not_found(&mut bench, Obstacle::Missing);
            bench
        });
    }
    let added = |a| {
        let mut bench = Bench::running(unlimited(), vec![]);
        bench.add(elsewhere(a)).unwrap();
        bench
    };
    check("added, and looks elsewhere", NEVER, added);
    check("added, and waits elsewhere", NEVER, |a| {
        let mut bench = added(a);
        not_found(&mut bench, Obstacle::NotReady);
        bench
    });
    check("added, and finds nothing elsewhere", DOWN, |a| {
        let mut bench = added(a);
        not_found(&mut bench, Obstacle::Missing);
        bench
    });
    check("added, and what was not elsewhere has come", NEVER, |a| {
        let mut bench = added(a);
        not_found(&mut bench, Obstacle::Missing);
        not_found(&mut bench, Obstacle::NotReady);
        bench
    });
}

#[test]
fn one_that_somebody_has_to_do_something_for_before_its_first_start_is_down() {
    let added = |services, a| {
        let mut bench = Bench::running(unlimited(), services);
        bench.add(requiring(a, "b")).unwrap();
        bench
    };
    check("requires what is missing", DOWN, |a| added(vec![], a));
    check("requires what was stopped", DOWN, |a| {
        let mut bench = Bench::running(unlimited(), vec![named("b")]);
        stop(&mut bench, "b");
        bench.add(requiring(a, "b")).unwrap();
        bench
    });
    check("requires what gives up meanwhile", DOWN, |a| {
        let mut bench = Bench::running(unlimited(), vec![giving_up(named("b"))]);
        restart(&mut bench, "b");
        bench.get_stopped();
        bench.add(requiring(a, "b")).unwrap();
        bench.fail("b");
        assert_eq!(bench.state_of("b"), ServiceState::Failed);
        bench
    });
    check("requires what gave up, and is started", NEVER, |a| {
        let mut bench = added(vec![], a);
        bench.add(named("b")).unwrap();
        bench.ready("b");
        assert_eq!(bench.state_of("a"), ServiceState::Starting);
        bench
    });
    check("stopped before its first start", DOWN, |a| {
        let mut bench = supervisor(unlimited(), vec![a]);
        stop(&mut bench, "a");
        bench
    });
    check("lost before its first start", ENDED, |a| {
        let mut bench = starting(unlimited(), vec![named("b"), a]);
        bench.state.lost(bench.token("a"), bench.now);
        bench.run();
        bench
    });
}

#[test]
fn one_that_will_be_started_again_is_down_and_has_not_ended() {
    check("backs off", DOWN, |mut a| {
        a.rare().backoff = Some(Backoff::constant(seconds(5)));
        let mut bench = Bench::running(unlimited(), vec![a]);
        bench.fail("a");
        bench
    });
    check("pauses with all", DOWN, |a| {
        let limit = RestartLimit::window(1, seconds(60));
        let rules = SupervisorRules {
            limit,
            ..SupervisorRules::default()
        };
        let mut bench = Bench::running(rules, vec![a]);
        bench.fail("a");
        bench.ready("a");
        bench.fail("a");
        assert_eq!(bench.state_of("a"), ServiceState::Paused);
        bench
    });
    check("pauses alone", DOWN, |mut a| {
        a.rare().limit = Some(RestartLimit::window(0, seconds(60)).pause(seconds(5)));
        let mut bench = Bench::running(unlimited(), vec![a]);
        bench.fail("a");
        assert_eq!(bench.state_of("a"), ServiceState::Paused);
        bench
    });
    check("waits for what it requires again", DOWN, |a| {
        let mut b = named("b");
        b.rare().backoff = Some(Backoff::constant(seconds(5)));
        let mut bench = Bench::running(unlimited(), vec![b, requiring(a, "b")]);
        bench.fail("b");
        bench.fail("a");
        bench
    });
    check("waits elsewhere again", DOWN, |a| {
        let mut bench = starting(unlimited(), vec![requiring(a, "root/x/y")]);
        let (token, ticket) = *bench.asked.last().unwrap();
        bench.state.found(token, ticket, bench.now);
        bench.run();
        bench.ready("a");
        bench.fail("a");
        bench
    });
    check("parked", DOWN, |a| {
        let mut bench = Bench::running(unlimited(), vec![named("b"), requiring(a, "b")]);
        bench.exit_with("a", Verdict::Missing);
        bench
    });
    check("bounces", DOWN, |a| {
        let mut bench = Bench::running(unlimited(), vec![a]);
        bench.exit_with("a", Verdict::Bounce);
        bench
    });
    check("in line with its group", DOWN, |a| {
        let mut bench = Bench::running(strategy(Strategy::OneForAll), vec![named("b"), a]);
        bench.fail("b");
        bench.get_stopped();
        assert_eq!(bench.state_of("a"), ServiceState::Waiting);
        bench
    });
    check("delayed in its group", DOWN, |mut a| {
        a.rare().backoff = Some(Backoff::constant(seconds(5)));
        let mut bench = Bench::running(strategy(Strategy::OneForAll), vec![a, named("b")]);
        bench.fail("a");
        bench.get_stopped();
        assert_eq!(bench.state_of("a"), ServiceState::BackingOff);
        bench
    });
    check("held in its group", DOWN, |a| {
        let mut b = named("b");
        b.rare().backoff = Some(Backoff::constant(seconds(5)));
        let mut bench = Bench::running(strategy(Strategy::RestForOne), vec![b, a]);
        bench.fail("b");
        bench.get_stopped();
        bench
    });
    check("stopped on request", DOWN, |a| {
        let mut bench = Bench::running(unlimited(), vec![a]);
        stop(&mut bench, "a");
        bench
    });
    check("abandoned, with a new thread", DOWN, |mut a| {
        a.on_blocked = OnBlocked::NewThread;
        a.rare().backoff = Some(Backoff::constant(seconds(5)));
        let mut bench = Bench::running(unlimited(), vec![a]);
        bench.exit("a", ExitReason::Killed(KillCause::Unresponsive));
        bench
    });
    check("killed for its start timeout", DOWN, |mut a| {
        a.rare().start_timeout = Some(seconds(1));
        a.rare().backoff = Some(Backoff::constant(seconds(5)));
        let mut bench = Bench::running(unlimited(), vec![a]);
        bench.fail("a");
        bench.pass(seconds(7));
        bench.exit("a", ExitReason::Killed(KillCause::StartTimeout));
        assert_eq!(bench.state_of("a"), ServiceState::BackingOff);
        bench
    });
}

/// Its end is judged when the supervisor has started; until then its supervisor keeps it, and will most likely start it again.
#[test]
fn one_that_has_ended_while_its_supervisor_starts_is_down() {
    check("to be judged", DOWN, |a| {
        let mut bench = starting(unlimited(), vec![a, named("b")]);
        bench.ready("a");
        bench.fail("a");
        assert_eq!(bench.state_of("a"), ServiceState::Waiting);
        bench
    });
}

#[test]
fn one_that_waits_for_the_next_start_of_its_supervisor_is_down() {
    let ended = |services: Vec<ServiceRules>| {
        let mut bench = Bench::running(unlimited(), services);
        bench.shutdown();
        bench.get_stopped();
        bench.ended = None;
        bench.state.reopen(bench.now);
        bench.run();
        bench
    };
    check("put back", DOWN, |a| ended(vec![a]));
    let at_rest = |services| {
        let mut bench = ended(services);
        bench.state.rest(true);
        bench.run();
        bench
    };
    check("ended for good, with its supervisor", ENDED, |a| {
        let bench = at_rest(vec![a]);
        assert_eq!(bench.state_of("a"), ServiceState::Stopped);
        bench
    });
    check("what is above will start its supervisor", DOWN, |a| {
        let mut bench = at_rest(vec![a]);
        bench.state.rest(false);
        bench.run();
        bench
    });
    check(
        "ended for good, with its supervisor, before its start",
        ENDED,
        |a| {
            let mut bench = supervisor(unlimited(), vec![a]);
            bench.state.rest(true);
            bench.run();
            bench
        },
    );
    check("its supervisor starts after all", NEVER, |a| {
        let mut bench = at_rest(vec![a]);
        bench.state.start(bench.now);
        bench.run();
        bench
    });
    check("in line again", DOWN, |a| {
        let mut bench = ended(vec![named("b"), a]);
        bench.state.start(bench.now);
        bench.run();
        assert_eq!(bench.state_of("a"), ServiceState::Waiting);
        bench
    });
    check("gated again", DOWN, |a| {
        let mut bench = ended(vec![named("b"), requiring(a, "b")]);
        bench.state.rules.start_order = StartOrder::Parallel;
        bench.state.start(bench.now);
        bench.run();
        assert_eq!(bench.state_of("a"), ServiceState::Waiting);
        bench
    });
    check("started again", NEVER, |a| {
        let mut bench = ended(vec![a]);
        bench.state.start(bench.now);
        bench.run();
        bench
    });
}

#[test]
fn one_that_has_ended_for_good_refuses_until_its_next_start() {
    let finished = |mut a: ServiceRules| {
        a.restart = RestartType::Transient;
        let mut bench = Bench::running(unlimited(), vec![a]);
        bench.exit("a", ExitReason::Normal);
        bench
    };
    let gave_up = |a| {
        let mut bench = Bench::running(unlimited(), vec![giving_up(a)]);
        bench.fail("a");
        bench
    };
    check("finished", ENDED, finished);
    check("said so", ENDED, |a| {
        let mut bench = Bench::running(unlimited(), vec![a]);
        bench.exit_with("a", Verdict::DoNotRestart);
        bench
    });
    check("declined", ENDED, |a| {
        let mut bench = starting(unlimited(), vec![a]);
        bench.exit("a", ExitReason::Normal);
        bench
    });
    check("is not restarted after a failure", ENDED, |mut a| {
        a.restart = RestartType::Temporary;
        let mut bench = Bench::running(unlimited(), vec![a]);
        bench.fail("a");
        bench
    });
    check("gave up", ENDED, gave_up);
    check("lost with its arbiter", ENDED, |a| {
        let mut bench = Bench::running(unlimited(), vec![a]);
        bench.state.lost(bench.token("a"), bench.now);
        bench.run();
        bench
    });
    check("stopped again, without having been started", ENDED, |a| {
        let mut bench = finished(a);
        stop(&mut bench, "a");
        bench
    });
    check("finished, and started", NEVER, |a| {
        let mut bench = finished(a);
        restart(&mut bench, "a");
        bench
    });
    check("gave up, and started", NEVER, |a| {
        let mut bench = gave_up(a);
        restart(&mut bench, "a");
        bench
    });
    check(
        "finished, and will be started with its group",
        DOWN,
        |mut a| {
            a.restart = RestartType::Transient;
            let services = vec![named("b"), a];
            let mut bench = Bench::running(strategy(Strategy::OneForAll), services);
            bench.exit("a", ExitReason::Normal);
            bench.fail("b");
            assert_eq!(bench.state_of("a"), ServiceState::Waiting);
            bench
        },
    );
    check("gave up, and will be started when it can", DOWN, |a| {
        let services = vec![named("b"), giving_up(requiring(a, "b"))];
        let mut bench = Bench::running(unlimited(), services);
        bench.fail("a");
        stop(&mut bench, "b");
        restart(&mut bench, "a");
        bench
    });
}

/// It is as it was: nobody starts it by itself, and its senders would wait for ever.
#[test]
fn one_that_had_ended_for_good_and_whose_start_by_hand_fails_refuses_again() {
    let failed_start = |by: &'static str| {
        move |mut a: ServiceRules| {
            a.restart = RestartType::Transient;
            let mut bench = Bench::running(unlimited(), vec![a]);
            match by {
                "rule" => bench.exit("a", ExitReason::Normal),
                "service" => bench.exit_with("a", Verdict::DoNotRestart),
                _ => stop(&mut bench, "a"),
            }
            restart(&mut bench, "a");
            bench.fail("a");
            assert_eq!(bench.state_of("a"), ServiceState::Stopped);
            bench
        }
    };
    check("had finished", ENDED, failed_start("rule"));
    check("had said so", ENDED, failed_start("service"));
    check("was stopped", DOWN, failed_start("request"));
    check("had finished, and fails again", ENDED, |a| {
        let mut bench = failed_start("rule")(a);
        restart(&mut bench, "a");
        bench.fail("a");
        bench
    });
    check("had finished, failed, and runs", NEVER, |a| {
        let mut bench = failed_start("rule")(a);
        restart(&mut bench, "a");
        bench.ready("a");
        bench
    });
    // With its group it is started, as one that was stopped.
    for by in ["rule", "service", "request"] {
        let mut a = named("a");
        a.restart = RestartType::Transient;
        let mut bench = failed_start(by)(a);
        bench.state.rules.strategy = Strategy::OneForAll;
        bench.add(named("b")).unwrap();
        bench.ready("b");
        bench.fail("b");
        bench.get_ready();
        assert_eq!(bench.state_of("a"), ServiceState::Ready, "{by}");
    }
}
