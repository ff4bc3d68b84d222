//! What belongs to one life of a keyed supervisor.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    task::Context,
    time::{Duration, Instant},
};

use actix::Actor;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Sleep, sleep_until},
};

use super::{
    by_key::ByKey,
    error::{RescanError, StartKeyError},
    first::FirstScan,
    read::{Reading, Row, Task, Why},
    shared::Request,
    turns::Turns,
};
use crate::{
    supervisor::Awaiting,
    table::{Change, Table},
    user_value::Each,
};

/// What belongs to one life of the supervisor.
pub(super) struct Life<T: Table, A: Actor> {
    pub(super) changes: Option<(Task, mpsc::Receiver<Change<T::Key>>)>,
    pub(super) scan: Option<(Task, mpsc::Receiver<Reading<T>>)>,
    pub(super) rows: (
        mpsc::UnboundedSender<Row<T>>,
        mpsc::UnboundedReceiver<Row<T>>,
    ),
    /// Keys whose rows are to be read, when others were.
    pub(super) looks: Each<VecDeque<(T::Key, Why)>>,
    pub(super) looking: usize,
    /// Rows that wait for their turn to be started.
    pub(super) turns: Turns<T::Key>,
    pub(super) first: FirstScan,
    pub(super) requests: mpsc::UnboundedReceiver<Request<T::Key, A>>,
    /// Who starts a key whose row is being read, by the number of the start.
    pub(super) starts: HashMap<u64, oneshot::Sender<Result<Awaiting<A>, StartKeyError>>>,
    /// Who waits until the first scan of this life has ended. `None` once it has.
    pub(super) first_callers: Option<Vec<oneshot::Sender<()>>>,
    /// Who waits for a scan that has not begun yet.
    pub(super) rescans: Vec<oneshot::Sender<Result<(), RescanError>>>,
    /// Who waits for the scan that goes on, and for what follows from it.
    pub(super) rescanning: Vec<oneshot::Sender<Result<(), RescanError>>>,
    /// The keys that a scan has missed, and whose rows are still to be read, after all others.
    pub(super) suspects: Each<Vec<T::Key>>,
    /// How many of them are being read.
    pub(super) suspecting: usize,
    /// The keys whose rows are to be read because they have changed: at most one look for each, and one more for what came meanwhile.
    pub(super) changed: ByKey<T::Key, Changed>,
    /// The keys whose rows were there again when their services were being removed.
    pub(super) again: ByKey<T::Key, ()>,
    pub(super) timer: Option<Pin<Box<Sleep>>>,
}

/// How far it is with a row that has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Changed {
    Queued,
    Reading,
    /// It has changed again meanwhile.
    ReadingInVain,
}

/// As many changes are taken from the table as are acted on; more wait there.
const CHANGES: usize = 1024;

/// How many rows are read by their keys at the same time.
const LOOKS: usize = 16;

impl<T: Table, A: Actor> Life<T, A> {
    pub(super) fn new(
        ready_by: Instant,
        start_spacing: Duration,
        requests: mpsc::UnboundedReceiver<Request<T::Key, A>>,
    ) -> Self {
        Self {
            changes: None,
            scan: None,
            rows: mpsc::unbounded_channel(),
            looks: Each::default(),
            looking: 0,
            turns: Turns::new(start_spacing),
            first: FirstScan::new(ready_by),
            requests,
            starts: HashMap::new(),
            first_callers: Some(Vec::new()),
            rescans: Vec::new(),
            rescanning: Vec::new(),
            suspects: Each::default(),
            suspecting: 0,
            changed: ByKey::new(),
            again: ByKey::new(),
            timer: None,
        }
    }

    /// Sets the timer, and reports whether it is due already.
    pub(super) fn is_due(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(at) = at else {
            return false;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(at.into())));
        timer.as_mut().reset(at.into());
        timer.as_mut().poll(cx).is_ready()
    }

    /// Has the row of a key be read, when it is its turn.
    pub(super) fn look(&mut self, key: T::Key, why: Why) {
        self.looks.push_back((key, why));
    }

    /// Has the row of a key be read that has changed.
    pub(super) fn look_changed(&mut self, key: T::Key) {
        let again = match self.changed.get(&key) {
            None => Changed::Queued,
            Some(Changed::Queued) => return,
            Some(Changed::Reading | Changed::ReadingInVain) => Changed::ReadingInVain,
        };
        self.changed.insert(key.clone(), again);
        if again == Changed::Queued {
            self.look(key, Why::Change);
        }
    }

    /// The row was read of a key that had changed.
    pub(super) fn read_changed(&mut self, key: &T::Key) {
        if self.changed.remove(key) == Some(Changed::ReadingInVain) {
            self.look_changed(key.clone());
        }
    }

    /// Reports whether changes are taken.
    pub(super) fn takes_changes(&self) -> bool {
        self.changed.len() < CHANGES
    }

    /// Has the rows of keys be read that a scan has missed.
    pub(super) fn suspect(&mut self, mut keys: Vec<T::Key>) {
        if self.suspects.is_empty() {
            *self.suspects = keys;
        } else {
            self.suspects.append(&mut keys);
        }
    }

    /// The row was read of a key that a scan had missed.
    pub(super) fn read_suspect(&mut self) {
        self.suspecting -= 1;
    }

    /// As [`look`](Self::look), before those that nobody waits for.
    pub(super) fn look_first(&mut self, key: T::Key, why: Why) {
        self.looks.push_front((key, why));
    }

    pub(super) fn next_look(&mut self) -> Option<(T::Key, Why)> {
        if self.looking == LOOKS {
            return None;
        }
        let Some((key, why)) = self.looks.pop_front() else {
            let key = self.suspects.pop()?;
            self.looking += 1;
            self.suspecting += 1;
            return Some((key, Why::Suspect));
        };
        self.looking += 1;
        if matches!(why, Why::Change)
            && let Some(changed) = self.changed.value_mut(&key)
        {
            *changed = Changed::Reading;
        }
        Some((key, why))
    }

    /// A scan has ended, whatever came of it.
    pub(super) fn scanned(&mut self) {
        self.scan = None;
        self.first.scanned();
        for caller in self.first_callers.take().into_iter().flatten() {
            let _caller_gone = caller.send(());
        }
    }

    /// Tells those who wait for a scan that it has been acted on, if it has.
    pub(super) fn tell_rescanned(&mut self, sweeping: bool) {
        let reads = self.scan.is_some() || sweeping;
        if !reads && self.suspects.is_empty() && self.suspecting == 0 {
            for caller in self.rescanning.drain(..) {
                let _caller_gone = caller.send(Ok(()));
            }
        }
    }
}
