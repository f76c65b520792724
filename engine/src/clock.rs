//! Time behind a trait: the wall clock for ages, a monotonic clock for intervals.
//!
//! The engine never asks the operating system for the time elsewhere, so a test can stop time, jump
//! it or let it run backwards. Also the helpers that make timestamps (nanoseconds since the Unix
//! epoch, `i64`) from the units that programs have.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Wall-clock time: nanoseconds since the Unix epoch. May jump either way.
    fn now(&self) -> i64;

    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The clocks of the operating system.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[expect(clippy::disallowed_methods, reason = "the one door for time")]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one door for time")]
    fn now(&self) -> i64 {
        from_system_time(SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that moves only when told to, for tests.
#[cfg(feature = "testing")]
#[derive(Debug, Default)]
pub struct ManualClock {
    now: std::sync::atomic::AtomicI64,
    monotonic: std::sync::atomic::AtomicU64,
}

#[cfg(feature = "testing")]
impl ManualClock {
    /// A clock that shows `now` (nanoseconds since the Unix epoch).
    pub fn new(now: i64) -> Self {
        let clock = Self::default();
        clock.set(now);
        clock
    }

    /// Sets the wall clock, forwards or backwards.
    pub fn set(&self, now: i64) {
        self.now.store(now, std::sync::atomic::Ordering::SeqCst);
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.now
            .fetch_add(by as i64, std::sync::atomic::Ordering::SeqCst);
        self.monotonic
            .fetch_add(by, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(feature = "testing")]
impl Clock for ManualClock {
    fn now(&self) -> i64 {
        self.now.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.monotonic.load(std::sync::atomic::Ordering::SeqCst))
    }
}

/// Nanoseconds in a millisecond.
const MILLISECOND: i64 = 1_000_000;
/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// The timestamp of a moment; moments outside the years 1677 to 2262 become the nearest end.
pub fn from_system_time(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => {
            i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos: i64| -nanos)
        }
    }
}

/// The timestamp of a moment given in milliseconds since the Unix epoch, saturating.
pub const fn from_millis(millis: i64) -> i64 {
    millis.saturating_mul(MILLISECOND)
}

/// The timestamp of a moment given in seconds since the Unix epoch, saturating.
pub const fn from_secs(secs: i64) -> i64 {
    secs.saturating_mul(SECOND)
}

/// The moment a timestamp names.
pub fn to_system_time(timestamp: i64) -> SystemTime {
    let distance = Duration::from_nanos(timestamp.unsigned_abs());
    if timestamp >= 0 {
        UNIX_EPOCH + distance
    } else {
        UNIX_EPOCH - distance
    }
}

/// The timestamp of this moment on the system's clock.
pub fn now() -> i64 {
    SystemClock::new().now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_back() {
        for timestamp in [0, 1, -1, SECOND, -3 * MILLISECOND, 1_700_000_000 * SECOND] {
            assert_eq!(from_system_time(to_system_time(timestamp)), timestamp);
        }
        assert_eq!(from_millis(i64::MAX), i64::MAX);
        assert_eq!(from_secs(-2), -2 * SECOND);
    }
}
