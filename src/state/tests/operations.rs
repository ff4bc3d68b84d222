//! Operations in every state.

use super::{
    super::{Unaddressed, output::Unready},
    *,
};
use crate::{
    event::Operation,
    policy::WhileDown,
    token::{ServiceKey, ServiceToken},
};

/// A bench whose service `a` is in a state.
fn in_state(state: ServiceState) -> Bench {
    let rules = SupervisorRules {
        limit: RestartLimit::decay(seconds(30), 1.5, seconds(15)),
        ..SupervisorRules::default()
    };
    let mut service = named("a");
    match state {
        ServiceState::BackingOff => service.rare().backoff = Some(Backoff::constant(seconds(5))),
        ServiceState::Failed => {
            service.rare().limit = Some(RestartLimit::window(0, seconds(5)).give_up());
        }
        ServiceState::Waiting => service.rare().requires = vec![Arc::from("nobody")],
        _ => {}
    }
    let mut bench = Bench::running(rules, vec![named("other")]);
    let a = bench.add(service).unwrap();
    match state {
        ServiceState::Waiting | ServiceState::Starting => {}
        ServiceState::Ready => bench.ready("a"),
        ServiceState::BackingOff | ServiceState::Failed => {
            bench.ready("a");
            bench.fail("a");
        }
        ServiceState::Paused => {
            bench.fail("a");
            bench.fail("a");
        }
        ServiceState::Stopping | ServiceState::Stopped => {
            bench.ready("a");
            bench.state.stop(a, Waiter(0), bench.now).unwrap();
            bench.run();
            if state == ServiceState::Stopped {
                bench.get_stopped();
            }
        }
    }
    assert_eq!(bench.state_of("a"), state);
    bench.forget();
    bench
}

const STATES: [ServiceState; 8] = [
    ServiceState::Waiting,
    ServiceState::Starting,
    ServiceState::Ready,
    ServiceState::Stopping,
    ServiceState::BackingOff,
    ServiceState::Paused,
    ServiceState::Stopped,
    ServiceState::Failed,
];

fn is_live(state: ServiceState) -> bool {
    matches!(
        state,
        ServiceState::Starting | ServiceState::Ready | ServiceState::Stopping
    )
}

#[test]
fn remove_is_answered_in_every_state_when_the_service_has_ended() {
    for state in STATES {
        let mut bench = in_state(state);
        let a = bench.token("a");
        bench.state.remove(a, Waiter(1), bench.now).unwrap();
        bench.run();
        if is_live(state) {
            assert!(
                !bench.answers.iter().any(|(w, _)| *w == Waiter(1)),
                "{state}"
            );
            // Its name is taken until then.
            assert!(bench.add(named("a")).is_err(), "{state}");
            bench.state.remove(a, Waiter(2), bench.now).unwrap();
            bench.get_stopped();
            let both = [Waiter(1), Waiter(2)];
            let shutdown = Answer::Removed(Ok(ExitReason::Shutdown));
            for waiter in both {
                assert!(
                    bench.answers.contains(&(waiter, shutdown.clone())),
                    "{state}"
                );
            }
        } else {
            let [(Waiter(1), Answer::Removed(Ok(_)))] = bench.answers[..] else {
                panic!("{state} {:?}", bench.answers);
            };
        }
        assert!(bench.state.named("a").is_none());
        assert_eq!(bench.actions().last().unwrap(), "release a");
        assert_eq!(bench.story().last().unwrap(), "a ServiceRemoved");
        bench.add(named("a")).unwrap();
    }
}

#[test]
fn stop_is_answered_in_every_state_and_keeps_the_service() {
    for state in STATES {
        let mut bench = in_state(state);
        let a = bench.token("a");
        bench.state.stop(a, Waiter(1), bench.now).unwrap();
        bench.run();
        assert_eq!(bench.answers.is_empty(), is_live(state), "{state}");
        bench.get_stopped();
        assert!(
            bench
                .answers
                .contains(&(Waiter(1), Answer::Stopped(Ok(())))),
            "{state}"
        );
        bench.pass(seconds(3600));
        let kept = match state {
            ServiceState::Failed => ServiceState::Failed,
            _ => ServiceState::Stopped,
        };
        assert_eq!(bench.state_of("a"), kept, "{state}");
    }
}

#[test]
fn restart_is_answered_in_every_state_when_the_service_is_ready() {
    for state in STATES {
        let mut bench = in_state(state);
        let a = bench.token("a");
        let counted = bench.state.failure_count(bench.now);
        let generation = bench.view("a").generation;
        bench.state.restart(a, Waiter(1), bench.now).unwrap();
        bench.run();
        if state == ServiceState::Waiting {
            // What it requires does not exist.
            assert!(matches!(
                bench.answers[..],
                [(
                    Waiter(1),
                    Answer::Restarted(Err(RestartError::Failed { .. }))
                )]
            ));
            continue;
        }
        assert!(
            !bench.answers.iter().any(|(w, _)| *w == Waiter(1)),
            "{state}"
        );
        bench.get_stopped();
        bench.get_ready();
        assert!(
            bench
                .answers
                .contains(&(Waiter(1), Answer::Restarted(Ok(())))),
            "{state}"
        );
        assert_eq!(bench.state_of("a"), ServiceState::Ready, "{state}");
        assert_eq!(bench.view("a").generation, generation + 1, "{state}");
        let now_counted = bench.state.failure_count(bench.now);
        assert!((counted - now_counted).abs() < f64::EPSILON, "{state}");
    }
}

#[test]
fn reset_is_answered_in_every_state() {
    for state in STATES {
        let mut bench = in_state(state);
        let a = bench.token("a");
        bench.state.reset(a, Waiter(1), bench.now).unwrap();
        bench.run();
        bench.get_stopped();
        bench.get_ready();
        let answer = bench.answers.iter().find(|(w, _)| *w == Waiter(1));
        let (_, answer) = answer.unwrap_or_else(|| panic!("{state}"));
        let expected = match state {
            ServiceState::Waiting => ServiceState::Waiting,
            ServiceState::Stopping | ServiceState::Stopped => ServiceState::Stopped,
            _ => ServiceState::Ready,
        };
        assert_eq!(bench.state_of("a"), expected, "{state}");
        let refused = matches!(answer, Answer::Reset(Err(_)));
        assert_eq!(refused, state == ServiceState::Waiting, "{state}");
    }
}

#[test]
fn await_is_answered_in_every_state() {
    for state in STATES {
        let mut bench = in_state(state);
        let a = bench.token("a");
        bench.state.await_ready(a, Waiter(1), bench.now);
        bench.run();
        bench.state.shutdown(None, bench.now);
        bench.run();
        bench.get_stopped();
        let answers = bench.answers.iter().filter(|(w, _)| *w == Waiter(1));
        assert_eq!(answers.count(), 1, "{state}");
    }
}

#[test]
fn token_of_another_supervisor_is_refused_and_nothing_changes() {
    let mut bench = Bench::running(unlimited(), vec![named("a")]);
    let token = Bench::running(unlimited(), vec![named("b")]).token("b");
    let now = bench.now;
    assert_eq!(
        bench.state.remove(token, Waiter(1), now),
        Err(RemoveError::WrongSupervisor { token })
    );
    assert_eq!(
        bench.state.stop(token, Waiter(1), now),
        Err(StopError::WrongSupervisor { token })
    );
    assert_eq!(
        bench.state.restart(token, Waiter(1), now),
        Err(RestartError::WrongSupervisor { token })
    );
    assert_eq!(
        bench.state.reset(token, Waiter(1), now),
        Err(ResetError::WrongSupervisor { token })
    );
    bench.run();
    assert_eq!(bench.actions(), Vec::<String>::new());
}

#[test]
fn failed_first_start_is_answered_and_nothing_is_kept() {
    let mut bench = Bench::running(SupervisorRules::default(), vec![]);
    let a = bench.add(named("a")).unwrap();
    bench.state.await_ready(a, Waiter(1), bench.now);
    bench.forget();
    let reason = failed();
    bench.exit("a", reason.clone());
    assert_eq!(
        bench.answers,
        [(Waiter(1), Answer::Ready(Err(Unready::from(reason))))]
    );
    assert_eq!(bench.actions(), ["release a"]);
    assert_eq!(bench.story(), ["a ServiceStartFailed", "a ServiceRemoved"]);
    assert!(bench.state.is_empty());
    assert!(bench.state.failure_count(bench.now) < f64::EPSILON);
}

#[test]
fn failed_first_start_that_nobody_awaits_is_retried_as_the_policy_says() {
    let mut bench = Bench::running(SupervisorRules::default(), vec![]);
    bench.add(named("a")).unwrap();
    bench.fail("a");
    bench.fail("a");
    assert_eq!(bench.actions(), ["start a 0", "start a 1", "start a 2"]);
    assert!((bench.state.failure_count(bench.now) - 2.0).abs() < f64::EPSILON);
}

#[test]
fn stopped_service_that_fails_to_start_on_request_stays_stopped() {
    let mut bench = in_state(ServiceState::Stopped);
    let a = bench.token("a");
    bench.state.restart(a, Waiter(1), bench.now).unwrap();
    bench.run();
    let reason = failed();
    bench.exit("a", reason.clone());
    let refused = RestartError::Failed { reason };
    assert_eq!(
        bench.answers,
        [(Waiter(1), Answer::Restarted(Err(refused)))]
    );
    assert_eq!(bench.state_of("a"), ServiceState::Stopped);
}

#[test]
fn running_service_that_fails_to_restart_on_request_is_retried() {
    let mut bench = in_state(ServiceState::Ready);
    let a = bench.token("a");
    bench.state.restart(a, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    bench.fail("a");
    assert!(matches!(
        bench.answers[..],
        [(
            Waiter(1),
            Answer::Restarted(Err(RestartError::Failed { .. }))
        )]
    ));
    assert_eq!(bench.state_of("a"), ServiceState::Starting);
}

#[test]
fn restart_is_interrupted_by_stop_remove_and_shutdown() {
    for operation in ["stop", "remove", "shutdown"] {
        let mut bench = in_state(ServiceState::Ready);
        let a = bench.token("a");
        bench.state.restart(a, Waiter(1), bench.now).unwrap();
        match operation {
            "stop" => bench.state.stop(a, Waiter(2), bench.now).unwrap(),
            "remove" => bench.state.remove(a, Waiter(2), bench.now).unwrap(),
            _ => bench.state.shutdown(None, bench.now),
        }
        bench.run();
        bench.get_stopped();
        let refused = match operation {
            "shutdown" => RestartError::ShuttingDown,
            _ => RestartError::Interrupted,
        };
        assert_eq!(
            bench.answers[0],
            (Waiter(1), Answer::Restarted(Err(refused))),
            "{operation}"
        );
        assert!(!bench.actions().iter().any(|a| a.starts_with("start")));
    }
}

#[test]
fn end_that_was_asked_for_is_not_a_failure_whatever_it_says() {
    for reason in [ExitReason::Normal, ExitReason::Shutdown, failed()] {
        let mut bench = in_state(ServiceState::Stopping);
        bench.exit("a", reason.clone());
        assert_eq!(bench.state_of("a"), ServiceState::Stopped);
        let kind = if reason.is_abnormal() {
            "a ServiceFailed"
        } else {
            "a ServiceStopped"
        };
        assert_eq!(bench.story(), [kind]);
    }
}

#[test]
fn waiters_of_a_stopping_service_are_answered_when_the_supervisor_ends_it() {
    let mut bench = in_state(ServiceState::Ready);
    let a = bench.token("a");
    bench.state.stop(a, Waiter(1), bench.now).unwrap();
    bench.state.remove(a, Waiter(2), bench.now).unwrap();
    bench.state.shutdown(None, bench.now);
    bench.run();
    bench.get_stopped();
    assert_eq!(
        bench.answers,
        [
            (Waiter(1), Answer::Stopped(Ok(()))),
            (Waiter(2), Answer::Removed(Ok(ExitReason::Shutdown))),
        ]
    );
    assert!(bench.ended.is_some());
}

#[test]
fn service_that_was_never_started_is_removed_as_normal() {
    let mut bench = Bench::new(unlimited());
    let a = bench.add(named("a")).unwrap();
    bench.state.remove(a, Waiter(1), bench.now).unwrap();
    bench.run();
    let normal = Answer::Removed(Ok(ExitReason::Normal));
    assert_eq!(bench.answers, [(Waiter(1), normal)]);
}

#[test]
fn counts_follow_the_services() {
    let mut bench = Bench::running(unlimited(), vec![named("a"), named("b"), named("c")]);
    let b = bench.token("b");
    bench.state.stop(b, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    bench.fail("c");
    let expected = Counts {
        services: 3,
        supervisors: 0,
        active: 2,
        ready: 1,
        waiting: 0,
        stopped: 1,
        failed: 0,
    };
    assert_eq!(bench.state.counts(), expected);
}

/// What becomes of messages to a service in each of these states.
#[test]
fn senders_are_refused_as_the_rules_of_the_service_say() {
    let senders = |while_down| {
        let mut rules = named("a");
        rules.rare().while_down = while_down;
        rules.rare().backoff = Some(Backoff::constant(seconds(5)));
        rules.rare().limit = Some(RestartLimit::window(1, seconds(60)).give_up());
        let mut bench = Bench::running(unlimited(), vec![rules]);
        let mut seen = Vec::new();
        let mut look = |bench: &Bench| {
            let slot = bench.state.services.named("a").unwrap();
            let service = &bench.state.services[slot];
            seen.push(service.senders(service.phase()) == Senders::Refused);
        };
        look(&bench);
        bench.fail("a");
        assert_eq!(bench.state_of("a"), ServiceState::BackingOff);
        look(&bench);
        let token = bench.token("a");
        bench.state.stop(token, Waiter(1), bench.now).unwrap();
        bench.run();
        assert_eq!(bench.state_of("a"), ServiceState::Stopped);
        look(&bench);
        bench.state.restart(token, Waiter(2), bench.now).unwrap();
        bench.run();
        bench.ready("a");
        bench.fail("a");
        assert_eq!(bench.state_of("a"), ServiceState::Failed);
        look(&bench);
        bench.state.lost(token, bench.now);
        bench.run();
        look(&bench);
        seen
    };
    // Ready, backing off, stopped, given up, lost.
    let expected = [
        (
            WhileDown::RefuseWhenEnded,
            [false, false, false, true, true],
        ),
        (WhileDown::Refuse, [false, true, true, true, true]),
        (WhileDown::Queue, [false; 5]),
    ];
    for (while_down, expected) in expected {
        assert_eq!(senders(while_down), expected, "{while_down:?}");
    }
}

#[test]
fn request_goes_where_its_name_or_path_leads() {
    let mut bench = Bench::running(unlimited(), vec![named("a")]);
    bench.state.relocate(Arc::from("root/sub"));
    let a = bench.token("a");
    let route = |bench: &Bench, key: &str| bench.state.route(&ServiceKey::from(key));
    assert_eq!(route(&bench, "a"), Ok(Route::Here(a)));
    assert_eq!(route(&bench, "root/sub/a"), Ok(Route::Here(a)));
    assert_eq!(route(&bench, "root/sub/a/b/c"), Ok(Route::Below(a)));
    for above in [
        "root/sub",
        "root/b",
        "root/subway/a",
        "root/su",
        "other/sub/a",
        "/a",
    ] {
        assert_eq!(route(&bench, above), Ok(Route::Above), "{above}");
    }
    let unknown = |name: &str| Unaddressed::UnknownName { name: name.into() };
    assert_eq!(route(&bench, "b"), Err(unknown("b")));
    assert_eq!(route(&bench, ""), Err(unknown("")));
    for path in ["root/sub/b", "root/sub/", "root/sub/b/c", "root/sub//a"] {
        let unknown = Unaddressed::UnknownPath { path: path.into() };
        assert_eq!(route(&bench, path), Err(unknown));
    }
    // Whose token it is is said by the operation.
    let foreign = ServiceToken::issue(SupervisorId::issue(), 0);
    assert_eq!(bench.state.route(&foreign.into()), Ok(Route::Here(foreign)));

    // The name is free to be found until the service is forgotten, and nobody learns more of a supervisor that is stopping.
    bench.state.shutdown(None, bench.now);
    assert_eq!(route(&bench, "a"), Ok(Route::Here(a)));
    assert_eq!(route(&bench, "b"), Err(Unaddressed::ShuttingDown));
    assert_eq!(route(&bench, "root/sub/b"), Err(Unaddressed::ShuttingDown));
}

/// Made of text, which may say anything.
#[test]
fn token_that_names_nothing_is_unknown() {
    let mut bench = Bench::running(unlimited(), vec![named("a")]);
    let a = bench.token("a");
    let text = a.to_string();
    let (serial, rest) = text.split_once('.').unwrap();
    let (supervisor, slot) = rest.split_once('.').unwrap();
    for text in [
        format!("0.{supervisor}.{slot}"),
        format!("{serial}.{supervisor}.4294967295"),
        format!("{serial}.0.{slot}"),
        format!("{serial}.4294967295.{slot}"),
    ] {
        let token = text.parse().unwrap();
        assert_eq!(
            bench.state.remove(token, Waiter(1), bench.now),
            Err(RemoveError::UnknownToken { token })
        );
    }
    assert_eq!(text.parse(), Ok(a));
}

#[test]
fn who_asks_is_told_about_a_service_that_is_there_or_the_supervisor() {
    let by = || Arc::from("ada");
    for state in STATES {
        let mut bench = in_state(state);
        let token = bench.token("a");
        let asked = Operation::Stop;
        bench.state.requested(Some(token), asked, by(), bench.now);
        bench.run();
        let told: Vec<_> = bench.events.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with(": stop requested by ada"), "{told:?}");
    }
    let mut bench = in_state(ServiceState::Stopped);
    let token = bench.token("a");
    bench.state.remove(token, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.forget();
    let (gone, itself) = (Operation::Remove, Operation::Reconfigure);
    bench.state.requested(Some(token), gone, by(), bench.now);
    bench.state.requested(None, itself, by(), bench.now);
    bench.run();
    let told: Vec<_> = bench.events.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["root: reconfigure requested by ada"]);
}
