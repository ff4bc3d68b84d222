//! How many restarts are too many.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    SpecError,
    backoff::prolonged,
    error::{fraction, not_zero},
};

/// How many restarts are too many.
///
/// The default is failure decay with 30 s, 5.0 and 15 s, as in suture.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RestartLimit {
    /// Failures are counted, and the count halves in each `decay`.
    Decay {
        /// The half-life of the count.
        decay: Duration,
        /// The count that must not be exceeded.
        threshold: f64,
        /// How long restarts pause when it is exceeded.
        backoff: Duration,
        /// Up to which fraction of itself the pause is prolonged at random.
        jitter: f64,
        /// How long a pause may last in all, when failures during it prolong it.
        max_pause: Option<Duration>,
    },
    /// At most `max` restarts within a sliding window.
    Window {
        /// How many restarts are allowed.
        max: u32,
        /// The length of the window.
        within: Duration,
    },
    /// No limit.
    Unlimited,
    /// A limit with a setting that has no meaning for it: refused by whoever is given it.
    #[doc(hidden)]
    Refused(Box<SpecError>),
}

impl RestartLimit {
    /// Limits by failure decay, as suture does.
    ///
    /// Each failure, and each normal end of a permanent service, adds one to a count that halves every `decay`. When the
    /// count is above `threshold`, restarts pause for `backoff`; what fails during the pause waits, is counted, and begins
    /// the pause anew if the count is still above. After the pause the count is zero. A threshold below one is exceeded by
    /// the first failure.
    pub const fn decay(decay: Duration, threshold: f64, backoff: Duration) -> Self {
        Self::Decay {
            decay,
            threshold,
            backoff,
            jitter: 0.0,
            max_pause: None,
        }
    }

    /// Limits to `max` restarts within a window of this length that slides with the time, as OTP does.
    ///
    /// A restart exactly `within` ago is no longer counted. With `max` zero the first failure is too many.
    pub const fn window(max: u32, within: Duration) -> Self {
        Self::Window { max, within }
    }

    /// Sets no limit.
    pub const fn unlimited() -> Self {
        Self::Unlimited
    }

    /// Sets up to which fraction of itself a pause is prolonged at random: 0.0 by default. Failure decay only; another limit with this is
    /// refused.
    #[must_use]
    pub fn jitter(mut self, fraction: f64) -> Self {
        match &mut self {
            Self::Decay { jitter, .. } => *jitter = fraction,
            _ => self = self.refuse("limit.jitter", &fraction),
        }
        self
    }

    /// Sets how long a pause may last in all: by default for as long as failures prolong it. Failure decay only; another limit with this is
    /// refused.
    #[must_use]
    pub fn max_pause(mut self, longest: Duration) -> Self {
        match &mut self {
            Self::Decay { max_pause, .. } => *max_pause = Some(longest),
            _ => self = self.refuse("limit.max_pause", &format_args!("{longest:?}")),
        }
        self
    }

    /// This limit with a setting that is of failure decay alone. The first of several counts.
    fn refuse(self, field: &'static str, value: &impl ToString) -> Self {
        match self {
            refused @ Self::Refused(_) => refused,
            _ => Self::Refused(Box::new(SpecError::value(
                field,
                value,
                "none, because only a limit by failure decay has it",
            ))),
        }
    }

    /// Refuses what makes no sense.
    pub(crate) fn validate(&self) -> Result<(), SpecError> {
        match self {
            Self::Decay {
                decay,
                threshold,
                jitter,
                max_pause,
                ..
            } => {
                not_zero("limit.decay", *decay)?;
                if let Some(longest) = max_pause {
                    not_zero("limit.max_pause", *longest)?;
                }
                fraction("limit.jitter", *jitter)?;
                if threshold.is_nan() || *threshold < 0.0 {
                    return Err(SpecError::value(
                        "limit.threshold",
                        threshold,
                        "a number that is not negative",
                    ));
                }
                Ok(())
            }
            Self::Window { within, .. } => not_zero("limit.within", *within),
            Self::Unlimited => Ok(()),
            Self::Refused(error) => Err((**error).clone()),
        }
    }
}

impl Default for RestartLimit {
    fn default() -> Self {
        Self::decay(Duration::from_secs(30), 5.0, Duration::from_secs(15))
    }
}

/// What happens when a limit is exceeded.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum OnLimit {
    /// Restarts pause. The default, as in suture.
    ///
    /// On the limit of a supervisor all restarts under it, on the limit of a service its own only.
    #[default]
    Pause,
    /// The supervisor stops its services and ends, which its own supervisor counts as a failure. As in OTP.
    Escalate,
    /// The service is kept as failed until it is reset. For the limit of a service only.
    GiveUp,
}

/// The running arithmetic of one [`RestartLimit`].
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitCounter {
    count: f64,
    last: Option<Instant>,
    /// The newest restarts, oldest first; never longer than the limit's `max`.
    recent: VecDeque<Instant>,
}

/// Whether a failure is one too many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a limit that is exceeded must have consequences"]
pub(crate) enum Tally {
    /// Restarts go on.
    Within,
    /// One too many.
    Exceeded,
}

impl LimitCounter {
    /// Counts a failure.
    pub(crate) fn record(&mut self, limit: &RestartLimit, now: Instant) -> Tally {
        let exceeded = match *limit {
            RestartLimit::Decay {
                decay, threshold, ..
            } => {
                self.count = self.decayed(decay, now) + 1.0;
                self.last = Some(now);
                self.count > threshold
            }
            RestartLimit::Window { max, within } => self.slide(max, within, now),
            RestartLimit::Unlimited | RestartLimit::Refused(_) => false,
        };
        if exceeded {
            Tally::Exceeded
        } else {
            Tally::Within
        }
    }

    /// How long restarts pause after a failure that was one too many.
    pub(crate) fn pause(&self, limit: &RestartLimit, u: f64, now: Instant) -> Duration {
        match *limit {
            RestartLimit::Decay {
                backoff, jitter, ..
            } => prolonged(backoff, jitter, u),
            // Until the oldest restart leaves the window; with none allowed, for a whole window.
            RestartLimit::Window { within, .. } => match self.recent.front() {
                Some(oldest) => within.saturating_sub(now.saturating_duration_since(*oldest)),
                None => within,
            },
            RestartLimit::Unlimited | RestartLimit::Refused(_) => Duration::ZERO,
        }
    }

    /// Starts to count from zero after a pause. A window does not: its restarts leave it by themselves, one by one.
    pub(crate) fn resume(&mut self) {
        self.count = 0.0;
    }

    /// Starts anew, with nothing counted.
    pub(crate) fn reset(&mut self) {
        self.count = 0.0;
        self.last = None;
        self.recent.clear();
    }

    /// What is counted at `now`.
    pub(crate) fn count(&self, limit: &RestartLimit, now: Instant) -> f64 {
        match *limit {
            RestartLimit::Decay { decay, .. } => self.decayed(decay, now),
            RestartLimit::Window { within, .. } => {
                let expired = self
                    .recent
                    .partition_point(|at| now.saturating_duration_since(*at) >= within);
                (self.recent.len() - expired) as f64
            }
            RestartLimit::Unlimited | RestartLimit::Refused(_) => 0.0,
        }
    }

    fn decayed(&self, decay: Duration, now: Instant) -> f64 {
        let Some(last) = self.last else { return 0.0 };
        let halvings = now.saturating_duration_since(last).as_secs_f64() / decay.as_secs_f64();
        self.count * (-halvings).exp2()
    }

    /// Puts a restart into the ring; reports whether all `max` before it are still in the window.
    fn slide(&mut self, max: u32, within: Duration, now: Instant) -> bool {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        // A reconfiguration may have lowered `max`: the ring may be longer than it allows.
        while self.recent.len() > max {
            self.recent.pop_front();
        }
        while let Some(oldest) = self.recent.front() {
            if now.saturating_duration_since(*oldest) < within {
                break;
            }
            self.recent.pop_front();
        }
        let exceeded = self.recent.len() >= max;
        if exceeded {
            self.recent.pop_front();
        }
        if max > 0 {
            self.recent.push_back(now);
        }
        exceeded
    }
}
