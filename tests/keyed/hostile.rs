//! Keys, values and tables of users that panic wherever they are called.

use std::{
    cell::Cell,
    convert::Infallible,
    fmt,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use actix::prelude::*;
use futures::{FutureExt, Stream, StreamExt, stream};
use resurgam::{
    LookupError, ServiceContext, ServiceSpec, SupervisorActor, SupervisorRef,
    keyed::{GetError, KeyedRef, KeyedSpec, StartKeyError, StopKeyError},
    table::{Change, MemoryTable, RowResult, Table},
};
use tokio::{sync::mpsc, time::timeout};

use crate::support::{LONG, SECOND, settle};

/// What of a key or a value panics, on the thread of the supervisor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Panics {
    Clone,
    Display,
    Drop,
    Eq,
    Hash,
}

thread_local! {
    static PANICS: Cell<Option<(Panics, u32)>> = const { Cell::new(None) };
}

fn touch(id: u32, what: Panics) {
    assert_ne!(PANICS.get(), Some((what, id)), "{what:?} of {id}");
}

/// A key, or a value.
struct Touchy(u32);

impl Clone for Touchy {
    fn clone(&self) -> Self {
        touch(self.0, Panics::Clone);
        Self(self.0)
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        touch(self.0, Panics::Drop);
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        touch(self.0, Panics::Eq);
        touch(other.0, Panics::Eq);
        self.0 == other.0
    }
}

impl Eq for Touchy {}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        touch(self.0, Panics::Hash);
        self.0.hash(state);
    }
}

impl fmt::Display for Touchy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        touch(self.0, Panics::Display);
        write!(f, "{}", self.0)
    }
}

/// Rows of numbers, and what of the table panics.
#[derive(Clone, Default)]
struct Mean(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    rows: Vec<(u32, u32)>,
    /// Whether futures and streams panic when they are dropped.
    drops: bool,
    /// Whether one row is read for ever.
    hangs: bool,
    subscriptions: usize,
    changes: Option<mpsc::UnboundedSender<u32>>,
}

impl Mean {
    fn new(rows: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let table = Self::default();
        table.set(|script| script.rows = rows.into_iter().collect());
        table
    }

    fn set<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }
}

/// Panics when it is dropped.
struct Mine(Mean);

impl Drop for Mine {
    fn drop(&mut self) {
        let drops = self.0.set(|script| script.drops);
        assert!(!drops || std::thread::panicking(), "dropped");
    }
}

/// A stream with a mine.
struct Mined<S>(
    S,
    #[expect(dead_code, reason = "its Drop is what it is for")] Mine,
);

impl<S: Stream + Unpin> Stream for Mined<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl Table for Mean {
    type Key = Touchy;
    type Value = Touchy;
    type Error = Infallible;

    async fn get(&self, key: &Touchy) -> Result<Option<Touchy>, Infallible> {
        let _mine = Mine(self.clone());
        tokio::task::yield_now().await;
        if self.set(|script| script.hangs) {
            std::future::pending::<()>().await;
        }
        let row = self.set(|script| script.rows.iter().find(|row| row.0 == key.0).copied());
        Ok(row.map(|(_, value)| Touchy(value)))
    }

    fn rows(&self) -> impl Stream<Item = RowResult<Self>> + Send {
        let rows = self.set(|script| script.rows.clone());
        let rows = rows
            .into_iter()
            .map(|(key, value)| Ok((Touchy(key), Touchy(value))));
        Mined(stream::iter(rows), Mine(self.clone()))
    }

    fn changes(&self) -> impl Stream<Item = Change<Touchy>> + Send {
        let (tx, rx) = mpsc::unbounded_channel();
        self.set(|script| {
            script.changes = Some(tx);
            script.subscriptions += 1;
        });
        let changes = stream::unfold(rx, |mut rx: mpsc::UnboundedReceiver<u32>| async {
            let key = rx.recv().await?;
            Some((Change::Row(Touchy(key)), rx))
        });
        Mined(Box::pin(changes), Mine(self.clone()))
    }
}

struct Idle;

impl Actor for Idle {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Fail;

impl Handler<Fail> for Idle {
    type Result = ();

    fn handle(&mut self, _: Fail, ctx: &mut Self::Context) {
        ctx.fail(std::io::Error::other("no power"));
    }
}

async fn follow(table: &Mean) -> (SupervisorRef, KeyedRef<Touchy, Idle>) {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let make = |_: &Touchy, _: &Touchy| ServiceSpec::new("idle", || Idle);
    let spec = KeyedSpec::new("devices", table.clone(), make);
    let devices = root.add_keyed(spec).await.unwrap();
    timeout(LONG, root.when_ready::<SupervisorActor>("devices"))
        .await
        .unwrap()
        .unwrap();
    (root, devices)
}

fn keys(devices: &KeyedRef<Touchy, Idle>) -> Vec<u32> {
    let mut keys: Vec<_> = devices.keys().iter().map(|key| key.0).collect();
    keys.sort_unstable();
    keys
}

#[actix::test]
async fn key_or_value_that_panics_harms_only_its_own_row() {
    tokio::time::pause();
    for what in [Panics::Clone, Panics::Display, Panics::Eq, Panics::Hash] {
        for (key, value) in [(2, 20), (8, 2), (2, 2)] {
            PANICS.set(None);
            let table = Mean::new([(1, 10), (key, value), (3, 30)]);
            let (root, devices) = follow(&table).await;
            let mut events = root.events_with_capacity(1 << 12);
            tokio::time::sleep(SECOND).await;
            PANICS.set(Some((what, 2)));
            let _in_vain = timeout(LONG, devices.start(&Touchy(4))).await.unwrap();
            table.set(|script| script.rows.push((5, 50)));
            tokio::time::sleep(SECOND * 200).await;
            let after = timeout(LONG, devices.rescan()).await.expect("answered");
            PANICS.set(None);
            let mut told = Vec::new();
            while let Some(Some(event)) = events.next().now_or_never() {
                told.push(format!("{} {}", event.path(), event.kind()));
            }
            let case = format!("{what:?} of {key} → {value}: {after:?} {told:#?}");
            let down = |line: &String| line.starts_with("root/devices ") && !line.contains("row");
            assert!(!told.iter().any(down), "{case}");
            assert!(keys(&devices).contains(&5), "{case}");
            // And everything is as ever once it panics no more.
            table.set(|script| script.rows.push((6, 60)));
            timeout(LONG, devices.rescan()).await.unwrap().unwrap();
            assert_eq!(keys(&devices).len(), 5, "{case}: {:?}", keys(&devices));
            table.set(|script| script.rows.push((7, 60)));
            timeout(LONG, devices.start(&Touchy(7)))
                .await
                .unwrap()
                .unwrap();
            timeout(LONG, root.shutdown()).await.unwrap().unwrap();
        }
    }
}

#[actix::test]
async fn table_whose_futures_and_streams_panic_when_they_are_dropped_is_followed_on() {
    tokio::time::pause();
    let table = Mean::new((0..40).map(|key| (key, 0)));
    let (root, devices) = follow(&table).await;
    table.set(|script| script.drops = true);
    // More than are read at the same time.
    for key in 100..140 {
        let started = timeout(LONG, devices.start(&Touchy(key))).await;
        let _no_row = started.expect("answered").unwrap_err();
    }
    table.set(|script| script.rows.truncate(10));
    let _refused = timeout(LONG, devices.rescan()).await.expect("answered");
    let device = devices.get(&Touchy(1)).unwrap();
    device.do_send(Fail);
    settle().await;
    tokio::time::sleep(SECOND * 2).await;
    assert!(devices.get(&Touchy(1)).is_ok(), "restarted");
    // The stream of changes ends, and panics.
    table.set(|script| script.changes = None);
    tokio::time::sleep(SECOND * 100).await;
    table.set(|script| script.drops = false);
    assert!(table.set(|script| script.subscriptions) > 1);
    tokio::time::sleep(SECOND * 100).await;
    assert_eq!(keys(&devices).len(), 10);
    table.set(|script| {
        script.rows.push((11, 0));
        let _listening = script.changes.as_ref().unwrap().send(11);
    });
    settle().await;
    assert_eq!(keys(&devices).len(), 11);
    timeout(LONG, root.shutdown()).await.unwrap().unwrap();
}

#[actix::test]
async fn key_or_value_whose_drop_panics_ends_neither_its_supervisor_nor_the_tree() {
    tokio::time::pause();
    for (key, value) in [(2, 20), (8, 2), (2, 2)] {
        for what in ["follow", "restart", "remove", "shutdown"] {
            PANICS.set(None);
            let table = Mean::new([(1, 10), (key, value), (3, 30)]);
            let (root, _devices) = follow(&table).await;
            let mut events = root.events_with_capacity(1 << 12);
            if what != "follow" {
                // There is a look for the key whose answer never comes.
                table.set(|script| {
                    script.hangs = true;
                    let _listening = script.changes.as_ref().unwrap().send(key);
                });
                settle().await;
            }
            PANICS.set(Some((Panics::Drop, 2)));
            match what {
                "follow" => {
                    table.set(|script| script.rows.retain(|(known, _)| *known != key));
                    tokio::time::sleep(SECOND * 200).await;
                }
                "restart" => timeout(LONG, root.restart("devices"))
                    .await
                    .unwrap()
                    .unwrap(),
                "remove" => drop(
                    timeout(LONG, root.remove("devices"))
                        .await
                        .unwrap()
                        .unwrap(),
                ),
                _ => {}
            }
            settle().await;
            let mut told = Vec::new();
            while let Some(Some(event)) = events.next().now_or_never() {
                told.push(format!("{} {}", event.path(), event.kind()));
            }
            let case = format!("{key} → {value}, {what}: {told:#?}");
            let down = |line: &String| line.starts_with("root/devices panicked");
            assert!(!told.iter().any(down), "{case}");
            let report = timeout(LONG, root.shutdown()).await.expect(what);
            assert!(report.unwrap().is_clean(), "{case}");
            PANICS.set(None);
        }
    }
}

#[actix::test]
async fn key_whose_drop_panics_and_that_a_refused_scan_has_missed_ends_nothing() {
    tokio::time::pause();
    PANICS.set(None);
    let table = Mean::new((1..=40).map(|key| (key, 0)));
    let (root, devices) = follow(&table).await;
    let mut events = root.events_with_capacity(1 << 12);
    table.set(|script| script.rows.truncate(1));
    PANICS.set(Some((Panics::Drop, 2)));
    tokio::time::sleep(SECOND * 61).await;
    PANICS.set(None);
    let mut told = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        told.push(event.kind().name());
    }
    assert_eq!(told, ["scan_refused"]);
    assert_eq!(keys(&devices).len(), 40);
    timeout(LONG, root.shutdown()).await.unwrap().unwrap();
}

/// Keys that print alike.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Alike(u32);

impl fmt::Display for Alike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("alike")
    }
}

#[actix::test]
async fn key_that_prints_as_another_one_is_refused_and_never_answers_with_the_service_of_that() {
    tokio::time::pause();
    let table = MemoryTable::new();
    table.insert(&Alike(1), &1).await;
    let root = SupervisorActor::with_defaults("root");
    let mut events = root.events();
    let root = root.start().await.unwrap();
    let spec = KeyedSpec::new("devices", table.clone(), |_: &Alike, _: &u32| {
        ServiceSpec::new("device", || Idle)
    });
    let devices = root.add_keyed(spec).await.unwrap();
    let first = timeout(LONG, devices.when_ready(&Alike(1))).await;
    settle().await;
    let first = match first.unwrap() {
        Ok(first) => first,
        // Asked before the first scan had shown it.
        Err(_) => devices.get(&Alike(1)).unwrap(),
    };
    table.insert(&Alike(2), &2).await;
    settle().await;
    let other = Alike(2);
    assert!(matches!(
        timeout(LONG, devices.when_ready(&other)).await.unwrap(),
        Err(LookupError::UnknownPath { .. })
    ));
    assert!(matches!(
        devices.get(&other),
        Err(GetError::NotFound { .. })
    ));
    assert!(matches!(
        devices.start(&other).await,
        Err(StartKeyError::Exists { .. })
    ));
    assert!(matches!(
        devices.stop(&other).await,
        Err(StopKeyError::NotFound { .. })
    ));
    assert_eq!(devices.keys(), [Alike(1)]);
    let rejected = std::iter::from_fn(|| events.try_next())
        .filter(|event| event.kind().name() == "row_rejected")
        .count();
    assert_eq!(rejected, 1);

    // Once the first one is gone, the other one has the name.
    table.remove(&Alike(1)).await;
    settle().await;
    timeout(LONG, devices.rescan()).await.unwrap().unwrap();
    settle().await;
    timeout(LONG, devices.rescan()).await.unwrap().unwrap();
    let second = timeout(LONG, devices.when_ready(&other)).await;
    let second = second.unwrap().unwrap();
    assert_ne!(first, second);
    assert!(devices.get(&Alike(1)).is_err());
    timeout(LONG, root.shutdown()).await.unwrap().unwrap();
}
