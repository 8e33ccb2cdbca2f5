//! Counters of the byte pipeline and of the transfers over it.

use crate::pool::Pool;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What was done. Shared by all that work for one client; what belongs to none has its own.
#[derive(Default)]
pub(crate) struct Stats {
    /// Bytes that went into compressors: each byte of a plain tar once.
    pub(crate) compress_in: Counter,
    /// Bytes that came out of compressors.
    pub(crate) compress_out: Counter,
    /// Bit n: thread n of the pool has compressed (bit 63: that one or a later one).
    compress_threads: AtomicU64,
    /// Bytes that were hashed, for whatever digest.
    pub(crate) hash_bytes: Counter,
    /// Bytes that went into decompressors.
    pub(crate) inflate_in: Counter,
    /// Bytes that came out of decompressors.
    pub(crate) inflate_out: Counter,
    /// Bytes written to spool files.
    pub(crate) spool_bytes: Counter,
    /// Bytes of request bodies sent.
    pub(crate) uploaded: Counter,
    /// Bytes of response bodies received.
    pub(crate) downloaded: Counter,
    /// HTTP requests sent, those that failed and their repetitions included.
    pub(crate) requests: Counter,
    /// HTTP requests among them that repeat one that failed.
    pub(crate) retries: Counter,
}

impl Stats {
    /// Notes that the calling thread compresses.
    pub(crate) fn compressing_here(&self) {
        if let Some(index) = Pool::thread_index() {
            self.compress_threads.fetch_or(1 << index.min(63), Relaxed);
        }
    }

    /// How many threads have compressed.
    pub(crate) fn compress_threads(&self) -> u64 {
        self.compress_threads.load(Relaxed).count_ones().into()
    }

    /// One flat JSON object. Its keys are the names of the fields above, in this order; new ones come at the end.
    pub(crate) fn to_json(&self) -> String {
        let fields = [
            ("compress_in", self.compress_in.get()),
            ("compress_out", self.compress_out.get()),
            ("compress_threads", self.compress_threads()),
            ("hash_bytes", self.hash_bytes.get()),
            ("inflate_in", self.inflate_in.get()),
            ("inflate_out", self.inflate_out.get()),
            ("spool_bytes", self.spool_bytes.get()),
            ("uploaded", self.uploaded.get()),
            ("downloaded", self.downloaded.get()),
            ("requests", self.requests.get()),
            ("retries", self.retries.get()),
        ];
        let members: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_valid_and_complete() {
        let stats = Stats::default();
        stats.compress_in.add(3);
        stats.retries.add(u64::MAX);
        let json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&stats.to_json()).unwrap();
        assert_eq!(json["compress_in"], 3);
        assert_eq!(json["retries"], u64::MAX);
        assert_eq!(json.len(), 11);
    }

    #[test]
    fn threads_are_counted_once_each() {
        let engine = crate::engine::Engine::with_pool(1);
        let stats = std::sync::Arc::new(Stats::default());
        stats.compressing_here();
        assert_eq!(stats.compress_threads(), 0, "this thread is not one of the pool");
        for _ in 0..2 {
            let stats = stats.clone();
            engine.handle().block_on(engine.pool().run(move || stats.compressing_here())).unwrap();
        }
        assert_eq!(stats.compress_threads(), 1);
    }
}
