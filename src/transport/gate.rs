//! How many blobs move at once to one registry: many small ones, few large ones, and half as many after the
//! registry asked for fewer (429).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Blobs up to this size are small.
const SMALL: u64 = 1 << 20;
const SMALL_AT_ONCE: usize = 16;
const LARGE_AT_ONCE: usize = 4;

pub(crate) struct Gates {
    small: Arc<Gate>,
    large: Arc<Gate>,
}

struct Gate {
    places: Arc<Semaphore>,
    /// How many there are, and how many of them are to vanish when they are given back.
    limit: AtomicUsize,
    surplus: AtomicUsize,
}

/// A place among the transfers; given back when dropped.
pub(crate) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    gate: Arc<Gate>,
}

impl Default for Gates {
    fn default() -> Gates {
        let gate = |n| {
            Arc::new(Gate {
                places: Arc::new(Semaphore::new(n)),
                limit: AtomicUsize::new(n),
                surplus: AtomicUsize::new(0),
            })
        };
        Gates { small: gate(SMALL_AT_ONCE), large: gate(LARGE_AT_ONCE) }
    }
}

impl Gates {
    /// Waits for a place for a blob of this size.
    pub(crate) async fn enter(&self, size: u64) -> Place {
        let gate = if size <= SMALL { &self.small } else { &self.large };
        let permit = gate.places.clone().acquire_owned().await.ok(); // an error only once closed, which nobody does
        Place { permit, gate: gate.clone() }
    }
    /// Half as many from now on, but one.
    pub(crate) fn halve(&self) {
        for gate in [&self.small, &self.large] {
            let limit = gate.limit.load(Relaxed);
            let fewer = (limit / 2).max(1);
            if gate.limit.compare_exchange(limit, fewer, Relaxed, Relaxed).is_ok() {
                let vanished = gate.places.forget_permits(limit - fewer);
                gate.surplus.fetch_add(limit - fewer - vanished, Relaxed);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let vanishes = self.gate.surplus.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)).is_ok();
        if let (true, Some(permit)) = (vanishes, self.permit.take()) {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn half_as_many_after_a_429_and_never_none() {
        let gates = Gates::default();
        let enter = || gates.enter(1 << 30).now_or_never();
        let mut held: Vec<Place> = (0..4).map(|_| enter().unwrap()).collect();
        assert!(enter().is_none());
        gates.halve();
        held.truncate(2); // two were given back, and vanished
        assert!(enter().is_none());
        held.clear();
        let held: Vec<Place> = (0..2).map(|_| enter().unwrap()).collect();
        assert!(enter().is_none());
        drop(held);
        (0..5).for_each(|_| gates.halve());
        let _one = enter().unwrap();
        assert!(enter().is_none());
        assert!(gates.enter(1).now_or_never().is_some(), "small ones have a gate of their own");
    }
}
