//! `cargo xtask header`: the C header and the list of exported names, made of the files of `ffi/`.
//!
//! Input: `ffi/src/abi/*.rs` and `ffi/cbindgen.toml`. Output: `ffi/include/treering.h` and
//! `ffi/exports.txt`, which are committed; a test says when they are not what would be made.

use cbindgen::{Builder, Config};

use crate::Outcome;
use crate::shell::root;

/// The committed header.
pub(crate) const HEADER: &str = "ffi/include/treering.h";

/// The committed list of the names that the shared library exports.
pub(crate) const EXPORTS: &str = "ffi/exports.txt";

/// What the header is made of, in its order.
const SOURCES: [&str; 7] = [
    "types", "error", "database", "append", "query", "result", "maintain",
];

/// Writes both.
pub(crate) fn run() -> Outcome {
    let text = generate()?;
    write(EXPORTS, &exports(&text))?;
    write(HEADER, &text)
}

fn write(path: &str, text: &str) -> Outcome {
    println!("writes {path}");
    std::fs::write(root().join(path), text).map_err(|error| format!("{path}: {error}"))
}

/// The header as it should be.
fn generate() -> Outcome<String> {
    let folder = root().join("ffi");
    let config = Config::from_file(folder.join("cbindgen.toml"))?;
    let mut builder = Builder::new().with_config(config);
    for name in SOURCES {
        builder = builder.with_src(folder.join("src/abi").join(name).with_extension("rs"));
    }
    let bindings = builder.generate().map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).map_err(|error| error.to_string())
}

/// The functions that a header declares, one a line, sorted.
fn exports(header: &str) -> String {
    let name = |line: &str| {
        let before = line.split_once('(')?.0;
        let name = before.rsplit([' ', '*']).next()?;
        let is_function = name.starts_with("treering_") && !line.starts_with([' ', '/', '#']);
        is_function.then(|| name.to_owned())
    };
    let mut names: Vec<String> = header.lines().filter_map(name).collect();
    names.sort();
    names.iter().map(|name| format!("{name}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_header_is_the_one_of_the_sources() {
        let text = generate().unwrap();
        for (path, expected) in [(HEADER, &text), (EXPORTS, &exports(&text))] {
            let found = std::fs::read_to_string(root().join(path)).unwrap_or_default();
            assert!(
                found == *expected,
                "{path} is old: run `cargo xtask header`"
            );
        }
    }

    #[test]
    fn functions_are_found_in_a_header() {
        let header = "/* treering_no(x) */\n#define A(x) treering_no(x)\n\
                      treering_status treering_b(int a,\n                  int treering_no);\n\
                      const char *treering_a(void);\n  int (*release)(void);\n";
        assert_eq!(exports(header), "treering_a\ntreering_b\n");
    }
}
