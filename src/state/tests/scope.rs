//! Scopes: services that live and end together.

use super::*;
use crate::policy::ScopeEnding;

fn scope() -> SupervisorRules {
    SupervisorRules {
        binding: Binding::Bound,
        auto_shutdown: AutoShutdown::AnySignificant,
        ..SupervisorRules::default()
    }
}

fn work() -> ServiceRules {
    let mut work = named("work");
    work.significance = Significance::Significant;
    work
}

fn running(members: &[&str]) -> Bench {
    let mut all = vec![work()];
    all.extend(members.iter().map(|name| named(name)));
    Bench::running(scope(), all)
}

fn error(text: &str) -> ExitReason {
    ExitReason::Failed(ServiceError::new(text))
}

impl Bench {
    fn fail_scope(&mut self, text: &str) {
        self.state
            .end_scope(Some(ServiceError::new(text)), self.now);
        self.run();
    }

    fn finish_scope(&mut self) {
        self.state.end_scope(None, self.now);
        self.run();
    }

    /// Who ended the scope, and with what.
    fn end_of_scope(&mut self) -> String {
        self.get_stopped();
        match self.cause() {
            Some(Cause::Fatal { path, error, .. }) => format!("{path} {error}"),
            Some(Cause::AutoShutdown) => String::from("done"),
            Some(Cause::Stopped) => String::from("stopped"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn member_that_ends_without_an_error_is_forgotten_whatever_its_restart_type() {
    for restart in [
        RestartType::Permanent,
        RestartType::Transient,
        RestartType::Temporary,
    ] {
        let mut bench = running(&["early"]);
        let mut late = named("late");
        late.restart = restart;
        bench.add(late).unwrap();
        bench.get_ready();
        bench.forget();
        bench.exit("late", ExitReason::Normal);
        bench.exit("early", ExitReason::Normal);
        assert_eq!(bench.actions(), ["release late", "release early"]);
        assert_eq!(bench.ended, None);
    }
}

/// A program is not to exit with 1 because of a scope below it that ends with it.
#[test]
fn error_of_a_scope_that_ends_already_is_its_reason_and_none_that_is_noted_as_fatal() {
    let mut bench = running(&["a", "b"]);
    bench.shutdown();
    bench.exit("b", error("late"));
    bench.exit("a", error("later"));
    assert_eq!(bench.end_of_scope(), "root/b late");
    assert!(!bench.ended.unwrap().report.has_fatal());
}

#[test]
fn member_that_fails_ends_the_scope_in_reverse_order_and_all_are_forgotten() {
    let mut bench = running(&["a", "b", "c"]);
    bench.exit("b", error("boom"));
    assert_eq!(bench.actions(), ["stop c"]);
    assert_eq!(bench.end_of_scope(), "root/b boom");
    assert_eq!(
        bench.actions(),
        [
            "stop a",
            "stop work",
            "release c",
            "release b",
            "release a",
            "release work"
        ]
    );
    assert!(bench.state.is_empty());
}

#[test]
fn end_of_the_work_ends_the_scope() {
    let mut bench = running(&["a"]);
    bench.exit("work", ExitReason::Normal);
    assert_eq!(bench.actions(), ["release work", "stop a"]);
    assert_eq!(bench.ended, None);
    assert_eq!(bench.end_of_scope(), "done");
}

#[test]
fn every_reason_is_judged_as_an_error_or_not() {
    let panicked = ExitReason::panicked("oh", "here");
    for (reason, fails) in [
        (ExitReason::Normal, false),
        (ExitReason::Shutdown, false),
        (error("boom"), true),
        (panicked.clone(), true),
        (ExitReason::Killed(KillCause::Requested), false),
        (ExitReason::Killed(KillCause::StopTimeout), true),
        (ExitReason::Killed(KillCause::StartTimeout), true),
        (ExitReason::Killed(KillCause::Unresponsive), true),
        (ExitReason::escalated(Arc::from("x"), panicked), true),
        (
            ExitReason::Failed(ServiceError::new(Verdict::DoNotRestart)),
            false,
        ),
        (
            ExitReason::Failed(ServiceError::new(Verdict::Uninstall)),
            false,
        ),
    ] {
        let mut bench = running(&["a"]);
        bench.exit("a", reason.clone());
        assert_eq!(bench.state.is_ending(), fails, "{reason}");
    }
}

#[test]
fn error_counts_whatever_verdict_it_carries() {
    #[derive(Debug, thiserror::Error)]
    #[error("gone")]
    struct Gone(#[source] Verdict);

    let mut bench = running(&["a"]);
    bench.exit(
        "a",
        ExitReason::Failed(ServiceError::new(Gone(Verdict::Bounce))),
    );
    assert_eq!(bench.end_of_scope(), "root/a gone");
}

#[test]
fn first_error_counts_wherever_it_comes_from() {
    let mut bench = running(&["a", "b"]);
    bench.fail_scope("first");
    bench.fail_scope("second");
    bench.exit("b", error("third"));
    bench.exit("a", error("fourth"));
    assert_eq!(bench.end_of_scope(), "root first");

    let mut bench = running(&["a", "b"]);
    bench.exit("a", error("first"));
    bench.fail_scope("second");
    bench.exit("b", error("third"));
    assert_eq!(bench.end_of_scope(), "root/a first");
}

#[test]
fn clean_end_never_replaces_an_error() {
    let mut bench = running(&["a"]);
    bench.fail_scope("first");
    bench.finish_scope();
    bench.shutdown();
    bench.exit("a", ExitReason::Shutdown);
    bench.exit("work", ExitReason::Normal);
    assert_eq!(bench.end_of_scope(), "root first");
}

#[test]
fn error_during_the_stop_replaces_a_clean_end_and_not_an_earlier_error() {
    let ends: [fn(&mut Bench); 3] = [Bench::finish_scope, Bench::shutdown, |bench| {
        bench.exit("work", ExitReason::Normal);
    }];
    for end in ends {
        let mut bench = running(&["a", "b"]);
        end(&mut bench);
        bench.exit("b", error("first"));
        bench.exit("a", error("second"));
        assert_eq!(bench.end_of_scope(), "root/b first");
    }
    let mut bench = running(&["a"]);
    bench.finish_scope();
    bench.fail_scope("first");
    bench.exit("a", error("second"));
    assert_eq!(bench.end_of_scope(), "root first");
}

#[test]
fn error_that_outweighs_the_one_that_is_kept_takes_its_place() {
    let mut rules = scope();
    rules.more_important = Some(Arc::new(|new, kept| new.to_string() > kept.to_string()));
    let mut bench = Bench::running(rules, vec![work(), named("a"), named("b")]);
    bench.fail_scope("5");
    bench.exit("b", error("9"));
    bench.exit("a", error("1"));
    assert_eq!(bench.end_of_scope(), "root/b 9");
}

#[test]
fn nothing_counts_after_the_end() {
    let mut bench = running(&[]);
    bench.exit("work", ExitReason::Normal);
    assert_eq!(bench.end_of_scope(), "done");
    bench.fail_scope("late");
    bench.finish_scope();
    assert_eq!(bench.end_of_scope(), "done");
    assert_eq!(bench.add(named("a")), Err(AddError::ShuttingDown));
}

#[test]
fn own_ending_is_neutral_also_as_a_source_and_another_scopes_is_an_error() {
    #[derive(Debug, thiserror::Error)]
    #[error("not added")]
    struct Wrapped(#[source] ScopeEnding);

    let mut bench = Bench::new(scope());
    let own = bench.state.next_ending();
    for rules in [work(), named("a"), named("b")] {
        bench.add(rules).unwrap();
    }
    bench.state.start(bench.now);
    bench.run();
    bench.get_ready();
    let next = bench.state.next_ending();
    bench.finish_scope();
    bench.exit("b", ExitReason::Failed(ServiceError::new(own.clone())));
    bench.exit("a", ExitReason::Failed(ServiceError::new(Wrapped(own))));
    assert_eq!(bench.end_of_scope(), "done");

    let other = running(&[]).state.next_ending();
    for foreign in [next, other] {
        let mut bench = running(&["a"]);
        bench.finish_scope();
        bench.exit("a", ExitReason::Failed(ServiceError::new(foreign)));
        assert_eq!(bench.end_of_scope(), "root/a scope `root` is ending");
    }
}

#[test]
fn initial_member_that_fails_to_start_ends_the_scope_with_its_error() {
    let mut bench = Bench::new(scope());
    for rules in [named("a"), named("b"), work()] {
        bench.add(rules).unwrap();
    }
    bench.state.start(bench.now);
    bench.run();
    bench.ready("a");
    bench.exit("b", error("boom"));
    bench.get_stopped();
    match bench.cause() {
        Some(Cause::StartFailed { path, reason }) => {
            assert_eq!(format!("{path} {reason}"), "root/b failed: boom");
        }
        other => panic!("{other:?}"),
    }
    assert!(bench.state.is_empty());
}

#[test]
fn member_that_is_lost_with_its_arbiter_ends_the_scope() {
    let mut bench = running(&["a", "b"]);
    let a = bench.token("a");
    bench.state.lost(a, bench.now);
    bench.run();
    assert_eq!(bench.end_of_scope(), "root/a killed: arbiter stopped");
}

#[test]
fn member_that_cannot_even_be_dropped_is_an_error() {
    let mut bench = running(&["a"]);
    bench.finish_scope();
    bench.pass(seconds(60));
    assert_eq!(bench.end_of_scope(), "root/a killed: unresponsive");
}

#[test]
fn other_rules_leave_a_scope_a_scope() {
    for (name, reason, end) in [
        ("work", ExitReason::Normal, "done"),
        ("a", error("boom"), "root/a boom"),
    ] {
        let mut bench = running(&["a"]);
        let rules = SupervisorRules::default();
        bench.state.reconfigure(rules, bench.now).unwrap();
        bench.run();
        bench.exit(name, reason);
        assert_eq!(bench.end_of_scope(), end);
    }
}

#[test]
fn scope_that_is_started_again_has_none_of_the_services_before() {
    let mut bench = running(&["a"]);
    bench.add(named("b")).unwrap();
    bench.get_ready();
    bench.exit("a", error("boom"));
    bench.get_stopped();
    bench.ended = None;
    bench.state.reopen(bench.now);
    bench.add(work()).unwrap();
    bench.state.start(bench.now);
    bench.run();
    bench.get_ready();
    assert_eq!(bench.state.services().count(), 1);
    bench.exit("work", ExitReason::Normal);
    assert_eq!(bench.end_of_scope(), "done");
}
