//! A report of a tree is there also while a thread of it is blocked: in a moment, from any thread, with what is known all the same.

use std::{thread, time::Duration};

use actix::prelude::*;
use futures::executor::block_on;
use resurgam::{
    Backoff, EventKind, Placement, Report, ReportedKind, ReportedPlacement, ServiceContext,
    ServiceReport, ServiceSpec, ServiceState, Shutdown, SupervisorActor, SupervisorRef,
};
use tokio::time::Instant;

use crate::support::{Block, Blocker, block, blocker, root, soon, tree_elsewhere, until};

/// What each service is doing, and whether its own supervisor has said so.
fn states(report: &Report) -> Vec<(&str, ServiceState, bool)> {
    let told = |service: &ServiceReport| service.age().is_none();
    let services = report.walk();
    let states = services.map(|service| {
        let path = report.find(service.path()).unwrap().path();
        (path, service.state(), told(service))
    });
    states.collect()
}

fn find<'a>(report: &'a Report, path: &str) -> &'a ServiceReport {
    report
        .find(path)
        .unwrap_or_else(|| panic!("no {path} in {report}"))
}

/// A supervisor on a thread of its own below this one, with a service on that.
async fn sub_elsewhere(
    root: &SupervisorRef,
    name: &str,
) -> (SupervisorRef, resurgam::ServiceRef<Blocker>) {
    let sub = ServiceSpec::supervisor(SupervisorActor::with_defaults(name));
    let sub = sub.placement(Placement::Dedicated);
    let sub = SupervisorRef::try_from(root.add_and_wait(sub).await.unwrap()).unwrap();
    let deep = blocker("deep", &Placement::Inherit);
    let deep = sub.add_and_wait(deep).await.unwrap();
    (sub, deep)
}

#[actix::test]
async fn report_of_a_blocked_root_has_what_the_table_of_the_tree_says() {
    use ServiceState::Ready;
    let tree = tree_elsewhere().await;
    let hold = block(&tree.deep);
    let report = soon(tree.root.report()).await.unwrap();
    assert_eq!(
        states(&report),
        [
            ("root/idle", Ready, false),
            ("root/sub", Ready, false),
            ("root/sub/idle", Ready, false),
            ("root/sub/deep", Ready, false),
        ],
        "{report}"
    );
    assert!(report.age().is_some_and(|age| age >= MOMENT));
    assert!(report.failure_count().is_nan());
    assert_eq!((report.limit(), report.paused_until()), (None, None));
    let deep = find(&report, "root/sub/deep");
    assert_eq!(deep.token(), tree.deep.token());
    assert!(deep.type_name().ends_with("Blocker"));
    assert_eq!(deep.kind(), ReportedKind::Actor);
    assert_eq!(deep.placement(), ReportedPlacement::Inherit);
    assert_eq!((deep.generation(), deep.restarts()), (0, 0));
    // The one that it is handling.
    assert_eq!(deep.handled(), 1);
    assert_eq!((deep.since(), deep.last_exit()), (None, None));

    // Of a supervisor below it just as well, and by a caller that has no runtime.
    let sub = tree.sub.clone();
    let below = thread::spawn(move || block_on(sub.report()));
    let below = below.join().unwrap().unwrap();
    assert_eq!(below.path(), "root/sub");
    assert_eq!(below.services().len(), 2);
    // The longer it does not answer the older is what nobody has seen.
    let again = soon(tree.root.report()).await.unwrap();
    assert!(again.age() >= report.age().map(|age| age + MOMENT));

    drop(hold);
    let live = soon(async {
        loop {
            let live = tree.root.report().await.unwrap();
            if live.age().is_none() && find(&live, "root/sub/deep").generation() == 1 {
                return live;
            }
        }
    })
    .await;
    let deep = find(&live, "root/sub/deep");
    assert!(deep.since().is_some() && deep.age().is_none());
    assert!(deep.last_exit().unwrap().to_string().contains("too late"));
    assert!((live.failure_count(), live.limit()) == (0.0, Some(5.0)));
    soon(tree.root.shutdown()).await.unwrap();
    tree.end();
}

#[actix::test]
async fn report_of_a_blocked_supervisor_has_what_was_seen_of_it_before_and_says_how_old_that_is() {
    let root = root().await;
    let (sub, deep) = sub_elsewhere(&root, "sub").await;
    let failing = ServiceSpec::try_new("failing", |_| Err::<Blocker, _>("no luck"))
        .backoff(Backoff::constant(Duration::from_secs(3_000)));
    let mut events = root.events();
    sub.add(failing).await.unwrap();
    soon(async {
        while let Some(event) = events.next().await {
            if matches!(event.kind(), EventKind::RestartScheduled { .. }) {
                break;
            }
        }
    })
    .await;
    let before = soon(root.report()).await.unwrap();
    let hold = block(&deep);
    let begun = Instant::now();
    let blocked = soon(root.report()).await.unwrap();
    let one_line = |report: &Report| states(report).len();
    assert_eq!(one_line(&before), 3);
    assert_eq!(one_line(&blocked), 3);

    // Its own supervisor answers for the blocked one, and that cannot for its services.
    assert_eq!(find(&blocked, "root/sub").age(), None);
    assert_eq!(blocked.age(), None);
    let age = find(&blocked, "root/sub/deep").age().unwrap();
    assert!(age >= MOMENT && age <= begun.elapsed() + Duration::from_secs(10));
    let below = find(&blocked, "root/sub").supervisor().unwrap();
    assert_eq!(below.age(), Some(age));
    assert_eq!(below.limit(), Some(5.0));
    assert!((below.failure_count() - 1.0).abs() < 0.1);
    for path in ["root/sub/deep", "root/sub/failing"] {
        let [before, blocked] = [&before, &blocked].map(|report| find(report, path));
        assert_eq!(before.since(), blocked.since());
        assert_eq!(before.next_start(), blocked.next_start());
        assert_eq!(before.last_exit(), blocked.last_exit());
    }
    let failing = find(&blocked, "root/sub/failing");
    assert_eq!(failing.state(), ServiceState::BackingOff);
    assert!(failing.next_start().is_some());
    let said = failing.last_exit().unwrap().to_string();
    assert_eq!(said, "failed: no luck");

    drop(hold);
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn what_has_changed_since_the_last_answer_is_not_told_as_if_it_had_not() {
    let root = root().await;
    let (sub, deep) = sub_elsewhere(&root, "sub").await;
    let changing = blocker("changing", &Placement::Dedicated);
    let changing = sub.add_and_wait(changing).await.unwrap();
    let failing = blocker("failing", &Placement::Dedicated);
    let failing = sub.add_and_wait(failing).await.unwrap();
    let added_later = blocker("added", &Placement::Dedicated);
    let before = soon(root.report()).await.unwrap();
    soon(sub.restart(&changing)).await.unwrap();
    sub.add_and_wait(added_later).await.unwrap();
    let hold = block(&deep);
    // Its supervisor cannot hear of this.
    let (blocked, _) = std::sync::mpsc::channel();
    let (_, release) = std::sync::mpsc::channel();
    failing.do_send(Block { blocked, release });
    let report = soon(async {
        loop {
            let report = root.report().await.unwrap();
            if find(&report, "root/sub/failing").last_exit().is_some() {
                return report;
            }
        }
    })
    .await;
    let service = find(&report, "root/sub/changing");
    assert_eq!((service.generation(), service.since()), (1, None));
    let service = find(&report, "root/sub/added");
    assert_eq!(
        (service.state(), service.since()),
        (ServiceState::Ready, None)
    );
    let service = find(&report, "root/sub/failing");
    assert_eq!(
        (service.state(), service.generation()),
        (ServiceState::Ready, 0)
    );
    assert_eq!(service.since(), find(&before, "root/sub/failing").since());
    let said = service.last_exit().unwrap().to_string();
    assert!(said.contains("too late to be heard"), "{said}");
    drop(hold);
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn blocked_supervisors_are_waited_for_together() {
    let root = root().await;
    let mut holds = Vec::new();
    for n in 0..MANY {
        let (_, deep) = sub_elsewhere(&root, &format!("sub{n}")).await;
        holds.push(block(&deep));
    }
    let begun = Instant::now();
    let report = soon(root.report()).await.unwrap();
    let took = begun.elapsed();
    assert!(took >= MOMENT && took < MANY * MOMENT, "{took:?}");
    let blocked = report.walk().filter(|service| service.age().is_some());
    assert_eq!(blocked.count(), MANY as usize);
    drop(holds);
    soon(root.shutdown()).await.unwrap();
}

/// Blocks the thread of its tree until it has a report of that.
#[derive(Message)]
#[rtype(result = "Report")]
struct Insist(SupervisorRef);

#[derive(Default)]
struct Inquirer;

impl Actor for Inquirer {
    type Context = ServiceContext<Self>;
}

impl Handler<Insist> for Inquirer {
    type Result = MessageResult<Insist>;
    fn handle(&mut self, Insist(root): Insist, _: &mut Self::Context) -> Self::Result {
        MessageResult(block_on(root.report()).unwrap())
    }
}

#[actix::test]
async fn caller_that_blocks_the_thread_of_the_root_itself_gets_a_report_as_well() {
    let root = root().await;
    let inquirer = ServiceSpec::new("inquirer", Inquirer::default);
    let inquirer = root.add_and_wait(inquirer).await.unwrap();
    let report = soon(inquirer.send(Insist(root.clone()))).await.unwrap();
    assert_eq!(
        states(&report),
        [("root/inquirer", ServiceState::Ready, false)]
    );
    assert!(soon(root.report()).await.unwrap().age().is_none());
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn supervisor_on_the_callers_own_thread_that_was_blocked_until_now_answers_itself() {
    let root = root().await;
    root.add_and_wait(blocker("idle", &Placement::Inherit))
        .await
        .unwrap();
    let mut reports = Vec::new();
    for _ in 0..3 {
        reports.push(actix::spawn({
            let root = root.clone();
            async move { root.report().await.unwrap() }
        }));
        // Behind the beginning of the report, and before the end of it.
        actix::spawn(async { block_here(3 * MOMENT) });
    }
    for report in reports {
        let report = soon(report).await.unwrap();
        assert_eq!(report.age(), None, "{report}");
    }
    soon(root.shutdown()).await.unwrap();
}

#[expect(clippy::disallowed_methods, reason = "it is to block the arbiter")]
fn block_here(time: Duration) {
    thread::sleep(time);
}

#[actix::test]
async fn supervisor_that_was_lost_with_its_thread_is_not_waited_for() {
    let root = root().await;
    let sub = ServiceSpec::supervisor(SupervisorActor::with_defaults("sub"))
        .placement(Placement::Dedicated)
        .shutdown(Shutdown::Timeout(Duration::from_millis(10)));
    let sub = SupervisorRef::try_from(root.add_and_wait(sub).await.unwrap()).unwrap();
    let deep = blocker("deep", &Placement::Inherit);
    let deep = sub.add_and_wait(deep).await.unwrap();
    let hold = block(&deep);
    assert!(soon(root.restart(&sub)).await.is_err());
    let begun = Instant::now();
    for _ in 0..100 {
        let report = soon(root.report()).await.unwrap();
        assert_eq!(
            states(&report),
            [("root/sub", ServiceState::Failed, true)],
            "{report}"
        );
        let below = find(&report, "root/sub").supervisor().unwrap();
        assert!(below.age().is_some() && below.failure_count().is_nan());
    }
    assert!(begun.elapsed() < 50 * MOMENT, "{:?}", begun.elapsed());
    // Asked itself, it is gone as for any other question.
    assert!(soon(sub.report()).await.is_err());
    drop(hold);
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn service_that_was_left_behind_with_its_thread_counts_on_with_the_next_one() {
    let root = root().await;
    let stuck = blocker("stuck", &Placement::Dedicated);
    let stuck = root.add_and_wait(stuck).await.unwrap();
    let hold = block(&stuck);
    soon(root.restart(&stuck)).await.unwrap();
    for _ in 0..3 {
        soon(stuck.send(crate::support::Which)).await.unwrap();
    }
    let handled = |report: &Report| find(report, "root/stuck").handled();
    assert_eq!(handled(&soon(root.report()).await.unwrap()), 4);
    drop(hold);
    until(|| root.tree_abandoned_threads() == 0).await;
    let report = soon(root.report()).await.unwrap();
    assert_eq!(handled(&report), 4);
    let service = find(&report, "root/stuck");
    assert_eq!(service.placement(), ReportedPlacement::Dedicated);
    assert_eq!(
        (service.generation(), service.state()),
        (1, ServiceState::Ready)
    );
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn callers_that_leave_leave_nothing_behind() {
    let tree = tree_elsewhere().await;
    let hold = block(&tree.deep);
    for _ in 0..100 {
        let left = tokio::time::timeout(Duration::ZERO, tree.root.report()).await;
        assert!(left.is_err());
    }
    drop(hold);
    let live = soon(async { while tree.root.report().await.unwrap().age().is_some() {} });
    live.await;
    // What was asked in vain was told to nobody, and counted.
    let report = soon(tree.root.report()).await.unwrap();
    assert!(find(&report, "root/sub").handled() >= 100);
    soon(tree.root.shutdown()).await.unwrap();
    tree.end();
}

#[actix::test]
async fn pause_of_the_clock_does_not_end_the_wait_for_other_threads() {
    let root = root().await;
    let (_sub, deep) = sub_elsewhere(&root, "sub").await;
    tokio::time::pause();
    let begun = Instant::now();
    for _ in 0..20 {
        let report = root.report().await.unwrap();
        assert_eq!(find(&report, "root/sub/deep").age(), None, "{report}");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let hold = block(&deep);
    let report = root.report().await.unwrap();
    assert!(find(&report, "root/sub/deep").age().is_some());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    drop(hold);
    tokio::time::resume();
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn supervisor_that_is_down_or_between_two_lives_answers_as_well() {
    let root = root().await;
    let mut stopped = SupervisorActor::with_defaults("stopped");
    stopped
        .add(blocker("leaf", &Placement::Inherit).shutdown(Shutdown::Infinity))
        .unwrap();
    let stopped = root
        .add_and_wait(ServiceSpec::supervisor(stopped).placement(Placement::Dedicated))
        .await
        .unwrap();
    root.stop(&stopped).await.unwrap();
    // Never started, since it waits: nothing below it is known.
    let waits = ServiceSpec::supervisor(SupervisorActor::with_defaults("waits")).requires("nobody");
    root.add(waits).await.unwrap();
    let begun = Instant::now();
    let report = soon(root.report()).await.unwrap();
    assert_eq!(
        states(&report),
        [
            ("root/stopped", ServiceState::Stopped, true),
            ("root/stopped/leaf", ServiceState::Stopped, true),
            ("root/waits", ServiceState::Waiting, true),
        ],
        "{report}"
    );
    assert!(begun.elapsed() < 50 * MOMENT);
    assert!(find(&report, "root/waits").supervisor().is_none());
    assert!(find(&report, "root/stopped/leaf").since().is_some());
    soon(root.shutdown()).await.unwrap();
}

/// How long a report waits for those that do not answer.
const MOMENT: Duration = Duration::from_millis(100);
const MANY: u32 = 10;
