//! `cargo xtask c`: the C library as C programs see it: installed, compiled against, called.
//!
//! Input: the checkout. Output: success of each program of `ffi/tests` and `ffi/examples`, built by
//! the C and C++ compilers of this machine, also under AddressSanitizer and valgrind. What cannot
//! run here says SKIPPED, why, and what would bring it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::header::{EXPORTS, HEADER};
use crate::shell::{self, root, succeeds};
use crate::{Outcome, install, python};

/// What every C and C++ program is compiled with.
const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-g"];

/// The program that calls every function.
const PROGRAM: &str = "ffi/tests/c/abi.c";

/// A hanging program is ended after this.
const MINUTES: u64 = 5;

/// An installed library, and where programs that use it are built.
struct Place {
    prefix: PathBuf,
    folder: PathBuf,
}

/// Runs all of it.
pub(crate) fn run() -> Outcome {
    if !succeeds(Command::new("cc").arg("--version")) {
        println!("SKIPPED: the C library from C, because there is no C compiler: install gcc");
        return Ok(());
    }
    let folder = shell::target().join("c");
    // What an earlier run left there is of an earlier run.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("data")).map_err(|error| error.to_string())?;
    let prefix = folder.join("prefix");
    install::install(&prefix, false)?;
    let place = Place { prefix, folder };
    every_function_is_called()?;
    place.exports()?;
    place.c99()?;
    place.cpp17()?;
    place.address_sanitizer()?;
    place.valgrind()?;
    place.example()?;
    place.pyarrow()
}

/// The names of the library that no program of the tests calls.
fn every_function_is_called() -> Outcome {
    let (program, names) = (read(PROGRAM)?, read(EXPORTS)?);
    let is_called = |name: &&str| program.contains(&format!("{name}("));
    match names.lines().find(|name| !is_called(name)) {
        Some(name) => Err(format!("{PROGRAM} does not call {name}")),
        None => Ok(()),
    }
}

impl Place {
    /// The shared library exports what the list says, and nothing else.
    fn exports(&self) -> Outcome {
        let mut nm = Command::new("nm");
        nm.args(["-D", "--defined-only", "--format=posix"]);
        let Ok(output) = nm.arg(self.prefix.join("lib/libtreering.so")).output() else {
            println!("SKIPPED: the exported names, because nm is missing: install binutils");
            return Ok(());
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let mut found: Vec<String> = text.lines().map(name).collect();
        found.sort();
        let listed = read(EXPORTS)?;
        if found.iter().map(String::as_str).eq(listed.lines()) {
            return Ok(());
        }
        Err(format!(
            "the library exports {found:?}, but {EXPORTS} has {listed:?}"
        ))
    }

    fn c99(&self) -> Outcome {
        let program = self.compile("cc", "c99", PROGRAM, "abi", &[])?;
        self.start(Command::new(program).arg(self.fresh("c99")))
    }

    fn cpp17(&self) -> Outcome {
        if !succeeds(Command::new("c++").arg("--version")) {
            println!("SKIPPED: {HEADER} in C++17, because there is no C++ compiler: install g++");
            return Ok(());
        }
        let source = "ffi/tests/c/header.cpp";
        let program = self.compile("c++", "c++17", source, "header", &[])?;
        self.start(&mut Command::new(program))
    }

    /// The C side is instrumented, and what it lends and frees is watched on both sides.
    fn address_sanitizer(&self) -> Outcome {
        let flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
        let Ok(program) = self.compile("cc", "c99", PROGRAM, "abi-asan", &flags) else {
            println!("SKIPPED: the C program under AddressSanitizer, because cc cannot link it");
            return Ok(());
        };
        let mut command = Command::new(program);
        command.env(
            "ASAN_OPTIONS",
            "detect_leaks=1:detect_stack_use_after_return=1",
        );
        self.start(command.arg(self.fresh("asan")))
    }

    fn valgrind(&self) -> Outcome {
        if !succeeds(Command::new("valgrind").arg("--version")) {
            println!(
                "SKIPPED: the C program under valgrind, because it is missing: install valgrind"
            );
            return Ok(());
        }
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]);
        command.args([
            "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite",
        ]);
        command.arg(self.folder.join("abi"));
        self.start(command.arg(self.fresh("valgrind")))
    }

    /// As a user would: by pkg-config alone, then with the static library.
    fn example(&self) -> Outcome {
        let (source, program) = (root().join("ffi/examples/ten_lines.c"), "ten_lines");
        let mut flags = Command::new("pkg-config");
        flags.args(["--cflags", "--libs", "treering"]);
        flags.env("PKG_CONFIG_PATH", self.prefix.join("lib/pkgconfig"));
        match flags.output() {
            Ok(output) if output.status.success() => {
                let flags = String::from_utf8_lossy(&output.stdout).into_owned();
                let mut cc = Command::new("cc");
                cc.arg(&source).args(flags.split_ascii_whitespace());
                shell::run(cc.arg("-o").arg(self.folder.join(program)))?;
                let mut command = Command::new(self.folder.join(program));
                self.start(command.arg(self.fresh("ten-lines")))?;
            }
            _ => println!(
                "SKIPPED: the example by pkg-config, because that is missing: install pkgconf"
            ),
        }
        let mut cc = Command::new("cc");
        cc.arg(&source).arg("-I").arg(self.prefix.join("include"));
        cc.arg(self.prefix.join("lib/libtreering.a"));
        cc.args(["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"]);
        shell::run(cc.arg("-o").arg(self.folder.join("ten_lines_static")))?;
        let mut command = Command::new(self.folder.join("ten_lines_static"));
        shell::run_within(MINUTES, command.arg(self.fresh("static")))
    }

    fn pyarrow(&self) -> Outcome {
        // That of the machine, or the one of the Python package's tests, which says why it is not there.
        let own = ["-c", "import pyarrow"];
        let mut command = if succeeds(Command::new("python3").args(own)) {
            Command::new("python3")
        } else if let Some(environment) = python::environment()? {
            environment.python()
        } else {
            println!(
                "SKIPPED: the Arrow stream in pyarrow, because it is missing: pip install pyarrow"
            );
            return Ok(());
        };
        command.arg(root().join("ffi/tests/arrow.py"));
        self.start(command.arg(self.prefix.join("lib/libtreering.so")))
    }

    /// Builds a program against the installed library.
    fn compile(
        &self,
        compiler: &str,
        standard: &str,
        source: &str,
        name: &str,
        flags: &[&str],
    ) -> Outcome<PathBuf> {
        let program = self.folder.join(name);
        let mut command = Command::new(compiler);
        command
            .arg(format!("-std={standard}"))
            .args(STRICT)
            .args(flags);
        command.arg("-I").arg(self.prefix.join("include"));
        command.arg(root().join(source)).arg("-o").arg(&program);
        command.arg("-L").arg(self.prefix.join("lib"));
        shell::run(command.args(["-ltreering", "-lpthread"]))?;
        Ok(program)
    }

    /// Runs a program with the installed library.
    fn start(&self, command: &mut Command) -> Outcome {
        command.env("LD_LIBRARY_PATH", self.prefix.join("lib"));
        shell::run_within(MINUTES, command)
    }

    /// A folder that is not there yet.
    fn fresh(&self, name: &str) -> PathBuf {
        self.folder.join("data").join(name)
    }
}

fn read(path: &str) -> Outcome<String> {
    let path: &Path = &root().join(path);
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
