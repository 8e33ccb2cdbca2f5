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
  /// Adds a line of history for a step that made no layer.
  ImageBuilder &add_empty_layer() { return parb_image_builder_add_empty_layer(get()), *this; }
  /// Takes a layer away, counted from the base, as the layers are by now, with its line of history.
  ImageBuilder &remove_layer(std::size_t i) { return parb_image_builder_remove_layer(get(), i), *this; }
  /// Puts another layer in the place of one.
  ImageBuilder &replace_layer(std::size_t i, const Layer &layer) {
    return parb_image_builder_replace_layer(get(), i, layer.get()), *this;
  }
  /// What the history says of the layer (or step without one) added or replaced last; "" says nothing. The three below
  /// are of that layer, too.
  ImageBuilder &set_history(const Text &created_by, const Text &author = "", const Text &comment = "",
                            const Text &rfc3339 = "") {
    const auto said = [](const Text &text) { return text.c_str() && *text.c_str() ? text.c_str() : nullptr; };
    parb_image_builder_set_history(get(), said(created_by), said(author), said(comment), said(rfc3339));
    return *this;
  }
  /// In place of the media type that its content and the format give.
  ImageBuilder &set_layer_media_type(const Text &media_type) {
    return parb_image_builder_set_layer_media_type(get(), media_type.c_str()), *this;
  }
  /// An annotation of its descriptor; std::nullopt removes it. So for all annotations and labels.
  ImageBuilder &set_layer_annotation(const Text &key, const Text &value) {
    return parb_image_builder_set_layer_annotation(get(), key.c_str(), value.c_str()), *this;
  }
  /// Where else it can be had; empty: nowhere.
  ImageBuilder &set_layer_urls(const std::vector<std::string> &urls) {
    return parb_image_builder_set_layer_urls(get(), urls.empty() ? nullptr : detail::List(urls).get()), *this;
  }
  /// An annotation of the descriptor of any layer, counted from the base.
  ImageBuilder &annotate_layer(std::size_t i, const Text &key, const Text &value) {
    return parb_image_builder_annotate_layer(get(), i, key.c_str(), value.c_str()), *this;
  }
  ImageBuilder &set_env(const Text &name, const Text &value) {
    return parb_image_builder_set_env(get(), name.c_str(), value.c_str()), *this;
  }
  ImageBuilder &unset_env(const Text &name) {
    return parb_image_builder_set_env(get(), name.c_str(), nullptr), *this;
  }
  ImageBuilder &clear_env() { return parb_image_builder_clear_env(get()), *this; }
  ImageBuilder &set_entrypoint(const std::vector<std::string> &argv) {
    return parb_image_builder_set_entrypoint(get(), detail::List(argv).get()), *this;
  }
  ImageBuilder &unset_entrypoint() { return parb_image_builder_set_entrypoint(get(), nullptr), *this; }
  ImageBuilder &set_cmd(const std::vector<std::string> &argv) {
    return parb_image_builder_set_cmd(get(), detail::List(argv).get()), *this;
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
  ImageBuilder &unset_label(const Text &key) {
    return parb_image_builder_set_label(get(), key.c_str(), nullptr), *this;
  }
  ImageBuilder &clear_labels() { return parb_image_builder_clear_labels(get()), *this; }
  ImageBuilder &set_annotation(const Text &key, const Text &value) {
    return parb_image_builder_set_annotation(get(), key.c_str(), value.c_str()), *this;
  }
  ImageBuilder &unset_annotation(const Text &key) {
    return parb_image_builder_set_annotation(get(), key.c_str(), nullptr), *this;
  }
  ImageBuilder &clear_annotations() { return parb_image_builder_clear_annotations(get()), *this; }
  /// An annotation of the config's descriptor.
  ImageBuilder &set_config_annotation(const Text &key, const Text &value) {
    return parb_image_builder_set_config_annotation(get(), key.c_str(), value.c_str()), *this;
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
  /// How to see whether a container is well: "NONE"; "CMD" and arguments; or "CMD-SHELL" and a command. 0: unsaid.
  ImageBuilder &set_healthcheck(const std::vector<std::string> &test, std::chrono::nanoseconds interval = {},
                                std::chrono::nanoseconds timeout = {}, std::chrono::nanoseconds start_period = {},
                                std::int64_t retries = 0) {
    parb_image_builder_set_healthcheck(get(), detail::List(test).get(), interval.count(), timeout.count(),
                                       start_period.count(), retries);
    return *this;
  }
  ImageBuilder &unset_healthcheck() { return parb_image_builder_set_healthcheck(get(), nullptr, 0, 0, 0, 0), *this; }
  /// The shell of build steps.
  ImageBuilder &set_shell(const std::vector<std::string> &argv) {
    return parb_image_builder_set_shell(get(), detail::List(argv).get()), *this;
  }
  ImageBuilder &unset_shell() { return parb_image_builder_set_shell(get(), nullptr), *this; }
  /// Build steps for images on top of this one.
  ImageBuilder &set_on_build(const std::vector<std::string> &steps) {
    return parb_image_builder_set_on_build(get(), detail::List(steps).get()), *this;
  }
  ImageBuilder &unset_on_build() { return parb_image_builder_set_on_build(get(), nullptr), *this; }
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
  /// Replaces the config by any bytes of any type, as artifacts have it.
  ImageBuilder &set_raw_config(std::string_view bytes, const Text &media_type) {
    parb_image_builder_set_raw_config(get(), detail::bytes(bytes.data()), bytes.size(), media_type.c_str());
    return *this;
  }
  /// Says what the config is; its bytes stay.
  ImageBuilder &set_config_media_type(const Text &media_type) {
    return parb_image_builder_set_config_media_type(get(), media_type.c_str()), *this;
  }
  /// Says what the manifest is, and nothing else.
  ImageBuilder &set_media_type(const Text &media_type) {
    return parb_image_builder_set_media_type(get(), media_type.c_str()), *this;
  }
  /// Has manifest, config and every layer carry the media types of "oci" or "docker".
  ImageBuilder &set_format(const Text &oci_or_docker) {
    return parb_image_builder_set_format(get(), oci_or_docker.c_str()), *this;
  }
  /// What kind of artifact it is; "" removes it.
  ImageBuilder &set_artifact_type(const Text &artifact_type) {
    return parb_image_builder_set_artifact_type(get(), artifact_type.c_str()), *this;
  }
  /// The manifest that the new one refers to.
  ImageBuilder &set_subject(DescriptorView subject) {
    return parb_image_builder_set_subject(get(), subject.get()), *this;
  }
  ImageBuilder &clear_subject() { return parb_image_builder_clear_subject(get()), *this; }
  /// Options: format, where there is no base.
  Image build(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_image_builder_build, get(), options.get(), ctx.get());
  }
  Image build(const Context &ctx) const { return build({}, ctx); }
  Op<Image> build_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_image_builder_build_start, get(), options.get(), ctx.get());
  }
};

/// Notes changes to an index, which are made in their order; build makes the new one, or reports the first mistake, and
/// can be called again.
class IndexBuilder : public detail::Handle<parb_index_builder, parb_index_builder_free> {
 public:
  /// From scratch.
  IndexBuilder() : Handle(parb_index_builder_new(nullptr)) {}
  explicit IndexBuilder(const Index &base)
      : Handle(parb_index_builder_new(detail::given(base.get(), "the base was moved from"))) {}

  /// Adds an image; its entry says what its config says it runs on.
  IndexBuilder &add_image(const Image &image) { return parb_index_builder_add_image(get(), image.get()), *this; }
  /// Adds an index as one entry.
  IndexBuilder &add_index(const Index &index) { return parb_index_builder_add_index(get(), index.get()), *this; }
  /// Adds every entry of an index.
  IndexBuilder &add_children(const Index &index) { return parb_index_builder_add_children(get(), index.get()), *this; }
  /// What the entry added last runs on, whatever its config says; std::nullopt: nothing is said. The three below are of
  /// that entry, too.
  IndexBuilder &set_entry_platform(const Text &platform) {
    return parb_index_builder_set_entry_platform(get(), platform.c_str()), *this;
  }
  IndexBuilder &set_entry_annotation(const Text &key, const Text &value) {
    return parb_index_builder_set_entry_annotation(get(), key.c_str(), value.c_str()), *this;
  }
  IndexBuilder &set_entry_urls(const std::vector<std::string> &urls) {
    return parb_index_builder_set_entry_urls(get(), urls.empty() ? nullptr : detail::List(urls).get()), *this;
  }
  IndexBuilder &set_entry_artifact_type(const Text &artifact_type) {
    return parb_index_builder_set_entry_artifact_type(get(), artifact_type.c_str()), *this;
  }

  /// Takes away the entries that are meant.
  IndexBuilder &remove(const Matcher &matcher) { return parb_index_builder_remove(get(), matcher.given()), *this; }
  /// Takes away all others.
  IndexBuilder &keep(const Matcher &matcher) { return parb_index_builder_keep(get(), matcher.given()), *this; }
  /// Sets an annotation of the entries that are meant; std::nullopt removes it.
  IndexBuilder &annotate(const Matcher &matcher, const Text &key, const Text &value) {
    return parb_index_builder_annotate(get(), matcher.given(), key.c_str(), value.c_str()), *this;
  }
  /// Puts the entries of nested indexes in their place, however deep.
  IndexBuilder &flatten() { return parb_index_builder_flatten(get()), *this; }

  /// An annotation of the index; std::nullopt removes it.
  IndexBuilder &set_annotation(const Text &key, const Text &value) {
    return parb_index_builder_set_annotation(get(), key.c_str(), value.c_str()), *this;
  }
  /// The manifest that the index refers to.
  IndexBuilder &set_subject(DescriptorView subject) {
    return parb_index_builder_set_subject(get(), subject.get()), *this;
  }
  IndexBuilder &clear_subject() { return parb_index_builder_set_subject(get(), nullptr), *this; }
  /// What kind of artifact it is; "" removes it.
  IndexBuilder &set_artifact_type(const Text &artifact_type) {
    return parb_index_builder_set_artifact_type(get(), artifact_type.c_str()), *this;
  }
  /// Makes it an OCI index or a Docker manifest list; its entries stay as they are.
  IndexBuilder &set_format(const Text &oci_or_docker) {
    return parb_index_builder_set_format(get(), oci_or_docker.c_str()), *this;
  }

  /// Options: format, where there is no base.
  Index build(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Index>(parb_index_builder_build, get(), options.get(), ctx.get());
  }
  Index build(const Context &ctx) const { return build({}, ctx); }
  Op<Index> build_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Index>>(parb_index_builder_build_start, get(), options.get(), ctx.get());
  }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_BUILDER_HPP
