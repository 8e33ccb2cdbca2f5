//! The integration tests, in one program.

mod golden_mutate;
mod oci_properties;
