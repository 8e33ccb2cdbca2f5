// Caches of blobs in a directory.
#ifndef PARBUCKLE_CACHE_HPP
#define PARBUCKLE_CACHE_HPP

#include <parbuckle/call.hpp>
#include <parbuckle/options.hpp>
#include <parbuckle/report.hpp>

namespace parbuckle {

/// A cache, shared between threads, and its directory between processes. Image::cached and its like read through it.
/// Copies are the same cache.
class Cache : public detail::Value<parb_cache, parb_cache_free, parb_cache_clone> {
 public:
  using Value::Value;
  static constexpr auto take_from = parb_op_take_cache;

  /// Opens the cache in a directory, or makes it; at most so many bytes are kept. Options: uncompressed.
  static Cache open(const Text &path, std::uint64_t max_bytes, const Options &options = {},
                    const Context &ctx = Context::background()) {
    return detail::made<Cache>(parb_cache_open, path.c_str(), max_bytes, options.get(), ctx.get());
  }
  static Op<Cache> open_start(const Text &path, std::uint64_t max_bytes, const Options &options = {},
                              const Context &ctx = Context::background()) {
    return detail::made<Op<Cache>>(parb_cache_open_start, path.c_str(), max_bytes, options.get(), ctx.get());
  }

  /// How many bytes are kept.
  std::uint64_t size() const noexcept { return parb_cache_size(get()); }
  /// What it has done since it was opened, as a JSON object: "hits", "misses" and more.
  std::string stats() const { return detail::text(parb_cache_stats, get()); }
  /// The cache as a place for new layers.
  Sink sink() const { return detail::made<Sink>(parb_sink_cache, get()); }

  /// Removes everything.
  void clear(const Context &ctx = Context::background()) const { check(parb_cache_clear(get(), nullptr, ctx.get())); }
  Op<void> clear_start(const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_cache_clear_start, get(), nullptr, ctx.get());
  }
  /// Removes one blob.
  void remove(const Text &digest, const Context &ctx = Context::background()) const {
    check(parb_cache_remove(get(), digest.c_str(), nullptr, ctx.get()));
  }
  Op<void> remove_start(const Text &digest, const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_cache_remove_start, get(), digest.c_str(), nullptr, ctx.get());
  }
  /// Reads everything and tells what is not as it should be. Options: jobs.
  Report verify(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Report>(parb_cache_verify, get(), options.get(), ctx.get());
  }
  Op<Report> verify_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Report>>(parb_cache_verify_start, get(), options.get(), ctx.get());
  }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_CACHE_HPP
