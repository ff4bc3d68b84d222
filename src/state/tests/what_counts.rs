//! What counts against the limit of a supervisor: the table in the documentation of the crate, row by row.

use super::*;
use crate::policy::Directive;

/// What happens to `a`, whose sibling is `b`.
struct Row {
    what: &'static str,
    rules: fn() -> SupervisorRules,
    service: fn(&mut ServiceRules),
    happens: fn(&mut Bench),
    counted: f64,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            what: "",
            rules: SupervisorRules::default,
            service: |_| {},
            happens: |_| {},
            counted: 0.0,
        }
    }
}

fn said(bench: &mut Bench, verdict: Verdict) {
    bench.exit("a", ExitReason::Failed(ServiceError::new(verdict)));
}

fn decides(rules: &mut ServiceRules, directive: Directive) {
    rules.rare().decide = Some(Decide(Arc::new(move |_| directive)));
}

/// A restart that is begun by somebody else, and then goes wrong.
fn ask(bench: &mut Bench, operation: fn(&mut SupervisorState, ServiceToken, Instant)) {
    let a = bench.token("a");
    operation(&mut bench.state, a, bench.now);
    bench.run();
}

fn all_of_them() -> SupervisorRules {
    SupervisorRules {
        strategy: Strategy::OneForAll,
        ..SupervisorRules::default()
    }
}

fn ends() -> Vec<Row> {
    vec![
        Row {
            what: "an error",
            happens: |bench| bench.fail("a"),
            counted: 1.0,
            ..Row::default()
        },
        Row {
            what: "a panic",
            happens: |bench| bench.exit("a", ExitReason::panicked("boom", "here.rs:1:1")),
            counted: 1.0,
            ..Row::default()
        },
        Row {
            what: "a kill",
            happens: |bench| bench.exit("a", ExitReason::Killed(KillCause::Unresponsive)),
            counted: 1.0,
            ..Row::default()
        },
        Row {
            what: "a normal end of a permanent one",
            happens: |bench| bench.exit("a", ExitReason::Normal),
            counted: 1.0,
            ..Row::default()
        },
        Row {
            what: "a temporary one",
            service: |rules| rules.restart = RestartType::Temporary,
            happens: |bench| bench.fail("a"),
            ..Row::default()
        },
        Row {
            what: "a normal end of a transient one",
            service: |rules| rules.restart = RestartType::Transient,
            happens: |bench| bench.exit("a", ExitReason::Normal),
            ..Row::default()
        },
        Row {
            what: "one that is done",
            happens: |bench| said(bench, Verdict::DoNotRestart),
            ..Row::default()
        },
        Row {
            what: "one that is to be removed",
            happens: |bench| said(bench, Verdict::Uninstall),
            ..Row::default()
        },
        Row {
            what: "one that ends its supervisor",
            happens: |bench| said(bench, Verdict::TerminateTree { propagate: false }),
            ..Row::default()
        },
        Row {
            what: "a bounce",
            happens: |bench| said(bench, Verdict::Bounce),
            ..Row::default()
        },
        Row {
            what: "one that misses something",
            service: |rules| rules.rare().requires = vec![Arc::from("b")],
            happens: |bench| said(bench, Verdict::Missing),
            ..Row::default()
        },
        Row {
            what: "a supervisor that gave up",
            service: |rules| rules.kind = ServiceKind::Supervisor,
            happens: |bench| {
                let reason = ExitReason::escalated(Arc::from("root/a/x"), failed());
                let path = Arc::from("root/a");
                bench.end_below("a", Ended::from(Cause::Escalated { path, reason }));
            },
            counted: 1.0,
            ..Row::default()
        },
    ]
}

fn starts() -> Vec<Row> {
    vec![
        Row {
            what: "a restart that fails, each time",
            happens: |bench| {
                for _ in 0..3 {
                    bench.fail("a");
                }
            },
            counted: 3.0,
            ..Row::default()
        },
        Row {
            what: "a first start that is awaited",
            happens: |bench| {
                let token = bench.add(named("new")).unwrap();
                bench.state.await_ready(token, Waiter(1), bench.now);
                bench.run();
                bench.fail("new");
            },
            ..Row::default()
        },
        Row {
            what: "a first start that nobody awaits",
            happens: |bench| {
                bench.add(named("new")).unwrap();
                bench.fail("new");
            },
            counted: 1.0,
            ..Row::default()
        },
        Row {
            what: "a group",
            rules: all_of_them,
            happens: |bench| {
                bench.fail("a");
                bench.get_stopped();
                bench.get_ready();
            },
            counted: 1.0,
            ..Row::default()
        },
        Row {
            what: "a sibling that fails while it is stopped for the group",
            rules: all_of_them,
            happens: |bench| {
                bench.fail("a");
                bench.fail("b");
            },
            counted: 1.0,
            ..Row::default()
        },
        Row {
            what: "one that is bound to another one, which is restarted on request",
            service: |rules| rules.rare().binds_to = vec![Arc::from("b")],
            happens: |bench| {
                let b = bench.token("b");
                bench.state.restart(b, Waiter(1), bench.now).unwrap();
                bench.run();
                bench.get_stopped();
                bench.get_ready();
                assert_eq!(bench.view("a").generation, 1);
            },
            ..Row::default()
        },
    ]
}

fn requests() -> Vec<Row> {
    let row = |what, happens| Row {
        what,
        happens,
        ..Row::default()
    };
    vec![
        row("a restart on request", |bench| {
            ask(bench, |state, a, now| {
                state.restart(a, Waiter(1), now).unwrap();
            });
            bench.get_stopped();
            bench.ready("a");
        }),
        row("a stop", |bench| {
            ask(bench, |state, a, now| {
                state.stop(a, Waiter(1), now).unwrap();
            });
            bench.get_stopped();
        }),
        row("a reset", |bench| {
            ask(bench, |state, a, now| {
                state.reset(a, Waiter(1), now).unwrap();
            });
        }),
        row("a removal during which it panics", |bench| {
            ask(bench, |state, a, now| {
                state.remove(a, Waiter(1), now).unwrap();
            });
            bench.exit("a", ExitReason::panicked("boom", "here.rs:1:1"));
        }),
    ]
}

fn limits_and_decisions() -> Vec<Row> {
    let decided = |what, service, counted| Row {
        what,
        service,
        happens: |bench| bench.fail("a"),
        counted,
        ..Row::default()
    };
    vec![
        Row {
            what: "a failure during a pause",
            rules: || SupervisorRules {
                limit: RestartLimit::decay(seconds(30), 0.5, seconds(15)),
                ..SupervisorRules::default()
            },
            happens: |bench| {
                bench.fail("a");
                bench.fail("b");
            },
            counted: 2.0,
            ..Row::default()
        },
        decided(
            "one with a limit of its own",
            |rules| rules.rare().limit = Some(RestartLimit::window(1, seconds(5))),
            0.0,
        ),
        decided(
            "one whose own limit escalates",
            |rules| rules.rare().limit = Some(RestartLimit::window(0, seconds(5)).escalate()),
            1.0,
        ),
        decided(
            "a restart that is decided",
            |rules| decides(rules, Directive::Restart),
            1.0,
        ),
        decided(
            "a delayed restart that is decided",
            |rules| decides(rules, Directive::RestartAfter(seconds(1))),
            1.0,
        ),
        decided(
            "an end that is decided",
            |rules| decides(rules, Directive::Stop),
            0.0,
        ),
        decided(
            "an escalation that is decided",
            |rules| decides(rules, Directive::Escalate),
            0.0,
        ),
        decided(
            "a fatal end that is decided",
            |rules| decides(rules, Directive::Fatal),
            0.0,
        ),
    ]
}

#[test]
fn what_counts_is_what_the_docs_say() {
    let rows = [ends(), starts(), requests(), limits_and_decisions()];
    for row in rows.into_iter().flatten() {
        let mut a = named("a");
        (row.service)(&mut a);
        let mut bench = Bench::running((row.rules)(), vec![a, named("b")]);
        (row.happens)(&mut bench);
        let counted = bench.state.failure_count(bench.now);
        let what = row.what;
        assert!(
            (counted - row.counted).abs() < f64::EPSILON,
            "{what}: {counted}"
        );
    }
}

/// There is no count before the supervisor runs: its first start works, or it does not.
#[test]
fn first_start_of_a_supervisor_counts_nothing() {
    let mut bench = Bench::new(SupervisorRules::default());
    bench.add(named("a")).unwrap();
    bench.state.start(bench.now);
    bench.run();
    bench.fail("a");
    assert!(matches!(bench.cause(), Some(Cause::StartFailed { .. })));
    assert!(bench.state.failure_count(bench.now) < f64::EPSILON);
}
