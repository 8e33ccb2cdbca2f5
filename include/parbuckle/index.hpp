// Indexes.
#ifndef PARBUCKLE_INDEX_HPP
#define PARBUCKLE_INDEX_HPP

#include <parbuckle/image.hpp>

namespace parbuckle {

/// An index: images by platform, or other indexes. A range of the descriptors it names.
class Index : public detail::Value<parb_index, parb_index_free, parb_index_clone> {
  struct View {
    const parb_index *index = nullptr;
    DescriptorView operator[](std::size_t i) const noexcept { return DescriptorView(parb_index_at(index, i)); }
  };

 public:
  using Value::Value;
  static constexpr auto take_from = parb_op_take_index;

  /// Of nothing. Options: format.
  static Index make_empty(const Options &options = {}) {
    return detail::made<Index>(parb_index_empty, options.get());
  }
  /// Of so many random images, the same for the same seed. Options: format, sink, compression.
  static Index random(std::uint32_t images, std::uint32_t layers, std::uint64_t layer_size, std::uint64_t seed,
                      const Options &options = {}, const Context &ctx = Context::background()) {
    return detail::made<Index>(parb_index_random, images, layers, layer_size, seed, options.get(), ctx.get());
  }
  static Op<Index> random_start(std::uint32_t images, std::uint32_t layers, std::uint64_t layer_size,
                                std::uint64_t seed, const Options &options = {},
                                const Context &ctx = Context::background()) {
    return detail::made<Op<Index>>(parb_index_random_start, images, layers, layer_size, seed, options.get(), ctx.get());
  }
  /// From its document; what it names is among the blobs, or opened when it is read.
  static Index from_parts(std::string_view index, const Blobs &blobs);

  DescriptorView descriptor() const noexcept { return DescriptorView(parb_index_descriptor(get())); }
  std::string_view digest() const noexcept { return descriptor().digest(); }
  /// The index's exact bytes.
  std::string_view manifest() const noexcept {
    std::size_t size = 0;
    const std::uint8_t *data = parb_index_manifest(get(), &size);
    return detail::lent(data, size);
  }
  Map annotations() const noexcept { return Map(parb_index_annotations(get())); }
  std::size_t size() const noexcept { return parb_index_count(get()); }
  bool empty() const noexcept { return size() == 0; }
  DescriptorView operator[](std::size_t i) const noexcept { return View{get()}[i]; }
  detail::Iterator<View> begin() const noexcept { return {View{get()}, 0}; }
  detail::Iterator<View> end() const noexcept { return {View{get()}, size()}; }
  /// The platforms that its entries name, each once.
  std::vector<std::string> platforms() const { return detail::texts(parb_index_platforms, get()); }
  /// The digests of the entries that are meant, in their order.
  std::vector<std::string> find(const Matcher &matcher) const {
    return detail::texts(parb_index_find, get(), matcher.given());
  }
  /// Bytes of the index and of everything below it. May block the first time.
  std::uint64_t total_size(const Context &ctx = Context::background()) const {
    std::uint64_t size = 0;
    check(parb_index_size(get(), nullptr, ctx.get(), &size));
    return size;
  }
  Op<void> total_size_start(const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_index_size_start, get(), nullptr, ctx.get());
  }
  /// The image with this digest, or the best one for this platform.
  Image image(const Text &digest_or_platform, const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_index_image, get(), digest_or_platform.c_str(), nullptr, ctx.get());
  }
  Op<Image> image_start(const Text &digest_or_platform, const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_index_image_start, get(), digest_or_platform.c_str(), nullptr, ctx.get());
  }
  /// The nested index with this digest.
  Index child(const Text &digest, const Context &ctx = Context::background()) const {
    return detail::made<Index>(parb_index_child, get(), digest.c_str(), nullptr, ctx.get());
  }
  Op<Index> child_start(const Text &digest, const Context &ctx = Context::background()) const {
    return detail::made<Op<Index>>(parb_index_child_start, get(), digest.c_str(), nullptr, ctx.get());
  }

  /// Reads everything below it and checks it. Options: jobs.
  void validate(const Options &options = {}, const Context &ctx = Context::background()) const {
    check(parb_index_validate(get(), options.get(), ctx.get()));
  }
  Op<void> validate_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_index_validate_start, get(), options.get(), ctx.get());
  }
  /// Everything that is wrong with it and below it. Options: jobs, fast.
  Report examine(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Report>(parb_index_examine, get(), options.get(), ctx.get());
  }
  Op<Report> examine_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Report>>(parb_index_examine_start, get(), options.get(), ctx.get());
  }
  /// Every difference between this index and another, and the images below them. Options: files.
  Report compare(const Index &other, const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Report>(parb_index_compare, get(), other.get(), options.get(), ctx.get());
  }
  Op<Report> compare_start(const Index &other, const Options &options = {},
                           const Context &ctx = Context::background()) const {
    return detail::made<Op<Report>>(parb_index_compare_start, get(), other.get(), options.get(), ctx.get());
  }

  /// The same index; what is below it is read through a cache.
  Index cached(const Cache &cache) const { return detail::made<Index>(parb_index_cached, get(), cache.get()); }
  /// Image::rebase for each of its images.
  Index rebase(const Index &old_base, const Index &new_base, const Text &name = std::nullopt,
               const Context &ctx = Context::background()) const {
    return detail::made<Index>(parb_index_rebase, get(), old_base.get(), new_base.get(), name.c_str(), nullptr,
                               ctx.get());
  }
  Op<Index> rebase_start(const Index &old_base, const Index &new_base, const Text &name = std::nullopt,
                         const Context &ctx = Context::background()) const {
    return detail::made<Op<Index>>(parb_index_rebase_start, get(), old_base.get(), new_base.get(), name.c_str(),
                                   nullptr, ctx.get());
  }
  /// Image::convert for it and everything below it.
  Index convert(const Text &oci_or_docker, const Context &ctx = Context::background()) const {
    return detail::made<Index>(parb_index_convert, get(), oci_or_docker.c_str(), nullptr, ctx.get());
  }
  Op<Index> convert_start(const Text &oci_or_docker, const Context &ctx = Context::background()) const {
    return detail::made<Op<Index>>(parb_index_convert_start, get(), oci_or_docker.c_str(), nullptr, ctx.get());
  }
  /// Image::flatten for each of its images. Options: sink, compression.
  Index flatten(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Index>(parb_index_flatten, get(), options.get(), ctx.get());
  }
  Op<Index> flatten_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Index>>(parb_index_flatten_start, get(), options.get(), ctx.get());
  }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_INDEX_HPP
