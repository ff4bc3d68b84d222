//! Where readings go. An actor like any other; that it may crash is nothing that it has to know.

use std::collections::BTreeMap;

use actix::prelude::*;
use resurgam::ServiceContext;

/// One reading of one device, which is acknowledged when it is kept.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct Reading {
    /// The path of the device.
    pub(crate) device: String,
    pub(crate) value: f64,
}

/// Asks how many readings there are of each device.
#[derive(Message)]
#[rtype(result = "BTreeMap<String, usize>")]
pub(crate) struct Counts;

/// Makes the store fail, as disks do.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FillDisk;

/// Keeps readings in memory, where a real one would have a database: a new incarnation begins without any.
#[derive(Default)]
pub(crate) struct Store {
    readings: BTreeMap<String, Vec<f64>>,
}

impl Actor for Store {
    type Context = ServiceContext<Self>;
}

impl Handler<Reading> for Store {
    type Result = ();

    fn handle(&mut self, reading: Reading, _: &mut Self::Context) {
        let kept = self.readings.entry(reading.device).or_default();
        kept.push(reading.value);
    }
}

impl Handler<Counts> for Store {
    type Result = MessageResult<Counts>;

    fn handle(&mut self, _: Counts, _: &mut Self::Context) -> Self::Result {
        let counts = self.readings.iter();
        MessageResult(
            counts
                .map(|(device, kept)| (device.clone(), kept.len()))
                .collect(),
        )
    }
}

impl Handler<FillDisk> for Store {
    type Result = ();

    #[expect(clippy::panic, reason = "what the example is about")]
    fn handle(&mut self, _: FillDisk, _: &mut Self::Context) {
        panic!("the disk is full for a moment");
    }
}
