//! When to ask again, and how long to wait before.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// Why a try brought no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// Another try may bring it: a cut connection, a server that is busy or broken for the moment. With what the server asked for as a pause.
    Passing { why: String, pause: Option<Duration> },
    /// No try will: a wrong key, a model that is not there.
    Lasting(String),
    /// The server will not answer this very question; another may be answered.
    Withheld(String),
}

/// The longest pause that a server is granted.
const LONGEST: Duration = Duration::from_secs(600);

/// Pause before try number `attempt` (from 1): twice as long each time up to a minute, and up to a half more by chance, so that callers who
/// failed together do not come back together.
pub fn backoff(attempt: usize, base: Duration, chance: f64) -> Duration {
    let doubled = base.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    doubled
        .min(Duration::from_secs(60))
        .mul_f64(1.0 + if chance.is_nan() { 0.0 } else { chance.clamp(0.0, 1.0) } / 2.0)
}

/// `Retry-After`: seconds, or an HTTP date (RFC 9110, § 10.2.3).
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(now).unwrap_or_default().min(LONGEST))
}

/// A moment before which nobody asks: one answer of "too many requests" is meant for all.
#[derive(Default)]
pub struct Gate(Mutex<Option<Instant>>);

impl Gate {
    pub fn close_for(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut gate = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *gate = Some(gate.map_or(until, |g| g.max(until)));
    }

    /// What is left of the pause.
    pub fn left(&self) -> Duration {
        let gate = *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        gate.map_or(Duration::ZERO, |g| g.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let base = Duration::from_secs(1);
        let pauses: Vec<u64> = (1..9).map(|a| backoff(a, base, 0.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff(1, base, 1.0), Duration::from_millis(1500));
        assert!(backoff(usize::MAX, Duration::MAX, f64::NAN) <= Duration::from_secs(90));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("0.5", now), Some(Duration::from_millis(500)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:30 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("1e9", now), Some(LONGEST));
        for bad in ["", "-3", "soon", "NaN", "inf"] {
            assert!(retry_after(bad, now).is_none_or(|d| d <= LONGEST), "{bad}");
        }
    }
}
