//! Stopping services and supervisors.

use super::*;

fn four() -> Vec<ServiceRules> {
    ["a", "b", "c", "d"].map(named).to_vec()
}

pub(super) fn stopped_report(bench: &Bench) -> &ShutdownReport {
    match &bench.ended {
        Some(Ended {
            cause: Cause::Stopped,
            report,
        }) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn prompt_services_stop_in_exact_reverse_order() {
    let mut bench = Bench::running(unlimited(), four());
    bench.shutdown();
    for name in ["d", "c", "b", "a"] {
        assert_eq!(bench.actions(), [format!("stop {name}")]);
        bench.exit(name, ExitReason::Shutdown);
    }
    assert!(stopped_report(&bench).is_clean());
    assert_eq!(bench.story().last().unwrap(), "root SupervisorStopped");
    assert_eq!(bench.state.next_timeout(), None);
}

#[test]
fn slow_services_overlap_when_they_say_so() {
    let mut bench = Bench::running(unlimited(), four());
    bench.shutdown();
    bench.acknowledge("d");
    bench.acknowledge("c");
    assert_eq!(bench.actions(), ["stop d", "stop c", "stop b"]);
}

#[test]
fn patience_with_silent_services_is_used_up_once_for_all() {
    let mut bench = Bench::running(unlimited(), four());
    bench.shutdown();
    bench.pass(millis(60));
    bench.exit("d", ExitReason::Shutdown);
    assert_eq!(bench.actions(), ["stop d", "stop c"]);
    bench.pass(millis(39));
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.pass(millis(1));
    assert_eq!(bench.actions(), ["stop b", "stop a"]);
}

#[test]
fn round_trips_to_healthy_services_cost_no_patience() {
    let names: Vec<String> = (0..500).map(|number| format!("s{number}")).collect();
    let services = names.iter().map(|name| named(name)).collect();
    let mut bench = Bench::running(unlimited(), services);
    bench.shutdown();
    for name in names.iter().rev() {
        assert_eq!(bench.actions(), [format!("stop {name}")]);
        bench.pass(millis(1));
        bench.exit(name, ExitReason::Shutdown);
    }
    assert!(bench.ended.is_some());
}

#[test]
fn service_is_asked_only_when_all_that_require_it_have_ended() {
    let mut api = named("api");
    api.rare().requires = vec![Arc::from("db")];
    let mut bench = Bench::running(unlimited(), vec![named("x"), named("db"), api]);
    bench.shutdown();
    bench.acknowledge("api");
    assert_eq!(bench.actions(), ["stop api"]);
    // Nobody keeps `x` from stopping but the order, which is given up.
    bench.pass(millis(100));
    assert_eq!(bench.actions(), ["stop x"]);
    bench.pass(seconds(1));
    bench.exit("api", ExitReason::Shutdown);
    assert_eq!(bench.actions(), ["stop db"]);
}

#[test]
fn rest_for_one_waits_for_the_end_of_each() {
    let mut bench = Bench::running(strategy(Strategy::RestForOne), four());
    bench.shutdown();
    bench.acknowledge("d");
    bench.pass(seconds(5));
    assert_eq!(bench.actions(), ["stop d"]);
    bench.exit("d", ExitReason::Shutdown);
    assert_eq!(bench.actions(), ["stop c"]);
}

#[test]
fn service_that_overruns_its_time_is_killed_and_listed_as_failed() {
    let mut slow = named("slow");
    slow.shutdown = Some(Shutdown::Timeout(seconds(2)));
    let mut bench = Bench::running(unlimited(), vec![named("a"), slow]);
    bench.shutdown();
    bench.pass(seconds(2));
    assert_eq!(
        bench.actions(),
        ["stop slow", "stop a", "kill slow stop timeout"]
    );
    bench.exit("a", ExitReason::Shutdown);
    let killed = ExitReason::Killed(KillCause::StopTimeout);
    bench.exit("slow", killed.clone());
    assert_eq!(
        bench.story(),
        [
            "slow StopTimedOut",
            "a ServiceStopped",
            "slow ServiceStopped",
            "root SupervisorStopped",
        ]
    );
    let report = stopped_report(&bench);
    assert!(report.unstopped().is_empty());
    assert_eq!(report.failures(), [(Arc::from("root/slow"), killed)]);
    assert_eq!(report.to_string(), "root/slow: killed: stop timeout");
}

#[test]
fn service_that_blocks_its_thread_is_abandoned_and_listed() {
    let mut bench = Bench::running(unlimited(), vec![named("stuck")]);
    let stuck = bench.token("stuck");
    bench.shutdown();
    bench.pass(seconds(11));
    assert_eq!(
        bench.actions(),
        ["stop stuck", "kill stuck stop timeout", "abandon stuck"]
    );
    assert_eq!(
        bench.story(),
        [
            "stuck StopTimedOut",
            "stuck ServiceAbandoned",
            "stuck ServiceStopped",
            "root SupervisorStopped",
        ]
    );
    let report = stopped_report(&bench);
    assert_eq!(report.unstopped().len(), 1);
    assert_eq!(report.unstopped()[0].path(), "root/stuck");
    assert_eq!(report.unstopped()[0].token(), stuck);
    assert_eq!(report.to_string(), "root/stuck would not stop");
    bench.exit_at(stuck, 0, failed());
    assert_eq!(bench.story(), Vec::<String>::new());
}

#[test]
fn brutal_kill_does_not_ask_and_is_no_failure() {
    let mut brutal = named("brutal");
    brutal.shutdown = Some(Shutdown::BrutalKill);
    let mut bench = Bench::running(unlimited(), vec![named("a"), brutal]);
    bench.shutdown();
    assert_eq!(bench.actions(), ["kill brutal requested"]);
    bench.exit("brutal", ExitReason::Killed(KillCause::Requested));
    bench.get_stopped();
    assert!(stopped_report(&bench).is_clean());
}

#[test]
fn infinity_is_cut_short_by_a_shutdown_within_only() {
    let mut patient = named("patient");
    patient.shutdown = Some(Shutdown::Infinity);
    let mut bench = Bench::running(unlimited(), vec![patient]);
    bench.shutdown();
    bench.pass(seconds(100_000));
    assert_eq!(bench.actions(), ["stop patient"]);
    bench
        .state
        .shutdown(Some(dropping(bench.now + seconds(9))), bench.now);
    bench
        .state
        .shutdown(Some(dropping(bench.now + seconds(5))), bench.now);
    bench
        .state
        .shutdown(Some(dropping(bench.now + seconds(7))), bench.now);
    assert_eq!(
        bench.state.shutdown_deadline(),
        Some(bench.now + seconds(5))
    );
    bench.pass(seconds(5));
    assert_eq!(bench.actions(), ["kill patient stop timeout"]);
}

#[test]
fn shutdown_within_drops_also_those_that_were_not_asked_yet() {
    let mut bench = Bench::running(strategy(Strategy::RestForOne), four());
    bench
        .state
        .shutdown(Some(dropping(bench.now + seconds(1))), bench.now);
    bench.run();
    bench.pass(seconds(1));
    assert_eq!(
        bench.actions(),
        [
            "stop d",
            "kill d stop timeout",
            "kill c stop timeout",
            "kill b stop timeout",
            "kill a stop timeout",
        ]
    );
    bench.pass(seconds(1));
    assert_eq!(stopped_report(&bench).unstopped().len(), 4);
}

#[test]
fn services_that_end_by_themselves_while_the_supervisor_stops_are_not_restarted() {
    let mut bench = Bench::running(unlimited(), four());
    bench.shutdown();
    let reason = failed();
    bench.exit("b", reason.clone());
    bench.exit("d", ExitReason::Normal);
    bench.exit("c", ExitReason::Shutdown);
    assert_eq!(bench.actions(), ["stop d", "stop c", "stop a"]);
    bench.exit("a", ExitReason::Normal);
    let report = stopped_report(&bench);
    assert_eq!(report.failures(), [(Arc::from("root/b"), reason)]);
}

#[test]
fn shutdown_cancels_pauses_and_delays_and_ends_though_nothing_runs() {
    let rules = SupervisorRules {
        limit: RestartLimit::decay(seconds(30), 0.0, seconds(15)),
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, vec![named("a")]);
    bench.fail("a");
    bench.shutdown();
    assert!(bench.ended.is_some());
    assert_eq!(bench.state.next_timeout(), None);
    bench.shutdown();
    assert_eq!(bench.actions(), Vec::<String>::new());
}

#[test]
fn everything_is_refused_while_the_supervisor_stops_and_after() {
    let mut bench = Bench::running(unlimited(), four());
    let a = bench.token("a");
    bench.shutdown();
    for _ in 0..2 {
        assert_eq!(bench.add(named("e")), Err(AddError::ShuttingDown));
        let now = bench.now;
        assert_eq!(
            bench.state.remove(a, Waiter(1), now),
            Err(RemoveError::ShuttingDown)
        );
        assert_eq!(
            bench.state.stop(a, Waiter(1), now),
            Err(StopError::ShuttingDown)
        );
        assert_eq!(
            bench.state.restart(a, Waiter(1), now),
            Err(RestartError::ShuttingDown)
        );
        assert_eq!(
            bench.state.reset(a, Waiter(1), now),
            Err(ResetError::ShuttingDown)
        );
        bench.get_stopped();
    }
}

#[test]
fn hub_that_many_services_require_is_stopped_after_all_of_them() {
    // The costliest shape for "who requires me has ended": with a scan per end this test takes minutes.
    let mut services = vec![named("hub")];
    for number in 0..20_000 {
        let mut rules = named(&format!("s{number}"));
        rules.rare().requires = vec![Arc::from("hub")];
        services.push(rules);
    }
    let mut bench = Bench::new(unlimited());
    bench.state.set_reporting(Reporting::Off);
    let mut tokens = Vec::new();
    for rules in services {
        tokens.push(bench.state.add(rules, bench.now).unwrap());
    }
    bench.state.start(bench.now);
    for token in &tokens {
        bench.state.ready(*token, 0, bench.now);
    }
    bench.state.shutdown(None, bench.now);
    for token in tokens.iter().rev() {
        let exit = Exit::from(ExitReason::Shutdown);
        bench.state.exited(*token, 0, exit, bench.now);
    }
    let mut stops = Vec::new();
    let mut ended = 0;
    while let Some(effect) = bench.state.next_effect() {
        match effect {
            Effect::Stop { token, .. } => stops.push(token),
            Effect::End { .. } => ended += 1,
            _ => {}
        }
    }
    tokens.reverse();
    assert_eq!(stops, tokens);
    assert_eq!(ended, 1);
}

/// A service in each phase that lasts, and somebody who waits for some of them.
fn in_every_phase() -> Bench {
    let mut bench = Bench::running(unlimited(), vec![named("ready")]);
    let stopping = bench.add(named("stopping")).unwrap();
    bench.ready("stopping");
    bench.state.remove(stopping, Waiter(1), bench.now).unwrap();
    let killed = ServiceRules {
        shutdown: Some(Shutdown::BrutalKill),
        ..named("killed")
    };
    let killed = bench.add(killed).unwrap();
    bench.ready("killed");
    bench.state.restart(killed, Waiter(2), bench.now).unwrap();
    let starting = bench.add(named("starting")).unwrap();
    bench.state.await_ready(starting, Waiter(3), bench.now);
    let mut waiting = named("waiting");
    waiting.rare().requires = vec![Arc::from("starting")];
    bench.add(waiting).unwrap();
    let mut backing_off = named("backing off");
    backing_off.rare().backoff = Some(Backoff::constant(seconds(5)));
    let backing_off = bench.add(backing_off).unwrap();
    bench.fail("backing off");
    bench
        .state
        .reset(backing_off, Waiter(4), bench.now)
        .unwrap();
    bench.run();
    bench.forget();
    bench
}

#[test]
fn supervisor_that_is_dropped_drops_what_runs_in_reverse_order_and_tells_each_end() {
    let mut bench = in_every_phase();
    let running: Vec<_> = bench.state.services().collect();
    let running: Vec<_> = running
        .iter()
        .filter(|view| view.state.is_live())
        .map(|view| view.token)
        .collect();
    assert_eq!(running.len(), 5);
    bench.drop_all();
    let names: Vec<String> = running
        .iter()
        .rev()
        .map(|token| bench.name(*token).to_owned())
        .collect();
    let kills: Vec<_> = names
        .iter()
        .map(|name| format!("kill {name} requested"))
        .collect();
    let actions: Vec<_> = bench
        .actions()
        .into_iter()
        .filter(|action| action.starts_with("kill"))
        .collect();
    assert_eq!(actions, kills);
    let story = bench.story();
    for name in names {
        let ends = story
            .iter()
            .filter(|line| **line == format!("{name} ServiceStopped"));
        assert_eq!(ends.count(), 1, "{name}: {story:#?}");
    }
    assert_eq!(story.last().unwrap(), "root SupervisorStopped");
    for view in bench.state.services() {
        assert_eq!(view.state, ServiceState::Stopped, "{}", view.path);
        assert_eq!(bench.mirror[&view.token].state, ServiceState::Stopped);
    }
    assert_eq!(bench.cause(), Some(&Cause::Dropped));
    assert_eq!(bench.state.next_timeout(), None);
}

#[test]
fn whoever_waits_for_a_supervisor_that_is_dropped_is_answered() {
    let mut bench = in_every_phase();
    bench.drop_all();
    let dropped = ExitReason::Killed(KillCause::Requested);
    bench.answers.sort_by_key(|(waiter, _)| *waiter);
    let answers = [
        Answer::Removed(Ok(dropped)),
        Answer::Restarted(Err(RestartError::ShuttingDown)),
        Answer::Ready(Err(Unready::from(ExitReason::Shutdown))),
        Answer::Reset(Err(ResetError::ShuttingDown)),
    ];
    let answers: Vec<_> = (1..).map(Waiter).zip(answers).collect();
    assert_eq!(bench.answers, answers);
    assert!(bench.state.named("stopping").is_none(), "is removed");
}

#[test]
fn nobody_waits_for_a_pause_a_turn_or_a_judgement_of_the_life_before() {
    // Some wait for the end of a pause, others behind the first that was started after it.
    let mut rules = SupervisorRules {
        limit: RestartLimit::decay(seconds(30), 0.5, seconds(15)),
        resume_spacing: seconds(5),
        ..SupervisorRules::default()
    };
    let services = ["a", "b", "c"].map(named).to_vec();
    let mut bench = Bench::running(rules.clone(), services.clone());
    for name in ["a", "b", "c"] {
        bench.fail(name);
    }
    bench.pass(seconds(16));
    assert!(bench.state.next_resume.is_some());
    assert_eq!(bench.state.queue.len(), 2);
    bench.state.reopen(bench.now);
    assert!(bench.state.pause.is_none() && bench.state.next_resume.is_none());
    assert!(bench.state.queue.is_empty());
    // While it starts, one that was ready has failed, and the next one is not ready.
    rules.limit = RestartLimit::unlimited();
    let mut bench = Bench::new(rules);
    for rules in services {
        bench.add(rules).unwrap();
    }
    bench.state.start(bench.now);
    bench.run();
    bench.ready("a");
    bench.fail("a");
    assert_eq!(bench.state.deferred.len(), 1);
    assert!(bench.state.line.is_held_up());
    bench.state.reopen(bench.now);
    bench.run();
    bench.forget();
    assert!(bench.state.deferred.is_empty());
    bench.state.start(bench.now);
    bench.run();
    assert_eq!(bench.actions(), ["start a 1"]);
}

#[test]
fn nothing_of_a_life_that_was_dropped_is_in_the_next_one() {
    let mut bench = in_every_phase();
    bench.fail("ready");
    bench.ready("ready");
    bench.shutdown();
    bench.exit("ready", failed());
    bench.drop_all();
    let late = bench.view("killed");
    bench.forget();
    bench.state.restart_fresh(bench.now);
    bench.run();
    bench.get_ready();
    // The incarnation of that life ends late.
    bench.exit_at(late.token, late.generation, failed());
    assert_eq!(bench.state_of("killed"), ServiceState::Ready);
    assert!(bench.state.named("stopping").is_none(), "comes back");
    bench.ended = None;
    bench.shutdown();
    while bench.ended.is_none() {
        bench.get_stopped();
    }
    assert!(stopped_report(&bench).is_clean());
}

/// What fails while its supervisor stops, by itself and in time.
fn own_ends() -> [ExitReason; 4] {
    [
        failed(),
        ExitReason::Killed(KillCause::StartTimeout),
        ExitReason::Killed(KillCause::ArbiterStopped),
        ExitReason::Shutdown,
    ]
}

#[test]
fn stop_is_in_time_unless_something_was_dropped_for_its_time_or_would_not_stop() {
    for reason in own_ends() {
        let mut bench = Bench::running(unlimited(), four());
        bench.shutdown();
        bench.exit("c", reason.clone()); // before it was asked
        bench.exit("d", reason.clone());
        for name in ["b", "a"] {
            bench.exit(name, ExitReason::Shutdown);
        }
        let report = stopped_report(&bench);
        assert!(report.is_in_time(), "{reason:?}");
        assert_eq!(report.is_clean(), reason == ExitReason::Shutdown);
    }

    // The one is gone in the end, the other is not.
    let late = ExitReason::Killed(KillCause::StopTimeout);
    for end in [late, ExitReason::Killed(KillCause::Unresponsive)] {
        let mut bench = Bench::running(unlimited(), vec![named("a")]);
        bench.shutdown();
        bench.pass(seconds(10));
        if end == ExitReason::Killed(KillCause::Unresponsive) {
            bench.pass(seconds(1));
        } else {
            bench.exit("a", end.clone());
        }
        assert!(!stopped_report(&bench).is_in_time(), "{end:?}");
    }
}

#[test]
fn fatal_error_after_a_stop_has_begun_is_noted_and_is_not_the_reason() {
    let fatal = || SupervisorRules {
        fatal: Some(Arc::new(|error| error.to_string() == "fatal")),
        ..unlimited()
    };
    for (what, noted) in [("fatal", true), ("later", false)] {
        let mut bench = Bench::running(fatal(), vec![named("a"), named("b")]);
        bench.shutdown();
        bench.exit("b", ExitReason::Failed(ServiceError::new(what)));
        bench.exit("a", ExitReason::Shutdown);
        let report = stopped_report(&bench);
        assert!(report.is_in_time() && !report.is_clean());
        assert_eq!(report.has_fatal(), noted, "{what}");

        // One below is asked by the rules that it is under.
        let mut above = Bench::running(unlimited(), vec![named("site")]);
        above.shutdown();
        let ended = bench.ended.take().unwrap();
        let site = above.view("site");
        let (exit, now) = (Exit::from(ended), above.now);
        above.state.exited(site.token, site.generation, exit, now);
        above.run();
        assert_eq!(stopped_report(&above).has_fatal(), noted, "{what}");
    }
    // Before the stop it is the reason, and nothing else.
    let mut bench = Bench::running(fatal(), vec![named("a")]);
    bench.exit("a", ExitReason::Failed(ServiceError::new("fatal")));
    let ended = bench.ended.unwrap();
    assert!(matches!(ended.cause, Cause::Fatal { .. }));
    assert!(!ended.report.has_fatal());
}
