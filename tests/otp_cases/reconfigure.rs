//! Other rules for a supervisor that runs.

use resurgam::{
    AddError, AutoShutdown, ReconfigureError, RestartLimit, RestartType, ServiceRef, SpecError,
    Strategy, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use crate::support::{
    End, Generation, Journal, Probe, at_most, ended, generations, idle, journal, probe, root_with,
    secs, unlimited, with_probes,
};

#[actix::test]
async fn other_limit_takes_effect_and_the_services_are_left_alone() {
    time::pause();
    let (journal, _log) = journal();
    let (root, probes) = with_probes(at_most(1, secs(3600)), &["a", "b"], &journal).await;
    root.reconfigure(at_most(3, secs(3600))).await.unwrap();
    assert_eq!(generations([&probes[0], &probes[1]]).await, [0, 0]);
    for generation in 1..=3 {
        probes[0].do_send(End::Panicking);
        assert_eq!(probes[0].send(Generation).await, Ok(generation));
    }
    root.reconfigure(at_most(2, secs(3600))).await.unwrap();
    probes[0].do_send(End::Panicking);
    assert!(ended(&root).await.is_err());
}

#[actix::test]
async fn other_strategy_holds_from_the_next_failure_on() {
    time::pause();
    let (journal, _log) = journal();
    let (root, probes) = with_probes(unlimited(), &["a", "b"], &journal).await;
    let spec = unlimited().strategy(Strategy::OneForAll);
    root.reconfigure(spec).await.unwrap();
    probes[0].do_send(End::Panicking);
    idle().await;
    assert_eq!(generations([&probes[0], &probes[1]]).await, [1, 1]);
}

#[actix::test]
async fn rules_that_make_no_sense_are_refused_and_the_old_ones_stay() {
    time::pause();
    let (journal, _log) = journal();
    let (root, probes) = with_probes(at_most(1, secs(3600)), &["a", "b"], &journal).await;
    let bad = [
        (
            "limit.within",
            SupervisorSpec::default()
                .limit(RestartLimit::window(9, time::Duration::ZERO))
                .strategy(Strategy::OneForAll),
        ),
        (
            "limit",
            unlimited()
                .limit(RestartLimit::default().give_up())
                .strategy(Strategy::OneForAll),
        ),
    ];
    for (expected, spec) in bad {
        let refused = root.reconfigure(spec).await;
        let Err(ReconfigureError::Spec(SpecError::InvalidValue { field, .. })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(field, expected);
    }
    probes[0].do_send(End::Panicking);
    assert_eq!(generations([&probes[0], &probes[1]]).await, [1, 0]);
    probes[0].do_send(End::Panicking);
    assert!(ended(&root).await.is_err());
}

fn auto(mode: AutoShutdown) -> SupervisorSpec {
    unlimited().auto_shutdown(mode)
}

async fn add_significant(
    root: &SupervisorRef,
    name: &str,
    journal: &Journal,
) -> Option<ServiceRef<Probe>> {
    let spec = probe(name, journal).restart(RestartType::Transient);
    root.add_and_wait(spec.significant()).await.ok()
}

#[actix::test]
async fn significant_services_can_be_added_and_count_once_the_supervisor_cares() {
    time::pause();
    let (journal, _log) = journal();
    for mode in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        let root = root_with(auto(AutoShutdown::Never)).await;
        assert!(add_significant(&root, "child", &journal).await.is_none());
        root.reconfigure(auto(mode)).await.unwrap();
        let child = add_significant(&root, "child", &journal).await.unwrap();
        child.do_send(End::Normally);
        assert!(ended(&root).await.is_ok(), "{mode:?}");
    }
}

#[actix::test]
async fn significant_services_stop_to_count_once_the_supervisor_no_longer_cares() {
    time::pause();
    let (journal, _log) = journal();
    for mode in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        let root = root_with(auto(mode)).await;
        let child = add_significant(&root, "child", &journal).await.unwrap();
        root.reconfigure(auto(AutoShutdown::Never)).await.unwrap();
        assert_eq!(child.send(Generation).await, Ok(0));
        assert!(add_significant(&root, "next", &journal).await.is_none());
        child.do_send(End::Normally);
        idle().await;
        assert_eq!(root.counts().await.map(|counts| counts.active), Ok(0));
        root.shutdown().await.unwrap();
    }
}

#[actix::test]
async fn other_rule_for_significant_services_holds_for_those_that_run() {
    time::pause();
    let (journal, _log) = journal();
    let root = root_with(auto(AutoShutdown::AnySignificant)).await;
    let one = add_significant(&root, "one", &journal).await.unwrap();
    let two = add_significant(&root, "two", &journal).await.unwrap();
    let three = add_significant(&root, "three", &journal).await.unwrap();
    let all = auto(AutoShutdown::AllSignificant);
    root.reconfigure(all).await.unwrap();
    one.do_send(End::Normally);
    idle().await;
    assert_eq!(generations([&two, &three]).await, [0, 0]);
    let any = auto(AutoShutdown::AnySignificant);
    root.reconfigure(any).await.unwrap();
    two.do_send(End::Normally);
    assert!(ended(&root).await.is_ok());
    assert!(three.send(Generation).await.is_err());
}

#[actix::test]
async fn lower_maximum_of_services_keeps_those_that_are_there_and_refuses_the_next() {
    time::pause();
    let (journal, _log) = journal();
    let (root, probes) = with_probes(unlimited().max_services(3), &["a", "b"], &journal).await;
    root.reconfigure(unlimited().max_services(1)).await.unwrap();
    assert_eq!(generations([&probes[0], &probes[1]]).await, [0, 0]);
    for left in ["a", "b"] {
        let refused = root.add(probe("c", &journal)).await.unwrap_err();
        assert_eq!(refused, AddError::full(1));
        root.remove(left).await.unwrap();
    }
    root.add(probe("c", &journal)).await.unwrap();
    root.reconfigure(unlimited()).await.unwrap();
    root.add(probe("d", &journal)).await.unwrap();
}
