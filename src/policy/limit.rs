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

/// How many restarts are too many, and what happens over that.
///
/// | made with | too many | and then, unless it is told otherwise |
/// |-|-|-|
/// | [`decay`](Self::decay) | a count of failures that halves with time is above a threshold | restarts pause for the time that was given |
/// | [`window`](Self::window) | more than so many within a time that slides | restarts pause until the window has room again |
/// | [`unlimited`](Self::unlimited) | never | |
///
/// What happens over it is [`pause`](Self::pause), [`escalate`](Self::escalate) or [`give_up`](Self::give_up); the last call counts. A pause
/// on the limit of a [supervisor](crate::SupervisorSpec::limit) is one of all its restarts, on the limit of a
/// [service](crate::ServiceSpec::limit) of its own only. Healthy services run on. *Backoff* is something else: the
/// [delay](crate::Backoff) of one service that is within its limit.
///
/// The default is failure decay with 30 s, 5.0 and 15 s, as in suture.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use resurgam::RestartLimit;
///
/// let minute = Duration::from_secs(60);
/// let as_in_otp = RestartLimit::window(3, Duration::from_secs(5)).escalate();
/// let per_device = RestartLimit::window(5, minute).give_up();
/// let patient = RestartLimit::window(5, minute).pause(Duration::from_secs(15)).jitter(0.2);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RestartLimit {
    rule: Rule,
    /// `None` if nothing was said: a pause, as long as the rule has it.
    over: Option<Over>,
    jitter: Option<f64>,
    max_pause: Option<Duration>,
}

/// When there are too many.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// Failures are counted, and the count halves with each half-life.
    Decay {
        half_life: Duration,
        threshold: f64,
        pause: Duration,
    },
    /// At most `max` restarts within a sliding window.
    Window { max: u32, within: Duration },
    /// Never.
    Unlimited,
}

/// What was said of what happens then.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Over {
    Escalate,
    GiveUp,
    Pause(Duration),
}

impl RestartLimit {
    /// Limits by failure decay, as suture does.
    ///
    /// Each failure, and each normal end of a permanent service, adds one to a count that halves every `half_life`. When the
    /// count is above `threshold`, restarts pause for `pause`; what fails during the pause waits, is counted, and begins
    /// the pause anew if the count is still above. After the pause the count is zero. A threshold below one is exceeded by
    /// the first failure.
    pub const fn decay(half_life: Duration, threshold: f64, pause: Duration) -> Self {
        Self::by(Rule::Decay {
            half_life,
            threshold,
            pause,
        })
    }

    /// Limits to `max` restarts within a window of this length that slides with the time, as OTP does.
    ///
    /// A restart exactly `within` ago is no longer counted. Over it, restarts pause until the oldest that is counted has left the window, or as
    /// long as [`pause`](Self::pause) says; the window slides on meanwhile, and does not begin anew after it. OTP's own way is
    /// [`escalate`](Self::escalate). With `max` zero the first failure is too many, and there is no time at which a window has room for none:
    /// refused unless it is said what happens then.
    pub const fn window(max: u32, within: Duration) -> Self {
        Self::by(Rule::Window { max, within })
    }

    /// Sets no limit.
    pub const fn unlimited() -> Self {
        Self::by(Rule::Unlimited)
    }

    const fn by(rule: Rule) -> Self {
        Self {
            rule,
            over: None,
            jitter: None,
            max_pause: None,
        }
    }

    /// Over the limit, restarts pause for this long: those of a service, or all of a supervisor.
    #[must_use]
    pub const fn pause(mut self, pause: Duration) -> Self {
        self.over = Some(Over::Pause(pause));
        self
    }

    /// Over the limit, the supervisor stops its services and ends, which its own supervisor counts as a failure. As in OTP.
    #[must_use]
    pub const fn escalate(mut self) -> Self {
        self.over = Some(Over::Escalate);
        self
    }

    /// Over the limit, the service is kept as [`Failed`](crate::ServiceState::Failed) until it is [reset](crate::SupervisorRef::reset). For the
    /// limit of a service only: a supervisor refuses it for itself.
    #[must_use]
    pub const fn give_up(mut self) -> Self {
        self.over = Some(Over::GiveUp);
        self
    }

    /// Sets up to which fraction of itself a pause is prolonged at random: 0.0 by default. A limit that does not pause is refused with this.
    #[must_use]
    pub const fn jitter(mut self, fraction: f64) -> Self {
        self.jitter = Some(fraction);
        self
    }

    /// Sets how long a pause may last in all, at least as long as one: by default for as long as failures prolong it. A limit that does not
    /// pause is refused with this.
    #[must_use]
    pub const fn max_pause(mut self, longest: Duration) -> Self {
        self.max_pause = Some(longest);
        self
    }

    /// What happens over it.
    pub(crate) const fn on_limit(&self) -> OnLimit {
        match self.over {
            None | Some(Over::Pause(_)) => OnLimit::Pause,
            Some(Over::Escalate) => OnLimit::Escalate,
            Some(Over::GiveUp) => OnLimit::GiveUp,
        }
    }

    /// How long a pause lasts, if that was said: that of a window may depend on the time.
    const fn said_pause(&self) -> Option<Duration> {
        match (self.over, self.rule) {
            (Some(Over::Pause(pause)), _) | (None, Rule::Decay { pause, .. }) => Some(pause),
            _ => None,
        }
    }

    /// Up to which count restarts are within it. `None` if any are.
    pub(crate) fn threshold(&self) -> Option<f64> {
        match self.rule {
            Rule::Decay { threshold, .. } => Some(threshold),
            Rule::Window { max, .. } => Some(f64::from(max)),
            Rule::Unlimited => None,
        }
    }

    /// In what time the count halves, if it does.
    pub(crate) const fn half_life(&self) -> Option<Duration> {
        match self.rule {
            Rule::Decay { half_life, .. } => Some(half_life),
            Rule::Window { .. } | Rule::Unlimited => None,
        }
    }

    /// How long its window is, if it has one.
    pub(crate) const fn within(&self) -> Option<Duration> {
        match self.rule {
            Rule::Window { within, .. } => Some(within),
            Rule::Decay { .. } | Rule::Unlimited => None,
        }
    }

    /// Reports whether it ever leads to a pause.
    pub(crate) fn pauses(&self) -> bool {
        self.rule != Rule::Unlimited && self.on_limit() == OnLimit::Pause
    }

    /// How long a pause may last in all, if that is bounded.
    pub(crate) const fn longest_pause(&self) -> Option<Duration> {
        self.max_pause
    }

    /// Refuses what makes no sense for this holder.
    pub(crate) fn validate(&self, of: LimitOf) -> Result<(), SpecError> {
        match self.rule {
            Rule::Decay {
                half_life,
                threshold,
                ..
            } => {
                not_zero("limit.half_life", half_life)?;
                if threshold.is_nan() || threshold < 0.0 {
                    return Err(SpecError::value(
                        "limit.threshold",
                        &threshold,
                        "a number that is not negative",
                    ));
                }
            }
            Rule::Window { max, within } => {
                not_zero("limit.within", within)?;
                if max == 0 && self.over.is_none() {
                    return Err(SpecError::value(
                        "limit.max",
                        &max,
                        "a number above zero, or `pause`, `escalate` or `give_up` as well, because a window never has room for none",
                    ));
                }
            }
            Rule::Unlimited => {}
        }
        self.validate_over(of)
    }

    fn validate_over(&self, of: LimitOf) -> Result<(), SpecError> {
        if self.over == Some(Over::GiveUp) && of == LimitOf::Supervisor {
            return Err(SpecError::value(
                "limit",
                &"give_up",
                "`pause` or `escalate`, because only a service can give up",
            ));
        }
        if self.rule == Rule::Unlimited
            && let Some(over) = self.over
        {
            let over = match over {
                Over::Escalate => "escalate",
                Over::GiveUp => "give_up",
                Over::Pause(_) => "pause",
            };
            return Err(SpecError::value(
                "limit",
                &over,
                "a limit that can be exceeded",
            ));
        }
        let pauses = self.pauses();
        let expected = "none, because only a limit that pauses has it";
        if let Some(jitter) = self.jitter {
            if !pauses {
                return Err(SpecError::value("limit.jitter", &jitter, expected));
            }
            fraction("limit.jitter", jitter)?;
        }
        if let Some(longest) = self.max_pause {
            if !pauses {
                let longest = format_args!("{longest:?}");
                return Err(SpecError::value("limit.max_pause", &longest, expected));
            }
            not_zero("limit.max_pause", longest)?;
            if self.said_pause().is_some_and(|pause| pause > longest) {
                let longest = format_args!("{longest:?}");
                let expected = "a duration not below the pause";
                return Err(SpecError::value("limit.max_pause", &longest, expected));
            }
        }
        Ok(())
    }
}

impl Default for RestartLimit {
    fn default() -> Self {
        Self::decay(Duration::from_secs(30), 5.0, Duration::from_secs(15))
    }
}

/// What happens when a limit is exceeded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OnLimit {
    /// The supervisor ends.
    Escalate,
    /// The service is kept as failed.
    GiveUp,
    /// Restarts pause: all of the supervisor, or those of the service.
    Pause,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LimitOf {
    Service,
    Supervisor,
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
        let exceeded = match limit.rule {
            Rule::Decay {
                half_life,
                threshold,
                ..
            } => {
                self.count = self.decayed(half_life, now) + 1.0;
                self.last = Some(now);
                self.count > threshold
            }
            Rule::Window { max, within } => self.slide(max, within, now),
            Rule::Unlimited => false,
        };
        if exceeded {
            Tally::Exceeded
        } else {
            Tally::Within
        }
    }

    /// How long restarts pause after a failure that was one too many.
    pub(crate) fn pause(&self, limit: &RestartLimit, u: f64, now: Instant) -> Duration {
        let pause = match (limit.over, limit.rule) {
            (Some(Over::Pause(pause)), _) | (_, Rule::Decay { pause, .. }) => pause,
            // Until the oldest restart leaves the window.
            (_, Rule::Window { within, .. }) => self.recent.front().map_or(within, |oldest| {
                within.saturating_sub(now.saturating_duration_since(*oldest))
            }),
            (_, Rule::Unlimited) => Duration::ZERO,
        };
        let pause = prolonged(pause, limit.jitter.unwrap_or_default(), u);
        limit.max_pause.map_or(pause, |longest| pause.min(longest))
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
        match limit.rule {
            Rule::Decay { half_life, .. } => self.decayed(half_life, now),
            Rule::Window { within, .. } => {
                let expired = self
                    .recent
                    .partition_point(|at| now.saturating_duration_since(*at) >= within);
                (self.recent.len() - expired) as f64
            }
            Rule::Unlimited => 0.0,
        }
    }

    fn decayed(&self, half_life: Duration, now: Instant) -> f64 {
        let Some(last) = self.last else { return 0.0 };
        let halvings = now.saturating_duration_since(last).as_secs_f64() / half_life.as_secs_f64();
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
