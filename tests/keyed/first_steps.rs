//! What somebody meets who uses a keyed supervisor for the first time.

use std::{
    collections::VecDeque,
    convert::Infallible,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use resurgam::{
    EventKind, LookupError, Readiness, ServiceError, ServiceSpec, SupervisorActor, SupervisorSpec,
    TaskContext,
    keyed::KeyedSpec,
    table::{Change, RowResult, Table},
};
use tokio::time::{Instant, sleep, timeout};

use crate::support::*;

/// A table that takes its time for each row, and notes who asks for what.
#[derive(Clone, Default)]
struct Paced {
    rows: Vec<(String, Row)>,
    each: Duration,
    /// After this many rows nothing follows any more, not even the end.
    hangs_after: Option<usize>,
    /// Its changes say nothing; otherwise they end at once.
    quiet: bool,
    asked: Arc<Mutex<VecDeque<&'static str>>>,
}

impl Paced {
    fn new(keys: &[&str], each: Duration) -> Self {
        let rows = keys.iter().map(|key| ((*key).to_owned(), row("1")));
        Self {
            rows: rows.collect(),
            each,
            ..Self::default()
        }
    }

    fn asked(&self) -> Vec<&'static str> {
        self.asked.lock().unwrap().drain(..).collect()
    }
}

impl Table for Paced {
    type Key = String;
    type Value = Row;
    type Error = Infallible;

    async fn get(&self, key: &String) -> Result<Option<Row>, Infallible> {
        let found = self.rows.iter().find(|(known, _)| known == key);
        Ok(found.map(|(_, row)| row.clone()))
    }

    fn rows(&self) -> impl Stream<Item = RowResult<Self>> + Send {
        self.asked.lock().unwrap().push_back("rows");
        let rows = self.rows.iter().cloned().enumerate();
        stream::iter(rows).then(async |(number, row)| {
            if self.hangs_after == Some(number) {
                std::future::pending::<()>().await;
            }
            sleep(self.each).await;
            Ok(row)
        })
    }

    fn changes(&self) -> impl Stream<Item = Change<String>> + Send {
        self.asked.lock().unwrap().push_back("changes");
        stream::pending().take(usize::from(self.quiet))
    }
}

#[actix::test]
async fn who_asks_for_a_key_during_the_first_scan_waits_for_that() {
    tokio::time::pause();
    let table = Paced::new(&["a", "b"], SECOND * 3);
    let fleet = Fleet::start(spec(table)).await;
    let began = Instant::now();
    let first = async {
        assert!(fleet.devices.when_ready("a").await.is_ok());
        // Of a row that another one is shown after, no longer than it takes.
        assert_eq!(began.elapsed().as_secs(), 6);
    };
    let second = async {
        assert!(fleet.devices.when_ready("b").await.is_ok());
        assert_eq!(began.elapsed().as_secs(), 6);
    };
    let none = async {
        let unknown = fleet.devices.when_ready("c").await;
        assert!(matches!(unknown, Err(LookupError::UnknownPath { .. })));
        assert_eq!(began.elapsed().as_secs(), 6);
    };
    futures::join!(first, second, none);
    // Afterwards it is known at once.
    assert!(fleet.devices.when_ready("c").await.is_err());
    assert_eq!(began.elapsed().as_secs(), 6);
}

#[actix::test]
async fn who_asks_for_a_key_during_a_first_scan_that_fails_or_is_ended_gets_an_answer() {
    tokio::time::pause();
    for (ends, after) in [(false, 10), (true, 4)] {
        let mut table = Paced::new(&["a"], SECOND);
        table.hangs_after = Some(0);
        let fleet = Fleet::start(spec(table)).await;
        let began = Instant::now();
        let asks = async {
            assert!(fleet.devices.when_ready("a").await.is_err());
            assert_eq!(began.elapsed().as_secs(), after);
        };
        let end = async {
            sleep(SECOND * 4).await;
            if ends {
                fleet.root.shutdown().await.unwrap();
            }
        };
        futures::join!(asks, end);
    }
}

#[actix::test]
async fn scan_may_take_as_long_as_it_wants_if_each_row_comes_in_time() {
    tokio::time::pause();
    let keys = ["a", "b", "c", "d", "e"];
    let mut table = Paced::new(&keys, SECOND * 9);
    let mut fleet = Fleet::start(spec(table.clone())).await;
    assert_eq!(fleet.devices.rescan().await, Ok(()));
    assert_eq!(fleet.keys(), keys);
    let story = fleet.story().await;
    assert!(
        !story.iter().any(|line| line.contains("table")),
        "{story:#?}"
    );
    // One that does not come is an error, and what came before it runs.
    table.hangs_after = Some(3);
    let mut fleet = Fleet::start(spec(table)).await;
    let began = Instant::now();
    fleet
        .until("root/devices", |kind| {
            matches!(kind, EventKind::TableUnreachable { .. })
        })
        .await;
    assert_eq!(began.elapsed().as_secs(), 9 * 3 + 10);
    assert_eq!(fleet.keys(), ["a", "b", "c"]);
}

#[actix::test]
async fn next_scan_is_counted_from_the_end_of_one_and_readiness_from_the_first_start() {
    tokio::time::pause();
    let mut table = Paced::new(&["a", "b"], SECOND * 7 / 10);
    table.quiet = true;
    table.rows[0].1.warms_up = LONG;
    let began = Instant::now();
    let mut fleet = Fleet::start(spec(table.clone())).await;
    fleet
        .until("root/devices", |kind| {
            matches!(kind, EventKind::ServiceReady)
        })
        .await;
    let waited = began.elapsed().as_millis();
    assert!(waited.abs_diff(1_700) < 10, "{waited}");
    // The scan has ended after 1.4 s.
    assert_eq!(table.asked(), ["changes", "rows"]);
    sleep(SECOND * 59).await;
    assert_eq!(table.asked(), [""; 0]);
    sleep(SECOND).await;
    assert_eq!(table.asked(), ["rows"]);
}

#[actix::test]
async fn changes_are_listened_to_before_all_rows_are_read_and_again_with_backoff() {
    tokio::time::pause();
    let table = Paced::new(&[], SECOND);
    let fleet = Fleet::ready(spec(table.clone()).rescan_every(LONG)).await;
    assert_eq!(table.asked(), ["changes", "rows"]);
    // The stream ends at once, each time: after 1, 2, 4 … and at most 60 s.
    for (seconds, asked) in [
        (1, 2),
        (2, 2),
        (4, 2),
        (8, 2),
        (16, 2),
        (32, 2),
        (60, 2),
        (60, 2),
    ] {
        sleep(SECOND * (2 * seconds - 1) / 2).await;
        assert_eq!(table.asked(), [""; 0], "before {seconds} s");
        sleep(SECOND / 2 + SECOND / 100).await;
        let mut now = table.asked();
        now.sort_unstable();
        assert_eq!(now.len(), asked, "{now:?} after {seconds} s");
        assert_eq!(now, ["changes", "rows"]);
    }
    drop(fleet);
}

#[actix::test]
async fn supervisor_of_rows_may_require_others_and_have_others_require_it() {
    tokio::time::pause();
    let (service, devices) = spec(memory([("a", row("1"))])).into_service();
    let mut site = SupervisorActor::with_defaults("site");
    let store = ServiceSpec::task("store", async |cx: TaskContext| {
        sleep(SECOND * 3).await;
        cx.ready();
        cx.shutdown().await;
    });
    site.add(store.readiness(Readiness::Explicit)).unwrap();
    site.add(service.requires("store")).unwrap();
    let seen = devices.clone();
    let report = ServiceSpec::task("report", move |cx: TaskContext| {
        assert!(seen.get("a").is_ok());
        async move { cx.shutdown().await }
    });
    site.add(report.requires("devices")).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::supervisor(site)).unwrap();
    let began = Instant::now();
    let root = root.start().await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(devices.get("a").unwrap().path(), "root/site/devices/a");
    assert!(root.report().await.unwrap().services().len() == 1);
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn settings_that_make_no_sense_are_refused_wherever_the_spec_goes() {
    type Set = fn(KeyedSpec<Memory, Device>) -> KeyedSpec<Memory, Device>;
    let sets: [(&str, Set); 2] = [
        ("rescan_every", |spec| spec.rescan_every(Duration::ZERO)),
        ("table_timeout", |spec| spec.table_timeout(Duration::ZERO)),
    ];
    for (name, set) in sets {
        let bad = || set(spec(memory([])));
        let mut parent = SupervisorActor::with_defaults("parent");
        let error = parent.add_keyed(bad()).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        let error = parent.add(bad().into_service().0).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        let parent = parent.start().await.unwrap();
        let error = parent.add_keyed(bad()).await.unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        parent.shutdown().await.unwrap();
        let error = bad().start().await.unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        let code = bad().run().await;
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
    }
}

fn is_send<T: Send>(_: &T) {}

fn is_shared<T: Clone + Send + Sync>(_: &T) {}

#[actix::test]
async fn references_go_to_any_thread_and_so_do_their_futures() {
    tokio::time::pause();
    let devices = Fleet::ready(spec(memory([]))).await.devices;
    is_shared(&devices);
    is_send(&devices.start("a"));
    is_send(&devices.start_within("a", SECOND));
    is_send(&devices.stop("a"));
    is_send(&devices.when_ready("a"));
    is_send(&devices.rescan());
}

/// A table without a word of changes, as one is written first.
struct Plain(Arc<Mutex<Vec<(String, Row)>>>);

impl Table for Plain {
    type Key = String;
    type Value = Row;
    type Error = Infallible;

    async fn get(&self, key: &String) -> Result<Option<Row>, Infallible> {
        let rows = self.0.lock().unwrap();
        let found = rows.iter().find(|(known, _)| known == key);
        Ok(found.map(|(_, row)| row.clone()))
    }

    fn rows(&self) -> impl Stream<Item = RowResult<Self>> + Send {
        stream::iter(self.0.lock().unwrap().clone()).map(Ok)
    }
}

#[actix::test]
async fn table_that_says_nothing_of_changes_is_read_again_after_a_minute() {
    tokio::time::pause();
    let rows = Arc::new(Mutex::new(vec![("a".to_owned(), row("1"))]));
    let fleet = Fleet::ready(spec(Plain(Arc::clone(&rows)))).await;
    rows.lock().unwrap().push(("b".to_owned(), row("1")));
    sleep(Duration::from_secs(59)).await;
    assert_eq!(fleet.keys(), ["a"]);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(fleet.keys(), ["a", "b"]);
    fleet.root.shutdown().await.unwrap();
}

#[actix::test]
async fn program_of_rows_runs_until_its_tree_ends_and_says_how() {
    tokio::time::pause();
    for (error, expected) in [
        (None, ExitCode::SUCCESS),
        (Some("broken"), ExitCode::FAILURE),
    ] {
        let table = memory([("a", row("1"))]);
        let spec = KeyedSpec::new("devices", table, move |_: &String, _: &Row| {
            ServiceSpec::task("device", move |cx: TaskContext| async move {
                cx.ready();
                sleep(SECOND).await;
                if let Some(error) = error {
                    return Err(ServiceError::new(error));
                }
                let root = cx.supervisor();
                actix::spawn(async move { root.shutdown().await });
                cx.shutdown().await;
                Ok(())
            })
        });
        let fatal = SupervisorSpec::default().fatal(|_| true);
        let code = timeout(LONG, spec.supervisor(fatal).run()).await.unwrap();
        // There is no other way to compare them.
        assert_eq!(format!("{code:?}"), format!("{expected:?}"), "{error:?}");
    }
}
