//! How many restarts are too many, with capataz's own numbers.

use std::time::Duration;

use resurgam::{
    AddError, JoinError, RestartLimit, ServiceRef, SpecError, StartError, SupervisorActor,
    SupervisorRef, SupervisorSpec,
};
use tokio::time;

use super::support::{Act, Generation, Log, Probe, patiently, probe, root};

fn window(max: u32, within: Duration) -> SupervisorSpec {
    SupervisorSpec::default().limit(RestartLimit::window(max, within).escalate())
}

async fn fixture(spec: SupervisorSpec) -> (SupervisorRef, ServiceRef<Probe>) {
    let root = root(spec).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    (root, service.unwrap())
}

/// Lets a service fail at each of these milliseconds; tells how many failures were followed by a restart.
async fn restarts(spec: SupervisorSpec, at: &[u64]) -> usize {
    let (_root, service) = fixture(spec).await;
    let mut clock = 0;
    for (restarts, at) in at.iter().enumerate() {
        time::advance(Duration::from_millis(at - clock)).await;
        clock = *at;
        service.do_send(Act::Fail);
        if patiently(service.send(Generation)).await.is_err() {
            return restarts;
        }
    }
    at.len()
}

#[actix::test]
async fn failure_beyond_the_allowed_number_is_not_restarted() {
    time::pause();
    let spec = window(2, Duration::from_millis(300));
    assert_eq!(restarts(spec, &[0, 15, 31]).await, 2);
}

#[actix::test]
async fn window_slides_where_a_tumbling_one_would_forget_three_failures_at_once() {
    time::pause();
    // With 0 as the anchor of a tumbling window, the failures at 331 and 347 would be tolerated.
    let spec = window(2, Duration::from_millis(300));
    assert_eq!(restarts(spec, &[0, 286, 331, 347, 368]).await, 3);
}

#[actix::test]
async fn failure_as_old_as_the_window_is_forgotten() {
    time::pause();
    let spec = window(1, Duration::from_millis(300));
    assert_eq!(restarts(spec.clone(), &[0, 300, 600]).await, 3);
    assert_eq!(restarts(spec, &[0, 299]).await, 1);
}

#[actix::test]
async fn with_none_allowed_the_first_failure_is_too_many() {
    time::pause();
    assert_eq!(restarts(window(0, Duration::from_secs(1)), &[0]).await, 0);
}

#[actix::test]
async fn window_without_end_never_forgets() {
    time::pause();
    let year = 365 * 24 * 3_600_000;
    let spec = window(2, Duration::MAX);
    assert_eq!(restarts(spec, &[0, year, 2 * year]).await, 2);
}

#[actix::test]
async fn window_of_zero_is_refused_since_it_could_mean_two_things() {
    time::pause();
    let refused = SupervisorActor::new("root", window(1, Duration::ZERO))
        .start()
        .await
        .unwrap_err();
    assert!(
        matches!(
            &refused,
            StartError::Refused(AddError::Spec(SpecError::InvalidValue { field, .. }))
                if *field == "limit.within"
        ),
        "{refused}"
    );
}

#[actix::test]
async fn failures_of_different_services_add_up() {
    time::pause();
    let (root, first) = fixture(window(1, Duration::from_secs(5))).await;
    let second = root.add_and_wait(probe("b", &Log::default())).await;
    let second = second.unwrap();
    first.do_send(Act::Fail);
    assert_eq!(first.send(Generation).await, Ok(1));
    second.do_send(Act::Fail);
    let error = patiently(root.join()).await.unwrap_err();
    let JoinError::Escalated { path, reason, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(&*path, "root");
    // The one that was too many is named, whoever began.
    assert!(format!("{reason:#}").contains("root/b"), "{reason:#}");
}

#[actix::test]
async fn success_between_failures_does_not_lower_the_count() {
    time::pause();
    let (root, service) = fixture(window(1, Duration::from_secs(5))).await;
    service.do_send(Act::Fail);
    for _ in 0..100 {
        assert_eq!(service.send(Generation).await, Ok(1));
    }
    service.do_send(Act::Fail);
    assert!(patiently(root.join()).await.is_err());
}

#[actix::test]
async fn default_limit_pauses_and_does_not_end_the_tree() {
    time::pause();
    let (root, service) = fixture(SupervisorSpec::default()).await;
    for _ in 0..6 {
        service.do_send(Act::Fail);
    }
    assert_eq!(service.send(Generation).await, Ok(6));
    assert!(root.shutdown().await.unwrap().is_clean());
}
