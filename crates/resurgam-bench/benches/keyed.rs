//! Measures keyed supervisors on a table in memory and on one in a SQLite file, beside adding the same services by hand.
//!
//! What is measured together is measured by turns, so that whatever else the machine is doing meets all of it.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it found")]

#[expect(dead_code, reason = "this needs little of what the benchmarks share")]
mod support;

use std::{env, fs, path::PathBuf, process, time::Duration};

use actix::prelude::*;
use futures::StreamExt;
use resurgam::{
    ServiceContext, ServiceSpec, SupervisorRef,
    keyed::{KeyedRef, KeyedSpec},
    table::{MemoryTable, Table},
};
use resurgam_sqlite::SqliteTable;

use crate::support::{Stopwatch, system, tireless_root};

struct Device(u64);

impl Actor for Device {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Ask;

impl Handler<Ask> for Device {
    type Result = u64;

    fn handle(&mut self, _: Ask, _: &mut Self::Context) -> u64 {
        self.0
    }
}

/// A table of devices.
trait Devices: Table<Key = String, Value = u64> + Clone {
    async fn put(&self, key: &str, value: u64);
}

impl Devices for MemoryTable<String, u64> {
    async fn put(&self, key: &str, value: u64) {
        self.insert(&key.to_owned(), &value).await;
    }
}

impl Devices for SqliteTable<String, u64> {
    async fn put(&self, key: &str, value: u64) {
        let written = self.insert(&key.to_owned(), &value).await;
        written.expect("the file can be written");
    }
}

fn main() {
    let test = env::args().any(|argument| argument == "--test");
    let (few, many, rounds) = if test {
        (100, 1_000, 1)
    } else {
        (10_000, 100_000, 15)
    };
    system().block_on(async {
        println!("# In memory");
        cold(&in_memory(few), few, rounds).await;
        with_many(&in_memory(many), many, rounds).await;
        println!("# In a SQLite file");
        let folder = Folder::new();
        cold(&in_sqlite(&folder, "few", few).await, few, rounds).await;
        let table = in_sqlite(&folder, "many", many).await;
        read_alone(&table, rounds).await;
        with_many(&table, many, rounds).await;
        changed_by_others(&folder, &table, many, rounds).await;
    });
}

/// A folder of this run, which is gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = env::temp_dir().join(format!("resurgam-bench-{}", process::id()));
        fs::create_dir_all(&folder).expect("there is a folder for what is not kept");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

fn rows(number: u64) -> impl Iterator<Item = (String, u64)> {
    (0..number).map(|row| (format!("device-{row:06}"), 0))
}

fn in_memory(number: u64) -> MemoryTable<String, u64> {
    rows(number).collect()
}

async fn in_sqlite(folder: &Folder, name: &str, number: u64) -> SqliteTable<String, u64> {
    let file = folder.0.join(format!("{name}.db"));
    let table = SqliteTable::open(file, "devices").await;
    let table = table.expect("the file can be made");
    let rows: Vec<_> = rows(number).collect();
    let written = table.replace_all(rows.iter().map(|(key, value)| (key, value)));
    let written = written.await;
    written.expect("the file can be written");
    table
}

fn spec<T: Devices>(table: T) -> KeyedSpec<T, Device> {
    let patience = Duration::from_secs(60);
    KeyedSpec::new("devices", table, |_: &String, value: &u64| {
        let value = *value;
        ServiceSpec::new("device", move || Device(value))
    })
    .ready_within(patience)
}

/// From nothing to all rows ready.
async fn keyed<T: Devices>(
    table: &T,
    last: &str,
) -> (Duration, SupervisorRef, KeyedRef<String, Device>) {
    let root = tireless_root().await;
    let mut watch = Stopwatch::start();
    let devices = root.add_keyed(spec(table.clone())).await;
    let devices = devices.expect("the spec makes sense");
    while devices.when_ready(last).await.is_err() {
        tokio::task::yield_now().await;
    }
    (watch.lap(), root, devices)
}

/// The same services, each added by a call.
async fn by_hand(rows: u64, last: &str) -> Duration {
    let root = tireless_root().await;
    let mut watch = Stopwatch::start();
    let spec = resurgam::SupervisorActor::with_defaults("devices");
    let devices = root.add_supervisor(spec).await.expect("its name is free");
    for row in 0..rows {
        let service = ServiceSpec::new(format!("device-{row:06}"), || Device(0));
        devices.add(service).await.expect("its name is free");
    }
    let ready = devices.when_ready::<Device>(last).await;
    ready.expect("it was added");
    let elapsed = watch.lap();
    root.shutdown().await.expect("the system runs on");
    elapsed
}

async fn cold(table: &impl Devices, rows: u64, rounds: usize) {
    let last = format!("device-{:06}", rows - 1);
    let (mut keyed_times, mut by_hand_times) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (time, root, _devices) = keyed(table, &last).await;
        keyed_times.push(time);
        root.shutdown().await.expect("the system runs on");
        by_hand_times.push(by_hand(rows, &last).await);
    }
    let (keyed, by_hand) = (median(keyed_times), median(by_hand_times));
    println!("{rows} rows, cold to all ready    {keyed:>12.2?}");
    println!("the same added by hand           {by_hand:>12.2?}");
    let ratio = keyed.as_secs_f64() / by_hand.as_secs_f64();
    println!("ratio                            {ratio:>12.2} (aim: 1.3)");
}

async fn with_many(table: &impl Devices, rows: u64, rounds: usize) {
    let last = format!("device-{:06}", rows - 1);
    let (time, root, devices) = keyed(table, &last).await;
    println!("{rows} rows, cold to all ready   {time:>12.2?}");
    let device = devices.get(&last).expect("it is ready");
    let (mut changes, mut scans, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds as u64 {
        let mut watch = Stopwatch::start();
        table.put(&last, round).await;
        while device.send(Ask).await != Ok(round) {
            tokio::task::yield_now().await;
        }
        changes.push(watch.lap());

        let mut watch = Stopwatch::start();
        let scan = devices.rescan();
        let (gap, rescanned) = watched(scan).await;
        rescanned.expect("the table can be read");
        scans.push(watch.lap());
        gaps.push(gap);
    }
    println!(
        "a change until it is acted on    {:>12.2?} (aim: 5 ms)",
        median(changes)
    );
    println!(
        "a scan that changes nothing      {:>12.2?} (aim: 100 ms)",
        median(scans)
    );
    println!(
        "longest turn of a scan           {:>12.2?} (aim: 5 ms)",
        median(gaps)
    );
    root.shutdown().await.expect("the system runs on");
}

/// All rows, read and counted by nobody who compares them.
async fn read_alone(table: &SqliteTable<String, u64>, rounds: usize) {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let mut watch = Stopwatch::start();
        let number = table.rows().count().await;
        times.push(watch.lap());
        assert!(number > 0);
    }
    let time = median(times);
    println!("the same rows read by themselves {time:>12.2?}");
}

/// A change that comes by another handle, as from another process: it is found by looking at the file now and then.
async fn changed_by_others(
    folder: &Folder,
    table: &SqliteTable<String, u64>,
    rows: u64,
    rounds: usize,
) {
    let last = format!("device-{:06}", rows - 1);
    let (_, root, devices) = keyed(table, &last).await;
    let device = devices.get(&last).expect("it is ready");
    let file = folder.0.join("many.db");
    let other = SqliteTable::<String, u64>::open(file, "devices").await;
    let other = other.expect("the file is there");
    let mut changes = Vec::new();
    for round in 1..=rounds as u64 {
        other.put(&last, 1_000 + round).await;
        let mut watch = Stopwatch::start();
        while device.send(Ask).await != Ok(1_000 + round) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        changes.push(watch.lap());
    }
    changes.sort_unstable();
    let longest = changes.last().copied().unwrap_or_default();
    println!(
        "a change by another process      {:>12.2?} (longest {longest:.2?}; looked for every 250 ms, which a scan follows)",
        median(changes)
    );
    root.shutdown().await.expect("the system runs on");
}

/// Waits, and says for how long the arbiter did not come back meanwhile at the most.
async fn watched<F: Future>(future: F) -> (Duration, F::Output) {
    let mut future = std::pin::pin!(future);
    let mut longest = Duration::ZERO;
    let mut watch = Stopwatch::start();
    loop {
        let tick = std::pin::pin!(tokio::task::yield_now());
        if let Some(output) = first_of(future.as_mut(), tick).await {
            return (longest, output);
        }
        longest = longest.max(watch.lap());
    }
}

/// The output of the first, if it is there before the second.
async fn first_of<F: Future>(
    mut first: std::pin::Pin<&mut F>,
    mut tick: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        if let std::task::Poll::Ready(output) = first.as_mut().poll(cx) {
            return std::task::Poll::Ready(Some(output));
        }
        tick.as_mut().poll(cx).map(|()| None)
    })
    .await
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
