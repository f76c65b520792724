//! The rules of the source that no compiler checks; run as a recipe and as a test.
//!
//! Input: every `.rs` and `.toml` file of the checkout. Output: failures (crate edges, unsafe
//! outside its list, missing module heads, unfinished-work marks, characters outside ASCII, doors
//! that only `vfs/`, `clock.rs` and `sync.rs` may open) and notices (long files, functions, lines).

use std::path::{Path, PathBuf};

use crate::shell::root;
use crate::source::Source;
use crate::{Outcome, edges};

/// The only files, and folders with all that is in them, that may say `unsafe`.
const UNSAFE_PATHS: &[&str] = &[
    "codec/src/simd/",
    "engine/src/vfs/mmap.rs",
    "ffi/src/abi/",
    "ffi/src/arrow/stream.rs",
    "ffi/src/arrow/structs.rs",
    "ffi/src/door.rs",
    "ffi/src/tests/",
    "python/src/lend.rs",
];

/// Marks of unfinished work. Spelled in halves so that this file does not hold them.
const MARKS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];

/// Longer ones are printed: each probably has two jobs.
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 100;

/// What code that only computes does not say.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::time",
    "std::env",
    "std::process",
];

/// Folders, what their code (tests apart) must not say, and the paths below it that may.
const DOORS: &[Door] = &[
    Door {
        folder: "codec/src/",
        banned: OUTSIDE,
        except: &[],
    },
    Door {
        folder: "index/src/",
        banned: OUTSIDE,
        except: &[],
    },
    Door {
        folder: "engine/src/",
        banned: &[
            "std::fs",
            "fs::File",
            "File::open",
            "Instant::now",
            "SystemTime::now",
            "thread::spawn",
            "thread::sleep",
            "thread::Builder",
        ],
        except: &["vfs/", "clock.rs", "sync.rs"],
    },
];

/// One row of [`DOORS`].
struct Door {
    folder: &'static str,
    banned: &'static [&'static str],
    except: &'static [&'static str],
}

/// What was found, as lines to print.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    failures: Vec<String>,
    notices: Vec<String>,
}

/// Prints all findings; fails when one of them is a failure.
pub(crate) fn run() -> Outcome {
    println!("\n$ tidy");
    let findings = check()?;
    for notice in &findings.notices {
        println!("notice: {notice}");
    }
    for failure in &findings.failures {
        println!("FAILED: {failure}");
    }
    match findings.failures.len() {
        0 => Ok(()),
        count => Err(format!(
            "{count} rules of the source are broken; see the lines above"
        )),
    }
}

fn check() -> Outcome<Findings> {
    let mut findings = Findings::default();
    let (problems, counts) = edges::check()?;
    findings.failures.extend(problems);
    findings.notices.push(counts);
    for path in files(&root())? {
        let bytes = std::fs::read(root().join(&path)).map_err(|e| format!("{path}: {e}"))?;
        let Ok(text) = String::from_utf8(bytes) else {
            findings.failures.push(format!("{path} is not UTF-8"));
            continue;
        };
        let source = Source::new(text);
        check_words(&path, &source, &mut findings);
        if path.ends_with(".rs") {
            check_code(&path, &source, &mut findings);
            check_lengths(&path, &source, &mut findings);
        }
    }
    Ok(findings)
}

fn check_words(path: &str, source: &Source, findings: &mut Findings) {
    for line in source.non_ascii() {
        findings
            .failures
            .push(format!("{path}:{line}: a character outside ASCII"));
    }
    for mark in MARKS {
        for line in source.mentions(mark) {
            findings
                .failures
                .push(format!("{path}:{line}: says {mark}"));
        }
    }
}

fn check_code(path: &str, source: &Source, findings: &mut Findings) {
    if !source.has_head() {
        findings
            .failures
            .push(format!("{path}: does not begin with //! lines"));
    }
    let is_listed =
        |listed: &&str| path == *listed || listed.ends_with('/') && path.starts_with(*listed);
    if !UNSAFE_PATHS.iter().any(is_listed) {
        for line in source.uses("unsafe") {
            findings
                .failures
                .push(format!("{path}:{line}: unsafe outside the list of tidy.rs"));
        }
    }
    for door in DOORS {
        let Some(inside) = path.strip_prefix(door.folder) else {
            continue;
        };
        let is_tests = inside.ends_with("tests.rs") || inside.contains("tests/");
        if is_tests || door.except.iter().any(|except| inside.starts_with(except)) {
            continue;
        }
        let tests_start = source.tests_start().unwrap_or(usize::MAX);
        for banned in door.banned {
            for line in source
                .uses(banned)
                .into_iter()
                .filter(|line| *line < tests_start)
            {
                findings
                    .failures
                    .push(format!("{path}:{line}: {banned} has no door here"));
            }
        }
    }
}

fn check_lengths(path: &str, source: &Source, findings: &mut Findings) {
    let lines = source.line_count();
    if lines > FILE_LINES_MAX {
        findings.notices.push(format!("{path}: {lines} lines"));
    }
    for function in source.functions() {
        if function.lines > FUNCTION_LINES_MAX {
            let (name, line, lines) = (function.name, function.line, function.lines);
            findings
                .notices
                .push(format!("{path}:{line}: {name} has {lines} lines"));
        }
    }
    for line in source.longer_than(LINE_COLUMNS_MAX) {
        findings
            .notices
            .push(format!("{path}:{line}: over {LINE_COLUMNS_MAX} columns"));
    }
}

/// Sources below `root`, relative to it with `/`, sorted; build output and hidden folders apart.
fn files(root: &Path) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        let entries =
            std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry
                .file_type()
                .map_err(|error| format!("{name}: {error}"))?;
            if kind.is_dir() && !name.starts_with('.') && name != "target" {
                open.push(entry.path());
            } else if kind.is_file() && (name.ends_with(".rs") || name.ends_with(".toml")) {
                let path = entry.path();
                let relative = path.strip_prefix(root).unwrap_or(&path);
                found.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(path: &str, text: &str) -> Vec<String> {
        let source = Source::new(text.to_owned());
        let mut findings = Findings::default();
        check_words(path, &source, &mut findings);
        check_code(path, &source, &mut findings);
        findings.failures
    }

    #[test]
    fn the_repository_is_tidy() {
        let findings = check().unwrap();
        assert!(
            findings.failures.is_empty(),
            "\n{}",
            findings.failures.join("\n")
        );
    }

    #[test]
    fn the_tests_that_hold_bugs_are_there() {
        let list = std::fs::read_to_string(root().join("docs/testing/bugs.md")).unwrap();
        let names = list.split('`').filter_map(|name| name.split_once(".rs::"));
        let mut count = 0;
        for (file, test) in names {
            let path = root().join(format!("{file}.rs"));
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let is_there = text.contains(&format!("#[test]\nfn {test}()"));
            assert!(is_there, "{} has no test {test}", path.display());
            count += 1;
        }
        assert!(count > 20, "{count} tests are named");
    }

    #[test]
    fn unsafe_lives_only_where_it_is_listed() {
        let text = "//! Head.\nfn a() { unsafe { b() } }\n";
        assert_eq!(failures("engine/src/head/mod.rs", text).len(), 1);
        assert!(failures("engine/src/vfs/mmap.rs", text).is_empty());
    }

    #[test]
    fn files_and_clocks_have_one_door() {
        let text = "//! Head.\nuse std::fs;\nfn a() { Instant::now(); }\n\
                    #[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(failures("engine/src/wal/writer.rs", text).len(), 2);
        assert!(failures("engine/src/vfs/disk.rs", text).is_empty());
        assert!(failures("benches/src/rss.rs", text).is_empty());
    }

    #[test]
    fn marks_heads_and_letters_are_noticed() {
        let text = format!("// {}\nfn a() {{}}\n// \u{e9}\n", MARKS[0]);
        assert_eq!(failures("index/src/x.rs", &text).len(), 3);
    }
}
