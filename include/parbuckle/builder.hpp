// What changes images and indexes.
#ifndef PARBUCKLE_BUILDER_HPP
#define PARBUCKLE_BUILDER_HPP

#include <parbuckle/index.hpp>

namespace parbuckle {

/// Notes changes to an image; build makes the new one, or reports the first mistake, and can be called again.
class ImageBuilder : public detail::Handle<parb_image_builder, parb_image_builder_free> {
 public:
  /// From scratch.
  ImageBuilder() : Handle(parb_image_builder_new(nullptr)) {}
  explicit ImageBuilder(const Image &base)
      : Handle(parb_image_builder_new(detail::given(base.get(), "the base was moved from"))) {}

  /// Puts a layer on top.
  ImageBuilder &add_layer(const Layer &layer) { return parb_image_builder_add_layer(get(), layer.get()), *this; }
  /// What the history says of the layer added last; "" says nothing.
  ImageBuilder &set_history(const Text &created_by, const Text &author = "", const Text &comment = "",
                            const Text &rfc3339 = "") {
    const auto said = [](const Text &text) { return text.c_str() && *text.c_str() ? text.c_str() : nullptr; };
    parb_image_builder_set_history(get(), said(created_by), said(author), said(comment), said(rfc3339));
    return *this;
  }
  ImageBuilder &set_env(const Text &name, const Text &value) {
    return parb_image_builder_set_env(get(), name.c_str(), value.c_str()), *this;
  }
  ImageBuilder &unset_env(const Text &name) {
    return parb_image_builder_set_env(get(), name.c_str(), nullptr), *this;
  }
  ImageBuilder &set_entrypoint(const std::vector<std::string> &argv) {
    return parb_image_builder_set_entrypoint(get(), List(argv).get()), *this;
  }
  ImageBuilder &unset_entrypoint() { return parb_image_builder_set_entrypoint(get(), nullptr), *this; }
  ImageBuilder &set_cmd(const std::vector<std::string> &argv) {
    return parb_image_builder_set_cmd(get(), List(argv).get()), *this;
  }
  ImageBuilder &unset_cmd() { return parb_image_builder_set_cmd(get(), nullptr), *this; }
  /// "" removes it; so for working directory, stop signal and author.
  ImageBuilder &set_user(const Text &user) { return parb_image_builder_set_user(get(), user.c_str()), *this; }
  ImageBuilder &set_working_dir(const Text &path) {
    return parb_image_builder_set_working_dir(get(), path.c_str()), *this;
  }
  ImageBuilder &set_label(const Text &key, const Text &value) {
    return parb_image_builder_set_label(get(), key.c_str(), value.c_str()), *this;
  }
  ImageBuilder &unset_label(const Text &key) { return parb_image_builder_set_label(get(), key.c_str(), nullptr), *this; }
  ImageBuilder &set_annotation(const Text &key, const Text &value) {
    return parb_image_builder_set_annotation(get(), key.c_str(), value.c_str()), *this;
  }
  ImageBuilder &unset_annotation(const Text &key) {
    return parb_image_builder_set_annotation(get(), key.c_str(), nullptr), *this;
  }
  /// Such as "80/tcp".
  ImageBuilder &add_exposed_port(const Text &port) {
    return parb_image_builder_add_exposed_port(get(), port.c_str()), *this;
  }
  ImageBuilder &clear_exposed_ports() { return parb_image_builder_add_exposed_port(get(), nullptr), *this; }
  ImageBuilder &add_volume(const Text &path) { return parb_image_builder_add_volume(get(), path.c_str()), *this; }
  ImageBuilder &clear_volumes() { return parb_image_builder_add_volume(get(), nullptr), *this; }
  ImageBuilder &set_stop_signal(const Text &signal) {
    return parb_image_builder_set_stop_signal(get(), signal.c_str()), *this;
  }
  ImageBuilder &set_platform(const Text &platform) {
    return parb_image_builder_set_platform(get(), platform.c_str()), *this;
  }
  /// Without it the base's time stays: never "now".
  ImageBuilder &set_created(const Text &rfc3339) {
    return parb_image_builder_set_created(get(), rfc3339.c_str()), *this;
  }
  ImageBuilder &set_author(const Text &author) { return parb_image_builder_set_author(get(), author.c_str()), *this; }
  /// Replaces the whole config.
  ImageBuilder &set_config(const Config &config) { return parb_image_builder_set_config(get(), config.get()), *this; }
  /// The manifest that the new one refers to.
  ImageBuilder &set_subject(DescriptorView subject) {
    return parb_image_builder_set_subject(get(), subject.get()), *this;
  }
  /// Options: format, where there is no base.
  Image build(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_image_builder_build, get(), options.get(), ctx.get());
  }
  Image build(const Context &ctx) const { return build({}, ctx); }
  Op<Image> build_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_image_builder_build_start, get(), options.get(), ctx.get());
  }

 private:
  class List : public detail::Handle<parb_strings, parb_strings_free> {
   public:
    explicit List(const std::vector<std::string> &texts) : Handle(parb_strings_new(nullptr, 0)) {
      for (const std::string &text : texts) {
        parb_strings_add(get(), Text(text).c_str());
      }
      if (parb_strings_count(get()) != texts.size()) throw Error(PARB_INVALID_ARGUMENT, "a text that is not UTF-8");
    }
  };
};

}  // namespace parbuckle

#endif  // PARBUCKLE_BUILDER_HPP
