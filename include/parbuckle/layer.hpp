// Layers, and what makes them.
#ifndef PARBUCKLE_LAYER_HPP
#define PARBUCKLE_LAYER_HPP

#include <parbuckle/cache.hpp>
#include <parbuckle/files.hpp>
#include <parbuckle/report.hpp>
#include <parbuckle/stream.hpp>

namespace parbuckle {

class Blobs;

/// A layer: complete, hashed, lying in its sink or its registry.
class Layer : public detail::Value<parb_layer, parb_layer_free, parb_layer_clone> {
 public:
  using Value::Value;
  static constexpr auto take_from = parb_op_take_layer;

  /// From a tar file, plain or compressed. Options: sink, compression; so for all that make a layer.
  static Layer from_file(const Text &path, const Options &options = {}, const Context &ctx = Context::background()) {
    return detail::made<Layer>(parb_layer_from_file, path.c_str(), options.get(), ctx.get());
  }
  static Op<Layer> from_file_start(const Text &path, const Options &options = {},
                                   const Context &ctx = Context::background()) {
    return detail::made<Op<Layer>>(parb_layer_from_file_start, path.c_str(), options.get(), ctx.get());
  }
  static std::future<Layer> from_file_async(const Text &path, const Options &options = {},
                                            const Context &ctx = Context::background()) {
    return from_file_start(path, options, ctx).future();
  }
  /// From a directory's content: the same content is the same layer.
  static Layer from_dir(const Text &path, const Options &options = {}, const Context &ctx = Context::background()) {
    return detail::made<Layer>(parb_layer_from_dir, path.c_str(), options.get(), ctx.get());
  }
  static Op<Layer> from_dir_start(const Text &path, const Options &options = {},
                                  const Context &ctx = Context::background()) {
    return detail::made<Op<Layer>>(parb_layer_from_dir_start, path.c_str(), options.get(), ctx.get());
  }
  /// From a tar in memory, which is copied.
  static Layer from_bytes(std::string_view tar, const Options &options = {},
                          const Context &ctx = Context::background()) {
    return detail::made<Layer>(parb_layer_from_bytes, detail::bytes(tar.data()), tar.size(), options.get(), ctx.get());
  }
  static Op<Layer> from_bytes_start(std::string_view tar, const Options &options = {},
                                    const Context &ctx = Context::background()) {
    return detail::made<Op<Layer>>(parb_layer_from_bytes_start, detail::bytes(tar.data()), tar.size(), options.get(),
                                   ctx.get());
  }
  /// From a stream of the host, which is used up.
  static Layer from_source(Source source, const Options &options = {}, const Context &ctx = Context::background()) {
    return detail::made<Layer>(parb_layer_from_source, source.get(), options.get(), ctx.get());
  }
  static Op<Layer> from_source_start(Source source, const Options &options = {},
                                     const Context &ctx = Context::background()) {
    return detail::made<Op<Layer>>(parb_layer_from_source_start, source.get(), options.get(), ctx.get());
  }
  /// From a stream, which is read on this thread.
  static Layer from_stream(std::istream &tar, const Options &options = {}, const Context &ctx = Context::background());
  /// One file of so many random bytes, the same for the same seed; plain unless the options say so.
  static Layer random(std::uint64_t size, std::uint64_t seed, const Options &options = {},
                      const Context &ctx = Context::background()) {
    return detail::made<Layer>(parb_layer_random, size, seed, options.get(), ctx.get());
  }
  static Op<Layer> random_start(std::uint64_t size, std::uint64_t seed, const Options &options = {},
                                const Context &ctx = Context::background()) {
    return detail::made<Op<Layer>>(parb_layer_random_start, size, seed, options.get(), ctx.get());
  }
  /// Of these very bytes, whatever they are.
  static Layer fixed(std::string_view bytes, const Text &media_type) {
    return detail::made<Layer>(parb_layer_fixed, detail::bytes(bytes.data()), bytes.size(), media_type.c_str(),
                               nullptr);
  }
  /// Of bytes that are among the blobs, or opened when they are read. What is not said of the tar is found out by
  /// reading it, when it is asked for.
  static Layer from_parts(const Text &media_type, const Text &digest, std::uint64_t size, const Blobs &blobs,
                          const Text &diff_id = std::nullopt,
                          std::optional<std::uint64_t> uncompressed_size = std::nullopt);

  DescriptorView descriptor() const noexcept { return DescriptorView(parb_layer_descriptor(get())); }
  std::string_view digest() const noexcept { return descriptor().digest(); }
  std::uint64_t size() const noexcept { return descriptor().size(); }
  /// The digest of the uncompressed tar. May block the first time.
  std::string_view diff_id(const Context &ctx = Context::background()) const {
    const char *digest = nullptr;
    check(parb_layer_diff_id(get(), nullptr, ctx.get(), &digest));
    return detail::lent(digest);
  }
  Op<void> diff_id_start(const Context &ctx = Context::background()) const {
    return start<void>(parb_layer_diff_id_start, ctx);
  }
  /// Bytes of the uncompressed tar. May block the first time.
  std::uint64_t uncompressed_size(const Context &ctx = Context::background()) const {
    std::uint64_t size = 0;
    check(parb_layer_uncompressed_size(get(), nullptr, ctx.get(), &size));
    return size;
  }
  Op<void> uncompressed_size_start(const Context &ctx = Context::background()) const {
    return start<void>(parb_layer_uncompressed_size_start, ctx);
  }
  /// The bytes as they are stored.
  Reader open(const Context &ctx = Context::background()) const {
    return detail::made<Reader>(parb_layer_open, get(), nullptr, ctx.get());
  }
  Op<Reader> open_start(const Context &ctx = Context::background()) const {
    return start<Reader>(parb_layer_open_start, ctx);
  }
  /// The tar.
  Reader open_uncompressed(const Context &ctx = Context::background()) const {
    return detail::made<Reader>(parb_layer_open_uncompressed, get(), nullptr, ctx.get());
  }
  Op<Reader> open_uncompressed_start(const Context &ctx = Context::background()) const {
    return start<Reader>(parb_layer_open_uncompressed_start, ctx);
  }

  /// Whether the descriptor tells of a table of contents: then open_file fetches only what it needs.
  bool has_toc() const noexcept { return parb_layer_has_toc(get()); }
  /// The table of contents, as a JSON list of objects.
  std::string toc_json(const Context &ctx = Context::background()) const {
    return detail::text(parb_layer_toc_json, get(), nullptr, ctx.get());
  }
  Op<std::string> toc_json_start(const Context &ctx = Context::background()) const {
    return detail::made<Op<std::string>>(parb_layer_toc_json_start, get(), nullptr, ctx.get());
  }
  /// One file, which is verified; hard links are followed.
  Reader open_file(const Text &path, const Context &ctx = Context::background()) const {
    return detail::made<Reader>(parb_layer_open_file, get(), path.c_str(), nullptr, ctx.get());
  }
  Op<Reader> open_file_start(const Text &path, const Context &ctx = Context::background()) const {
    return detail::made<Op<Reader>>(parb_layer_open_file_start, get(), path.c_str(), nullptr, ctx.get());
  }
  /// Its own entries in their order, whiteouts among them.
  Files files(const Context &ctx = Context::background()) const {
    return detail::made<Files>(parb_layer_files, get(), nullptr, ctx.get());
  }
  Op<Files> files_start(const Context &ctx = Context::background()) const {
    return detail::made<Op<Files>>(parb_layer_files_start, get(), nullptr, ctx.get());
  }

  /// The same layer, read through a cache.
  Layer cached(const Cache &cache) const { return detail::made<Layer>(parb_layer_cached, get(), cache.get()); }
  /// In the form that Windows images want. Options: sink, compression.
  Layer for_windows(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Layer>(parb_layer_for_windows, get(), options.get(), ctx.get());
  }
  Op<Layer> for_windows_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Layer>>(parb_layer_for_windows_start, get(), options.get(), ctx.get());
  }
  /// Reads it and checks digest, size, diff id, media type and tar.
  void validate(const Context &ctx = Context::background()) const {
    check(parb_layer_validate(get(), nullptr, ctx.get()));
  }
  Op<void> validate_start(const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_layer_validate_start, get(), nullptr, ctx.get());
  }
  /// Every difference between this layer and another. Options: files.
  Report compare(const Layer &other, const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Report>(parb_layer_compare, get(), other.get(), options.get(), ctx.get());
  }
  Op<Report> compare_start(const Layer &other, const Options &options = {},
                           const Context &ctx = Context::background()) const {
    return detail::made<Op<Report>>(parb_layer_compare_start, get(), other.get(), options.get(), ctx.get());
  }

 private:
  template <class T, class Start> Op<T> start(Start function, const Context &ctx) const {
    return detail::made<Op<T>>(function, get(), nullptr, ctx.get());
  }
};

/// Takes in a layer's tar piece by piece, on one's own thread.
class LayerWriter : public detail::Handle<parb_layer_writer, parb_layer_writer_free> {
 public:
  using Handle::Handle;
  static constexpr auto take_from = parb_op_take_layer_writer;
  explicit LayerWriter(const Options &options = {}, const Context &ctx = Context::background())
      : LayerWriter(detail::made<LayerWriter>(parb_layer_writer_new, options.get(), ctx.get())) {}
  static Op<LayerWriter> start(const Options &options = {}, const Context &ctx = Context::background()) {
    return detail::made<Op<LayerWriter>>(parb_layer_writer_new_start, options.get(), ctx.get());
  }
  /// Takes in all of it; blocks while compressor or sink are behind.
  void write(const void *tar, std::size_t size, const Context &ctx = Context::background()) {
    check(parb_layer_writer_write(get(), detail::bytes(tar), size, ctx.get()));
  }
  void write(std::string_view tar, const Context &ctx = Context::background()) { write(tar.data(), tar.size(), ctx); }
  /// Ends the tar and gives the layer.
  Layer finish(const Context &ctx = Context::background()) {
    return detail::made<Layer>(parb_layer_writer_finish, get(), nullptr, ctx.get());
  }
  Op<Layer> finish_start(const Context &ctx = Context::background()) {
    return detail::made<Op<Layer>>(parb_layer_writer_finish_start, get(), nullptr, ctx.get());
  }
};

inline Layer Layer::from_stream(std::istream &tar, const Options &options, const Context &ctx) {
  LayerWriter writer(options, ctx);
  std::vector<char> piece(256 << 10);
  while (tar.read(piece.data(), static_cast<std::streamsize>(piece.size())), tar.gcount() > 0) {
    writer.write(piece.data(), static_cast<std::size_t>(tar.gcount()), ctx);
  }
  if (tar.bad()) throw std::ios_base::failure("reading the stream of a layer");
  return writer.finish(ctx);
}

/// Puts a small layer together, entry by entry; build reports the first mistake.
class LayerBuilder : public detail::Handle<parb_layer_builder, parb_layer_builder_free> {
 public:
  LayerBuilder() : Handle(parb_layer_builder_new()) {}
  /// A file with these permission bits and this content.
  LayerBuilder &add_bytes(const Text &path, std::uint32_t mode, std::string_view content) {
    parb_layer_builder_add_bytes(get(), path.c_str(), mode, detail::bytes(content.data()), content.size());
    return *this;
  }
  /// A local file, symbolic link, or directory with all that is in it.
  LayerBuilder &add_path(const Text &local, const Text &path) {
    return parb_layer_builder_add_path(get(), local.c_str(), path.c_str()), *this;
  }
  LayerBuilder &add_symlink(const Text &path, const Text &target) {
    return parb_layer_builder_add_symlink(get(), path.c_str(), target.c_str()), *this;
  }
  /// Removes what the layers below have under this name.
  LayerBuilder &remove(const Text &path) { return parb_layer_builder_remove(get(), path.c_str()), *this; }
  Layer build(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Layer>(parb_layer_builder_build, get(), options.get(), ctx.get());
  }
  Op<Layer> build_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Layer>>(parb_layer_builder_build_start, get(), options.get(), ctx.get());
  }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_LAYER_HPP
