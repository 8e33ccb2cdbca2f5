//! parbuckle
pub mod context;
pub mod digest;
mod engine;
pub mod error;
pub mod name;
mod pool;
pub mod registry;
mod sys;

pub use context::{Context, Event};
pub use digest::{Algorithm, Digest};
pub use engine::Task;
pub use error::{Code, Error, Result};
pub use name::{Reference, Repository};
