//! What the platform makes us do: signal masks of our threads, and descriptors to poll.

pub(crate) mod limits;
pub(crate) mod ready;
pub(crate) mod signals;
pub(crate) mod wakeup;
