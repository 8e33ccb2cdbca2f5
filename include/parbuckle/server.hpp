// A registry that serves in this process.
#ifndef PARBUCKLE_SERVER_HPP
#define PARBUCKLE_SERVER_HPP

#include <parbuckle/call.hpp>

namespace parbuckle {

/// How a registry server is to be.
class ServerOptions : public detail::Handle<parb_server_options, parb_server_options_free> {
 public:
  ServerOptions() : Handle(parb_server_options_new()) {}
  /// IP:PORT; port 0: a free one.
  ServerOptions &address(const Text &address) {
    return parb_server_options_set_address(get(), address.c_str()), *this;
  }
  /// Keeps everything in a directory instead of in memory.
  ServerOptions &storage_dir(const Text &path) {
    return parb_server_options_set_storage_dir(get(), path.c_str()), *this;
  }
  ServerOptions &user(const Text &user, const Text &password) {
    return parb_server_options_add_user(get(), user.c_str(), password.c_str()), *this;
  }
  /// Has the users show tokens, each good for so long.
  ServerOptions &token_auth(std::chrono::seconds expires_in) {
    return parb_server_options_set_token_auth(get(), expires_in.count()), *this;
  }
  ServerOptions &anonymous_read() { return parb_server_options_set_anonymous_read(get()), *this; }
  ServerOptions &tls_files(const Text &cert, const Text &key) {
    return parb_server_options_set_tls_files(get(), cert.c_str(), key.c_str()), *this;
  }
  /// TLS by an authority made for the occasion, which Server::ca_pem gives.
  ServerOptions &tls_domain(const Text &domain) {
    return parb_server_options_set_tls_domain(get(), domain.c_str()), *this;
  }
  /// Does something wrong at the n-th request that fits (0: all): see parb_server_options_add_fault.
  ServerOptions &fault(const Text &method, const Text &path, std::uint32_t nth, const Text &fault) {
    return parb_server_options_add_fault(get(), method.c_str(), path.c_str(), nth, fault.c_str()), *this;
  }
};

/// A registry that serves in this process until it is destroyed. `parbuckle::Server registry;` is all a test needs.
class Server : public detail::Handle<parb_server, parb_server_free> {
 public:
  Server() : Server(serve(nullptr)) {}
  explicit Server(const ServerOptions &options) : Server(serve(options.get())) {}
  /// Such as "http://127.0.0.1:5000".
  std::string_view url() const noexcept { return detail::lent(parb_server_url(get())); }
  /// Such as "127.0.0.1:5000": what references to it begin with.
  std::string address() const {
    const std::string_view all = url();
    const std::size_t at = all.find("://");
    return std::string(at == std::string_view::npos ? all : all.substr(at + 3));
  }
  /// The reference to what lies there, such as ref("app:1").
  Ref ref(std::string_view repository_and_tag) const {
    return Ref(address().append("/").append(repository_and_tag));
  }
  std::string_view ca_pem() const noexcept { return detail::lent(parb_server_ca_pem(get())); }
  /// The requests so far, each a JSON object.
  std::vector<std::string> requests() const {
    parb_strings *raw = nullptr;
    check(parb_server_requests(get(), &raw));
    const detail::Handle<parb_strings, parb_strings_free> list(raw);
    std::vector<std::string> all;
    for (std::string_view request : Strings(list.get())) all.emplace_back(request);
    return all;
  }
  /// Takes no more requests, and waits for those that run.
  void stop(const Context &ctx = Context::background()) const { check(parb_server_stop(get(), ctx.get())); }

 private:
  using Handle::Handle;
  static parb_server *serve(const parb_server_options *options) {
    parb_server *server = nullptr;
    check(parb_serve(options, nullptr, &server));
    return server;
  }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_SERVER_HPP
