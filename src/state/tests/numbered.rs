//! Names that the supervisor makes, with a number.

use super::*;

fn numbered(prefix: &str) -> ServiceRules {
    let mut rules = named(prefix);
    rules.naming = Naming::Numbered;
    rules
}

fn name(bench: &mut Bench, rules: ServiceRules) -> String {
    let token = bench.add(rules).unwrap();
    bench.names[&token].clone()
}

#[test]
fn each_prefix_is_counted_for_itself_and_no_number_is_used_twice() {
    let mut bench = Bench::running(unlimited(), Vec::new());
    assert_eq!(name(&mut bench, numbered("session")), "session[1]");
    assert_eq!(name(&mut bench, numbered("session")), "session[2]");
    assert_eq!(name(&mut bench, numbered("poller")), "poller[1]");
    let second = bench.token("session[2]");
    bench.state.remove(second, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    assert_eq!(bench.state.named("session[2]"), None);
    assert_eq!(name(&mut bench, numbered("session")), "session[3]");
    assert_eq!(
        &**bench.state.service_path(bench.token("session[3]")).unwrap(),
        "root/session[3]"
    );
}

#[test]
fn number_is_passed_over_whose_name_is_taken() {
    let mut bench = Bench::running(unlimited(), vec![named("session[1]"), named("session[3]")]);
    assert_eq!(name(&mut bench, numbered("session")), "session[2]");
    assert_eq!(name(&mut bench, numbered("session")), "session[4]");
}

/// Restarted by a supervisor above, and with that all its services.
#[test]
fn numbers_go_on_after_a_restart_of_the_supervisor() {
    let mut bench = Bench::running(unlimited(), vec![numbered("session")]);
    bench.shutdown();
    bench.get_stopped();
    bench.state.restart_fresh(bench.now);
    bench.run();
    assert_eq!(name(&mut bench, numbered("session")), "session[2]");
}

#[test]
fn prefix_is_checked_like_a_name_and_so_is_what_comes_of_it() {
    let mut bench = Bench::running(unlimited(), Vec::new());
    for prefix in ["", "a/b", "a\n", &"a".repeat(256), &"a".repeat(253)] {
        let refused = bench.add(numbered(prefix)).unwrap_err();
        assert!(matches!(refused, AddError::Spec(_)), "{refused:?}");
    }
    assert_eq!(name(&mut bench, numbered(&"a".repeat(252))).len(), 255);
}
