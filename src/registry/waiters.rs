//! Those who wait for the same news of one service.

use crate::service::Reply;

/// Senders of answers. Those whose callers have left are dropped whenever the number has doubled: so each costs a constant number of steps,
/// however many there are, and at most as many have left as wait.
pub(super) struct Waiters<T> {
    senders: Vec<Reply<T>>,
    /// At which number of senders those are looked for that nobody waits for.
    full: usize,
    /// How many senders were looked at.
    #[cfg(test)]
    pub(super) looked_at: usize,
}

impl<T> Waiters<T> {
    pub(super) fn push(&mut self, sender: Reply<T>) {
        if self.senders.len() >= self.full {
            #[cfg(test)]
            {
                self.looked_at += self.senders.len();
            }
            self.senders.retain(Reply::is_wanted);
            self.senders.shrink_to(self.full);
            self.full = FEWEST.max(2 * self.senders.len());
        }
        self.senders.push(sender);
    }

    /// Answers all of them.
    pub(super) fn answer(self, answer: impl Fn() -> T) {
        for sender in self.senders {
            sender.give(answer());
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.senders.len()
    }
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self {
            senders: Vec::new(),
            full: FEWEST,
            #[cfg(test)]
            looked_at: 0,
        }
    }
}

/// So few senders are not looked through.
const FEWEST: usize = 4;
