//! `Deadline`, the time by which work must be done: a portable variable.
//!
//! Clocks of two machines differ, so the remaining time is sent; the time on the way is not counted.

use super::codec::Codec;
use super::portable::Portable;
use crate::context::{Context, ContextVar, Entered};
use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

/// The time by which work must be done, in this service and in the services that it calls.
///
/// The deadline of the current context is a variable of each [`Carrier`](super::Carrier), under the
/// name `ctxvars.deadline`. Its text is the remaining time in seconds, rounded down to milliseconds. It
/// travels to [`Level::Internal`](super::Level::Internal).
///
/// A deadline can only be shortened: the methods that set it keep an earlier one.
///
/// ```
/// use ctxvars::carrier::Deadline;
/// use std::time::Duration;
///
/// Deadline::after(Duration::from_secs(2)).scope(|| {
///     Deadline::after(Duration::from_secs(60)).scope(|| {
///         let deadline = Deadline::current().expect("it is set");
///         assert!(deadline.remaining() <= Duration::from_secs(2));
///         assert!(Deadline::check().is_ok());
///     });
/// });
/// assert_eq!(Deadline::current(), None);
/// ```
///
/// With tokio, `timeout_at(deadline.instant().into(), future)` cancels a future at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

pub(super) static DEADLINE: ContextVar<Deadline> = ContextVar::new("ctxvars.deadline");

/// How the deadline travels.
pub(super) fn portable() -> Portable<Deadline> {
    Portable::new(&DEADLINE, "ctxvars.deadline")
}

/// The deadline of the current context. O(1), or O(log n) after a change of the context.
pub(super) fn current() -> Option<Deadline> {
    DEADLINE.get()
}

/// The deadline of a context. O(log n).
pub(super) fn of(context: &Context) -> Option<Deadline> {
    context.get(&DEADLINE).copied()
}

/// Longer durations are shortened to this one, so that the time has a representation: 100 years.
const FARTHEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The longest time that is sent: three years.
const LONGEST: Duration = Duration::from_secs(99_999_999);

impl Deadline {
    /// The time after `duration` from now, at most 100 years. O(1).
    ///
    /// See [`Deadline`] for an example.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration.min(FARTHEST))
    }

    /// The deadline at this time. O(1).
    ///
    /// ```
    /// use ctxvars::carrier::Deadline;
    /// use std::time::{Duration, Instant};
    ///
    /// let deadline = Deadline::at(Instant::now());
    /// assert_eq!(deadline.remaining(), Duration::ZERO);
    /// assert!(deadline.has_passed());
    /// ```
    #[must_use]
    pub const fn at(time: Instant) -> Self {
        Self(time)
    }

    /// The deadline of the current context, or `None`. O(1), or O(log n) after a change of the context.
    ///
    /// See [`Deadline`] for an example.
    #[must_use]
    pub fn current() -> Option<Self> {
        current()
    }

    /// Fails if the deadline of the current context has passed. Call it in loops, and before expensive
    /// steps. Same cost as [`current`](Self::current).
    ///
    /// # Errors
    ///
    /// The deadline has passed.
    ///
    /// ```
    /// use ctxvars::carrier::{Deadline, DeadlineExceeded};
    /// use std::time::Duration;
    ///
    /// assert_eq!(Deadline::check(), Ok(())); // without a deadline
    /// let checked = Deadline::after(Duration::ZERO).scope(Deadline::check);
    /// assert_eq!(checked, Err(DeadlineExceeded));
    /// ```
    pub fn check() -> Result<(), DeadlineExceeded> {
        match current() {
            Some(deadline) if deadline.has_passed() => Err(DeadlineExceeded),
            _ => Ok(()),
        }
    }

    /// The time of the deadline. O(1).
    ///
    /// ```
    /// use ctxvars::carrier::Deadline;
    /// use std::time::Instant;
    ///
    /// let now = Instant::now();
    /// assert_eq!(Deadline::at(now).instant(), now);
    /// ```
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// The time until the deadline: zero after it. It fits parameters called `timeout`. O(1).
    ///
    /// See [`Deadline`] for an example.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether the time has come. O(1).
    ///
    /// See [`at`](Self::at) for an example.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// Runs `function` with this deadline, or with that of the current context if it is earlier.
    /// O(log n).
    ///
    /// The rules are those of [`ContextVar::scope`].
    ///
    /// See [`Deadline`] for an example.
    pub fn scope<R>(self, function: impl FnOnce() -> R) -> R {
        DEADLINE.scope(self.or_earlier(current()), function)
    }

    /// Sets this deadline, or that of the current context if it is earlier, until the returned guard is
    /// dropped. O(log n).
    ///
    /// The rules are those of [`ContextVar::enter`]: do not hold the guard across an await.
    ///
    /// ```
    /// use ctxvars::carrier::Deadline;
    /// use std::time::Duration;
    ///
    /// let entered = Deadline::after(Duration::from_secs(2)).enter();
    /// assert!(Deadline::current().is_some());
    /// drop(entered);
    /// assert_eq!(Deadline::current(), None);
    /// ```
    pub fn enter(self) -> Entered<'static, Self> {
        DEADLINE.enter(self.or_earlier(current()))
    }

    /// Returns the context with this deadline, unless it has an earlier one. O(log n).
    ///
    /// ```
    /// use ctxvars::Context;
    /// use ctxvars::carrier::Deadline;
    /// use std::time::Duration;
    ///
    /// let deadline = Deadline::after(Duration::from_secs(2));
    /// let mut context = deadline.apply_to(Context::current());
    /// assert_eq!(context.run(Deadline::current), Some(deadline));
    /// ```
    #[must_use = "the returned context has the deadline, not the current one"]
    pub fn apply_to(self, context: Context) -> Context {
        let deadline = self.or_earlier(of(&context));
        context.with_value(&DEADLINE, deadline)
    }

    fn or_earlier(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| other.min(self))
    }
}

/// The text is the remaining time, so it differs from call to call.
impl Codec for Deadline {
    fn encode(&self) -> String {
        text_of(self.remaining())
    }

    fn decode(text: &str) -> Option<Self> {
        duration_of(text).map(Self::after)
    }
}

/// Seconds with milliseconds, rounded down: a service must not work longer than its caller waits.
fn text_of(remaining: Duration) -> String {
    let remaining = remaining.min(LONGEST);
    format!("{}.{:03}", remaining.as_secs(), remaining.subsec_millis())
}

/// The duration of a text that matches `[0-9]{1,8}(\.[0-9]{1,6})?`, or `None`.
fn duration_of(text: &str) -> Option<Duration> {
    let digits = |text: &str, most: usize| {
        let is_number =
            (1..=most).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let places = u32::try_from(fraction.len()).ok()?;
    let (seconds, fraction) = (digits(seconds, 8)?, digits(fraction, 6)?);
    Some(Duration::from_secs(seconds) + Duration::from_micros(fraction * 10_u64.pow(6 - places)))
}

/// The error of [`Deadline::check`]: the deadline of the current context has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineExceeded;

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline has passed")
    }
}

impl Error for DeadlineExceeded {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remaining_time_is_rounded_down_to_milliseconds() {
        let texts = [
            (Duration::ZERO, "0.000"),
            (Duration::from_nanos(1_999_999), "0.001"),
            (Duration::from_millis(12_050), "12.050"),
            (LONGEST, "99999999.000"),
            (Duration::MAX, "99999999.000"),
        ];
        for (remaining, text) in texts {
            assert_eq!(text_of(remaining), text);
        }
    }

    #[test]
    fn a_text_gives_a_duration_of_at_most_three_years() {
        assert_eq!(duration_of("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(duration_of("0.000001"), Some(Duration::from_micros(1)));
        assert_eq!(duration_of("99999999.999999"), Some(Duration::from_micros(99_999_999_999_999)));
        for refused in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "inf",
            "123456789",
            "1.1234567",
            "1.5.5",
            "\u{661}",
        ] {
            assert_eq!(duration_of(refused), None, "{refused}");
        }
    }

    #[test]
    fn the_longest_duration_is_a_deadline() {
        assert!(Deadline::after(Duration::MAX) > Deadline::after(LONGEST));
    }
}
