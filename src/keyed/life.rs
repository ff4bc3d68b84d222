//! What belongs to one life of a keyed supervisor.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    pin::Pin,
    task::Context,
    time::Instant,
};

use actix::Actor;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Sleep, sleep_until},
};

use super::{
    error::{RescanError, StartKeyError},
    first::FirstScan,
    read::{Reading, Row, Task, Why},
};
use crate::{
    supervisor::Awaiting,
    table::{Change, Table},
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
    pub(super) looks: VecDeque<(T::Key, Why)>,
    pub(super) looking: usize,
    /// Rows that wait for their turn to be started.
    pub(super) due: VecDeque<T::Key>,
    pub(super) due_once: HashSet<T::Key>,
    pub(super) next_start: Option<Instant>,
    pub(super) first: FirstScan,
    /// Who starts a key whose row is being read.
    pub(super) starts: HashMap<T::Key, oneshot::Sender<Result<Awaiting<A>, StartKeyError>>>,
    /// Who waits for a scan: the number of scans that have begun when it was asked for.
    pub(super) rescans: Vec<oneshot::Sender<Result<(), RescanError>>>,
    /// Who waits for the scan that goes on, and for what follows from it.
    pub(super) rescanning: Vec<oneshot::Sender<Result<(), RescanError>>>,
    /// How many looks for keys that a scan has missed are still to come.
    pub(super) suspects: usize,
    pub(super) timer: Option<Pin<Box<Sleep>>>,
}

/// How many rows are read by their keys at the same time.
const LOOKS: usize = 16;

impl<T: Table, A: Actor> Life<T, A> {
    pub(super) fn new(ready_by: Instant) -> Self {
        Self {
            changes: None,
            scan: None,
            rows: mpsc::unbounded_channel(),
            looks: VecDeque::new(),
            looking: 0,
            due: VecDeque::new(),
            due_once: HashSet::new(),
            next_start: None,
            first: FirstScan::new(ready_by),
            starts: HashMap::new(),
            rescans: Vec::new(),
            rescanning: Vec::new(),
            suspects: 0,
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
}

impl<T: Table, A: Actor> Life<T, A> {
    /// Has the row of a key be read, when it is its turn.
    pub(super) fn look(&mut self, key: T::Key, why: Why) {
        self.looks.push_back((key, why));
    }

    /// Has a row be started when it is its turn.
    pub(super) fn put_off(&mut self, key: T::Key) {
        if self.due_once.insert(key.clone()) {
            self.due.push_back(key);
        }
    }

    /// As [`look`](Self::look), before those that nobody waits for.
    pub(super) fn look_first(&mut self, key: T::Key, why: Why) {
        self.looks.push_front((key, why));
    }

    pub(super) fn next_look(&mut self) -> Option<(T::Key, Why)> {
        if self.looking == LOOKS {
            return None;
        }
        let next = self.looks.pop_front()?;
        self.looking += 1;
        Some(next)
    }

    /// Tells those who wait for a scan that it has been acted on, if it has.
    pub(super) fn tell_rescanned(&mut self) {
        if self.scan.is_none() && self.suspects == 0 {
            for caller in self.rescanning.drain(..) {
                let _caller_gone = caller.send(Ok(()));
            }
        }
    }
}
