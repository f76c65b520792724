//! The recipes of the repository.
fn main() {}
