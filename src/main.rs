//! The `parb` command.
fn main() {}
