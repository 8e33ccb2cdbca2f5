// Images, indexes and layers made of parts.
#ifndef PARBUCKLE_PARTS_HPP
#define PARBUCKLE_PARTS_HPP

#include <parbuckle/index.hpp>

namespace parbuckle {

/// Blobs and manifests that images, indexes and layers are made of: bytes, values, or a function that opens them. What
/// is given the blobs reports the first mistake.
class Blobs : public detail::Handle<parb_blobs, parb_blobs_free> {
 public:
  /// Opens a blob: a stream whose first byte is the blob's at the offset. To throw Error(PARB_NOT_FOUND, ...) says that
  /// there is no such blob; what else it throws comes out of the call that reads.
  using Open = std::function<Source(DescriptorView blob, std::uint64_t offset)>;
  /// Tells whether there is a blob; std::nullopt: it has to be opened to find out.
  using Exists = std::function<std::optional<bool>(DescriptorView blob)>;

  Blobs() : Handle(parb_blobs_new()) {}
  /// A config, a manifest or any other blob, which is copied and found by its digest.
  Blobs &add_bytes(std::string_view bytes) {
    return parb_blobs_add_bytes(get(), detail::bytes(bytes.data()), bytes.size()), *this;
  }
  Blobs &add_layer(const Layer &layer) { return parb_blobs_add_layer(get(), layer.get()), *this; }
  /// Its manifest, its config and its layers.
  Blobs &add_image(const Image &image) { return parb_blobs_add_image(get(), image.get()), *this; }
  /// With all that is below it.
  Blobs &add_index(const Index &index) { return parb_blobs_add_index(get(), index.get()), *this; }
  /// Has every other blob opened by a function when it is read, on threads of the library, many at once. The functions
  /// are destroyed when neither the blobs nor a value made of them needs them any more.
  Blobs &set_open(Open open, Exists exists = nullptr) {
    using F = std::pair<Open, Exists>;
    const bool can_tell = static_cast<bool>(exists);
    auto functions = std::make_unique<F>(std::move(open), std::move(exists));
    const auto on_open = [](void *user, const parb_descriptor *blob, std::uint64_t offset,
                            parb_source **out) noexcept -> parb_error * {
      try {
        Source source = static_cast<F *>(user)->first(DescriptorView(blob), offset);
        *out = detail::given(source.release(), "the source was moved from");
        return nullptr;
      } catch (...) {
        return detail::Carried::current();
      }
    };
    const auto on_exists = [](void *user, const parb_descriptor *blob, std::int32_t *out) noexcept -> parb_error * {
      try {
        const std::optional<bool> there = static_cast<F *>(user)->second(DescriptorView(blob));
        *out = there ? *there : -1;
        return nullptr;
      } catch (...) {
        return detail::Carried::current();
      }
    };
    const parb_exists_cb exists_cb = on_exists;
    parb_blobs_set_open(get(), on_open, can_tell ? exists_cb : nullptr, functions.release(), detail::destroy<F>);
    return *this;
  }
};

inline Layer Layer::from_parts(const Text &media_type, const Text &digest, std::uint64_t size, const Blobs &blobs,
                               const Text &diff_id, std::optional<std::uint64_t> uncompressed_size) {
  if (uncompressed_size.value_or(0) > INT64_MAX) throw Error(PARB_INVALID_ARGUMENT, "uncompressed_size is too large");
  const std::int64_t known = uncompressed_size ? static_cast<std::int64_t>(*uncompressed_size) : -1;
  return detail::made<Layer>(parb_layer_from_parts, media_type.c_str(), digest.c_str(), size, diff_id.c_str(), known,
                             blobs.get(), nullptr);
}

inline Image Image::from_parts(std::string_view manifest, const Blobs &blobs) {
  return detail::made<Image>(parb_image_from_parts, detail::bytes(manifest.data()), manifest.size(), blobs.get(),
                             nullptr);
}

inline Index Index::from_parts(std::string_view index, const Blobs &blobs) {
  return detail::made<Index>(parb_index_from_parts, detail::bytes(index.data()), index.size(), blobs.get(), nullptr);
}

}  // namespace parbuckle

#endif  // PARBUCKLE_PARTS_HPP
