//! Follows a table: carries out on the supervisor's turn what the [`Plan`] decides.
//!
//! # Invariants
//!
//! 1. A key has at most one service: its name is the service's, and the supervisor refuses a second one until the end of the first was seen.
//! 2. What is known of a key is forgotten when its service is released, and not before.
//! 3. Whatever of a user's key, value or table panics harms only the row in hand: whoever waits for that is answered.
//! 4. Nothing waits for the table: it is read by tasks, and what they have read is handled a bounded number of rows at a time.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix::Actor;

use super::{
    by_key::ByKey,
    error::RescanError,
    life::Life,
    name::name_of,
    plan::{Begun, Ended, Plan},
    read::{self, Interrupted, Reading, Row, Why},
    settings::Revival,
    shared::{Entry, Shared},
    turns::later,
};
use crate::{
    event::EventKind,
    policy::{Backoff, ExitReason, ServiceError},
    service::{ServiceSpec, guard},
    state::{Goes, ServiceState},
    supervisor::{Hands, News, Steward, now},
    table::{Change, RowError, RowResult, Table},
    token::ServiceToken,
    user_value::{UserValue, quietly},
};

/// Makes the service of a row.
pub(super) type Make<K, V, A> = UserValue<Box<dyn FnMut(&K, &V) -> ServiceSpec<A> + Send>>;

/// What a follower goes by, beside its plan.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) ready_within: Duration,
    pub(super) revival: Revival,
    pub(super) start_spacing: Duration,
    pub(super) table_timeout: Duration,
    pub(super) retry: Backoff,
}

/// Follows a table, for all lives of its supervisor.
pub(super) struct Follower<T: Table, A: Actor> {
    pub(super) table: Arc<T>,
    pub(super) make: Make<T::Key, T::Value, A>,
    pub(super) plan: Plan<T::Key, UserValue<T::Value>>,
    pub(super) settings: Settings,
    pub(super) shared: Arc<Shared<T::Key, A>>,
    /// The key of each service.
    pub(super) keys: HashMap<ServiceToken, T::Key>,
    /// Since when services are being removed that this follower has removed.
    pub(super) left: HashMap<ServiceToken, Begun>,
    /// What was said of rows that are passed over, by key.
    pub(super) rejected: ByKey<T::Key, Rejected>,
    pub(super) life: Option<Life<T, A>>,
}

/// What was said of a row that is passed over.
pub(super) struct Rejected {
    pub(super) text: String,
    /// The latest scan when that was said, or could have been said again.
    pub(super) scan: u64,
}

/// How many rows are handled in one poll before the supervisor gives way.
const ROWS: usize = 128;
/// How much of that a piece of the look for missing rows counts.
const PIECE: usize = 16;
/// How many places of that look count as one row.
const PLACES: usize = 64;

impl<T: Table, A: Actor> Steward for Follower<T, A> {
    fn begin(&mut self, now: Instant) {
        self.plan.begin(now);
        let ready_by = later(now, self.settings.ready_within);
        let spacing = self.settings.start_spacing;
        self.life = Some(Life::new(ready_by, spacing, self.shared.open()));
    }

    fn poll(&mut self, hands: &mut Hands<'_>, cx: &mut Context<'_>) {
        if hands.is_ending() {
            // What is starting is stopped with everything else, and who waits for it is told so.
            return self.refuse_all();
        }
        let Some(mut life) = self.life.take() else {
            return;
        };
        if self.shared.owner.get().is_none()
            && let Some(owner) = hands.owner()
            && let Ok(owner) = owner.downcast()
        {
            let _first = self.shared.owner.set(owner);
        }
        let mut budget = ROWS;
        while budget > 0 {
            self.hear(hands, &mut life);
            let step = self.step(hands, &mut life, cx, &mut budget);
            // What is done here makes news, too, as that the service is about to start which was given another chance: nobody calls for that.
            if step == Step::Done && !hands.has_news() {
                break;
            }
        }
        if budget == 0 {
            cx.waker().wake_by_ref();
        }
        if life
            .first
            .is_over(now(), hands.has_started(), life.turns.is_empty())
        {
            hands.ready();
        }
        self.life = Some(life);
    }

    fn end(&mut self) {
        self.refuse_all();
        // Also those of a life that was lost.
        self.shared.clear_all_reserved();
    }
}

/// Whether there may be more to do at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Again,
    Done,
}

impl<T: Table, A: Actor> Follower<T, A> {
    /// Nobody is served until the next life.
    fn refuse_all(&mut self) {
        self.shared.close();
        // Who waits is told by what he holds, which is dropped with the life; keys and values are the user's.
        if let Some(life) = self.life.take() {
            // Its row is read with the first scan of the next life, as one that has changed.
            for key in life.turns.resets() {
                let _nobody_to_tell = quietly(|| self.plan.not_made(key));
            }
            let _nobody_to_tell = quietly(|| drop(life));
            self.shared.clear_all_reserved();
        }
    }

    /// Learns what has become of services.
    fn hear(&mut self, hands: &mut Hands<'_>, life: &mut Life<T, A>) {
        for (token, news) in hands.take_news() {
            match news {
                News::State(ServiceState::Ready) => life.first.settled(token),
                News::State(_) => {}
                News::Ended { ticket } => match self.key_to_read(token) {
                    Some(key) => life.look_first(key, Why::End(token, ticket)),
                    None => hands.answer_end(token, ticket, Goes::On),
                },
                News::Starts { ticket, sought } => match self.key_to_read(token) {
                    Some(key) => {
                        life.look_first(key, Why::Restart(token, ticket, sought));
                    }
                    None => hands.let_start(token, ticket, sought),
                },
                News::Released => {
                    life.first.settled(token);
                    self.left.remove(&token);
                    let Some(key) = self.keys.remove(&token) else {
                        continue;
                    };
                    let forgotten = guard(|| {
                        self.forget(&key, token);
                        if life.again.remove(&key).is_some() {
                            life.look_changed(key);
                        }
                    });
                    if let Err(panic) = forgotten {
                        self.shared.clear_service(token);
                        self.panicked(hands, panic);
                    }
                }
            }
        }
    }

    /// The key of a service whose row is to be read before a restart: not while the table cannot be.
    fn key_to_read(&self, token: ServiceToken) -> Option<T::Key> {
        let reachable = self.plan.unreachable_since().is_none();
        let key = self.keys.get(&token).filter(|_| reachable)?;
        // A key that cannot be copied is not asked for.
        guard(|| key.clone()).ok()
    }

    /// Something of the user's has panicked that belongs to one row. Which one is not asked: that may be what panics.
    fn panicked(&mut self, hands: &mut Hands<'_>, panic: ExitReason) {
        self.plan.bad_row(None);
        self.reject(hands, None, ServiceError::new(panic));
    }

    /// The service of a key is gone.
    fn forget(&mut self, key: &T::Key, token: ServiceToken) {
        let mut services = self.shared.write();
        // Not that of another one that has the key by now.
        if let Some(Entry::Service(service)) = services.get(key)
            && service.token() == token
        {
            services.remove(key);
            self.plan.forget(key);
        }
    }

    /// Does one thing that is to be done, if there is any.
    fn step(
        &mut self,
        hands: &mut Hands<'_>,
        life: &mut Life<T, A>,
        cx: &mut Context<'_>,
        budget: &mut usize,
    ) -> Step {
        let at = now();
        // Subscribed before the first scan, whose task is polled after this one's.
        if life.changes.is_none() {
            let table = Arc::clone(&self.table);
            life.changes = Some(read::listen(table, self.settings.retry.clone()));
        }
        if let Poll::Ready(Some(request)) = life.requests.poll_recv(cx) {
            *budget -= 1;
            if let Err(panic) = guard(|| self.serve(hands, life, request)) {
                self.panicked(hands, panic);
            }
            return Step::Again;
        }
        if let Poll::Ready(Some(row)) = life.rows.1.poll_recv(cx) {
            *budget -= 1;
            life.looking -= usize::from(!row.goes_on);
            if let Err(panic) = guard(|| self.looked(hands, life, row)) {
                self.panicked(hands, panic);
            }
            return Step::Again;
        }
        if let Some((key, why)) = guard(|| life.next_look()).unwrap_or(None) {
            let read = (why, self.plan.begin_read());
            let table = Arc::clone(&self.table);
            let tx = life.rows.0.clone();
            read::look(table, key, read, self.settings.table_timeout, tx);
            return Step::Again;
        }
        if life.takes_changes()
            && let Some((_, changes)) = &mut life.changes
            && let Poll::Ready(Some(change)) = changes.poll_recv(cx)
        {
            *budget -= 1;
            match change {
                Change::Row(key) => {
                    if let Err(panic) = guard(|| life.look_changed(key)) {
                        self.panicked(hands, panic);
                    }
                }
                Change::Any => self.plan.look_again(at),
            }
            return Step::Again;
        }
        if self.plan.is_sweeping() {
            *budget = budget.saturating_sub(PIECE);
            let most = PIECE * PLACES;
            if let Some(ended) = self.plan.sweep(most, at) {
                self.swept(hands, life, ended);
            }
            return Step::Again;
        }
        if let Some((_, readings)) = &mut life.scan
            && let Poll::Ready(reading) = readings.poll_recv(cx)
        {
            self.take(hands, life, reading, budget);
            return Step::Again;
        }
        if self.plan.begin_scan(at) {
            let table = Arc::clone(&self.table);
            life.scan = Some(read::scan(table, self.settings.table_timeout));
            life.rescanning.append(&mut life.rescans);
            return Step::Again;
        }
        if let Some(turn) = life.turns.next(at) {
            *budget -= 1;
            let taken = turn.and_then(|turn| guard(|| self.take_turn(hands, life, turn)));
            if let Err(panic) = taken {
                self.panicked(hands, panic);
            }
            return Step::Again;
        }
        let waits = life.turns.deadline();
        // Whoever awaits the first scan is seen to after this, and the timer is for what comes then.
        let first = life.first.deadline().filter(|first| *first > at);
        let deadlines = [self.plan.next_scan(), waits, first];
        // What was due by now is done: if the timer is due, the clock has moved since.
        if life.is_due(deadlines.into_iter().flatten().min(), cx) {
            Step::Again
        } else {
            Step::Done
        }
    }

    /// Takes what a scan has read.
    fn take(
        &mut self,
        hands: &mut Hands<'_>,
        life: &mut Life<T, A>,
        reading: Option<Reading<T>>,
        budget: &mut usize,
    ) {
        match reading {
            Some(Reading::Rows(mut rows)) => {
                *budget = budget.saturating_sub(rows.len());
                for row in rows.take() {
                    if let Err(panic) = guard(|| self.scanned(hands, life, row)) {
                        self.panicked(hands, panic);
                    }
                }
            }
            Some(Reading::End(Ok(()))) => {
                if let Err(panic) = guard(|| self.scan_ended(hands, life)) {
                    self.scan_failed(hands, life, ServiceError::new(panic));
                }
            }
            Some(Reading::End(Err(error))) => self.scan_failed(hands, life, error),
            None => {
                let error = ServiceError::new(Interrupted);
                self.scan_failed(hands, life, error);
            }
        }
    }

    /// One row of a scan.
    fn scanned(&mut self, hands: &mut Hands<'_>, life: &mut Life<T, A>, row: RowResult<T>) {
        match row {
            Ok((key, value)) => {
                self.compare(hands, life, key, UserValue::new(value), None);
            }
            Err(RowError::Row { key, error }) => {
                self.plan.bad_row(key.as_ref());
                self.reject(hands, key.as_ref(), ServiceError::new(error));
            }
            // Cut off by whoever reads.
            Err(RowError::Scan { .. }) => {}
        }
    }

    fn scan_ended(&mut self, hands: &mut Hands<'_>, life: &mut Life<T, A>) {
        life.scanned();
        hands.set_unreachable(None);
        if let Some(ended) = self.plan.scan_ended(now()) {
            self.swept(hands, life, ended);
        }
    }

    /// All is known that follows from a scan.
    fn swept(&mut self, hands: &mut Hands<'_>, life: &mut Life<T, A>, ended: Ended<T::Key>) {
        if let Some(since) = ended.recovered {
            let after = now().saturating_duration_since(since);
            hands.tell(EventKind::TableRecovered { after });
        }
        if let Some((missing, of)) = ended.refused {
            hands.tell(EventKind::ScanRefused { missing, of });
        }
        // What was said of rows that are there no longer, or are as they should be, need not be remembered. Those of single looks since the scan
        // before are said after its end.
        let before = self.plan.latest_scan().saturating_sub(1);
        self.rejected.retain(|_, rejected| rejected.scan >= before);
        life.suspect(ended.suspects);
        life.tell_rescanned(self.plan.is_sweeping());
    }

    fn scan_failed(&mut self, hands: &mut Hands<'_>, life: &mut Life<T, A>, error: ServiceError) {
        life.scanned();
        for caller in life.rescanning.drain(..) {
            let error = error.clone();
            let _caller_gone = caller.send(Err(RescanError::Table { error }));
        }
        if self.plan.scan_failed(now()) {
            hands.tell(EventKind::TableUnreachable { error });
        }
        hands.set_unreachable(self.plan.unreachable_since());
    }

    /// The row of one key was read.
    fn looked(&mut self, hands: &mut Hands<'_>, life: &mut Life<T, A>, row: Row<T>) {
        let Row {
            key,
            why,
            begun,
            value,
            ..
        } = row;
        match why {
            Why::End(token, ticket) => {
                let goes = self.reread_guarded(hands, &key, token, value);
                hands.answer_end(token, ticket, goes);
            }
            Why::Restart(token, ticket, sought) => {
                match self.reread_guarded(hands, &key, token, value) {
                    Goes::On => hands.let_start(token, ticket, sought),
                    Goes::Away => {
                        let _nobody_waits = hands.remove(token);
                    }
                }
            }
            Why::Start(number) => self.start_read(hands, life, &key, number, value),
            Why::Change | Why::Late => {
                let changed = matches!(why, Why::Change);
                if changed {
                    life.read_changed(&key);
                }
                match value {
                    Ok(Some(value)) => self.compare(hands, life, key, value, Some(begun)),
                    Ok(None) => self.plan.missed(&key, begun, now()),
                    // Whoever can say that it has changed is asked again with the next scan.
                    Err(error) if changed => self.reject(hands, Some(&key), error),
                    Err(_) => {}
                }
            }
            Why::Suspect => {
                life.read_suspect();
                let done = guard(|| match value {
                    Ok(Some(value)) => self.compare(hands, life, key, value, Some(begun)),
                    Ok(None) => self.vanish(hands, &key, begun),
                    Err(error) => self.reject(hands, Some(&key), error),
                });
                if let Err(panic) = done {
                    self.panicked(hands, panic);
                }
                life.tell_rescanned(self.plan.is_sweeping());
            }
        }
    }

    /// As [`reread`](Self::reread): whatever panics there, the service is not left without an answer.
    fn reread_guarded(
        &mut self,
        hands: &mut Hands<'_>,
        key: &T::Key,
        token: ServiceToken,
        value: Result<Option<UserValue<T::Value>>, ServiceError>,
    ) -> Goes {
        let goes = guard(|| self.reread(hands, key, token, value));
        goes.unwrap_or_else(|panic| {
            self.panicked(hands, panic);
            Goes::On
        })
    }

    /// The row was read of a service that is to be started again: says whether it is, and has that be with the latest value.
    fn reread(
        &mut self,
        hands: &mut Hands<'_>,
        key: &T::Key,
        token: ServiceToken,
        value: Result<Option<UserValue<T::Value>>, ServiceError>,
    ) -> Goes {
        // Removed, and perhaps added again, while its row was read.
        let service = self.service(key).filter(|service| service.token() == token);
        let Some(service) = service else {
            return Goes::On;
        };
        match value {
            Ok(Some(value)) => {
                if let Some(value) = self.plan.revived(key, value) {
                    let _told = self.renew(hands, key, &value, &service);
                }
                Goes::On
            }
            Ok(None) => {
                self.plan.not_revived(key);
                self.left.insert(token, self.plan.begin_read());
                if let Ok(key) = name_of(key) {
                    hands.tell(EventKind::RowVanished { key });
                }
                Goes::Away
            }
            // With the last one.
            Err(_) => Goes::On,
        }
    }

    /// A row is gone.
    fn vanish(&mut self, hands: &mut Hands<'_>, key: &T::Key, begun: Begun) {
        if !self.plan.vanished(key, begun) {
            return;
        }
        self.rejected.remove(key);
        if let Ok(key) = name_of(key) {
            hands.tell(EventKind::RowVanished { key });
        }
        if let Some(service) = self.service(key) {
            let token = service.token();
            self.left.insert(token, self.plan.begin_read());
            let _nobody_waits = hands.remove(token);
        }
    }
}
