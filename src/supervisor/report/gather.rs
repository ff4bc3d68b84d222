//! Who was asked for a picture, who has answered, and for whom to wait: decided here, without a clock or a channel.

use std::{sync::Arc, thread::ThreadId};

use hashbrown::HashMap;

use super::picture::{Own, Report, ServiceReport};
use crate::token::ServiceToken;

/// What one supervisor says of itself and of its own services, or what is found out about it.
pub(super) struct Level {
    pub(super) own: Own,
    pub(super) services: Vec<ServiceReport>,
    /// Where in `services` the supervisors are.
    pub(super) supervisors: Vec<usize>,
}

impl Level {
    /// The tokens of the supervisors among the services.
    pub(super) fn below(&self) -> impl Iterator<Item = ServiceToken> {
        let at = self.supervisors.iter();
        at.filter_map(|at| Some(self.services.get(*at)?.token))
    }
}

/// Who was asked, and what has become of that.
#[derive(Default)]
pub(super) struct Gathering {
    asked: HashMap<ServiceToken, Asked>,
    pending: usize,
    levels: HashMap<ServiceToken, Level>,
}

struct Asked {
    /// The thread that the supervisor runs on, if that is known.
    thread: Option<ThreadId>,
    word: Word,
}

/// What has come from a supervisor since the moment began in which it is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Word {
    /// Nothing, nor will it be waited for any longer.
    GivenUp,
    /// Nothing.
    None,
    /// Nothing for longer than a moment, and it runs on the thread of whoever asks: as that is not blocked, it is about to have its turn.
    Overdue,
    /// A part of the picture: it is about to say the rest.
    Part,
    /// The whole picture, or that there will be none.
    Whole,
}

impl Gathering {
    /// A supervisor was asked, once, which runs on this thread, if that is known.
    pub(super) fn ask(&mut self, token: ServiceToken, thread: Option<ThreadId>) {
        let word = Word::None;
        if self.asked.insert(token, Asked { thread, word }).is_none() {
            self.pending += 1;
        }
    }

    pub(super) fn was_asked(&self, token: ServiceToken) -> bool {
        self.asked.contains_key(&token)
    }

    /// A supervisor has answered in part.
    pub(super) fn hear_part(&mut self, token: ServiceToken) {
        self.note(token, Word::Part);
    }

    /// A supervisor has answered. Also a late one counts, as long as others are waited for.
    pub(super) fn hear(&mut self, token: ServiceToken, level: Level) {
        self.note(token, Word::Whole);
        self.levels.insert(token, level);
    }

    /// A supervisor will not answer.
    pub(super) fn hear_gone(&mut self, token: ServiceToken) {
        self.note(token, Word::Whole);
    }

    fn note(&mut self, token: ServiceToken, word: Word) {
        let Some(asked) = self.asked.get_mut(&token) else {
            return;
        };
        let before = std::mem::replace(&mut asked.word, word);
        self.pending -= usize::from(before.is_awaited());
        self.pending += usize::from(word.is_awaited());
    }

    /// A moment is over. Those who have said nothing in it are given up, but for those who run on the thread of whoever asks.
    pub(super) fn moment_is_over(&mut self, here: ThreadId) {
        for asked in self.asked.values_mut() {
            match asked.word {
                Word::None if asked.thread == Some(here) => asked.word = Word::Overdue,
                Word::None => {
                    asked.word = Word::GivenUp;
                    self.pending -= 1;
                }
                Word::Part => asked.word = Word::None,
                Word::GivenUp | Word::Overdue | Word::Whole => {}
            }
        }
    }

    /// Reports whether there are some that are to answer within a few turns of this thread.
    pub(super) fn has_overdue(&self) -> bool {
        let mut asked = self.asked.values();
        asked.any(|asked| asked.word == Word::Overdue)
    }

    /// They have not: this thread is blocked after all, perhaps by whoever asks.
    pub(super) fn give_overdue_up(&mut self) {
        for asked in self.asked.values_mut() {
            if asked.word == Word::Overdue {
                asked.word = Word::GivenUp;
                self.pending -= 1;
            }
        }
    }

    /// Reports whether nobody is waited for.
    pub(super) fn is_done(&self) -> bool {
        self.pending == 0
    }

    /// Puts in what was found out about a supervisor that has not answered.
    pub(super) fn fill(&mut self, token: ServiceToken, level: Level) {
        self.levels.entry(token).or_insert(level);
    }

    /// Reports whether a supervisor has said that it will not answer, by being gone.
    pub(super) fn is_gone(&self, token: ServiceToken) -> bool {
        let asked = self.asked.get(&token);
        let whole = asked.is_some_and(|asked| asked.word == Word::Whole);
        whole && !self.levels.contains_key(&token)
    }

    /// The tokens of a supervisor and of those below it, as far as there are levels, each before those below it.
    fn top_down(&self, top: ServiceToken) -> Vec<ServiceToken> {
        let mut order = vec![top];
        let mut next = 0;
        while let Some(token) = order.get(next) {
            let level = self.levels.get(token);
            order.extend(level.into_iter().flat_map(Level::below));
            next += 1;
        }
        order
    }

    /// The supervisors from here down about which nothing is known yet.
    pub(super) fn unknown(&self, top: ServiceToken) -> Vec<ServiceToken> {
        let mut all = self.top_down(top);
        all.retain(|token| !self.levels.contains_key(token));
        all
    }

    /// Puts the levels together, from the bottom up.
    pub(super) fn assemble(mut self, top: ServiceToken) -> Option<Report> {
        let mut done: HashMap<ServiceToken, Arc<Report>> = HashMap::new();
        let order = self.top_down(top);
        for token in order.into_iter().rev() {
            let Some(mut level) = self.levels.remove(&token) else {
                continue;
            };
            for at in level.supervisors {
                if let Some(service) = level.services.get_mut(at) {
                    service.below = done.remove(&service.token);
                }
            }
            let report = Report {
                own: level.own,
                services: level.services,
            };
            if token == top {
                return Some(report);
            }
            done.insert(token, Arc::new(report));
        }
        None
    }
}

impl Word {
    const fn is_awaited(self) -> bool {
        matches!(self, Self::None | Self::Overdue | Self::Part)
    }
}
