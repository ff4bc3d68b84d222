//! What has happened to each message, and whether that is allowed.

use std::{
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
};

use actix::{MailboxError, dev::SendError};

use crate::victim::Work;

/// The book in which senders and services write.
pub(crate) struct Ledger {
    entries: Vec<Entry>,
    panics: [AtomicU64; PLACES.len()],
    instances: Mutex<Vec<Arc<Instance>>>,
    complaints: Mutex<Vec<String>>,
}

/// One message.
#[derive(Debug, Default)]
struct Entry {
    sent: OnceLock<Sent>,
    begun: AtomicU8,
    finished: AtomicU8,
    dropped: AtomicU8,
    outcome: OnceLock<Outcome>,
}

/// To whom a message was sent, how, and to do what.
#[derive(Debug)]
struct Sent {
    instance: Arc<Instance>,
    how: How,
    work: Work,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum How {
    /// `send`: the sender waits for the answer.
    Ask,
    /// `do_send`: the sender is told nothing.
    Tell,
    /// `try_send`: the sender is told whether the message was queued.
    Try,
}

/// What the sender of a message was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Answered,
    Closed,
    Full,
    Queued,
}

/// Where a panic was thrown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    ActorDrop,
    Factory,
    FutureDrop,
    Handler,
    Notified,
    Spawned,
    Started,
    Stopped,
    Stopping,
    Stream,
    Timer,
    Waited,
}

pub(crate) const PLACES: [Place; 12] = [
    Place::ActorDrop,
    Place::Factory,
    Place::FutureDrop,
    Place::Handler,
    Place::Notified,
    Place::Spawned,
    Place::Started,
    Place::Stopped,
    Place::Stopping,
    Place::Stream,
    Place::Timer,
    Place::Waited,
];

/// What the incarnations of one service share, from its `add` to its `remove`.
pub(crate) struct Instance {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) ledger: Arc<Ledger>,
    /// How many of its incarnations exist at this moment.
    alive: AtomicUsize,
    /// Set before the service is removed: from then on messages may be refused.
    removed: AtomicBool,
    /// The latest of the messages in order that was begun, by sender.
    latest: Vec<AtomicUsize>,
}

impl Ledger {
    pub(crate) fn new(messages: usize) -> Arc<Self> {
        Arc::new(Self {
            entries: (0..messages).map(|_| Entry::default()).collect(),
            panics: Default::default(),
            instances: Mutex::default(),
            complaints: Mutex::default(),
        })
    }

    /// Enters a service.
    pub(crate) fn open(self: &Arc<Self>, name: String, senders: usize) -> Arc<Instance> {
        let mut instances = self
            .instances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let instance = Arc::new(Instance {
            number: instances.len() as u64,
            name,
            ledger: Arc::clone(self),
            alive: AtomicUsize::new(0),
            removed: AtomicBool::new(false),
            latest: (0..senders).map(|_| AtomicUsize::new(0)).collect(),
        });
        instances.push(Arc::clone(&instance));
        instance
    }

    /// Enters a message.
    pub(crate) fn send(
        self: &Arc<Self>,
        number: usize,
        sender: usize,
        instance: &Arc<Instance>,
        how: How,
        work: Work,
    ) -> Ticket {
        let sent = Sent {
            instance: Arc::clone(instance),
            how,
            work,
        };
        if self.entries[number].sent.set(sent).is_err() {
            self.complain(format!("message {number} was sent twice"));
        }
        Ticket {
            number,
            sender,
            how,
            ledger: Arc::clone(self),
        }
    }

    /// Enters the answer to a `send`.
    pub(crate) fn answered(&self, number: usize, answer: Result<u64, MailboxError>) {
        let outcome = match answer {
            Ok(reply) if reply == number as u64 => Outcome::Answered,
            Ok(reply) => return self.complain(format!("message {number} got the answer {reply}")),
            Err(MailboxError::Closed) => Outcome::Closed,
            Err(other) => return self.complain(format!("message {number} got {other}")),
        };
        self.conclude(number, outcome);
    }

    /// Enters the result of a `try_send`.
    pub(crate) fn tried<M>(&self, number: usize, result: &Result<(), SendError<M>>) {
        self.conclude(
            number,
            match result {
                Ok(()) => Outcome::Queued,
                Err(SendError::Full(_)) => Outcome::Full,
                Err(SendError::Closed(_)) => Outcome::Closed,
            },
        );
    }

    fn conclude(&self, number: usize, outcome: Outcome) {
        if self.entries[number].outcome.set(outcome).is_err() {
            self.complain(format!("message {number} was answered twice"));
        }
    }

    /// Takes a note of something that must not be.
    pub(crate) fn complain(&self, complaint: String) {
        let mut complaints = self
            .complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The first ones are the ones to read.
        if complaints.len() < 20 {
            complaints.push(complaint);
        }
    }

    /// Panics, and counts it.
    pub(crate) fn panic(&self, place: Place) -> ! {
        self.panics[place as usize].fetch_add(1, Ordering::SeqCst);
        panic!("chaos: {place:?}");
    }

    pub(crate) fn panics(&self, place: Place) -> u64 {
        self.panics[place as usize].load(Ordering::SeqCst)
    }

    /// How many messages were handled, at least in part.
    pub(crate) fn begun(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.begun.load(Ordering::SeqCst) > 0)
            .count()
    }

    /// The messages that were sent and still exist, or have no answer.
    pub(crate) fn in_flight(&self) -> Vec<String> {
        let entries = self.entries.iter().enumerate();
        entries
            .filter(|(_, entry)| entry.is_in_flight())
            .map(|(number, entry)| format!("{number}: {entry:?}"))
            .collect()
    }

    /// How many incarnations exist.
    pub(crate) fn alive(&self) -> usize {
        let instances = self
            .instances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        instances
            .iter()
            .map(|instance| instance.alive.load(Ordering::SeqCst))
            .sum()
    }

    /// Checks every entry, and returns what is wrong.
    pub(crate) fn audit(&self) -> Vec<String> {
        let mut lost = 0;
        for (number, entry) in self.entries.iter().enumerate() {
            let Some(sent) = entry.sent.get() else {
                continue;
            };
            match entry.verdict(sent) {
                Verdict::Fine => {}
                Verdict::LostToItsPanic => lost += 1,
                Verdict::Wrong(why) => {
                    self.complain(format!("message {number} {why}: {entry:?}"));
                }
            }
        }
        if lost != self.panics(Place::Handler) {
            self.complain(format!(
                "{lost} messages were lost to {} panics of handlers",
                self.panics(Place::Handler)
            ));
        }
        std::mem::take(
            &mut *self
                .complaints
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    pub(crate) fn summary(&self) -> String {
        let mut text = format!("{} messages handled; panics:", self.begun());
        for place in PLACES {
            let _ = write!(text, " {place:?} {}", self.panics(place));
        }
        text
    }
}

/// What an entry says.
#[derive(Debug)]
enum Verdict {
    Fine,
    LostToItsPanic,
    Wrong(&'static str),
}

impl Entry {
    fn is_in_flight(&self) -> bool {
        let Some(sent) = self.sent.get() else {
            return false;
        };
        let is_asked = sent.how == How::Ask && self.outcome.get().is_none();
        is_asked || self.dropped.load(Ordering::SeqCst) == 0
    }

    fn verdict(&self, sent: &Sent) -> Verdict {
        let [begun, finished, dropped] =
            [&self.begun, &self.finished, &self.dropped].map(|count| count.load(Ordering::SeqCst));
        let removed = sent.instance.removed.load(Ordering::SeqCst);
        let outcome = self.outcome.get().copied();
        if dropped != 1 {
            return Verdict::Wrong("was leaked");
        }
        if begun > 1 || finished > begun {
            return Verdict::Wrong("was handled twice");
        }
        match (sent.how, outcome) {
            (How::Ask, None) => return Verdict::Wrong("was never answered"),
            (How::Ask, Some(Outcome::Answered)) if finished == 0 => {
                return Verdict::Wrong("was answered by nobody");
            }
            (How::Ask, Some(Outcome::Closed)) if finished == 1 => {
                return Verdict::Wrong("was handled, and its sender got an error");
            }
            (How::Try, Some(Outcome::Full | Outcome::Closed)) if begun > 0 => {
                return Verdict::Wrong("was refused, and handled");
            }
            (How::Try, Some(Outcome::Full)) => return Verdict::Fine,
            _ => {}
        }
        if begun == 0 {
            return if removed {
                Verdict::Fine
            } else {
                Verdict::Wrong("was lost")
            };
        }
        match sent.work {
            _ if finished == 1 => Verdict::Fine,
            // The answer was still being computed when the incarnation ended.
            Work::Slow | Work::Atomic => Verdict::Fine,
            Work::Panic => Verdict::LostToItsPanic,
            _ => Verdict::Wrong("was not handled to its end"),
        }
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Instance {
    /// Says that the service is about to be removed.
    pub(crate) fn retire(&self) {
        self.removed.store(true, Ordering::SeqCst);
    }

    /// Counts an incarnation for as long as what is returned lives.
    pub(crate) fn live(self: &Arc<Self>) -> Alive {
        if self.alive.fetch_add(1, Ordering::SeqCst) != 0 {
            self.ledger
                .complain(format!("two incarnations of {} at once", self.name));
        }
        Alive(Arc::clone(self))
    }

    /// A message is about to be handled.
    pub(crate) fn begin(&self, ticket: &Ticket) {
        let entry = &self.ledger.entries[ticket.number];
        entry.begun.fetch_add(1, Ordering::SeqCst);
        if entry
            .sent
            .get()
            .is_none_or(|sent| sent.instance.number != self.number)
        {
            self.ledger
                .complain(format!("{} got message {ticket:?}", self.name));
        }
        // An `Ask` to a full mailbox is queued when it is first polled, so it has no order.
        if ticket.how != How::Ask {
            let latest = self.latest[ticket.sender].swap(ticket.number + 1, Ordering::SeqCst);
            if latest > ticket.number {
                self.ledger.complain(format!(
                    "{} got {ticket:?} after message {}",
                    self.name,
                    latest - 1
                ));
            }
        }
    }
}

/// The part of a message that is accounted for.
pub(crate) struct Ticket {
    number: usize,
    sender: usize,
    how: How,
    ledger: Arc<Ledger>,
}

impl Ticket {
    /// The message was handled; returns the answer.
    pub(crate) fn finish(self) -> u64 {
        self.ledger.entries[self.number]
            .finished
            .fetch_add(1, Ordering::SeqCst);
        self.number as u64
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of sender {}", self.number, self.sender)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.ledger.entries[self.number]
            .dropped
            .fetch_add(1, Ordering::SeqCst);
    }
}

/// Counts an incarnation until it is dropped.
pub(crate) struct Alive(Arc<Instance>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}
