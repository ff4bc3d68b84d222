//! References that services hold of the supervisor that they belong to, and supervisors that do not come to their end.

use std::sync::{Arc, Mutex, OnceLock};

use actix::prelude::*;
use futures::FutureExt;
use resurgam::{
    LookupError, ServiceContext, ServiceSpec, SupervisorActor,
    keyed::{GetError, KeyedRef, KeyedSpec, RescanError, StartKeyError, StopKeyError},
    table::MemoryTable,
};
use tokio::time::{sleep, timeout};

use crate::support::{LONG, SECOND, key, settle};

type Slot = Arc<OnceLock<KeyedRef<String, Holder>>>;

/// Holds a reference of its own supervisor.
struct Holder {
    keyed: KeyedRef<String, Self>,
    /// How many there are.
    _alive: Arc<()>,
}

impl Actor for Holder {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // And uses it for all that does not ask for its supervisor.
        let keyed = self.keyed.clone();
        assert!(self.keyed.path().ends_with("/devices"));
        ctx.spawn(
            async move {
                let _ready = keyed.when_ready("b").await;
                let _known = keyed.get("a");
                let _in_vain = keyed.start("a").await;
                let _scanned = keyed.rescan().await;
                let _in_vain = keyed.stop("c").await;
            }
            .into_actor(&*self),
        );
    }
}

fn holders(alive: &Arc<()>) -> (KeyedSpec<MemoryTable<String, u32>, Holder>, Slot) {
    let slot = Slot::default();
    let (held, alive) = (Arc::clone(&slot), Arc::clone(alive));
    let table: MemoryTable<_, _> = [(key("a"), 1), (key("b"), 1)].into_iter().collect();
    let spec = KeyedSpec::new("devices", table, move |_: &String, _: &u32| {
        let (held, alive) = (Arc::clone(&held), Arc::clone(&alive));
        ServiceSpec::new("holder", move || Holder {
            keyed: held.get().unwrap().clone(),
            _alive: Arc::clone(&alive),
        })
    });
    (spec, slot)
}

async fn answers_not_running(keyed: &KeyedRef<String, Holder>) {
    let answered = async {
        assert!(matches!(
            keyed.start("a").await,
            Err(StartKeyError::NotRunning)
        ));
        assert!(matches!(keyed.rescan().await, Err(RescanError::NotRunning)));
        assert!(matches!(
            keyed.stop("a").await,
            Err(StopKeyError::NotFound { .. })
        ));
        let waited = keyed.when_ready("a").await;
        assert!(
            matches!(
                waited,
                Err(LookupError::SupervisorGone | LookupError::UnknownPath { .. })
            ),
            "{waited:?}"
        );
    };
    timeout(LONG, answered).await.expect("answered");
    assert!(matches!(keyed.get("a"), Err(GetError::NotFound { .. })));
    assert!(keyed.keys().is_empty());
}

#[actix::test]
async fn reference_that_services_of_the_tree_hold_and_use_does_not_keep_it_running() {
    tokio::time::pause();
    let alive = Arc::new(());
    let (spec, slot) = holders(&alive);
    let (service, keyed) = spec.into_service();
    slot.set(keyed.clone()).unwrap();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    root.add(service).await.unwrap();
    sleep(SECOND * 5).await;
    assert!(keyed.get("a").is_ok() && keyed.get("b").is_ok());
    let mut ended = root.events();
    drop(root);
    timeout(LONG, async { while ended.next().await.is_some() {} })
        .await
        .expect("nobody else holds the tree");
    answers_not_running(&keyed).await;
    drop((keyed, slot));
    settle().await;
    assert_eq!(Arc::strong_count(&alive), 1, "nothing is left behind");
}

#[actix::test]
async fn reference_that_keeps_the_tree_running_does_so_until_it_is_shut_down() {
    tokio::time::pause();
    let alive = Arc::new(());
    let (spec, slot) = holders(&alive);
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let events = Mutex::new(root.events());
    let (service, keyed) = spec.into_service();
    slot.set(keyed.clone()).unwrap();
    root.add(service).await.unwrap();
    sleep(SECOND * 5).await;
    // Asked for, and held from here on.
    assert_eq!(keyed.supervisor().path(), "root/devices");
    drop(root);
    sleep(SECOND * 100).await;
    assert!(keyed.get("a").is_ok());
    drop(keyed.supervisor().shutdown().await);
    settle().await;
    answers_not_running(&keyed).await;
    let mut events = events.into_inner().unwrap();
    while let Some(Some(_)) = events.next().now_or_never() {}
    drop((keyed, slot, events));
    settle().await;
    assert_eq!(Arc::strong_count(&alive), 1, "nothing is left behind");
}
