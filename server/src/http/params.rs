//! Parameters of a request: those of a form in its body, then those of its address.
//!
//! Input: a request. Output: names with their values, in that order. Invariant: their number and
//! their bytes are bounded; what a form and an address both say, the form says.

use std::fmt::Display;
use std::num::IntErrorKind;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::number::{NANOS_PER_MILLI, nanos};
use crate::question::DEFAULT_TIMEOUT;
use crate::times::{parse_duration, parse_time};

/// Longest form, in bytes.
pub(crate) const FORM_BYTES_MAX: usize = 4 << 20;

/// How long a body may take to arrive.
pub(crate) const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// Most parameters of one request.
const PARAMS_MAX: usize = 10_000;

/// The parameters of one request.
#[derive(Debug, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Those of a request, whose body is read where it is a form.
    pub(crate) async fn of(request: Request) -> Result<Self, Failure> {
        let address = request.uri().query().unwrap_or_default().to_owned();
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let is_form = kind.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        let form = match is_form {
            true => arrived(Bytes::from_request(request, &()), BODY_PATIENCE).await?,
            false => Bytes::new(),
        };
        Self::read(&form, address.as_bytes())
    }

    fn read(form: &[u8], address: &[u8]) -> Result<Self, Failure> {
        let pairs = form_urlencoded::parse(form).chain(form_urlencoded::parse(address));
        let pairs = pairs.map(|(name, value)| (name.into_owned(), value.into_owned()));
        let pairs: Vec<_> = pairs.take(PARAMS_MAX + 1).collect();
        match pairs.len() > PARAMS_MAX {
            true => Err(Failure::bad_data(format!(
                "more than {PARAMS_MAX} parameters"
            ))),
            false => Ok(Self { pairs }),
        }
    }

    /// The first value of a parameter; empty where there is none.
    pub(crate) fn first(&self, name: &str) -> &str {
        let found = self.pairs.iter().find(|pair| pair.0 == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let these = self.pairs.iter().filter(move |pair| pair.0 == name);
        these.map(|(_, value)| value.as_str())
    }

    /// A time in nanoseconds.
    pub(crate) fn time(&self, name: &str) -> Result<i64, Failure> {
        let text = self.first(name);
        let millis = parse_time(text).map_err(|why| Failure::parameter(name, why))?;
        nanos(millis).ok_or_else(|| {
            let why = format!("cannot parse {text:?} to a valid timestamp");
            Failure::parameter(name, why)
        })
    }

    /// A time in nanoseconds, whole milliseconds; `otherwise` where there is none.
    pub(crate) fn time_or(&self, name: &str, otherwise: i64) -> Result<i64, Failure> {
        match self.first(name) {
            "" => Ok(otherwise / NANOS_PER_MILLI * NANOS_PER_MILLI),
            _ => self
                .time(name)
                .map_err(|failure| named_time(name, &failure)),
        }
    }

    /// An end of a range of time in nanoseconds; `otherwise` where there is none. What lies outside
    /// of what an i64 holds is its end.
    pub(crate) fn edge(&self, name: &str, otherwise: i64) -> Result<i64, Failure> {
        match self.first(name) {
            "" => Ok(otherwise),
            text => match parse_time(text) {
                Ok(millis) => Ok(millis.saturating_mul(NANOS_PER_MILLI)),
                Err(why) => Err(named_time(name, &Failure::parameter(name, why))),
            },
        }
    }

    /// How many results are wanted; 0 is all of them.
    pub(crate) fn limit(&self) -> Result<usize, Failure> {
        let wrong = |why: String| Failure::parameter("limit", why);
        match self.first("limit") {
            "" => Ok(0),
            text => match text.parse::<i64>() {
                Err(error) => {
                    let what = match error.kind() {
                        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
                            "value out of range"
                        }
                        _ => "invalid syntax",
                    };
                    Err(wrong(format!("strconv.Atoi: parsing {text:?}: {what}")))
                }
                Ok(..0) => Err(wrong("limit must be non-negative".to_owned())),
                Ok(limit) => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
            },
        }
    }

    /// How long the answer may take.
    pub(crate) fn timeout(&self) -> Result<Duration, Failure> {
        match self.first("timeout") {
            "" => Ok(DEFAULT_TIMEOUT),
            text => {
                let nanos = parse_duration(text);
                let nanos = nanos.map_err(|why| Failure::parameter("timeout", why))?;
                Ok(length(nanos).min(DEFAULT_TIMEOUT))
            }
        }
    }

    /// How long a sample counts as current, where the request says it.
    pub(crate) fn lookback(&self) -> Result<Option<Duration>, Failure> {
        match self.first("lookback_delta") {
            "" => Ok(None),
            text => match parse_duration(text) {
                Ok(nanos) => Ok(Some(length(nanos)).filter(|length| !length.is_zero())),
                Err(why) => Err(Failure::bad_data(format!(
                    "error parsing lookback delta duration: {why}"
                ))),
            },
        }
    }
}

/// A form that is read within `patience`.
async fn arrived<E: Display>(
    reading: impl Future<Output = Result<Bytes, E>>,
    patience: Duration,
) -> Result<Bytes, Failure> {
    match timeout(patience, reading).await {
        Ok(Ok(form)) => Ok(form),
        Ok(Err(error)) => Err(Failure::bad_data(format!(
            "the form cannot be read (it may have {FORM_BYTES_MAX} bytes): {error}"
        ))),
        Err(_) => Err(Failure::bad_data(format!(
            "the form did not arrive in {} seconds",
            patience.as_secs()
        ))),
    }
}

/// Negative lengths are none.
fn length(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// As Prometheus says it of times that may be left out.
fn named_time(name: &str, failure: &Failure) -> Failure {
    let prefix = format!("invalid parameter {name:?}: ");
    let why = failure.text.strip_prefix(&prefix).unwrap_or(&failure.text);
    Failure::bad_data(format!("{prefix}Invalid time value for '{name}': {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(form: &str, address: &str) -> Params {
        Params::read(form.as_bytes(), address.as_bytes()).unwrap()
    }

    #[test]
    fn a_form_goes_before_the_address() {
        let params = params("query=up%2B1&match[]=a", "query=down&match%5B%5D=b+c");
        assert_eq!(params.first("query"), "up+1");
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["a", "b c"]);
        assert_eq!(params.first("time"), "");
    }

    #[test]
    fn a_form_that_does_not_arrive_is_not_waited_for() {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().build().unwrap();
        let never = std::future::pending::<Result<Bytes, String>>();
        let failure = runtime.block_on(async { arrived(never, Duration::ZERO).await });
        let failure = failure.unwrap_err();
        assert_eq!(failure.text, "the form did not arrive in 0 seconds");
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let none = params("", "");
        assert_eq!(none.time_or("time", 1_234_567), Ok(1_000_000));
        assert_eq!(none.edge("end", i64::MAX), Ok(i64::MAX));
        assert_eq!(none.limit(), Ok(0));
        assert_eq!(none.timeout(), Ok(DEFAULT_TIMEOUT));
        assert_eq!(none.lookback(), Ok(None));
        let some = params("", "timeout=-1&lookback_delta=0&limit=7&end=1e15");
        assert_eq!(some.timeout(), Ok(Duration::ZERO));
        assert_eq!(some.lookback(), Ok(None));
        assert_eq!(some.limit(), Ok(7));
        assert_eq!(some.edge("end", 0), Ok(i64::MAX));
        assert!(some.time("end").is_err());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let wrong = params("", "time=noon&limit=x&timeout=1x&lookback_delta=y&start=");
        for (failure, text) in [
            (
                wrong.time_or("time", 0).unwrap_err(),
                "invalid parameter \"time\": Invalid time value for 'time': cannot parse \
                 \"noon\" to a valid timestamp",
            ),
            (
                wrong.time("start").unwrap_err(),
                "invalid parameter \"start\": cannot parse \"\" to a valid timestamp",
            ),
            (
                wrong.limit().unwrap_err(),
                "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (
                wrong.timeout().unwrap_err(),
                "invalid parameter \"timeout\": cannot parse \"1x\" to a valid duration",
            ),
            (
                wrong.lookback().unwrap_err(),
                "error parsing lookback delta duration: cannot parse \"y\" to a valid duration",
            ),
        ] {
            assert_eq!(failure, Failure::bad_data(text));
        }
        let negative = params("", "limit=-1").limit().unwrap_err();
        assert!(negative.text.ends_with("limit must be non-negative"));
        let many = "a&".repeat(PARAMS_MAX + 1);
        assert!(Params::read(many.as_bytes(), b"").is_err());
    }
}
