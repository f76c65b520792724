//! The language as a user meets it: what is read, what is refused in which words, what is printed.

mod errors;
mod printing;
mod random;
mod reading;
