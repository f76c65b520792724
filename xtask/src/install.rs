//! `cargo xtask install --prefix DIR`: the C library where compilers find it.
//!
//! Input: a folder. Output: in it `lib/libtreering.so` and `.a`, `include/treering.h`,
//! `lib/pkgconfig/treering.pc`; so that `cc $(pkg-config --cflags --libs treering)` works.

use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::args::Args;
use crate::header::HEADER;
use crate::shell::{self, cargo, root};

/// What the dynamic linker asks for: as `ffi/build.rs` says.
pub(crate) const SONAME: &str = "libtreering.so.0";

/// Installs the library, built in release, or with `--debug` quickly.
pub(crate) fn run(mut args: Args) -> Outcome {
    let prefix = args.option("--prefix")?;
    let is_debug = args.flag("--debug");
    args.done()?;
    let prefix = prefix.ok_or("needs --prefix DIR, such as --prefix ~/.local")?;
    let prefix = std::path::absolute(prefix).map_err(|error| error.to_string())?;
    install(&prefix, !is_debug)?;
    let found = prefix.join("lib/pkgconfig");
    println!(
        "\ninstalled; with PKG_CONFIG_PATH={} it is found",
        found.display()
    );
    Ok(())
}

/// Builds and copies.
pub(crate) fn install(prefix: &Path, is_release: bool) -> Outcome {
    let mut words = vec!["build", "--locked", "-p", "treering-ffi"];
    words.extend(is_release.then_some("--release"));
    shell::run(&mut cargo(&words))?;
    let built = shell::target().join(if is_release { "release" } else { "debug" });
    let (lib, include) = (prefix.join("lib"), prefix.join("include"));
    let config = lib.join("pkgconfig");
    for folder in [&include, &config] {
        std::fs::create_dir_all(folder).map_err(|error| told(folder, &error))?;
    }
    let version = version()?;
    let shared = format!("libtreering.so.{version}");
    copy(&built.join("libtreering.so"), &lib.join(&shared))?;
    copy(&built.join("libtreering.a"), &lib.join("libtreering.a"))?;
    copy(&root().join(HEADER), &include.join("treering.h"))?;
    link(&shared, &lib.join(SONAME))?;
    link(SONAME, &lib.join("libtreering.so"))?;
    let template = root().join("ffi/treering.pc.in");
    let text = std::fs::read_to_string(&template).map_err(|error| told(&template, &error))?;
    let text = text.replace("@prefix@", &prefix.display().to_string());
    let file = config.join("treering.pc");
    std::fs::write(&file, text.replace("@version@", &version)).map_err(|error| told(&file, &error))
}

/// The version of all of our packages.
fn version() -> Outcome<String> {
    let path = root().join("Cargo.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| told(&path, &error))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("version = \""));
    let version = line.and_then(|line| line.strip_suffix('"'));
    version
        .map(str::to_owned)
        .ok_or_else(|| "Cargo.toml has no version".to_owned())
}

fn copy(from: &Path, to: &Path) -> Outcome {
    // Programs that have the old file mapped keep it.
    let _ = std::fs::remove_file(to);
    std::fs::copy(from, to)
        .map(|_| ())
        .map_err(|error| told(to, &error))
}

fn link(target: &str, name: &PathBuf) -> Outcome {
    let _ = std::fs::remove_file(name);
    std::os::unix::fs::symlink(target, name).map_err(|error| told(name, &error))
}

fn told(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_for_the_linker_is_that_of_the_build_script() {
        let script = std::fs::read_to_string(root().join("ffi/build.rs")).unwrap();
        assert!(script.contains(&format!("-soname,{SONAME}")));
        assert!(version().unwrap().starts_with("0."));
    }
}
