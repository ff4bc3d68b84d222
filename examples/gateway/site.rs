//! A site: a subtree of devices, of which none disturbs another one.

use std::time::Duration;

use resurgam::{AddError, Backoff, RestartLimit, StartOrder, SupervisorActor, SupervisorSpec};

use crate::device::{self, Cable};

/// A site with the device that each of them has.
pub(crate) fn new(name: &str) -> Result<SupervisorActor, AddError> {
    let spec = SupervisorSpec::default()
        // What holds for each device: the failures of one are counted for it alone, and it gives up after the fourth.
        .each_service(|device| {
            device
                .limit(RestartLimit::window(3, Duration::from_secs(60)).give_up())
                .backoff(Backoff::constant(Duration::from_millis(2)))
        })
        .start_order(StartOrder::Parallel)
        .max_services(1000);
    let mut site = SupervisorActor::new(name, spec);
    site.add(device::new("thermometer", Cable::Good))?;
    Ok(site)
}
