//! What the platform makes us do: signal masks of our threads, and files that vanish by themselves.

pub(crate) mod limits;
pub(crate) mod signals;
