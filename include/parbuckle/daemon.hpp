// Docker-compatible daemons.
#ifndef PARBUCKLE_DAEMON_HPP
#define PARBUCKLE_DAEMON_HPP

#include <parbuckle/index.hpp>

namespace parbuckle {

/// A daemon (dockerd, podman's service) that answered once. Names are those of images, or ids. What it tells of itself
/// and its images is JSON in its own words.
class Daemon : public detail::Value<parb_daemon, parb_daemon_free, parb_daemon_clone> {
 public:
  using Value::Value;
  static constexpr auto take_from = parb_op_take_daemon;

  /// unix://PATH, tcp://HOST[:PORT], http://... or https://...; without one what DOCKER_HOST names, or the usual
  /// socket.
  static Daemon connect(const Text &host = std::nullopt, const Context &ctx = Context::background()) {
    return detail::made<Daemon>(parb_daemon_connect, host.c_str(), nullptr, ctx.get());
  }
  static Op<Daemon> connect_start(const Text &host = std::nullopt, const Context &ctx = Context::background()) {
    return detail::made<Op<Daemon>>(parb_daemon_connect_start, host.c_str(), nullptr, ctx.get());
  }

  /// The address that it was reached at.
  std::string_view host() const noexcept { return detail::lent(parb_daemon_host(get())); }
  /// The API version that is spoken with it, such as "1.41".
  std::string_view api_version() const noexcept { return detail::lent(parb_daemon_api_version(get())); }
  /// Whether it answers still.
  void ping(const Context &ctx = Context::background()) const { check(parb_daemon_ping(get(), nullptr, ctx.get())); }
  Op<void> ping_start(const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_daemon_ping_start, get(), nullptr, ctx.get());
  }
  std::string version(const Context &ctx = Context::background()) const {
    return detail::text(parb_daemon_version, get(), nullptr, ctx.get());
  }
  Op<std::string> version_start(const Context &ctx = Context::background()) const {
    return detail::made<Op<std::string>>(parb_daemon_version_start, get(), nullptr, ctx.get());
  }
  /// Its images, or those whose names match a pattern.
  std::string list(const Text &reference = std::nullopt, const Context &ctx = Context::background()) const {
    return detail::text(parb_daemon_list, get(), reference.c_str(), nullptr, ctx.get());
  }
  Op<std::string> list_start(const Text &reference = std::nullopt, const Context &ctx = Context::background()) const {
    return detail::made<Op<std::string>>(parb_daemon_list_start, get(), reference.c_str(), nullptr, ctx.get());
  }
  std::string inspect(const Text &name, const Context &ctx = Context::background()) const {
    return detail::text(parb_daemon_inspect, get(), name.c_str(), nullptr, ctx.get());
  }
  Op<std::string> inspect_start(const Text &name, const Context &ctx = Context::background()) const {
    return detail::made<Op<std::string>>(parb_daemon_inspect_start, get(), name.c_str(), nullptr, ctx.get());
  }
  std::string history(const Text &name, const Context &ctx = Context::background()) const {
    return detail::text(parb_daemon_history, get(), name.c_str(), nullptr, ctx.get());
  }
  Op<std::string> history_start(const Text &name, const Context &ctx = Context::background()) const {
    return detail::made<Op<std::string>>(parb_daemon_history_start, get(), name.c_str(), nullptr, ctx.get());
  }

  /// An image of the daemon, read now into a file without a name. Options: format, sink, compression.
  Image image(const Text &name, const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_daemon_image, get(), name.c_str(), options.get(), ctx.get());
  }
  Op<Image> image_start(const Text &name, const Options &options = {},
                        const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_daemon_image_start, get(), name.c_str(), options.get(), ctx.get());
  }
  /// Gives it an image, under a name or none; the result is what it said, nothing where it had the image.
  std::vector<std::string> load(const Image &image, const std::optional<Ref> &reference = {},
                                const Context &ctx = Context::background()) const {
    return detail::texts(parb_daemon_load, get(), image.get(), reference_of(reference), nullptr, ctx.get());
  }
  Op<std::vector<std::string>> load_start(const Image &image, const std::optional<Ref> &reference = {},
                                          const Context &ctx = Context::background()) const {
    return detail::made<Op<std::vector<std::string>>>(parb_daemon_load_start, get(), image.get(),
                                                      reference_of(reference), nullptr, ctx.get());
  }
  /// Gives it the image of an index that is meant for a platform. Options: platform.
  std::vector<std::string> load_index(const Index &index, const std::optional<Ref> &reference = {},
                                      const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::texts(parb_daemon_load_index, get(), index.get(), reference_of(reference), options.get(), ctx.get());
  }
  Op<std::vector<std::string>> load_index_start(const Index &index, const std::optional<Ref> &reference = {},
                                                const Options &options = {},
                                                const Context &ctx = Context::background()) const {
    return detail::made<Op<std::vector<std::string>>>(parb_daemon_load_index_start, get(), index.get(),
                                                      reference_of(reference), options.get(), ctx.get());
  }
  /// Gives it an archive as it is, names included.
  std::vector<std::string> load_archive(const Text &path, const Context &ctx = Context::background()) const {
    return detail::texts(parb_daemon_load_archive, get(), path.c_str(), nullptr, ctx.get());
  }
  Op<std::vector<std::string>> load_archive_start(const Text &path, const Context &ctx = Context::background()) const {
    return detail::made<Op<std::vector<std::string>>>(parb_daemon_load_archive_start, get(), path.c_str(), nullptr,
                                                      ctx.get());
  }
  /// Gives an image one more name.
  void tag(const Text &name, const Ref &reference, const Context &ctx = Context::background()) const {
    check(parb_daemon_tag(get(), name.c_str(), reference.get(), nullptr, ctx.get()));
  }
  Op<void> tag_start(const Text &name, const Ref &reference, const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_daemon_tag_start, get(), name.c_str(), reference.get(), nullptr, ctx.get());
  }
  /// Takes a name away, and with an image's last name the image.
  void remove(const Text &name, const Context &ctx = Context::background()) const {
    check(parb_daemon_remove(get(), name.c_str(), nullptr, ctx.get()));
  }
  Op<void> remove_start(const Text &name, const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_daemon_remove_start, get(), name.c_str(), nullptr, ctx.get());
  }

 private:
  static const parb_ref *reference_of(const std::optional<Ref> &reference) {
    return reference ? detail::given(reference->get(), "the reference was moved from") : nullptr;
  }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_DAEMON_HPP
