//! Puts the server together.

use std::{error::Error, net::SocketAddr, time::Duration};

use resurgam::{Placement, RestartLimit, ServiceSpec, SupervisorRef, SupervisorSpec};

use crate::{
    listener::{Listener, LocalAddress},
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
    let listener = ServiceSpec::new_async("listener", move |_| {
        Listener::bind(address, statistics.clone())
    });
    let listener = root.add_and_wait(listener).await?;
    Ok(listener.send(LocalAddress).await?)
}
