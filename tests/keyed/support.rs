//! A device that says what it was made of, and a table that does what it is told.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::prelude::*;
use futures::{Stream, StreamExt, stream};
use resurgam::{
    Event, EventKind, Events, Readiness, ServiceContext, ServiceSpec, SupervisorActor,
    SupervisorRef,
    keyed::{KeyedRef, KeyedSpec},
    table::{Change, MemoryTable, RowError, RowResult, Table},
};
use tokio::{sync::mpsc, time::timeout};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Longer than anything that is bounded takes, by a clock that is paused.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// What a row says of a device.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Row {
    pub(crate) text: &'static str,
    /// How long it takes until it is ready.
    pub(crate) warms_up: Duration,
    /// How long it takes to stop.
    pub(crate) winds_down: Duration,
    /// It fails when it is started.
    pub(crate) fails: bool,
}

pub(crate) fn row(text: &'static str) -> Row {
    Row {
        text,
        ..Row::default()
    }
}

pub(crate) struct Device {
    key: String,
    row: Row,
}

impl Actor for Device {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.row.fails {
            return ctx.fail(io::Error::other(format!("{} does not work", self.key)));
        }
        ctx.run_later(self.row.warms_up, |_, ctx| ctx.ready());
    }

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        if self.row.winds_down.is_zero() {
            return Running::Stop;
        }
        ctx.run_later(std::mem::take(&mut self.row.winds_down), |_, ctx| {
            ctx.stop();
        });
        Running::Continue
    }
}

/// Asks what it was made of, with the number of its incarnation.
#[derive(Message)]
#[rtype(result = "(&'static str, u64)")]
pub(crate) struct Ask;

impl Handler<Ask> for Device {
    type Result = MessageResult<Ask>;

    fn handle(&mut self, _: Ask, ctx: &mut Self::Context) -> Self::Result {
        MessageResult((self.row.text, ctx.generation()))
    }
}

/// Has it end.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum End {
    Fail,
    Finish,
    Panic,
}

impl Handler<End> for Device {
    type Result = ();

    fn handle(&mut self, end: End, ctx: &mut Self::Context) {
        match end {
            End::Fail => ctx.fail(io::Error::other("no power")),
            End::Finish => ctx.stop(),
            End::Panic => unreachable!("short circuit"),
        }
    }
}

pub(crate) fn device(key: &str, row: &Row) -> ServiceSpec<Device> {
    let (key, row) = (key.to_owned(), row.clone());
    ServiceSpec::new("device", move || Device {
        key: key.clone(),
        row: row.clone(),
    })
    .readiness(Readiness::Explicit)
}

pub(crate) type Memory = MemoryTable<String, Row>;

pub(crate) fn key(key: &str) -> String {
    key.to_owned()
}

/// A table in memory with these rows.
pub(crate) fn memory<const N: usize>(rows: [(&str, Row); N]) -> Memory {
    rows.into_iter()
        .map(|(key, row)| (key.to_owned(), row))
        .collect()
}

pub(crate) fn spec<T: Table<Key = String, Value = Row>>(table: T) -> KeyedSpec<T, Device> {
    KeyedSpec::new("devices", table, |key: &String, row: &Row| device(key, row))
}

/// A root with a keyed supervisor, and its events from the beginning.
pub(crate) struct Fleet {
    pub(crate) root: SupervisorRef,
    pub(crate) devices: KeyedRef<String, Device>,
    pub(crate) events: Events,
}

impl Fleet {
    pub(crate) async fn start<T>(spec: KeyedSpec<T, Device>) -> Self
    where
        T: Table<Key = String, Value = Row>,
    {
        let root = SupervisorActor::with_defaults("root")
            .start()
            .await
            .unwrap();
        let events = root.events_with_capacity(1 << 16);
        let devices = root.add_keyed(spec).await.unwrap();
        Self {
            root,
            devices,
            events,
        }
    }

    /// Waits for the first scan.
    pub(crate) async fn ready<T>(spec: KeyedSpec<T, Device>) -> Self
    where
        T: Table<Key = String, Value = Row>,
    {
        let mut fleet = Self::start(spec).await;
        fleet
            .until("root/devices", |kind| {
                matches!(kind, EventKind::ServiceReady)
            })
            .await;
        fleet
    }

    /// The next event of this path that is of this kind.
    pub(crate) async fn until(&mut self, path: &str, is_it: impl Fn(&EventKind) -> bool) -> Event {
        let found = async {
            loop {
                let event = self.events.next().await.expect("the tree runs");
                if event.path() == path && is_it(event.kind()) {
                    return event;
                }
            }
        };
        timeout(LONG, found).await.expect("it happens")
    }

    /// What a device was made of, and the number of its incarnation.
    pub(crate) async fn ask(&self, key: &str) -> (&'static str, u64) {
        let device = self.devices.when_ready(key).await.unwrap();
        device.send(Ask).await.unwrap()
    }

    pub(crate) async fn end(&self, key: &str, end: End) {
        let device = self.devices.when_ready(key).await.unwrap();
        device.do_send(end);
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys = self.devices.keys();
        keys.sort();
        keys
    }

    /// What has happened by now: path below the keyed supervisor, and what was told.
    pub(crate) async fn story(&mut self) -> Vec<String> {
        settle().await;
        let mut story = Vec::new();
        while let Some(Some(event)) = futures::FutureExt::now_or_never(self.events.next()) {
            let path = event.path().trim_start_matches("root/devices");
            story.push(format!("{path} {}", event.kind()));
        }
        story
    }
}

/// Lets everything happen that needs hardly any time to pass.
pub(crate) async fn settle() {
    let _always = timeout(SECOND / 100, std::future::pending::<()>()).await;
}

/// A table that does what it is told.
#[derive(Clone, Default)]
pub(crate) struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
pub(crate) struct Script {
    pub(crate) rows: BTreeMap<String, Row>,
    /// Keys whose rows cannot be read.
    pub(crate) bad: Vec<String>,
    /// How many rows cannot be read, not even their keys.
    pub(crate) unknown: usize,
    /// Why no rows can be read.
    pub(crate) broken: Option<Broken>,
    /// How many scans have begun, and how often a key was asked for.
    pub(crate) scans: usize,
    pub(crate) gets: usize,
    /// How many scans go on.
    pub(crate) open: usize,
    /// Keys that scans do not show, though they are there.
    pub(crate) hidden: Vec<String>,
    changes: Option<mpsc::UnboundedSender<Change<String>>>,
    /// How often somebody has subscribed.
    pub(crate) subscriptions: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Broken {
    Fails,
    Hangs,
    Panics,
    /// Fails after this many rows.
    After(usize),
}

impl Scripted {
    pub(crate) fn new<const N: usize>(rows: [(&str, Row); N]) -> Self {
        let table = Self::default();
        for (key, row) in rows {
            table.set(|script| script.rows.insert(key.to_owned(), row));
        }
        table
    }

    pub(crate) fn set<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub(crate) fn put(&self, key: &str, row: Row) {
        self.set(|script| script.rows.insert(key.to_owned(), row));
    }

    pub(crate) fn delete(&self, key: &str) {
        self.set(|script| script.rows.remove(key));
    }

    /// Says that something may have changed.
    pub(crate) fn tell(&self, change: Change<String>) {
        self.set(|script| script.changes.as_ref().unwrap().send(change).unwrap());
    }

    /// Ends the stream of changes.
    pub(crate) fn hang_up(&self) {
        self.set(|script| script.changes = None);
    }
}

/// A scan that goes on.
struct Open(Scripted);

impl Open {
    fn new(table: &Scripted) -> Self {
        table.set(|script| script.open += 1);
        Self(table.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set(|script| script.open -= 1);
    }
}

fn broken() -> io::Error {
    io::Error::other("disk on fire")
}

impl Table for Scripted {
    type Key = String;
    type Value = Row;
    type Error = io::Error;

    async fn get(&self, key: &String) -> io::Result<Option<Row>> {
        let (broken_now, bad, row) = self.set(|script| {
            script.gets += 1;
            let bad = script.bad.contains(key);
            (script.broken, bad, script.rows.get(key).cloned())
        });
        match broken_now {
            Some(Broken::Hangs) => std::future::pending().await,
            Some(Broken::Panics) => unreachable!("no table"),
            Some(Broken::Fails) => Err(broken()),
            _ if bad => Err(broken()),
            _ => Ok(row),
        }
    }

    fn rows(&self) -> impl Stream<Item = RowResult<Self>> + Send {
        let (broken_now, mut rows) = self.set(|script| {
            script.scans += 1;
            let shown = script
                .rows
                .iter()
                .filter(|(key, _)| !script.hidden.contains(key));
            let rows = shown.map(|(key, row)| {
                if script.bad.contains(key) {
                    Err(RowError::row(Some(key.clone()), broken()))
                } else {
                    Ok((key.clone(), row.clone()))
                }
            });
            let unknown = (0..script.unknown).map(|_| Err(RowError::row(None, broken())));
            let rows: Vec<RowResult<Self>> = unknown.chain(rows).collect();
            (script.broken, rows)
        });
        let hangs = broken_now == Some(Broken::Hangs);
        match broken_now {
            Some(Broken::Panics) => unreachable!("no table"),
            Some(Broken::Fails) => rows = vec![Err(RowError::scan(broken()))],
            Some(Broken::After(number)) => {
                rows.truncate(number);
                rows.push(Err(RowError::scan(broken())));
            }
            Some(Broken::Hangs) | None => {}
        }
        let open = Open::new(self);
        let end = stream::pending().take(usize::from(hangs));
        let rows = if hangs { Vec::new() } else { rows };
        let rows = stream::iter(rows).chain(end);
        rows.inspect(move |_| {
            let _until_it_is_dropped = &open;
        })
    }

    fn changes(&self) -> impl Stream<Item = Change<String>> + Send {
        let (tx, rx) = mpsc::unbounded_channel();
        self.set(|script| {
            script.changes = Some(tx);
            script.subscriptions += 1;
        });
        stream::unfold(rx, |mut rx| async { Some((rx.recv().await?, rx)) })
    }
}

/// A table that takes four seconds to read one row, and has read it when it is asked.
#[derive(Clone, Default)]
pub(crate) struct Slow(pub(crate) Scripted);

impl Table for Slow {
    type Key = String;
    type Value = Row;
    type Error = io::Error;

    async fn get(&self, key: &String) -> io::Result<Option<Row>> {
        let row = self.0.get(key).await;
        let _over = timeout(SECOND * 4, std::future::pending::<()>()).await;
        row
    }

    fn rows(&self) -> impl Stream<Item = RowResult<Self>> + Send {
        self.0.rows()
    }

    fn changes(&self) -> impl Stream<Item = Change<String>> + Send {
        self.0.changes()
    }
}
