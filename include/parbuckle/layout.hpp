// OCI image layouts in directories.
#ifndef PARBUCKLE_LAYOUT_HPP
#define PARBUCKLE_LAYOUT_HPP

#include <parbuckle/index.hpp>

namespace parbuckle {

/// An OCI image layout. Several processes may work in one at once: index.json is read anew by each call.
class Layout : public detail::Value<parb_layout, parb_layout_free, parb_layout_clone> {
 public:
  using Value::Value;
  static constexpr auto take_from = parb_op_take_layout;

  /// One that is there.
  static Layout open(const Text &path, const Context &ctx = Context::background()) {
    return detail::made<Layout>(parb_layout_open, path.c_str(), nullptr, ctx.get());
  }
  static Op<Layout> open_start(const Text &path, const Context &ctx = Context::background()) {
    return detail::made<Op<Layout>>(parb_layout_open_start, path.c_str(), nullptr, ctx.get());
  }
  /// One that is there, or a new one without entries. Options: durable.
  static Layout create(const Text &path, const Options &options = {}, const Context &ctx = Context::background()) {
    return detail::made<Layout>(parb_layout_create, path.c_str(), options.get(), ctx.get());
  }
  static Op<Layout> create_start(const Text &path, const Options &options = {},
                                 const Context &ctx = Context::background()) {
    return detail::made<Op<Layout>>(parb_layout_create_start, path.c_str(), options.get(), ctx.get());
  }

  /// The directory, as it was given.
  std::string_view path() const noexcept { return detail::lent(parb_layout_path(get())); }
  /// The layout as a place for new layers.
  Sink sink() const { return detail::made<Sink>(parb_sink_layout, get()); }
  /// index.json as it is now.
  Index index(const Context &ctx = Context::background()) const {
    return detail::made<Index>(parb_layout_index, get(), nullptr, ctx.get());
  }
  Op<Index> index_start(const Context &ctx = Context::background()) const {
    return detail::made<Op<Index>>(parb_layout_index_start, get(), nullptr, ctx.get());
  }
  /// The image with this name, digest or platform, or the only one. Options: platform.
  Image image(const Text &which = std::nullopt, const Options &options = {},
              const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_layout_image, get(), which.c_str(), options.get(), ctx.get());
  }
  Op<Image> image_start(const Text &which = std::nullopt, const Options &options = {},
                        const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_layout_image_start, get(), which.c_str(), options.get(), ctx.get());
  }
  /// The nested index with this name or digest, or the only one.
  Index child(const Text &which = std::nullopt, const Context &ctx = Context::background()) const {
    return detail::made<Index>(parb_layout_child, get(), which.c_str(), nullptr, ctx.get());
  }
  Op<Index> child_start(const Text &which = std::nullopt, const Context &ctx = Context::background()) const {
    return detail::made<Op<Index>>(parb_layout_child_start, get(), which.c_str(), nullptr, ctx.get());
  }

  /// Puts an image in, as an entry of this name or none, which is given. Options: jobs, foreign_layers, durable; so for
  /// all that put something in.
  Descriptor add_image(const Image &image, const Text &name = std::nullopt, const Options &options = {},
                       const Context &ctx = Context::background()) const {
    return detail::made<Descriptor>(parb_layout_add_image, get(), image.get(), name.c_str(), options.get(), ctx.get());
  }
  Op<Descriptor> add_image_start(const Image &image, const Text &name = std::nullopt, const Options &options = {},
                                 const Context &ctx = Context::background()) const {
    return detail::made<Op<Descriptor>>(parb_layout_add_image_start, get(), image.get(), name.c_str(), options.get(),
                                        ctx.get());
  }
  /// Puts an index in, and all below it.
  Descriptor add_index(const Index &index, const Text &name = std::nullopt, const Options &options = {},
                       const Context &ctx = Context::background()) const {
    return detail::made<Descriptor>(parb_layout_add_index, get(), index.get(), name.c_str(), options.get(), ctx.get());
  }
  Op<Descriptor> add_index_start(const Index &index, const Text &name = std::nullopt, const Options &options = {},
                                 const Context &ctx = Context::background()) const {
    return detail::made<Op<Descriptor>>(parb_layout_add_index_start, get(), index.get(), name.c_str(), options.get(),
                                        ctx.get());
  }
  /// Puts an image in the place of the entries with this name or, without one, with its digest.
  Descriptor replace_image(const Image &image, const Text &name = std::nullopt, const Options &options = {},
                           const Context &ctx = Context::background()) const {
    return detail::made<Descriptor>(parb_layout_replace_image, get(), image.get(), name.c_str(), options.get(),
                                    ctx.get());
  }
  Op<Descriptor> replace_image_start(const Image &image, const Text &name = std::nullopt, const Options &options = {},
                                     const Context &ctx = Context::background()) const {
    return detail::made<Op<Descriptor>>(parb_layout_replace_image_start, get(), image.get(), name.c_str(),
                                        options.get(), ctx.get());
  }
  /// Puts an index in the place of the entries with this name or, without one, with its digest.
  Descriptor replace_index(const Index &index, const Text &name = std::nullopt, const Options &options = {},
                           const Context &ctx = Context::background()) const {
    return detail::made<Descriptor>(parb_layout_replace_index, get(), index.get(), name.c_str(), options.get(),
                                    ctx.get());
  }
  Op<Descriptor> replace_index_start(const Index &index, const Text &name = std::nullopt, const Options &options = {},
                                     const Context &ctx = Context::background()) const {
    return detail::made<Op<Descriptor>>(parb_layout_replace_index_start, get(), index.get(), name.c_str(),
                                        options.get(), ctx.get());
  }
  /// Takes entries away, and gives their digests; their blobs stay until gc. Options: durable.
  std::vector<std::string> remove(const Matcher &matcher, const Options &options = {},
                                  const Context &ctx = Context::background()) const {
    return detail::texts(parb_layout_remove, get(), matcher.given(), options.get(), ctx.get());
  }
  Op<std::vector<std::string>> remove_start(const Matcher &matcher, const Options &options = {},
                                            const Context &ctx = Context::background()) const {
    return detail::made<Op<std::vector<std::string>>>(parb_layout_remove_start, get(), matcher.given(), options.get(),
                                                      ctx.get());
  }
  /// Sets an annotation of entries; std::nullopt removes it. Options: durable.
  void annotate(const Matcher &matcher, const Text &key, const Text &value, const Options &options = {},
                const Context &ctx = Context::background()) const {
    check(parb_layout_annotate(get(), matcher.given(), key.c_str(), value.c_str(), options.get(), ctx.get()));
  }
  Op<void> annotate_start(const Matcher &matcher, const Text &key, const Text &value, const Options &options = {},
                          const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_layout_annotate_start, get(), matcher.given(), key.c_str(), value.c_str(),
                                  options.get(), ctx.get());
  }
  /// Removes the blobs that no entry leads to, and what killed writers left; gives what was removed.
  std::vector<std::string> gc(const Context &ctx = Context::background()) const {
    return detail::texts(parb_layout_gc, get(), nullptr, ctx.get());
  }
  Op<std::vector<std::string>> gc_start(const Context &ctx = Context::background()) const {
    return detail::made<Op<std::vector<std::string>>>(parb_layout_gc_start, get(), nullptr, ctx.get());
  }
  /// Reads every file and tells what is wrong. Options: jobs.
  Report fsck(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Report>(parb_layout_fsck, get(), options.get(), ctx.get());
  }
  Op<Report> fsck_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Report>>(parb_layout_fsck_start, get(), options.get(), ctx.get());
  }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_LAYOUT_HPP
