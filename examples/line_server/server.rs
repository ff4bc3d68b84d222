//! Puts the server together.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use resurgam::{Placement, RestartLimit, ServiceSpec, SupervisorRef, SupervisorSpec};

use crate::{
    listener::{self, Place},
    statistics::Statistics,
};

/// More than four panics in short order, and restarts pause for a moment.
pub(crate) fn spec() -> SupervisorSpec {
    let (decay, pause) = (Duration::from_secs(30), Duration::from_millis(50));
    SupervisorSpec::default().limit(RestartLimit::decay(decay, 4.0, pause))
}

/// Starts the services, and returns the address that the listener has.
pub(crate) async fn start(
    root: &SupervisorRef,
    address: SocketAddr,
) -> Result<SocketAddr, Box<dyn Error>> {
    let statistics = ServiceSpec::new("statistics", Statistics::default)
        .placement(Placement::Dedicated) // parsing holds up no socket
        .mailbox_capacity(1024);
    let statistics = root.add_and_wait(statistics).await?;
    let bound = Arc::<OnceLock<SocketAddr>>::default();
    let place = Place {
        wanted: address,
        bound: Arc::clone(&bound),
    };
    root.add_and_wait(listener::spec(place, statistics)).await?;
    Ok(*bound.get().ok_or("the listener is ready")?)
}
