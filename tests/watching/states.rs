//! The stream of states.

use std::thread;

use futures::{StreamExt, executor::block_on};
use resurgam::{ServiceState, ServiceStates, SupervisorActor, UntilEnded};
use tokio::{sync::oneshot, time};

use crate::support::{End, quiet, root, root_with, soon, subject};

#[test]
fn what_watches_goes_anywhere() {
    fn goes_anywhere<T: Send + Sync + Unpin + 'static>() {}
    goes_anywhere::<ServiceStates>();
    goes_anywhere::<UntilEnded>();
}

#[actix::test]
async fn present_state_comes_first_and_then_the_latest_of_those_that_were_not_taken() {
    time::pause();
    let root = root().await;
    let service = root.add_and_wait(subject("a")).await.unwrap();
    let mut states = service.states();
    assert_eq!(soon(states.next()).await, Some(ServiceState::Ready));
    root.stop(&service).await.unwrap();
    assert_eq!(soon(states.next()).await, Some(ServiceState::Stopped));
    root.restart(&service).await.unwrap();
    assert_eq!(soon(states.next()).await, Some(ServiceState::Ready));
    // Another one has seen nothing of all that.
    let mut others = service.states();
    assert_eq!(soon(others.next()).await, Some(ServiceState::Ready));
    assert!(
        time::timeout(time::Duration::from_secs(60), others.next())
            .await
            .is_err()
    );
    root.remove(&service).await.unwrap();
    // The last one that it had not taken: it was stopped first.
    assert_eq!(soon(states.next()).await, Some(ServiceState::Stopping));
    assert_eq!(soon(states.next()).await, None);
    assert_eq!(soon(states.next()).await, None);
    assert_eq!(soon(service.states().next()).await, None);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn each_state_is_seen_by_one_who_waits_for_it() {
    use ServiceState::{Ready, Starting, Stopped, Stopping};
    time::pause();
    let (root, services) = root_with([subject("a")]).await;
    let states = services[0].states();
    let seen = actix::spawn(states.collect::<Vec<_>>());
    quiet().await;
    services[0].do_send(End::Crash);
    quiet().await;
    root.shutdown().await.unwrap();
    let expected = [Ready, Starting, Ready, Stopping, Stopped];
    assert_eq!(soon(seen).await.unwrap(), expected);
}

#[actix::test]
async fn restart_that_is_over_when_somebody_looks_is_seen_all_the_same() {
    time::pause();
    let root = root().await;
    let service = root.add_and_wait(subject("a")).await.unwrap();
    let mut states = service.states();
    assert_eq!(soon(states.next()).await, Some(ServiceState::Ready));
    root.restart(&service).await.unwrap();
    assert_eq!(soon(states.next()).await, Some(ServiceState::Ready));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn states_are_read_on_another_thread_by_another_executor() {
    let root = root().await;
    let service = root.add_and_wait(subject("a")).await.unwrap();
    let mut states = service.states();
    let (tell, told) = oneshot::channel();
    let reader = thread::spawn(move || {
        block_on(async move {
            let mut seen = vec![states.next().await.unwrap()];
            tell.send(()).unwrap();
            seen.extend(states.collect::<Vec<_>>().await);
            seen
        })
    });
    told.await.unwrap();
    root.restart(&service).await.unwrap();
    root.stop(&service).await.unwrap();
    root.remove(&service).await.unwrap();
    let joined = tokio::task::spawn_blocking(|| reader.join().unwrap());
    let seen = soon(joined).await.unwrap();
    assert_eq!(seen.first(), Some(&ServiceState::Ready));
    assert_eq!(seen.last(), Some(&ServiceState::Stopped), "{seen:?}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn states_end_with_the_tree() {
    time::pause();
    // Shut down; the root itself as well.
    let (root, services) = root_with([subject("a"), subject("b")]).await;
    let top = root.lookup::<SupervisorActor>("root").await.unwrap();
    root.stop(&services[1]).await.unwrap();
    let states = [services[0].states(), services[1].states(), top.states()];
    root.shutdown().await.unwrap();
    for states in states {
        soon(states.collect::<Vec<_>>()).await;
    }
    // Dropped.
    let (root, services) = root_with([subject("a")]).await;
    let states = services[0].states();
    drop(root);
    soon(states.collect::<Vec<_>>()).await;
    // Never started.
    let mut root = SupervisorActor::with_defaults("root");
    let service = root.add(subject("a")).unwrap();
    let mut states = service.states();
    assert_eq!(soon(states.next()).await, Some(ServiceState::Waiting));
    drop(root);
    assert_eq!(soon(states.next()).await, None);
}
