// Images and indexes in memory.
#ifndef PARBUCKLE_MEMORY_HPP
#define PARBUCKLE_MEMORY_HPP

#include <parbuckle/index.hpp>

namespace parbuckle {

/// A store of images and indexes in memory, of at most so many bytes. Copies are the same store.
class MemoryStore : public detail::Value<parb_memory, parb_memory_free, parb_memory_clone> {
 public:
  explicit MemoryStore(std::uint64_t max_bytes) : Value(detail::made<Value>(parb_memory_new, max_bytes)) {}

  /// Every name, sorted.
  std::vector<std::string> names() const { return detail::texts(parb_memory_names, get()); }
  /// How many bytes are in it.
  std::uint64_t size() const noexcept { return parb_memory_size(get()); }
  /// The store as a place for new layers.
  Sink sink() const { return detail::made<Sink>(parb_sink_memory, get()); }

  /// Takes an image in, under a name that another one may have had, or none. Options: jobs, foreign_layers.
  void put_image(const Text &name, const Image &image, const Options &options = {},
                 const Context &ctx = Context::background()) const {
    check(parb_memory_put_image(get(), name.c_str(), image.get(), options.get(), ctx.get()));
  }
  Op<void> put_image_start(const Text &name, const Image &image, const Options &options = {},
                           const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_memory_put_image_start, get(), name.c_str(), image.get(), options.get(),
                                  ctx.get());
  }
  /// Takes an index in, and all below it. Options: jobs, foreign_layers.
  void put_index(const Text &name, const Index &index, const Options &options = {},
                 const Context &ctx = Context::background()) const {
    check(parb_memory_put_index(get(), name.c_str(), index.get(), options.get(), ctx.get()));
  }
  Op<void> put_index_start(const Text &name, const Index &index, const Options &options = {},
                           const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_memory_put_index_start, get(), name.c_str(), index.get(), options.get(),
                                  ctx.get());
  }
  Image image(const Text &name_or_digest, const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_memory_image, get(), name_or_digest.c_str(), nullptr, ctx.get());
  }
  Op<Image> image_start(const Text &name_or_digest, const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_memory_image_start, get(), name_or_digest.c_str(), nullptr, ctx.get());
  }
  Index index(const Text &name_or_digest, const Context &ctx = Context::background()) const {
    return detail::made<Index>(parb_memory_index, get(), name_or_digest.c_str(), nullptr, ctx.get());
  }
  Op<Index> index_start(const Text &name_or_digest, const Context &ctx = Context::background()) const {
    return detail::made<Op<Index>>(parb_memory_index_start, get(), name_or_digest.c_str(), nullptr, ctx.get());
  }
  /// Takes a name away, or an image or index by its digest; what nothing names any more is gone.
  void remove(const Text &name_or_digest) const { check(parb_memory_remove(get(), name_or_digest.c_str())); }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_MEMORY_HPP
