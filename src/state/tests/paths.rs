//! Services that require others elsewhere in the tree.

use super::*;

fn requiring(name: &str, required: &[&str]) -> ServiceRules {
    let mut rules = named(name);
    rules.rare().requires = required.iter().map(|name| Arc::from(*name)).collect();
    rules
}

impl Bench {
    /// Answers the latest question of a service.
    fn found(&mut self, name: &str) {
        let token = self.token(name);
        let asked = self.asked.iter().rfind(|(asked, _)| *asked == token);
        let (token, ticket) = *asked.unwrap();
        self.state.found(token, ticket, self.now);
        self.run();
    }

    fn not_found(&mut self, name: &str, on: &str, why: Obstacle) {
        let token = self.token(name);
        let asked = self.asked.iter().rfind(|(asked, _)| *asked == token);
        let (token, ticket) = *asked.unwrap();
        self.state
            .not_found(token, ticket, Arc::from(on), why, self.now);
        self.run();
    }

    fn start_with(services: Vec<ServiceRules>) -> Self {
        let mut bench = Self::new(unlimited());
        for service in services {
            bench.add(service).unwrap();
        }
        bench.state.start(bench.now);
        bench.run();
        bench
    }
}

fn writer() -> ServiceRules {
    requiring("writer", &["root/store"])
}

#[test]
fn start_waits_for_what_is_elsewhere_and_holds_up_nobody_in_its_line() {
    let mut bench = Bench::start_with(vec![named("a"), writer(), named("b")]);
    bench.ready("a");
    // Those behind it go on, and the supervisor above is told that it may, too.
    assert_eq!(bench.actions(), ["start a 0", "find writer", "start b 0"]);
    bench.ready("b");
    assert_eq!(bench.actions(), ["awaits elsewhere"]);
    assert_eq!(bench.state.status(), SupervisorStatus::Starting);
    bench.not_found("writer", "root/store", Obstacle::Missing);
    bench.not_found("writer", "root/store", Obstacle::NotReady);
    assert_eq!(
        bench.view("writer").waits_for,
        Some((Arc::from("root/store"), Obstacle::NotReady))
    );
    bench.found("writer");
    assert_eq!(bench.actions(), ["start writer 0"]);
    bench.ready("writer");
    assert_eq!(bench.state.status(), SupervisorStatus::Running);
    let blocked = bench
        .story()
        .iter()
        .filter(|line| *line == "writer ServiceBlocked")
        .count();
    assert_eq!(blocked, 2);
}

#[test]
fn first_start_waits_thirty_seconds_or_the_start_timeout() {
    for timeout in [None, Some(seconds(5))] {
        let mut writer = writer();
        writer.rare().start_timeout = timeout;
        let patience = timeout.unwrap_or_else(|| seconds(30));
        let mut bench = Bench::start_with(vec![named("a"), writer]);
        bench.ready("a");
        bench.not_found("writer", "root/store", Obstacle::NotReady);
        bench.pass(patience.saturating_sub(millis(1)));
        assert_eq!(bench.state.status(), SupervisorStatus::Starting);
        bench.pass(millis(1));
        bench.get_stopped();
        let Some(Cause::StartFailed { path, reason }) = bench.cause() else {
            panic!("{:?}", bench.cause());
        };
        assert_eq!(&**path, "root/writer");
        assert_eq!(
            reason.to_string(),
            "failed: required service `root/store` was not ready in time"
        );
        assert!(bench.actions().contains(&"stop a".to_owned()));
    }
}

#[test]
fn later_it_waits_without_a_limit_and_asks_anew_for_each_start() {
    let mut bench = Bench::running(unlimited(), vec![]);
    bench.add(writer()).unwrap();
    assert_eq!(bench.actions(), ["find writer"]);
    bench.pass(seconds(100_000));
    assert_eq!(bench.state_of("writer"), ServiceState::Waiting);
    bench.found("writer");
    bench.ready("writer");
    bench.fail("writer");
    assert_eq!(bench.actions(), ["start writer 0", "find writer"]);
    // A late answer to an earlier question is none.
    let (token, ticket) = bench.asked[0];
    bench.state.found(token, ticket, bench.now);
    bench.run();
    assert_eq!(bench.state_of("writer"), ServiceState::Waiting);
    bench.found("writer");
    assert_eq!(bench.actions(), ["start writer 1"]);
}

#[test]
fn what_is_elsewhere_is_asked_for_once_the_siblings_are_ready_and_again_if_they_are_not_any_more() {
    let mut bench = Bench::running(unlimited(), vec![]);
    let mut db = named("db");
    db.rare().backoff = Some(Backoff::constant(seconds(5)));
    bench.add(db).unwrap();
    bench.add(requiring("api", &["db", "root/x/y"])).unwrap();
    assert_eq!(bench.actions(), ["start db 0"]);
    bench.ready("db");
    assert_eq!(bench.actions(), ["find api"]);
    bench.fail("db");
    bench.found("api");
    assert_eq!(bench.state_of("api"), ServiceState::Waiting);
    bench.pass(seconds(5));
    bench.ready("db");
    assert_eq!(bench.actions(), ["start db 1", "find api"]);
    bench.found("api");
    assert_eq!(bench.actions(), ["start api 0"]);
}

#[test]
fn supervisor_below_that_waits_only_for_what_is_elsewhere_holds_up_nobody() {
    let mut bench = Bench::start_with(vec![named("site"), named("store")]);
    assert_eq!(bench.actions(), ["start site 0"]);
    let token = bench.token("site");
    bench.state.awaits_elsewhere(token, 0, bench.now);
    bench.run();
    assert_eq!(bench.actions(), ["start store 0"]);
    bench.ready("store");
    // It holds up nobody above, either.
    assert_eq!(bench.actions(), ["awaits elsewhere"]);
    assert_eq!(bench.state.status(), SupervisorStatus::Starting);
    bench.ready("site");
    assert_eq!(bench.state.status(), SupervisorStatus::Running);

    // And its failure is one of the start all the same.
    let mut bench = Bench::start_with(vec![named("site"), named("store")]);
    let token = bench.token("site");
    bench.state.awaits_elsewhere(token, 0, bench.now);
    bench.run();
    bench.ready("store");
    bench.fail("site");
    bench.get_stopped();
    assert!(matches!(bench.cause(), Some(Cause::StartFailed { .. })));
}

#[test]
fn ring_is_an_error_of_a_first_start_and_of_no_other() {
    let members = || vec![Arc::from("root/a/x"), Arc::from("root/b/y")];
    let mut bench = Bench::start_with(vec![writer()]);
    let (token, ticket) = bench.asked[0];
    bench.state.ring(token, ticket, members(), bench.now);
    bench.run();
    let Some(Cause::StartFailed { reason, .. }) = bench.cause() else {
        panic!("{:?}", bench.cause());
    };
    assert_eq!(
        reason.to_string(),
        "failed: services require each other: root/a/x -> root/b/y -> root/a/x"
    );

    let mut bench = Bench::running(unlimited(), vec![]);
    bench.add(writer()).unwrap();
    let (token, ticket) = bench.asked[0];
    bench.state.ring(token, ticket, members(), bench.now);
    bench.run();
    assert_eq!(bench.state_of("writer"), ServiceState::Waiting);
}

#[test]
fn service_that_waits_for_what_is_elsewhere_is_stopped_and_removed_like_any_other() {
    let mut bench = Bench::start_with(vec![writer(), named("b")]);
    let token = bench.token("writer");
    bench.state.stop(token, Waiter(1), bench.now).unwrap();
    bench.run();
    assert_eq!(bench.withdrawn, [token]);
    bench.ready("b");
    assert_eq!(bench.state.status(), SupervisorStatus::Running);
    bench.state.restart(token, Waiter(2), bench.now).unwrap();
    bench.run();
    bench.state.remove(token, Waiter(3), bench.now).unwrap();
    bench.run();
    bench.found_nobody(token);
    assert_eq!(
        bench.actions(),
        ["find writer", "start b 0", "find writer", "release writer"]
    );
}

impl Bench {
    /// Answers what was asked for a service that is gone.
    fn found_nobody(&mut self, token: ServiceToken) {
        for (_, ticket) in self.asked.clone() {
            self.state.found(token, ticket, self.now);
            self.run();
        }
    }
}

#[test]
fn path_is_for_requires_alone_and_made_of_names() {
    let refused = |edit: &dyn Fn(&mut ServiceRules)| {
        let mut rules = named("a");
        edit(&mut rules);
        let mut bench = Bench::running(unlimited(), vec![]);
        bench.add(rules).unwrap_err().to_string()
    };
    for path in ["/", "root/", "/store", "root//store", "root/a\nb"] {
        let error = refused(&|rules| rules.rare().requires = vec![Arc::from(path)]);
        assert!(error.contains("joined by `/`"), "{error}");
    }
    let error = refused(&|rules| rules.rare().binds_to = vec![Arc::from("root/store")]);
    assert!(error.contains("only `requires`"), "{error}");
    let error = refused(&|rules| rules.rare().requires_completed = vec![Arc::from("root/store")]);
    assert!(error.contains("only `requires`"), "{error}");
}

/// What it misses may have gone after it was found. To wait for a sibling then would be to wait for ever.
#[test]
fn service_that_misses_what_is_elsewhere_looks_for_it_again() {
    for siblings in [&["root/x/y"][..], &["db", "root/x/y"]] {
        let mut bench = Bench::running(unlimited(), vec![named("db")]);
        bench.add(requiring("api", siblings)).unwrap();
        bench.found("api");
        bench.exit_with("api", Verdict::Missing);
        assert_eq!(bench.state_of("api"), ServiceState::BackingOff);
        bench.pass(millis(10));
        assert_eq!(bench.actions(), ["find api", "start api 0", "find api"]);
        bench.found("api");
        assert_eq!(bench.actions(), ["start api 1"]);
        // Nobody counts that.
        assert!(bench.state.failure_count(bench.now).abs() < f64::EPSILON);
    }
}

/// A reader requires the writer, which waits for what may come behind both.
#[test]
fn one_that_waits_for_a_sibling_that_waits_elsewhere_holds_up_nobody_either() {
    for order in [StartOrder::Sequential, StartOrder::Parallel] {
        let rules = SupervisorRules {
            start_order: order,
            ..unlimited()
        };
        let all = vec![
            writer(),
            requiring("reader", &["writer"]),
            requiring("last", &["reader"]),
            named("other"),
        ];
        let mut bench = Bench::new(rules);
        for service in all {
            bench.add(service).unwrap();
        }
        bench.state.start(bench.now);
        bench.run();
        assert_eq!(bench.actions(), ["find writer", "start other 0"]);
        bench.ready("other");
        assert_eq!(bench.actions(), ["awaits elsewhere"]);
        bench.found("writer");
        bench.ready("writer");
        bench.ready("reader");
        assert_eq!(bench.state.status(), SupervisorStatus::Starting);
        bench.ready("last");
        assert_eq!(bench.state.status(), SupervisorStatus::Running);
    }
}

/// It was not known of the first one when the second one had its turn.
#[test]
fn one_whose_sibling_comes_to_wait_elsewhere_later_holds_up_nobody_from_then_on() {
    let mut migrate = named("migrate");
    migrate.restart = RestartType::Transient;
    let mut writer = writer();
    writer.rare().requires_completed = vec![Arc::from("migrate")];
    let rules = SupervisorRules {
        start_order: StartOrder::Parallel,
        ..unlimited()
    };
    let mut bench = Bench::new(rules);
    for service in [
        migrate,
        writer,
        requiring("reader", &["writer"]),
        requiring("last", &["reader"]),
    ] {
        bench.add(service).unwrap();
    }
    bench.state.start(bench.now);
    bench.run();
    bench.ready("migrate");
    assert_eq!(bench.actions(), ["start migrate 0"]);
    bench.exit("migrate", ExitReason::Normal);
    assert_eq!(bench.actions(), ["find writer", "awaits elsewhere"]);
    // One that it still waits for is not elsewhere.
    let mut slow = Bench::start_with(vec![
        writer_of("slow"),
        named("slow"),
        requiring("both", &["writer", "slow"]),
    ]);
    assert_eq!(slow.actions(), ["start slow 0"]);
    slow.ready("slow");
    assert_eq!(slow.actions(), ["find writer", "awaits elsewhere"]);
}

fn writer_of(sibling: &str) -> ServiceRules {
    requiring("writer", &[sibling, "root/store"])
}

#[test]
fn error_of_a_first_start_says_whether_there_is_nobody_with_the_path() {
    for (why, text) in [
        (
            Obstacle::Missing,
            "failed: required service `root/store` was not ready in time: it does not exist",
        ),
        (
            Obstacle::NotReady,
            "failed: required service `root/store` was not ready in time",
        ),
    ] {
        let mut bench = Bench::start_with(vec![writer()]);
        bench.not_found("writer", "root/store", why);
        bench.pass(seconds(30));
        let Some(Cause::StartFailed { reason, .. }) = bench.cause() else {
            panic!("{:?}", bench.cause());
        };
        assert_eq!(reason.to_string(), text);
    }
}

/// The root has another name than whoever wrote the path has thought.
#[test]
fn path_of_another_tree_is_refused_and_waited_for_by_nobody() {
    let foreign = || requiring("writer", &["gateway/store"]);
    let text = "name `gateway/store` is refused: a path begins with the name of the root";
    let mut bench = Bench::start_with(vec![named("a"), foreign()]);
    let Some(Cause::StartFailed { path, reason }) = bench.cause() else {
        panic!("{:?}", bench.cause());
    };
    assert_eq!(&**path, "root/writer");
    assert_eq!(reason.to_string(), format!("failed: {text}"));
    // Before anybody is started.
    assert_eq!(bench.actions(), Vec::<String>::new());
    let mut bench = Bench::running(unlimited(), vec![]);
    let refused = bench.add(foreign()).unwrap_err();
    assert_eq!(refused.to_string(), text);
    // Names are whole, and the root itself may be named.
    assert!(bench.add(requiring("like", &["roots/a"])).is_err());
    bench.add(requiring("own", &["root/x/y"])).unwrap();
}

/// It is not told too early that nobody else is waited for.
#[test]
fn one_whose_sibling_has_found_what_it_waited_for_is_waited_for_again() {
    let rules = SupervisorRules {
        start_order: StartOrder::Parallel,
        ..unlimited()
    };
    let mut bench = Bench::new(rules);
    for service in [
        writer(),
        requiring("other", &["root/x"]),
        requiring("reader", &["writer"]),
        named("slow"),
    ] {
        bench.add(service).unwrap();
    }
    bench.state.start(bench.now);
    bench.run();
    // While it starts, a path of another tree is refused as well.
    assert!(bench.add(requiring("late", &["gateway/x"])).is_err());
    bench.found("writer");
    bench.ready("writer");
    bench.forget();
    bench.ready("slow");
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.ready("reader");
    assert_eq!(bench.actions(), ["awaits elsewhere"]);
}
