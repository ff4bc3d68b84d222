//! How long a service waits before it is started again.

use std::time::Duration;

use super::{
    SpecError,
    error::{fraction, not_zero},
};

/// How long a service waits before it is started again, counted from the end of its run.
///
/// The delay before restart `n` of a row of failures is `base · factor^(n − 1)`, at most `max`, and then up to `jitter`
/// longer. It never overflows. The row ends when the service was ready for [`reset_after`](Self::reset_after).
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    growth: Growth,
    jitter: f64,
    reset_after: Option<Duration>,
}

/// How a delay grows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Growth {
    /// Not at all. What was said about it nevertheless.
    Constant {
        factor: Option<f64>,
    },
    Exponential {
        factor: f64,
    },
}

impl Backoff {
    /// No delay. The default.
    pub const fn none() -> Self {
        Self::constant(Duration::ZERO)
    }

    /// The same delay each time.
    pub const fn constant(delay: Duration) -> Self {
        Self {
            base: delay,
            max: delay,
            growth: Growth::Constant { factor: None },
            jitter: 0.0,
            reset_after: None,
        }
    }

    /// A delay that starts with `base`, which is above zero, doubles each time, and stays at `max`.
    pub const fn exponential(base: Duration, max: Duration) -> Self {
        Self {
            base,
            max,
            growth: Growth::Exponential { factor: 2.0 },
            jitter: 0.0,
            reset_after: None,
        }
    }

    /// Sets what the delay is multiplied with each time: 2.0 by default, at least 1.0. A constant one is refused with this.
    #[must_use]
    pub const fn factor(mut self, factor: f64) -> Self {
        self.growth = match self.growth {
            Growth::Constant { .. } => Growth::Constant {
                factor: Some(factor),
            },
            Growth::Exponential { .. } => Growth::Exponential { factor },
        };
        self
    }

    /// Sets up to which fraction of itself a delay is prolonged at random: 0.0 by default, so not at all.
    ///
    /// Added on top, also of the maximum: 0.2 makes ten seconds between ten and twelve.
    #[must_use]
    pub const fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets how long a service must have been ready for its delay to begin anew.
    ///
    /// By default the longest delay, so that a service which holds out longer than it ever waits counts as healthy. A constant delay, for which
    /// that makes no difference, is refused with this.
    #[must_use]
    pub const fn reset_after(mut self, healthy: Duration) -> Self {
        self.reset_after = Some(healthy);
        self
    }

    /// Refuses what makes no sense.
    pub(crate) fn validate(&self) -> Result<(), SpecError> {
        fraction("backoff.jitter", self.jitter)?;
        let factor = self.multiplier();
        if !factor.is_finite() || factor < 1.0 {
            return Err(SpecError::value(
                "backoff.factor",
                &factor,
                "a finite number of at least 1",
            ));
        }
        let plain = Self::none();
        if self.base.is_zero() && *self != plain {
            return Err(SpecError::value(
                "backoff.base",
                &"0ns",
                "a duration above zero, or `Backoff::none` as it is",
            ));
        }
        if self.max < self.base {
            return Err(SpecError::value(
                "backoff.max",
                &format_args!("{:?}", self.max),
                "a duration not below the base",
            ));
        }
        if let Some(healthy) = self.reset_after {
            not_zero("backoff.reset_after", healthy)?;
        }
        self.validate_growth()
    }

    fn validate_growth(&self) -> Result<(), SpecError> {
        let Growth::Constant { factor } = self.growth else {
            return Ok(());
        };
        let expected = "none, because only `Backoff::exponential` grows";
        if let Some(factor) = factor {
            return Err(SpecError::value("backoff.factor", &factor, expected));
        }
        if let Some(healthy) = self.reset_after {
            let healthy = format_args!("{healthy:?}");
            return Err(SpecError::value("backoff.reset_after", &healthy, expected));
        }
        Ok(())
    }

    const fn multiplier(&self) -> f64 {
        match self.growth {
            Growth::Exponential { factor }
            | Growth::Constant {
                factor: Some(factor),
            } => factor,
            Growth::Constant { factor: None } => 1.0,
        }
    }

    /// Reports whether there is never a delay.
    pub(crate) const fn is_none(&self) -> bool {
        self.max.is_zero()
    }

    /// The delay after `failures` failures in a row; `u` in `[0, 1)` says how much of the jitter is added.
    pub(crate) fn delay(&self, failures: u32, u: f64) -> Duration {
        // The float may grow to infinity, so it is capped before it becomes a duration.
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.base.as_secs_f64() * self.multiplier().powi(exponent);
        let delay = if grown.is_nan() || grown >= self.max.as_secs_f64() {
            self.max
        } else {
            seconds(grown)
        };
        prolonged(delay, self.jitter, u)
    }

    /// How long a service must have been ready for its row of failures to end.
    pub(crate) fn healthy_after(&self) -> Duration {
        self.reset_after.unwrap_or(self.max)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::none()
    }
}

/// `duration · (1 + jitter · u)`, saturating.
pub(super) fn prolonged(duration: Duration, jitter: f64, u: f64) -> Duration {
    if jitter == 0.0 {
        return duration;
    }
    let random = if u.is_nan() { 0.0 } else { u.clamp(0.0, 1.0) };
    seconds(duration.as_secs_f64() * jitter.mul_add(random, 1.0))
}

/// A duration of this many seconds, the longest there is if they are too many.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
