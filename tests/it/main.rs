//! The integration tests, in one program.

mod golden_mutate;
mod header;
mod oci_properties;
