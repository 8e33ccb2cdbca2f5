// Images and their configs.
#ifndef PARBUCKLE_IMAGE_HPP
#define PARBUCKLE_IMAGE_HPP

#include <parbuckle/layer.hpp>

namespace parbuckle {

/// An image's config.
class Config : public detail::Handle<parb_config, parb_config_free> {
 public:
  using Handle::Handle;
  static constexpr auto take_from = parb_op_take_config;
  static Config parse(std::string_view json) {
    return detail::made<Config>(parb_config_parse, detail::bytes(json.data()), json.size(), nullptr);
  }
  /// The exact bytes.
  std::string_view json() const noexcept {
    std::size_t size = 0;
    const std::uint8_t *data = parb_config_json(get(), &size);
    return detail::lent(data, size);
  }
  std::string_view platform() const noexcept { return detail::lent(parb_config_platform(get())); }
  std::string_view created() const noexcept { return detail::lent(parb_config_created(get())); }
  std::string_view user() const noexcept { return detail::lent(parb_config_user(get())); }
  std::string_view working_dir() const noexcept { return detail::lent(parb_config_working_dir(get())); }
  Strings entrypoint() const noexcept { return Strings(parb_config_entrypoint(get())); }
  Strings cmd() const noexcept { return Strings(parb_config_cmd(get())); }
  /// Each "NAME=VALUE".
  Strings env() const noexcept { return Strings(parb_config_env(get())); }
  std::optional<std::string_view> env(const Text &name) const noexcept {
    return detail::lent_if(parb_config_env_get(get(), name.c_str()));
  }
  Map labels() const noexcept { return Map(parb_config_labels(get())); }
  Strings exposed_ports() const noexcept { return Strings(parb_config_exposed_ports(get())); }
  Strings volumes() const noexcept { return Strings(parb_config_volumes(get())); }
  std::string_view stop_signal() const noexcept { return detail::lent(parb_config_stop_signal(get())); }
  Strings diff_ids() const noexcept { return Strings(parb_config_diff_ids(get())); }
};

/// An image: a manifest, a config, layers.
class Image : public detail::Value<parb_image, parb_image_free, parb_image_clone> {
 public:
  class Layers;
  using Value::Value;
  static constexpr auto take_from = parb_op_take_image;

  /// Of no layers. Options: format.
  static Image make_empty(const Options &options = {}) {
    return detail::made<Image>(parb_image_empty, options.get());
  }
  /// Of so many random layers, the same for the same seed. Options: format, sink, compression.
  static Image random(std::uint32_t layers, std::uint64_t layer_size, std::uint64_t seed, const Options &options = {},
                      const Context &ctx = Context::background()) {
    return detail::made<Image>(parb_image_random, layers, layer_size, seed, options.get(), ctx.get());
  }
  static Op<Image> random_start(std::uint32_t layers, std::uint64_t layer_size, std::uint64_t seed,
                                const Options &options = {}, const Context &ctx = Context::background()) {
    return detail::made<Op<Image>>(parb_image_random_start, layers, layer_size, seed, options.get(), ctx.get());
  }
  /// From its config, which stays byte for byte, and its layers; the manifest is made for them. Options: format.
  static Image from_config(std::string_view config, const std::vector<Layer> &layers, const Options &options = {},
                           const Context &ctx = Context::background()) {
    const auto list = handles(layers);
    return detail::made<Image>(parb_image_from_config, detail::bytes(config.data()), config.size(), list.data(),
                               list.size(), options.get(), ctx.get());
  }
  static Op<Image> from_config_start(std::string_view config, const std::vector<Layer> &layers,
                                     const Options &options = {}, const Context &ctx = Context::background()) {
    const auto list = handles(layers);
    return detail::made<Op<Image>>(parb_image_from_config_start, detail::bytes(config.data()), config.size(),
                                   list.data(), list.size(), options.get(), ctx.get());
  }
  /// From its manifest; config and layers are among the blobs, or opened when they are read.
  static Image from_parts(std::string_view manifest, const Blobs &blobs);

  DescriptorView descriptor() const noexcept { return DescriptorView(parb_image_descriptor(get())); }
  std::string_view digest() const noexcept { return detail::lent(parb_image_digest(get())); }
  std::string_view media_type() const noexcept { return detail::lent(parb_image_media_type(get())); }
  /// What kind of artifact it is: what the manifest says, else the media type of the config.
  std::string_view artifact_type() const noexcept { return detail::lent(parb_image_artifact_type(get())); }
  /// Bytes of manifest, config and layers together.
  std::uint64_t total_size() const noexcept { return parb_image_size(get()); }
  /// The manifest's exact bytes.
  std::string_view manifest() const noexcept {
    std::size_t size = 0;
    const std::uint8_t *data = parb_image_manifest(get(), &size);
    return detail::lent(data, size);
  }
  Map annotations() const noexcept { return Map(parb_image_annotations(get())); }
  /// The layers, base first: a range of Layer, which keeps the image alive.
  Layers layers() const;
  Layer layer(std::size_t i) const { return detail::made<Layer>(parb_image_layer_at, get(), i); }
  /// The config: fetched the first time, remembered afterwards.
  Config config(const Context &ctx = Context::background()) const {
    return detail::made<Config>(parb_image_config, get(), nullptr, ctx.get());
  }
  Op<Config> config_start(const Context &ctx = Context::background()) const {
    return detail::made<Op<Config>>(parb_image_config_start, get(), nullptr, ctx.get());
  }
  /// Reads every blob and checks sizes, digests and diff ids. Options: jobs.
  void validate(const Options &options = {}, const Context &ctx = Context::background()) const {
    check(parb_image_validate(get(), options.get(), ctx.get()));
  }
  Op<void> validate_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_image_validate_start, get(), options.get(), ctx.get());
  }

  /// What a container sees, as one tar: whiteouts are applied. The same image gives the same bytes.
  Reader filesystem(const Context &ctx = Context::background()) const {
    return detail::made<Reader>(parb_image_filesystem, get(), nullptr, ctx.get());
  }
  Op<Reader> filesystem_start(const Context &ctx = Context::background()) const {
    return detail::made<Op<Reader>>(parb_image_filesystem_start, get(), nullptr, ctx.get());
  }
  /// Every path of the file system, sorted, each with the layer it comes from.
  Files files(const Context &ctx = Context::background()) const {
    return detail::made<Files>(parb_image_files, get(), nullptr, ctx.get());
  }
  Op<Files> files_start(const Context &ctx = Context::background()) const {
    return detail::made<Op<Files>>(parb_image_files_start, get(), nullptr, ctx.get());
  }
  /// One file of the file system; symbolic links are followed within the image.
  Reader open_file(const Text &path, const Context &ctx = Context::background()) const {
    return detail::made<Reader>(parb_image_open_file, get(), path.c_str(), nullptr, ctx.get());
  }
  Op<Reader> open_file_start(const Text &path, const Context &ctx = Context::background()) const {
    return detail::made<Op<Reader>>(parb_image_open_file_start, get(), path.c_str(), nullptr, ctx.get());
  }

  /// Everything that is wrong with it. Options: jobs, fast.
  Report examine(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Report>(parb_image_examine, get(), options.get(), ctx.get());
  }
  Op<Report> examine_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Report>>(parb_image_examine_start, get(), options.get(), ctx.get());
  }
  /// Every difference between this image and another: the subjects are fields. Options: files.
  Report compare(const Image &other, const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Report>(parb_image_compare, get(), other.get(), options.get(), ctx.get());
  }
  Op<Report> compare_start(const Image &other, const Options &options = {},
                           const Context &ctx = Context::background()) const {
    return detail::made<Op<Report>>(parb_image_compare_start, get(), other.get(), options.get(), ctx.get());
  }

  /// The same image, read through a cache.
  Image cached(const Cache &cache) const { return detail::made<Image>(parb_image_cached, get(), cache.get()); }
  /// With every layer compressed as the options say; the config stays. Options: compression, sink, jobs.
  Image recompress(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_image_recompress, get(), options.get(), ctx.get());
  }
  Op<Image> recompress_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_image_recompress_start, get(), options.get(), ctx.get());
  }
  /// With one time everywhere. Options: compression, sink, jobs.
  Image with_time(const Text &rfc3339, const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_image_with_time, get(), rfc3339.c_str(), options.get(), ctx.get());
  }
  Op<Image> with_time_start(const Text &rfc3339, const Options &options = {},
                            const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_image_with_time_start, get(), rfc3339.c_str(), options.get(), ctx.get());
  }
  /// With the zero time, and without what the config says of where it was built. Options: compression, sink, jobs.
  Image canonical(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_image_canonical, get(), options.get(), ctx.get());
  }
  Op<Image> canonical_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_image_canonical_start, get(), options.get(), ctx.get());
  }
  /// On another base; `name` is what the new base is called in the annotations.
  Image rebase(const Image &old_base, const Image &new_base, const Text &name = std::nullopt,
               const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_image_rebase, get(), old_base.get(), new_base.get(), name.c_str(), nullptr,
                               ctx.get());
  }
  Op<Image> rebase_start(const Image &old_base, const Image &new_base, const Text &name = std::nullopt,
                         const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_image_rebase_start, get(), old_base.get(), new_base.get(), name.c_str(),
                                   nullptr, ctx.get());
  }
  /// In the media types of "oci" or "docker"; no blob changes.
  Image convert(const Text &oci_or_docker, const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_image_convert, get(), oci_or_docker.c_str(), nullptr, ctx.get());
  }
  Op<Image> convert_start(const Text &oci_or_docker, const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_image_convert_start, get(), oci_or_docker.c_str(), nullptr, ctx.get());
  }
  /// With one layer in place of all. Options: sink, compression.
  Image flatten(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_image_flatten, get(), options.get(), ctx.get());
  }
  Op<Image> flatten_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_image_flatten_start, get(), options.get(), ctx.get());
  }
  /// With another content of one file, by a layer on top. Options: sink, compression.
  Image edit_file(const Text &path, std::string_view content, const Options &options = {},
                  const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_image_edit_file, get(), path.c_str(), detail::bytes(content.data()), content.size(),
                               options.get(), ctx.get());
  }
  Op<Image> edit_file_start(const Text &path, std::string_view content, const Options &options = {},
                            const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_image_edit_file_start, get(), path.c_str(), detail::bytes(content.data()),
                                   content.size(), options.get(), ctx.get());
  }
  /// Without a file, or a directory and all that is in it, by a layer on top. Options: sink, compression.
  Image remove_file(const Text &path, const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_image_remove_file, get(), path.c_str(), options.get(), ctx.get());
  }
  Op<Image> remove_file_start(const Text &path, const Options &options = {},
                              const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_image_remove_file_start, get(), path.c_str(), options.get(), ctx.get());
  }

 private:
  static std::vector<const parb_layer *> handles(const std::vector<Layer> &layers) {
    std::vector<const parb_layer *> list;
    for (const Layer &layer : layers) list.push_back(layer.get());
    return list;
  }
};

/// The layers of an image.
class Image::Layers {
  struct View {
    const parb_image *image = nullptr;
    std::size_t size() const noexcept { return parb_image_layer_count(image); }
    Layer operator[](std::size_t i) const { return detail::made<Layer>(parb_image_layer_at, image, i); }
  };

 public:
  explicit Layers(Image image) : image_(std::move(image)) {}
  std::size_t size() const noexcept { return view().size(); }
  bool empty() const noexcept { return size() == 0; }
  Layer operator[](std::size_t i) const { return view()[i]; }
  detail::Iterator<View> begin() const noexcept { return {view(), 0}; }
  detail::Iterator<View> end() const noexcept { return {view(), size()}; }

 private:
  View view() const noexcept { return View{image_.get()}; }
  Image image_;
};

inline Image::Layers Image::layers() const { return Layers(*this); }

}  // namespace parbuckle

#endif  // PARBUCKLE_IMAGE_HPP
