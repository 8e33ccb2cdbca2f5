// Registries, and the credentials for them.
#ifndef PARBUCKLE_CLIENT_HPP
#define PARBUCKLE_CLIENT_HPP

#include <parbuckle/index.hpp>

namespace parbuckle {

/// Which credentials go to which registry.
class Keychain : public detail::Value<parb_keychain, parb_keychain_free, parb_keychain_clone> {
 public:
  using Value::Value;
  /// What docker login or podman login left behind.
  static Keychain standard() { return Keychain(parb_keychain_default()); }
  static Keychain anonymous() { return Keychain(parb_keychain_anonymous()); }
  static Keychain basic(const Text &registry, const Text &user, const Text &password) {
    return Keychain(detail::given(parb_keychain_basic(registry.c_str(), user.c_str(), password.c_str()), unusable));
  }
  static Keychain bearer(const Text &registry, const Text &token) {
    return Keychain(detail::given(parb_keychain_bearer(registry.c_str(), token.c_str()), unusable));
  }
  /// The first that knows something is believed.
  static Keychain chain(const std::vector<Keychain> &keychains) {
    std::vector<const parb_keychain *> list;
    for (const Keychain &keychain : keychains) list.push_back(keychain.get());
    return Keychain(detail::given(parb_keychain_chain(list.data(), list.size()), unusable));
  }

 private:
  static constexpr const char *unusable = "an argument of a keychain is null or not UTF-8";
};

/// How a client is to be.
class ClientOptions : public detail::Handle<parb_client_options, parb_client_options_free> {
 public:
  ClientOptions() : Handle(parb_client_options_new()) {}
  ClientOptions &keychain(const Keychain &keychain) {
    return parb_client_options_set_keychain(get(), keychain.get()), *this;
  }
  /// What stands first in the User-Agent header.
  ClientOptions &user_agent(const Text &text) {
    return parb_client_options_set_user_agent(get(), text.c_str()), *this;
  }
  /// Trusts the certificates of a PEM file too.
  ClientOptions &ca_file(const Text &path) { return parb_client_options_add_ca_file(get(), path.c_str()), *this; }
  ClientOptions &ca_pem(const Text &pem) { return parb_client_options_add_ca_pem(get(), pem.c_str()), *this; }
  /// Speaks to one registry without TLS.
  ClientOptions &plain_http(const Text &registry) {
    return parb_client_options_add_plain_http(get(), registry.c_str()), *this;
  }
  ClientOptions &timeouts(std::chrono::milliseconds connect, std::chrono::milliseconds first_byte,
                          std::chrono::milliseconds idle) {
    parb_client_options_set_timeouts_ms(get(), connect.count(), first_byte.count(), idle.count());
    return *this;
  }
  ClientOptions &retry(std::uint32_t attempts, std::chrono::milliseconds first_delay) {
    return parb_client_options_set_retry(get(), attempts, first_delay.count()), *this;
  }
};

/// Talks to registries; calls and threads share one.
class Client : public detail::Handle<parb_client, parb_client_free> {
 public:
  Client() : Client(made_by(nullptr)) {}
  explicit Client(const ClientOptions &options) : Client(made_by(options.get())) {}

  /// A repository as a place for new layers.
  Sink sink(const Ref &repository) const { return detail::made<Sink>(parb_sink_repository, get(), repository.get()); }

  /// What a reference names. Options: platform.
  Descriptor resolve(const Ref &ref, const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Descriptor>(parb_resolve, get(), ref.get(), options.get(), ctx.get());
  }
  Op<Descriptor> resolve_start(const Ref &ref, const Options &options = {},
                               const Context &ctx = Context::background()) const {
    return detail::made<Op<Descriptor>>(parb_resolve_start, get(), ref.get(), options.get(), ctx.get());
  }
  /// The image that a reference names; of an index, the one for a platform. Options: platform.
  Image pull(const Ref &ref, const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_pull, get(), ref.get(), options.get(), ctx.get());
  }
  Image pull(const Ref &ref, const Context &ctx) const { return pull(ref, {}, ctx); }
  Op<Image> pull_start(const Ref &ref, const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_pull_start, get(), ref.get(), options.get(), ctx.get());
  }
  std::future<Image> pull_async(const Ref &ref, const Options &options = {},
                                const Context &ctx = Context::background()) const {
    return pull_start(ref, options, ctx).future();
  }
  Index pull_index(const Ref &ref, const Context &ctx = Context::background()) const {
    return detail::made<Index>(parb_pull_index, get(), ref.get(), nullptr, ctx.get());
  }
  Op<Index> pull_index_start(const Ref &ref, const Context &ctx = Context::background()) const {
    return detail::made<Op<Index>>(parb_pull_index_start, get(), ref.get(), nullptr, ctx.get());
  }
  /// Puts an image where the reference says. Options: jobs, mount_from, foreign_layers.
  void push(const Ref &ref, const Image &image, const Options &options = {},
            const Context &ctx = Context::background()) const {
    check(parb_push(get(), ref.get(), image.get(), options.get(), ctx.get()));
  }
  void push(const Ref &ref, const Image &image, const Context &ctx) const { push(ref, image, {}, ctx); }
  Op<void> push_start(const Ref &ref, const Image &image, const Options &options = {},
                      const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_push_start, get(), ref.get(), image.get(), options.get(), ctx.get());
  }
  std::future<void> push_async(const Ref &ref, const Image &image, const Options &options = {},
                               const Context &ctx = Context::background()) const {
    return push_start(ref, image, options, ctx).future();
  }
  /// Puts an index, and all below it, where the reference says.
  void push_index(const Ref &ref, const Index &index, const Options &options = {},
                  const Context &ctx = Context::background()) const {
    check(parb_push_index(get(), ref.get(), index.get(), options.get(), ctx.get()));
  }
  Op<void> push_index_start(const Ref &ref, const Index &index, const Options &options = {},
                            const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_push_index_start, get(), ref.get(), index.get(), options.get(), ctx.get());
  }
  /// Makes sure that a layer is in a repository. Options: jobs, mount_from.
  void push_layer(const Ref &repository, const Layer &layer, const Options &options = {},
                  const Context &ctx = Context::background()) const {
    check(parb_push_layer(get(), repository.get(), layer.get(), options.get(), ctx.get()));
  }
  Op<void> push_layer_start(const Ref &repository, const Layer &layer, const Options &options = {},
                            const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_push_layer_start, get(), repository.get(), layer.get(), options.get(),
                                  ctx.get());
  }
  /// What was done so far, as a JSON object.
  std::string stats() const { return std::string(detail::made<Buf>(parb_client_stats, get()).view()); }
  /// Ends everything that runs on the client, and waits until it is gone.
  void close(const Context &ctx = Context::background()) const { check(parb_client_close(get(), ctx.get())); }

 private:
  using Handle::Handle;
  static parb_client *made_by(const parb_client_options *options) {
    parb_client *client = nullptr;
    check(parb_client_new(options, &client));
    return client;
  }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_CLIENT_HPP
