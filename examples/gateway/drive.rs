//! What happens to the gateway in half a second.

use std::{collections::BTreeMap, error::Error, time::Duration};

use resurgam::{ServiceRef, ServiceState, SupervisorActor, SupervisorRef};
use tokio::time::sleep;

use crate::{
    device::{self, Cable},
    store::{Counts, FillDisk, Store},
};

/// Returns what should not be, if anything is.
pub(crate) async fn drive(
    root: &SupervisorRef,
) -> Result<Result<(), &'static str>, Box<dyn Error>> {
    let north = site(root, "north").await?;
    let south = site(root, "south").await?;
    // Devices come, …
    for (site, name, cable) in [
        (&north, "barometer", Cable::Good),
        (&north, "camera", Cable::Good),
        (&south, "barometer", Cable::Good),
        (&south, "flaky", Cable::Loose),
    ] {
        site.add(device::new(name, cable)).await?;
    }
    sleep(Duration::from_millis(100)).await;
    // … go, by name from their site or by path from anywhere, …
    north.remove("camera").await?;
    south.restart("root/north/barometer").await?;
    // … and outlive the store, which begins anew.
    let store: ServiceRef<Store> = root.lookup("store").await?;
    store.do_send(FillDisk);
    sleep(Duration::from_millis(100)).await;
    // A whole site is restarted with its devices, also those that came later.
    root.restart("south").await?;
    sleep(Duration::from_millis(300)).await;

    let counts = store.send(Counts).await?;
    let mut verdict = Ok(());
    for site in [&north, &south] {
        verdict = verdict.and(check(site, &counts).await?);
    }
    if counts.contains_key("root/north/camera") {
        verdict = Err("a device that is gone has delivered something");
    }
    Ok(verdict)
}

async fn site(root: &SupervisorRef, name: &str) -> Result<SupervisorRef, Box<dyn Error>> {
    let site = root.when_ready::<SupervisorActor>(name).await?;
    Ok(site.try_into()?)
}

/// Each device of a site but the bad one runs, has not failed, and delivers.
async fn check(
    site: &SupervisorRef,
    counts: &BTreeMap<String, usize>,
) -> Result<Result<(), &'static str>, Box<dyn Error>> {
    let mut verdict = Ok(());
    for device in site.services().await? {
        let readings = counts.get(device.path()).copied().unwrap_or_default();
        let (path, state) = (device.path().trim_start_matches("root/"), device.state());
        println!("{path:<20} {:<8} {readings:>4} readings", state.to_string());
        let fate = match (device.name(), state) {
            ("flaky", ServiceState::Failed) => Ok(()),
            ("flaky", _) => Err("a device with a loose cable runs"),
            (_, ServiceState::Ready) if device.generation() > 1 => Err("a device was disturbed"),
            (_, ServiceState::Ready) if readings > 0 => Ok(()),
            _ => Err("a device does not deliver"),
        };
        verdict = verdict.and(fate);
    }
    Ok(verdict)
}
