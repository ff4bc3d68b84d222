//! A poller: asks its device at intervals, and sends what it says to the store.

use std::{io, time::Duration};

use actix::prelude::*;
use resurgam::{ServiceContext, ServiceRef, ServiceSpec, StartContext, StartError};

use crate::store::{Reading, Store};

/// What a device is connected with.
#[derive(Clone, Copy)]
pub(crate) enum Cable {
    Good,
    Loose,
}

pub(crate) struct Device {
    cable: Cable,
    store: ServiceRef<Store>,
    polls: u32,
}

/// A device as a service of a site. It is started once the store is ready, which is elsewhere in the tree.
pub(crate) fn new(name: &str, cable: Cable) -> ServiceSpec<Device> {
    ServiceSpec::try_new(name, move |cx: &StartContext| {
        Ok::<_, StartError>(Device {
            cable,
            store: cx.get("root/store")?,
            polls: 0,
        })
    })
    .requires("root/store")
}

impl Device {
    /// Reads the device, over a cable.
    fn read(&mut self) -> io::Result<f64> {
        self.polls += 1;
        match self.cable {
            Cable::Good => Ok(20.0 + f64::from(self.polls % 10) / 10.0),
            Cable::Loose => Err(io::Error::other("cable is loose")),
        }
    }

    fn poll(&mut self, ctx: &mut ServiceContext<Self>) {
        match self.read() {
            Ok(value) => {
                let device = ctx.path().to_string();
                // Queued, also while the store is down. One that is full refuses: then this reading is skipped, and the next one is newer.
                let _skipped = self.store.try_send(Reading { device, value });
            }
            Err(error) => ctx.fail(error),
        }
    }
}

impl Actor for Device {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(Duration::from_millis(5), Self::poll);
    }
}
