//! Gives the shared library its name for the dynamic linker.
//!
//! Input: none. Output: one word to the linker. The number changes with an ABI that old programs
//! cannot be run with.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "how a build script speaks")]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libtreering.so.0");
}
