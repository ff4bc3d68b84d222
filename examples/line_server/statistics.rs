//! Running figures over the lines of all clients.

use std::{collections::BTreeMap, fmt};

use actix::prelude::*;
use resurgam::ServiceContext;
use serde_json::Value;

/// The service that keeps the figures. A new incarnation begins with none.
#[derive(Default)]
pub(crate) struct Statistics {
    lines: u64,
    /// By station: how many lines, and the sum of their medians.
    stations: BTreeMap<String, (u64, f64)>,
}

impl Actor for Statistics {
    type Context = ServiceContext<Self>;
}

/// One line, as a client has sent it.
#[derive(Message)]
#[rtype(result = "Result<Folded, Malformed>")]
pub(crate) struct Line(pub(crate) String);

/// What became of a line.
#[derive(Debug)]
pub(crate) struct Folded {
    /// The line, as it names itself.
    id: u64,
    /// Which incarnation has taken it, and as which of its lines.
    place: (u64, u64),
    /// The mean of its station's medians so far.
    mean: f64,
}

/// What is wrong with a line.
pub(crate) type Malformed = String;

impl Handler<Line> for Statistics {
    type Result = Result<Folded, Malformed>;

    fn handle(&mut self, Line(text): Line, ctx: &mut Self::Context) -> Self::Result {
        let line: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let id = line["id"].as_u64().ok_or("`id` is not a number")?;
        let station = line["station"].as_str().ok_or("`station` is not a text")?;
        let readings = line["readings"]
            .as_array()
            .ok_or("`readings` is not a list")?;
        let median = median(readings.iter().filter_map(Value::as_f64).collect());

        let (count, sum) = self.stations.entry(station.to_owned()).or_default();
        *count += 1;
        *sum += median;
        self.lines += 1;
        Ok(Folded {
            id,
            place: (ctx.generation(), self.lines),
            mean: *sum / *count as f64,
        })
    }
}

/// The reading in the middle.
fn median(mut readings: Vec<f64>) -> f64 {
    readings.sort_by(f64::total_cmp);
    // The bug: a station that slept sends no readings, and nobody had thought of that.
    readings[readings.len() / 2]
}

impl fmt::Display for Folded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, place, mean } = self;
        let (incarnation, line) = place;
        write!(f, "{id} {incarnation} {line} mean {mean:.2}")
    }
}
