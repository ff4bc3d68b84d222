//! Whose turn it is to be started, where many must not start at the same time: nothing but decisions. `now` is always an argument.

use std::{
    collections::VecDeque,
    hash::Hash,
    time::{Duration, Instant},
};

use super::by_key::ByKey;
use crate::{
    policy::ExitReason,
    service::guard,
    token::ServiceToken,
    user_value::{Each, quietly},
};

/// The rows that wait for their turn, in the order in which they were put off.
pub(super) struct Turns<K> {
    spacing: Duration,
    /// With the number under which it stands in the map.
    queue: Each<VecDeque<(K, u64)>>,
    queued: ByKey<K, Queued>,
    numbers: u64,
    /// When the next one may start.
    next: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Queued {
    number: u64,
    turn: Turn,
}

/// What a row waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// Its service is to be added.
    Start,
    /// Its service is to be made of another value, unless it was started since: this incarnation.
    Restart(ServiceToken, u64),
    /// Its service is to get another chance.
    Reset(ServiceToken),
}

impl<K> Turns<K> {
    pub(super) fn new(spacing: Duration) -> Self {
        Self {
            spacing,
            queue: Each::default(),
            queued: ByKey::new(),
            numbers: 0,
            next: None,
        }
    }

    /// Reports whether anybody has to wait at all.
    pub(super) fn are_spaced(&self) -> bool {
        !self.spacing.is_zero()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Something was started in its turn. What came to nothing is not said here, and holds nobody up.
    pub(super) fn started(&mut self, now: Instant) {
        self.next = Some(later(now, self.spacing));
    }

    /// Whose services wait for another chance.
    pub(super) fn resets(&self) -> impl Iterator<Item = &K> {
        let all = self.queued.iter();
        all.filter(|(_, queued)| matches!(queued.turn, Turn::Reset(_)))
            .map(|(key, _)| key)
    }

    /// When it is somebody's turn that waits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next.filter(|_| !self.is_empty())
    }
}

impl<K: Clone + Eq + Hash> Turns<K> {
    /// Has a row wait for its turn. One that waits already keeps its place, whatever it waits for now.
    pub(super) fn put_off(&mut self, key: K, turn: Turn) {
        if let Some(queued) = self.queued.value_mut(&key) {
            queued.turn = turn;
            return;
        }
        let number = self.numbers;
        self.queued.insert(key.clone(), Queued { number, turn });
        self.numbers += 1;
        self.queue.push_back((key, number));
    }

    /// The row whose turn it is. An error is a panic of its key, which loses its turn and harms no other.
    pub(super) fn next(&mut self, now: Instant) -> Option<Result<(K, Turn), ExitReason>> {
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        let (key, number) = self.queue.pop_front()?;
        Some(match guard(|| self.queued.remove(&key)) {
            // One that is not equal to itself is looked at as any other.
            Ok(queued) => Ok((key, queued.map_or(Turn::Start, |queued| queued.turn))),
            Err(panic) => {
                // Found without its key's help.
                self.queued.retain(|_, queued| queued.number != number);
                let _nobody_to_tell = quietly(|| drop(key));
                Err(panic)
            }
        })
    }
}

/// Some time later; if that is beyond all clocks, as late as makes no difference.
pub(super) fn later(now: Instant, delay: Duration) -> Instant {
    const YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    now.checked_add(delay).unwrap_or_else(|| now + YEARS)
}
