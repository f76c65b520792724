//! `treering import`: what is a sample goes in, what is none is told, twice is once.

use std::fs;

use crate::support::{lines, samples, samples_of_lines, treering};

#[test]
fn lines_go_in_and_come_back_after_the_process_ended() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["import", "db", "--batch", "7"];
    let ran = treering(dir.path(), &words, lines(100).as_bytes());
    assert_eq!((ran.code, &*ran.err), (Some(0), ""));
    assert_eq!(ran.out, "100 samples of 100 lines are in\n");
    assert_eq!(samples(&dir.path().join("db")), samples_of_lines(100));
    // The same again changes nothing; a corrected value takes the place of the first.
    let ran = treering(dir.path(), &words, lines(100).as_bytes());
    assert_eq!(ran.code, Some(0));
    assert_eq!(samples(&dir.path().join("db")), samples_of_lines(100));
    treering(dir.path(), &["import", "db"], b"load{host=\"a\"} -0.0 0\n");
    assert_eq!(samples(&dir.path().join("db"))[0].2, (-0.0_f64).to_bits());
}

#[test]
fn files_are_read_in_order_and_a_missing_one_makes_no_database() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("one"), "# TYPE up gauge\nup 1 1.5\n# EOF\n").unwrap();
    fs::write(dir.path().join("two"), "up 2 1.5 # {id=\"7\"} 1").unwrap();
    let words = ["import", "db", "--format", "openmetrics", "one", "missing"];
    let ran = treering(dir.path(), &words, b"");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("cannot open missing"), "{}", ran.err);
    assert!(!dir.path().join("db").exists());
    let words = ["import", "db", "--format", "openmetrics", "one", "two"];
    let ran = treering(dir.path(), &words, b"");
    assert_eq!((ran.code, &*ran.err), (Some(0), ""));
    let expected = vec![("up".to_owned(), 1_500_000_000, 2.0_f64.to_bits())];
    assert_eq!(samples(&dir.path().join("db")), expected);
}

#[test]
fn what_is_no_sample_is_told_with_its_line_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let input = b"up 1 1\nup one 2\n\xff\nup 3 3\n";
    let ran = treering(dir.path(), &["import", "db", "--json"], input);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("standard input:2: left out: `one`"),
        "{ran:?}"
    );
    assert!(
        ran.err
            .contains("standard input:3: left out: it is not UTF-8")
    );
    let expected = "{\"samples\":2,\"lines\":4,\"left_out\":2,\"resume_at\":null,\"error\":null}\n";
    assert_eq!(ran.out, expected);
    assert_eq!(samples(&dir.path().join("db")).len(), 2);

    let many = "nonsense\n".repeat(1000);
    let ran = treering(dir.path(), &["import", "db"], many.as_bytes());
    assert_eq!((ran.code, ran.err.lines().count()), (Some(1), 20));
    assert!(
        ran.out.ends_with("1000 lines were left out\n"),
        "{}",
        ran.out
    );
}

#[test]
fn a_number_too_large_is_no_infinity() {
    let dir = tempfile::tempdir().unwrap();
    let ran = treering(dir.path(), &["import", "db"], b"up +Inf 1\nup 1e400 2\n");
    assert_eq!(ran.code, Some(1));
    let told = "standard input:2: left out: `1e400` is more than an f64 holds\n";
    assert_eq!(ran.err, told);
    assert_eq!(ran.out, "1 sample of 2 lines is in\n1 line was left out\n");
    let infinite = ("up".to_owned(), 1_000_000, f64::INFINITY.to_bits());
    assert_eq!(samples(&dir.path().join("db")), [infinite]);
}

#[test]
fn nothing_stands_behind_the_end_of_a_text() {
    let dir = tempfile::tempdir().unwrap();
    // Two texts, one behind the other as `cat` would have it; a third in a file of its own.
    let joined = "up 1 1\n# EOF\n\n  \n# TYPE up gauge\nup 2 2\nnonsense\n# EOF\n";
    fs::write(dir.path().join("joined"), joined).unwrap();
    fs::write(dir.path().join("own"), "up 3 3\n# EOF\n").unwrap();
    let words = ["import", "db", "--format", "openmetrics", "joined", "own"];
    let ran = treering(dir.path(), &words, b"");
    assert_eq!(ran.code, Some(1));
    // Also what would have been no sample before it.
    let told = |line| format!("joined:{line}: left out: it stands behind `# EOF`\n");
    assert_eq!(ran.err, (5..9).map(told).collect::<String>());
    assert_eq!(
        ran.out,
        "2 samples of 10 lines are in\n4 lines were left out\n"
    );
    let found: Vec<_> = samples(&dir.path().join("db"))
        .into_iter()
        .map(|sample| sample.1)
        .collect();
    assert_eq!(found, [1_000_000_000, 3_000_000_000]);
    // In Prometheus' own format it is a comment as any other.
    let ran = treering(dir.path(), &["import", "other"], b"up 1 1\n# EOF\nup 2 2\n");
    assert_eq!((ran.code, &*ran.err), (Some(0), ""));
}

#[test]
fn strict_stops_there_and_keeps_what_came_before() {
    let dir = tempfile::tempdir().unwrap();
    let input = b"up 1 1\nup 2 2\nup three 3\nup 4 4\n";
    let ran = treering(dir.path(), &["import", "db", "--strict"], input);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("standard input:3: `three` is no value"),
        "{}",
        ran.err
    );
    assert!(
        ran.err
            .contains("what stands before standard input:3 is in")
    );
    assert_eq!(ran.out, "2 samples are in\n");
    assert_eq!(samples(&dir.path().join("db")).len(), 2);
}

#[test]
fn what_the_database_refuses_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(5000);
    let input = format!("up 1 1\nup{{path=\"{long}\"}} 2 2\nup 3 3\n");
    let ran = treering(dir.path(), &["import", "db"], input.as_bytes());
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(
        ran.err.starts_with("standard input:2: left out: "),
        "{}",
        ran.err
    );
    assert_eq!(samples(&dir.path().join("db")).len(), 2);
}

#[test]
fn words_that_make_no_sense_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    for words in [
        &[][..],
        &["forget"],
        &["import"],
        &["import", "db", "--batch", "0"],
        &["import", "db", "--format", "csv"],
        &["verify"],
        &["repair", "db"],
    ] {
        let ran = treering(dir.path(), words, b"");
        assert_eq!(ran.code, Some(2), "{words:?}");
        let says_how = ran.err.contains("Usage:") || ran.err.contains("--help");
        assert!(says_how, "{words:?}: {}", ran.err);
    }
    let ran = treering(dir.path(), &["--help"], b"");
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("repair") && ran.out.contains("Exit codes:"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
