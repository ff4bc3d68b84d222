//! Who is restarted with whom, and how trees are repaired.

use resurgam::{
    ExitReason, LookupError, RestartType, ServiceRef, ServiceSpec, ServiceState, Strategy,
    SupervisorActor, SupervisorRef, Verdict,
};
use tokio::time;

use crate::support::{
    Begin, End, Generation, Journal, Log, Probe, Script, at_most, generations, idle, journal,
    probe, root, secs, state_of, unlimited, with_probes,
};

/// What was started and dropped, in order.
fn lives(log: &mut Log) -> Vec<String> {
    let mut lines = log.take();
    lines.retain(|line| line.starts_with("start ") || line.starts_with("drop "));
    lines
}

/// Lets the second of three crash; returns their generations and lives.
async fn second_crashes(strategy: Strategy) -> ([u64; 3], Vec<String>) {
    let (journal, mut log) = journal();
    let spec = unlimited().strategy(strategy);
    let (root, probes) = with_probes(spec, &["a", "b", "c"], &journal).await;
    lives(&mut log);
    probes[1].do_send(End::Panicking);
    idle().await;
    let generations = generations([&probes[0], &probes[1], &probes[2]]).await;
    let lines = lives(&mut log);
    root.shutdown().await.unwrap();
    (generations, lines)
}

#[actix::test]
async fn one_for_one_replaces_the_crashed_service_alone() {
    time::pause();
    let (generations, lives) = second_crashes(Strategy::OneForOne).await;
    assert_eq!(generations, [0, 1, 0]);
    assert_eq!(lives, ["drop b", "start b"]);
}

#[actix::test]
async fn one_for_all_stops_the_others_in_reverse_and_starts_all_in_order() {
    time::pause();
    let (generations, lives) = second_crashes(Strategy::OneForAll).await;
    assert_eq!(generations, [1, 1, 1]);
    assert_eq!(
        lives,
        [
            "drop b", "drop c", "drop a", "start a", "start b", "start c"
        ]
    );
}

#[actix::test]
async fn rest_for_one_replaces_those_behind_the_crashed_service_and_leaves_those_before() {
    time::pause();
    let (generations, lives) = second_crashes(Strategy::RestForOne).await;
    assert_eq!(generations, [0, 1, 1]);
    assert_eq!(lives, ["drop b", "drop c", "start b", "start c"]);
}

#[actix::test]
async fn rest_for_one_stops_the_later_ones_last_started_first() {
    time::pause();
    let (journal, mut log) = journal();
    let spec = unlimited().strategy(Strategy::RestForOne);
    let names = ["z", "y", "x", "w"];
    let (root, probes) = with_probes(spec, &names, &journal).await;
    lives(&mut log);
    probes[1].do_send(End::Failing);
    idle().await;
    assert_eq!(
        lives(&mut log),
        [
            "drop y", "drop w", "drop x", "start y", "start x", "start w"
        ]
    );
    root.shutdown().await.unwrap();
}

/// Three services; the second crashes, and fails in its first two restarts.
async fn second_fails_to_restart(strategy: Strategy) -> ([u64; 3], Vec<String>) {
    let (journal, mut log) = journal();
    let mut root = SupervisorActor::new("root", unlimited().strategy(strategy));
    let first = root.add(probe("first", &journal)).unwrap();
    let begins = |generation| match generation {
        1 | 2 => Begin::Fails,
        _ => Begin::Works,
    };
    let second = Script::new("second", &journal).begins(begins);
    let second = root.add(second.spec()).unwrap();
    let third = root.add(probe("third", &journal)).unwrap();
    let root = root.start().await.unwrap();
    log.take();
    // Under rest for one the first crashes, so that there is one before the failing one that was restarted already.
    first.do_send(End::Panicking);
    idle().await;
    let generations = generations([&first, &second, &third]).await;
    let mut lines = log.take();
    lines.retain(|line| line.starts_with("make") || line.starts_with("drop"));
    root.shutdown().await.unwrap();
    (generations, lines)
}

#[actix::test]
async fn group_in_which_another_one_fails_to_restart_is_retried_as_a_whole() {
    time::pause();
    let (generations, lines) = second_fails_to_restart(Strategy::OneForAll).await;
    assert_eq!(generations, [3, 3, 1]);
    assert_eq!(
        lines,
        [
            "drop first",
            "drop third",
            "drop second",
            "make first",
            "make second",
            "drop first",
            "make first",
            "make second",
            "drop first",
            "make first",
            "make second",
            "make third",
        ]
    );
}

#[actix::test]
async fn under_rest_for_one_those_before_the_one_that_fails_to_restart_are_left_alone() {
    time::pause();
    let (generations, lines) = second_fails_to_restart(Strategy::RestForOne).await;
    assert_eq!(generations, [1, 3, 1]);
    assert_eq!(
        lines,
        [
            "drop first",
            "drop third",
            "drop second",
            "make first",
            "make second",
            "make second",
            "make second",
            "make third",
        ]
    );
}

/// One for all over three supervisors: with a static worker each, and an added one under the second.
struct Tree {
    root: SupervisorRef,
    workers: Vec<ServiceRef<Probe>>,
    added: ServiceRef<Probe>,
}

async fn tree(journal: &Journal) -> Tree {
    let mut root =
        SupervisorActor::new("root", at_most(4, secs(3600)).strategy(Strategy::OneForAll));
    let (mut tiers, mut workers) = (Vec::new(), Vec::new());
    for name in ["t1", "t2", "t3"] {
        let mut tier = SupervisorActor::new(name, at_most(2, secs(3600)));
        let worker = format!("worker-{name}");
        // The worker of the second cannot restart for a while.
        let begins = move |generation| match generation {
            3..5 if name == "t2" => Begin::Fails,
            _ => Begin::Works,
        };
        let script = Script::new(&worker, journal).begins(begins);
        workers.push(tier.add(script.spec()).unwrap());
        let spec = ServiceSpec::supervisor(tier).restart(RestartType::Transient);
        tiers.push(root.add(spec).unwrap());
    }
    let root = root.start().await.unwrap();
    let second = SupervisorRef::try_from(&tiers[1]).unwrap();
    let added = second.add_and_wait(probe("added", journal)).await.unwrap();
    Tree {
        root,
        workers,
        added,
    }
}

#[actix::test]
async fn crash_of_a_worker_is_repaired_below_and_nobody_above_notices() {
    time::pause();
    let (journal, _log) = journal();
    let tree = tree(&journal).await;
    tree.workers[0].do_send(End::Panicking);
    assert_eq!(tree.workers[0].send(Generation).await, Ok(1));
    let counted = tree.root.report().await.unwrap().failure_count();
    assert!(counted.abs() < f64::EPSILON);
    assert_eq!(
        generations([&tree.workers[1], &tree.workers[2]]).await,
        [0, 0]
    );
    for service in tree.root.services().await.unwrap() {
        assert_eq!(service.generation(), 0);
    }
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn worker_that_cannot_restart_takes_its_supervisor_down_and_the_top_restarts_all() {
    time::pause();
    let (journal, _log) = journal();
    let tree = tree(&journal).await;
    let worker = &tree.workers[1];
    for generation in [1, 2] {
        worker.do_send(End::Panicking);
        assert_eq!(worker.send(Generation).await, Ok(generation));
    }
    worker.do_send(End::Panicking);
    idle().await;
    for service in tree.root.services().await.unwrap() {
        assert_ne!(service.generation(), 0, "{}", service.path());
        assert_eq!(service.state(), ServiceState::Ready);
    }
    // The address of what was added survives, other than in OTP.
    assert!(tree.added.send(Generation).await.unwrap() > 0);
    assert!(
        generations([&tree.workers[0], &tree.workers[2]])
            .await
            .iter()
            .all(|g| *g > 0)
    );
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn group_restart_also_starts_a_service_that_was_stopped_by_hand() {
    time::pause();
    let (journal, _log) = journal();
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let mut root = SupervisorActor::new("root", unlimited().strategy(strategy));
        let first = root.add(probe("first", &journal)).unwrap();
        let spec = |name| probe(name, &journal).restart(RestartType::Transient);
        let stopped = root.add(spec("stopped")).unwrap();
        let finished = root.add(spec("finished")).unwrap();
        let root = root.start().await.unwrap();
        root.stop(stopped.token()).await.unwrap();
        finished.do_send(End::Normally);
        idle().await;
        first.do_send(End::Panicking);
        idle().await;
        assert_eq!(
            state_of(&root, "stopped").await,
            Some(ServiceState::Ready),
            "{strategy}"
        );
        // And so is a transient one that has ended normally.
        assert_eq!(state_of(&root, "finished").await, Some(ServiceState::Ready));
        root.shutdown().await.unwrap();
    }
}

#[actix::test]
async fn names_soon_lead_to_the_new_incarnations_whatever_was_killed() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let mut tier = SupervisorActor::new("tier", at_most(2, secs(3600)));
    tier.add(probe("worker", &journal)).unwrap();
    let tier = root
        .add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let by_name = || async {
        let worker = root.when_ready::<Probe>("root/tier/worker").await.unwrap();
        worker.send(Generation).await.unwrap()
    };
    let worker = root.lookup::<Probe>("root/tier/worker").await.unwrap();
    worker.do_send(End::Panicking);
    idle().await;
    assert_eq!(by_name().await, 1);
    worker.do_send(End::Normally);
    idle().await;
    assert_eq!(by_name().await, 2);
    // By hand, from above.
    root.restart(tier.token()).await.unwrap();
    assert_eq!(by_name().await, 3);
    root.stop(tier.token()).await.unwrap();
    root.restart(tier.token()).await.unwrap();
    assert_eq!(by_name().await, 4);
    // The middle one gives up.
    for _ in 0..3 {
        worker.do_send(End::Panicking);
        idle().await;
    }
    assert_eq!(by_name().await, 7);
    assert!(root.report().await.unwrap().failure_count() < 1.0 + f64::EPSILON);

    root.shutdown().await.unwrap();
    let gone = root.lookup::<Probe>("root/tier/worker").await;
    assert!(
        matches!(
            gone,
            Err(LookupError::UnknownPath { .. } | LookupError::SupervisorGone)
        ),
        "{gone:?}"
    );
    assert!(worker.send(Generation).await.is_err());
}

#[actix::test]
async fn middle_supervisor_that_is_told_to_end_stays_down_with_its_services() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    let mut tier = SupervisorActor::new("tier", unlimited());
    let worker = tier.add(probe("worker", &journal)).unwrap();
    let killer = tier.add(probe("killer", &journal)).unwrap();
    root.add_and_wait(ServiceSpec::supervisor(tier).restart(RestartType::Permanent))
        .await
        .unwrap();
    log.take();
    let verdict = Verdict::TerminateTree { propagate: false };
    killer.do_send(End::With(verdict));
    idle().await;
    // Suture: a tree that is terminated is not restarted by its parent.
    assert_eq!(state_of(&root, "tier").await, None);
    assert!(worker.send(Generation).await.is_err());
    assert_eq!(lives(&mut log), ["drop killer", "drop worker"]);
}

#[actix::test]
async fn sibling_that_fails_while_a_group_stops_it_is_reported_and_not_counted() {
    time::pause();
    let (journal, _log) = journal();
    let mut root =
        SupervisorActor::new("root", at_most(1, secs(3600)).strategy(Strategy::OneForAll));
    let fails = Script::new("fails", &journal).when_asked(crate::support::WhenAsked::Fails);
    let fails = root.add(fails.spec()).unwrap();
    let child = root.add(probe("child", &journal)).unwrap();
    let root = root.start().await.unwrap();
    child.do_send(End::Panicking);
    assert_eq!(generations([&child, &fails]).await, [1, 1]);
    let counted = root.report().await.unwrap().failure_count();
    assert!((counted - 1.0).abs() < f64::EPSILON);
    let report = root.report().await.unwrap();
    let last = report.services()[0].last_exit().unwrap();
    assert!(matches!(last, ExitReason::Failed(_)), "{last}");
}
