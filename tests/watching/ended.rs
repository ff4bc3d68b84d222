//! The future of the end.

use std::{thread, time::Duration};

use futures::{FutureExt, executor::block_on};
use resurgam::{
    ExitReason, RestartLimit, RestartType, ServiceSpec, SupervisorActor, SupervisorSpec,
    keyed::KeyedSpec,
    scope::{AddMemberError, Scope},
    table::MemoryTable,
};
use tokio::{sync::oneshot, time};

use crate::support::{End, gives_up, one_shot, quiet, root, root_with, soon, subject};

#[actix::test]
async fn service_that_finishes_has_ended_and_says_so_also_after_the_fact() {
    time::pause();
    let (root, services) = root_with([one_shot("a")]).await;
    let service = &services[0];
    let ended = service.ended();
    service.do_send(End::Crash);
    quiet().await;
    service.do_send(End::Normal);
    assert_eq!(soon(ended).await, ExitReason::Normal);
    assert_eq!(soon(service.ended()).await, ExitReason::Normal);
    root.shutdown().await.unwrap();
    assert_eq!(soon(service.ended()).await, ExitReason::Normal);
}

#[actix::test]
async fn service_that_gives_up_has_ended_and_after_a_reset_its_next_end_is_awaited() {
    time::pause();
    let (root, services) = root_with([gives_up("a")]).await;
    let service = &services[0];
    let waited = service.ended();
    service.do_send(End::Crash);
    quiet().await;
    // It runs again before the first one looks, who was there when it ended.
    root.reset(service).await.unwrap();
    let anew = service.ended();
    assert!(matches!(
        waited.now_or_never(),
        Some(ExitReason::Panicked { .. })
    ));
    quiet().await;
    assert_eq!(service.ended().now_or_never(), None);
    service.do_send(End::Fail);
    let reason = soon(anew).await;
    assert!(reason.to_string().contains("failed on purpose"), "{reason}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn stop_on_request_is_no_end_and_the_removal_is() {
    time::pause();
    let root = root().await;
    let service = root.add_and_wait(subject("a")).await.unwrap();
    let mut ended = service.ended();
    root.stop(&service).await.unwrap();
    quiet().await;
    assert_eq!((&mut ended).now_or_never(), None);
    root.restart(&service).await.unwrap();
    quiet().await;
    assert_eq!((&mut ended).now_or_never(), None);
    root.remove(&service).await.unwrap();
    assert_eq!(soon(&mut ended).await, ExitReason::Shutdown);
    // And again, as a future that has no other answer.
    assert_eq!(soon(ended).await, ExitReason::Shutdown);
    assert_eq!(soon(service.ended()).await, ExitReason::Shutdown);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_is_forgotten_with_its_end_has_the_reason_of_that() {
    time::pause();
    let root = root().await;
    // Added later, and so nothing is kept of it.
    let failed = subject("failed").restart(RestartType::Temporary);
    let failed = root.add_and_wait(failed).await.unwrap();
    let gone = root.add_and_wait(subject("gone")).await.unwrap();
    let (waits, uninstalled) = (failed.ended(), gone.ended());
    failed.do_send(End::Fail);
    gone.do_send(End::Uninstall);
    assert!(soon(waits).await.is_abnormal());
    assert_eq!(soon(uninstalled).await, ExitReason::Normal);
    assert!(soon(failed.ended()).await.is_abnormal());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_survives_the_restart_of_its_supervisor_and_ends_with_it_for_good() {
    time::pause();
    let root = root().await;
    let limit = RestartLimit::window(1, Duration::from_secs(60)).give_up();
    let spec = SupervisorSpec::default()
        .limit(RestartLimit::window(0, Duration::from_secs(60)).escalate());
    let mut site = SupervisorActor::new("site", spec);
    let inner = site.add(subject("inner")).unwrap();
    let other = site.add(subject("other")).unwrap();
    let site = root
        .add_and_wait(ServiceSpec::supervisor(site).limit(limit))
        .await
        .unwrap();
    let (mut first, mut second) = (inner.ended(), other.ended());
    inner.do_send(End::Fail);
    quiet().await;
    root.when_ready::<crate::support::Subject>("root/site/inner")
        .await
        .unwrap();
    assert_eq!(
        (&mut first).now_or_never(),
        None,
        "the supervisor was restarted"
    );
    assert_eq!((&mut second).now_or_never(), None);
    inner.do_send(End::Fail);
    assert!(soon(&mut first).await.is_abnormal());
    assert_eq!(soon(&mut second).await, ExitReason::Shutdown);
    // Both wait anew once somebody starts the supervisor.
    root.reset(&site).await.unwrap();
    assert_eq!(inner.ended().now_or_never(), None);
    let anew = inner.ended();
    root.remove(&site).await.unwrap();
    assert_eq!(soon(anew).await, ExitReason::Shutdown);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_that_is_stopped_on_request_ends_nobody() {
    time::pause();
    let root = root().await;
    let mut site = SupervisorActor::with_defaults("site");
    let inner = site.add(subject("inner")).unwrap();
    let site = root
        .add_and_wait(ServiceSpec::supervisor(site))
        .await
        .unwrap();
    let mut ended = inner.ended();
    root.stop(&site).await.unwrap();
    quiet().await;
    assert_eq!((&mut ended).now_or_never(), None);
    root.remove(&site).await.unwrap();
    assert_eq!(soon(ended).await, ExitReason::Shutdown);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn end_is_awaited_on_another_thread_by_another_executor() {
    let root = root().await;
    let service = root.add_and_wait(subject("a")).await.unwrap();
    let many: Vec<_> = (0..8)
        .map(|_| {
            let ended = service.ended();
            thread::spawn(|| block_on(ended))
        })
        .collect();
    let held = service.clone();
    let late = thread::spawn(move || block_on(held.ended()));
    root.remove(&service).await.unwrap();
    let threads = many.into_iter().chain([late]);
    let joined = tokio::task::spawn_blocking(|| {
        let reasons = threads.map(|thread| thread.join().unwrap());
        reasons.collect::<Vec<_>>()
    });
    assert_eq!(soon(joined).await.unwrap(), vec![ExitReason::Shutdown; 9]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn services_far_below_end_with_a_supervisor_that_has_given_up() {
    time::pause();
    let root = root().await;
    let limit = RestartLimit::window(0, Duration::from_secs(60));
    let mut low = SupervisorActor::with_defaults("low");
    let leaf = low.add(subject("leaf")).unwrap();
    let mut site = SupervisorActor::new(
        "site",
        SupervisorSpec::default().limit(limit.clone().escalate()),
    );
    let low = site.add(ServiceSpec::supervisor(low)).unwrap();
    let fails = site.add(subject("fails")).unwrap();
    let site = ServiceSpec::supervisor(site).limit(limit.give_up());
    let site = root.add_and_wait(site).await.unwrap();
    let later = low.clone();
    let (mut of_leaf, of_low, of_site) = (leaf.ended(), low.ended(), site.ended());
    fails.do_send(End::Fail);
    assert!(matches!(soon(of_site).await, ExitReason::Escalated { .. }));
    assert_eq!(soon(of_low).await, ExitReason::Shutdown);
    assert_eq!(soon(&mut of_leaf).await, ExitReason::Shutdown);
    // All of them wait anew.
    root.reset(&site).await.unwrap();
    quiet().await;
    assert_eq!(leaf.ended().now_or_never(), None);
    assert_eq!(later.ended().now_or_never(), None);
    let (leaf, low) = (leaf.ended(), later.ended());
    root.shutdown().await.unwrap();
    assert_eq!(soon(leaf).await, ExitReason::Shutdown);
    assert_eq!(soon(low).await, ExitReason::Shutdown);
}

#[actix::test]
async fn members_of_a_scope_and_services_of_a_table_end_with_what_they_belong_to() {
    time::pause();
    let root = root().await;
    let (tell, told) = oneshot::channel();
    let mut tell = Some(tell);
    let scope = ServiceSpec::scope("scope", move |scope: Scope| {
        let tell = tell.take();
        async move {
            let member = scope.add(subject("member")).await?;
            if let Some(tell) = tell {
                let _test_gone = tell.send(member);
            }
            scope.ending().await;
            Ok::<_, AddMemberError>(())
        }
    });
    let scope = root.add_and_wait(scope).await.unwrap();
    let member = told.await.unwrap();
    let ended = member.ended();
    root.stop(&scope).await.unwrap();
    assert_eq!(soon(ended).await, ExitReason::Shutdown);

    let table = MemoryTable::new();
    table.insert(&String::from("a"), &()).await;
    let keyed = KeyedSpec::new("keyed", table.clone(), |_: &String, (): &()| subject(""));
    let keyed = root.add_keyed(keyed).await.unwrap();
    let row = soon(keyed.when_ready(&String::from("a"))).await.unwrap();
    let ended = row.ended();
    table.remove(&String::from("a")).await;
    assert_eq!(soon(ended).await, ExitReason::Shutdown);
    root.shutdown().await.unwrap();
}
