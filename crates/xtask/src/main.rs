//! The `tony` binary.
fn main() {}
