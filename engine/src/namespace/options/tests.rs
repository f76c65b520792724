//! Options at the edges of their ranges, and the names of namespaces.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

fn plain() -> NamespaceOptions {
    NamespaceOptions::default()
}

/// Bytes and back.
fn stored(options: &NamespaceOptions) -> CodecResult<NamespaceOptions> {
    let mut bytes = Vec::new();
    options.put(&mut bytes);
    NamespaceOptions::read(&mut Reader::new(&bytes))
}

#[test]
fn the_default_keeps_everything_for_ever_and_takes_no_bytes() {
    let mut bytes = Vec::new();
    plain().put(&mut bytes);
    assert!(bytes.is_empty());
    assert_eq!(stored(&plain()), Ok(plain()));
    assert_eq!(plain().retention, None);
}

#[test]
fn both_ends_of_every_range_are_allowed_and_come_back() {
    let eight = (0..8).fold(plain(), |options, number| {
        options.downsample((number + 1) * DAY, Duration::from_secs(1 << number))
    });
    for allowed in [
        plain().retention(Duration::from_secs(1)),
        plain().retention(MAX_AGE),
        plain().retention(Duration::from_nanos(1_000_000_001)),
        plain().retention_bytes(4096),
        plain().retention_bytes(u64::MAX),
        plain().block_window(MIN_WINDOW),
        plain().block_window(MAX_WINDOW),
        plain().max_series(1),
        plain().max_series(MAX_SERIES),
        plain().downsample(Duration::ZERO, Duration::from_secs(1)),
        plain().downsample(MAX_AGE, 194 * DAY),
        plain()
            .downsample(DAY, MINUTE)
            .retention(DAY + Duration::from_nanos(1)),
        eight,
    ] {
        allowed.check().unwrap();
        assert_eq!(stored(&allowed), Ok(allowed));
    }
}

#[test]
fn what_is_outside_its_range_is_refused_by_name() {
    let nine = (0..9).fold(plain(), |options, number| {
        options.downsample((number + 1) * DAY, Duration::from_secs(1 << number))
    });
    let tick = Duration::from_nanos(1);
    for (refused, option, why) in [
        (
            plain().retention(Duration::from_secs(1) - tick),
            "retention",
            "one second to 200 years",
        ),
        (
            plain().retention(MAX_AGE + tick),
            "retention",
            "one second to 200 years",
        ),
        (
            plain().retention(Duration::MAX),
            "retention",
            "one second to 200 years",
        ),
        (
            plain().retention_bytes(4095),
            "retention_bytes",
            "at least 4096, not 4095",
        ),
        (
            plain().block_window(MINUTE - tick),
            "block_window",
            "one minute to ten years",
        ),
        (
            plain().block_window(MAX_WINDOW + tick),
            "block_window",
            "one minute to ten years",
        ),
        (
            plain().max_series(0),
            "max_series",
            "1 to 4,294,967,294, not 0",
        ),
        (
            plain().max_series(MAX_SERIES + 1),
            "max_series",
            "1 to 4,294,967,294",
        ),
        (nine, "downsample", "at most 8 steps, not 9"),
        (
            plain().downsample(DAY, Duration::ZERO),
            "downsample",
            "one second to 194 days",
        ),
        (
            plain().downsample(DAY, MINUTE + tick),
            "downsample",
            "whole seconds",
        ),
        (
            plain().downsample(DAY, 194 * DAY + tick),
            "downsample",
            "one second to 194 days",
        ),
        (
            plain().downsample(DAY, 195 * DAY),
            "downsample",
            "one second to 194 days",
        ),
        (
            plain().downsample(MAX_AGE + tick, MINUTE),
            "downsample",
            "at most 200 years",
        ),
        (
            plain().downsample(DAY, MINUTE).retention(DAY),
            "downsample",
            "below NamespaceOptions::retention",
        ),
        (
            plain().downsample(DAY, MINUTE).downsample(DAY, 2 * MINUTE),
            "downsample",
            "ascending ages",
        ),
        (
            plain().downsample(DAY, MINUTE).downsample(2 * DAY, MINUTE),
            "downsample",
            "ascending steps",
        ),
        (
            plain()
                .downsample(DAY, 2 * MINUTE)
                .downsample(2 * DAY, 3 * MINUTE),
            "downsample",
            "a multiple of",
        ),
        (
            plain()
                .downsample(DAY, 2 * MINUTE)
                .downsample(2 * DAY, MINUTE),
            "downsample",
            "ascending steps",
        ),
    ] {
        let error = refused.check().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("NamespaceOptions::{option} must ")),
            "{error}"
        );
        assert!(error.contains(why), "{error} has no {why}");
        // Bytes hold steps in whole seconds: those cannot even be written.
        let mut steps = refused.downsample.iter().map(|one| one.step);
        let whole = steps.all(|step| step.subsec_nanos() == 0);
        assert!(!whole || stored(&refused).is_err(), "{refused:?}");
    }
}

#[test]
fn an_option_is_cleared_with_none() {
    let options = plain().retention(DAY).retention_bytes(1 << 30);
    assert_eq!(options.retention(None).retention_bytes(None), plain());
}

#[test]
fn options_are_read_from_configuration() {
    let read: NamespaceOptions = serde_json::from_str("{}").unwrap();
    assert_eq!(read, plain());
    let options = plain()
        .retention(9 * DAY)
        .downsample(DAY, MINUTE)
        .max_series(5);
    let text = serde_json::to_string(&options).unwrap();
    assert_eq!(
        serde_json::from_str::<NamespaceOptions>(&text).unwrap(),
        options
    );
    let unknown = serde_json::from_str::<NamespaceOptions>("{\"retentoin\": null}");
    assert!(unknown.unwrap_err().to_string().contains("retentoin"));
}

#[test]
fn names_are_short_and_plain() {
    for name in ["default", "a", "Team-7_x.y", &"n".repeat(64)] {
        check_name(name).unwrap();
    }
    for name in ["", "a b", "a/b", "\u{b5}", "a\0", &"n".repeat(65)] {
        let error = check_name(name).unwrap_err().to_string();
        assert!(
            error.starts_with("namespace must be 1 to 64 of "),
            "{error}"
        );
    }
}
