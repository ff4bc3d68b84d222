//! Waits for clients, and spawns a service for each.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use resurgam::{Lifetime, Readiness, ServiceRef, ServiceSpec, Shutdown, TaskActor, TaskContext};
use tokio::net::TcpListener;

use crate::{connection, statistics::Statistics};

/// Where to listen, and where that is: port 0 becomes a real one, which is kept through restarts.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) wanted: SocketAddr,
    pub(crate) bound: Arc<OnceLock<SocketAddr>>,
}

/// The service that listens. It is ready when clients can connect.
pub(crate) fn spec(place: Place, statistics: ServiceRef<Statistics>) -> ServiceSpec<TaskActor> {
    ServiceSpec::task("listener", move |cx| {
        listen(cx, place.clone(), statistics.clone())
    })
    .readiness(Readiness::Explicit)
}

/// Accepts clients until it is asked to stop.
///
/// An error is for the supervisor, which starts this again and pauses if that is no help: the port is taken, say, or there are no file
/// descriptors left.
async fn listen(
    cx: TaskContext,
    place: Place,
    statistics: ServiceRef<Statistics>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Place { wanted, bound } = place;
    let socket = TcpListener::bind(bound.get().unwrap_or(&wanted)).await?;
    let address = socket.local_addr()?;
    bound.get_or_init(|| address);
    cx.ready();
    while let Some(accepted) = cx.run_until_shutdown(socket.accept()).await {
        let (client, peer) = accepted?;
        let statistics = statistics.clone();
        cx.spawn_named(&peer.to_string(), |cx| {
            connection::serve(cx, client, statistics)
        })
        .lifetime(Lifetime::Independent) // a client is served also while the listener restarts
        .spec(|spec| spec.shutdown(Shutdown::Timeout(Duration::from_secs(1))))
        .await?;
    }
    Ok(())
}
