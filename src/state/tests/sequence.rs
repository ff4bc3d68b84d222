//! Services that join a stop sequence which is under way, or are being stopped already when it begins.

use super::*;

#[test]
fn service_that_joins_when_nobody_is_waited_for_any_more_is_asked_at_once() {
    let bound = |name: &str, to: &str| {
        let mut rules = named(name);
        rules.rare().binds_to = vec![Arc::from(to)];
        rules
    };
    let services = vec![
        named("db"),
        bound("api", "db"),
        named("disk"),
        bound("index", "disk"),
    ];
    let mut bench = Bench::running(unlimited(), services);
    let db = bench.token("db");
    bench.state.stop(db, Waiter(1), bench.now).unwrap();
    bench.run();
    // `api` neither ends nor says that it needs time, until the patience with it is used up.
    bench.pass(seconds(1));
    assert_eq!(bench.actions(), ["stop api"]);
    let disk = bench.token("disk");
    bench.state.stop(disk, Waiter(2), bench.now).unwrap();
    bench.run();
    assert_eq!(bench.actions(), ["stop index"]);
    bench.exit("index", ExitReason::Shutdown);
    assert_eq!(bench.actions(), ["stop disk"]);
}

#[test]
fn service_that_has_acknowledged_its_own_stop_does_not_hold_up_that_of_all() {
    let services = ["a", "b", "c"].map(named).to_vec();
    let mut bench = Bench::running(unlimited(), services);
    let c = bench.token("c");
    bench.state.stop(c, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.acknowledge("c");
    bench.shutdown();
    assert_eq!(bench.actions(), ["stop c", "stop b"]);
    bench.exit("b", ExitReason::Shutdown);
    assert_eq!(bench.actions(), ["stop a"]);
}

#[test]
fn patience_that_one_stop_has_used_up_is_there_again_for_the_next() {
    let mut api = named("api");
    api.rare().binds_to = vec![Arc::from("db")];
    let services = vec![named("x"), named("y"), named("db"), api];
    let mut bench = Bench::running(unlimited(), services);
    let db = bench.token("db");
    bench.state.stop(db, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.pass(seconds(1));
    bench.exit("api", ExitReason::Shutdown);
    bench.exit("db", ExitReason::Shutdown);
    assert_eq!(bench.actions(), ["stop api", "stop db"]);
    bench.shutdown();
    assert_eq!(bench.actions(), ["stop y"]);
    bench.pass(seconds(1));
    assert_eq!(bench.actions(), ["stop x"]);
}
