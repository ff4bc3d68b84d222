//! What only few services have: delays and limits of their own, and what they require.

use std::{
    cell::Cell,
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    obstacle::Obstacle,
    phase::Phase,
    rules::{Decide, RareRules},
};
use crate::policy::{Backoff, LimitCounter, RestartLimit, WhileDown};

/// What few services have.
// Apart: with a hundred thousand services, every word of a `Service` counts.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and none excludes another"
)]
pub(super) struct Extras {
    pub(super) start_timeout: Option<Duration>,
    pub(super) backoff: Backoff,
    /// Failures in a row, for the backoff.
    pub(super) failures: u32,
    pub(super) limit: Option<OwnLimit>,
    pub(super) decide: Option<Decide>,
    /// What it waits for when its supervisor is started again, if it has waited for the end of a delay or a pause of its own.
    pub(super) resumes: Option<Phase>,
    pub(super) requires: Box<[Arc<str>]>,
    /// Which of `requires` was not ready when somebody looked: the first to be looked at the next time.
    pub(super) unready: Cell<u32>,
    /// Those of `requires` with which it is restarted, sorted.
    pub(super) binds_to: Box<[Arc<str>]>,
    /// The paths of services elsewhere that must be ready before it is started.
    pub(super) paths: Box<[Arc<str>]>,
    /// How often it was asked whether they are.
    pub(super) ticket: u64,
    /// Which of them is not, as far as is known.
    pub(super) awaited: Option<(Arc<str>, Obstacle)>,
    /// Whether it was told that it waits for what will not be ready by itself, since it waits.
    pub(super) in_vain: bool,
    /// Those of `requires` that must have ended without an error, sorted.
    pub(super) completed: Box<[Arc<str>]>,
    /// Whether one that it requires has become ready since the present incarnation began: what that one has seen may be out of date.
    pub(super) requirement_ready: bool,
    pub(super) while_down: WhileDown,
    /// Whether somebody is asked before it is started again, and when that was done last.
    pub(super) consults: bool,
    pub(super) consulted_at: Option<Instant>,
    /// Whether others wait for its end, and it was started again after one without an error: it never completes.
    pub(super) recurs: bool,
}

/// A limit of one service.
#[derive(Debug)]
pub(super) struct OwnLimit {
    pub(super) limit: RestartLimit,
    pub(super) counter: LimitCounter,
}

impl Extras {
    pub(super) fn new(rules: RareRules) -> Self {
        let paths: Vec<_> = rules.paths().cloned().collect();
        let mut seen = HashSet::new();
        let requires = rules.required().filter(|name| seen.insert(&***name));
        let requires: Box<[_]> = requires.cloned().collect();
        Self {
            start_timeout: rules.start_timeout,
            backoff: rules.backoff.unwrap_or_default(),
            failures: 0,
            limit: rules.limit.map(|limit| OwnLimit {
                limit,
                counter: LimitCounter::default(),
            }),
            decide: rules.decide,
            resumes: None,
            requires,
            unready: Cell::new(0),
            binds_to: sorted(rules.binds_to),
            completed: sorted(rules.requires_completed),
            paths: paths.into_boxed_slice(),
            ticket: 0,
            awaited: None,
            in_vain: false,
            requirement_ready: false,
            while_down: rules.while_down,
            consults: rules.consults,
            consulted_at: None,
            recurs: false,
        }
    }
}

fn sorted(mut names: Vec<Arc<str>>) -> Box<[Arc<str>]> {
    names.sort_unstable();
    names.into_boxed_slice()
}

/// Reports whether a name is one of these, which are sorted.
pub(super) fn is_among(sorted: &[Arc<str>], name: &str) -> bool {
    sorted.binary_search_by(|known| (**known).cmp(name)).is_ok()
}
