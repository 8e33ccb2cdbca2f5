//! When to try again, and when to stop.
//!
//! Five tries with exponential back-off and jitter, within one time budget for each request or blob. A registry that
//! names a delay (`Retry-After`, RFC 9110 section 10.2.3, seconds or a date) gets it, up to a minute; a longer one is
//! an error that says so.

use crate::error::{Error, Result};
use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use std::time::{Duration, SystemTime};

/// The longest delay that a registry can impose.
const LONGEST: Duration = Duration::from_secs(60);
/// The time that one request or blob may spend on waiting for its next try, without progress in between.
const WHOLE: Duration = Duration::from_secs(180);

/// The tries of one operation.
pub(crate) struct Budget {
    attempts: u32,
    used: u32,
    first_delay: Duration,
    asked: Option<Duration>,
    waited: Duration,
    last: Option<Error>,
}

impl Budget {
    pub(crate) fn new(attempts: u32, first_delay: Duration) -> Budget {
        Budget { attempts: attempts.max(1), used: 1, first_delay, asked: None, waited: Duration::ZERO, last: None }
    }

    /// Progress was made: what failed before does not count any more.
    pub(crate) fn refill(&mut self) {
        (self.used, self.waited) = (1, Duration::ZERO);
    }

    /// One more failure: how long to wait before the next try, or the failure itself when there is none.
    pub(crate) fn spend(&mut self, failure: Error) -> Result<Duration> {
        let delay = self.asked.take().unwrap_or_else(|| self.next_delay());
        self.used += 1;
        if self.used > self.attempts || self.waited + delay > WHOLE {
            return Err(failure);
        }
        self.last = Some(failure);
        self.waited += delay;
        Ok(delay)
    }

    /// The registry asked for a delay: it is what the next [`Budget::spend`] gives, unless it is unreasonable.
    pub(crate) fn check_asked(&mut self, delay: Duration, failure: &Error) -> Result<Duration> {
        if delay > LONGEST {
            return Err(failure.clone().retry_after(delay));
        }
        self.asked = Some(delay);
        Ok(delay)
    }

    /// What happened last.
    pub(crate) fn last(&self) -> Option<&Error> {
        self.last.as_ref()
    }

    pub(crate) fn next_delay(&self) -> Duration {
        let doubled = self.first_delay.saturating_mul(1 << (self.used - 1).min(10));
        jittered(doubled.min(Duration::from_secs(20)))
    }
}

/// Between 75 % and 125 %, so that many clients don't come back at once.
fn jittered(delay: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    let spread = f64::from(nanos.wrapping_mul(2_654_435_761) >> 8) / f64::from(1u32 << 24);
    delay.mul_f64(0.75 + spread / 2.0)
}

/// Statuses that another try may heal.
pub(crate) fn is_worth_it(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 499 | 500 | 502 | 503 | 504 | 522)
}

/// The delay that the answer asks for.
pub(crate) fn asked_delay(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn failure() -> Error {
        Error::new(Code::Unavailable, "x").retry_after(Duration::ZERO)
    }

    #[test]
    fn five_tries_and_no_more() {
        let mut b = Budget::new(5, Duration::from_millis(1));
        let waits = (0..4).map(|_| b.spend(failure()).unwrap()).collect::<Vec<_>>();
        assert!(waits[3] > waits[0] * 2);
        assert!(b.spend(failure()).is_err());
    }

    #[test]
    fn delays_of_the_registry() {
        let mut h = HeaderMap::new();
        h.insert(RETRY_AFTER, "3".parse().unwrap());
        assert_eq!(asked_delay(&h), Some(Duration::from_secs(3)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        h.insert(RETRY_AFTER, date.parse().unwrap());
        assert!(asked_delay(&h).unwrap() > Duration::from_secs(20));
        let mut b = Budget::new(5, Duration::from_millis(1));
        let e = b.check_asked(Duration::from_secs(61), &failure()).unwrap_err();
        assert_eq!(e.get_retry_after(), Some(Duration::from_secs(61)));
        b.check_asked(Duration::from_secs(2), &failure()).unwrap();
        assert_eq!(b.spend(failure()).unwrap(), Duration::from_secs(2));
    }
}
