// What fails: errors, and exceptions of callbacks on their way through the library.
#ifndef PARBUCKLE_ERROR_HPP
#define PARBUCKLE_ERROR_HPP

#include <parbuckle.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace parbuckle {

namespace detail {

/// Lent text; null becomes a view without data.
inline std::string_view lent(const char *text) noexcept {
  return text ? std::string_view(text) : std::string_view();
}

inline std::optional<std::string_view> lent_if(const char *text) noexcept {
  return text ? std::optional<std::string_view>(text) : std::nullopt;
}

inline std::string_view lent(const std::uint8_t *data, std::size_t size) noexcept {
  return std::string_view(reinterpret_cast<const char *>(data), size);
}

inline const std::uint8_t *bytes(const void *data) noexcept { return static_cast<const std::uint8_t *>(data); }

}  // namespace detail

/// A failure. Copies share the C error.
class Error : public std::runtime_error {
 public:
  /// Takes over an error of the C library, which is not null.
  explicit Error(parb_error *error) : Error(std::shared_ptr<const parb_error>(error, free_it)) {}
  /// A failure of one's own.
  Error(parb_code code, const char *message) : Error(parb_error_new(code, message, nullptr, nullptr)) {}

  /// The kind: one of the PARB_ constants.
  parb_code code() const noexcept { return parb_error_code(error_.get()); }
  /// The kind's name, such as "NOT_FOUND".
  std::string_view code_name() const noexcept { return parb_error_code_name(code()); }
  /// What happened, without subject and cause; what() has all three.
  std::string_view message() const noexcept { return parb_error_message(error_.get()); }
  /// The reference, URL or path concerned.
  std::string_view subject() const noexcept { return detail::lent(parb_error_subject(error_.get())); }
  /// The HTTP status that was answered; 0: none.
  int http_status() const noexcept { return parb_error_http_status(error_.get()); }
  /// The registry's own code, such as "MANIFEST_UNKNOWN".
  std::string_view registry_code() const noexcept { return detail::lent(parb_error_registry_code(error_.get())); }
  /// The operating system's number (errno); 0: none.
  int os_code() const noexcept { return parb_error_os_code(error_.get()); }
  /// After how long the same call may succeed; nothing: it won't.
  std::optional<std::chrono::milliseconds> retry_after() const noexcept {
    const std::int64_t ms = parb_error_retry_after_ms(error_.get());
    return ms < 0 ? std::nullopt : std::optional<std::chrono::milliseconds>(ms);
  }
  /// What lies behind it.
  std::optional<Error> cause() const;
  /// The C error. Lives as long as the last copy of this one.
  const parb_error *get() const noexcept { return error_.get(); }

 private:
  explicit Error(std::shared_ptr<const parb_error> error)
      : std::runtime_error(text_of(error.get())), error_(std::move(error)) {}
  static void free_it(const parb_error *error) noexcept { parb_error_free(const_cast<parb_error *>(error)); }
  static std::string text_of(const parb_error *error) {
    const char *subject = parb_error_subject(error);
    std::string text = subject ? std::string(subject) + ": " : std::string();
    text += parb_error_message(error);
    for (const parb_error *at = parb_error_cause(error); at; at = parb_error_cause(at)) {
      text += ": ";
      text += parb_error_message(at);
    }
    return text;
  }
  std::shared_ptr<const parb_error> error_;
};

inline std::optional<Error> Error::cause() const {
  const parb_error *cause = parb_error_cause(error_.get());
  return cause ? std::optional<Error>(Error(parb_error_clone(cause))) : std::nullopt;
}

namespace detail {

/// An exception of the host on its way through the library. The set of all tells our pointers from those that C code
/// in the same program gave parb_error_new; it is never destroyed, since callbacks may outlive static objects.
class Carried {
 public:
  /// The error for a callback to return, to be called where an exception was caught.
  static parb_error *current() noexcept {
    try {
      std::unique_ptr<Carried> carried(new Carried{std::current_exception()});
      const auto [code, text] = carried->said();
      {
        std::lock_guard<std::mutex> lock(all().mutex);
        all().live.insert(carried.get());
      }
      return parb_error_new(code, text.c_str(), carried.release(), release);
    } catch (...) {
      return parb_error_new(PARB_CALLBACK, "out of memory", nullptr, nullptr);
    }
  }
  /// The exception behind the user pointer of an error; null where it is none of ours.
  static std::exception_ptr find(const void *user) noexcept {
    if (!user) return nullptr;
    std::lock_guard<std::mutex> lock(all().mutex);
    return all().live.count(user) ? static_cast<const Carried *>(user)->thrown_ : nullptr;
  }

 private:
  struct All {
    std::mutex mutex;
    std::set<const void *> live;
  };
  explicit Carried(std::exception_ptr thrown) : thrown_(std::move(thrown)) {}
  static All &all() {
    static All *const them = new All;
    return *them;
  }
  static void release(void *user) noexcept {
    {
      std::lock_guard<std::mutex> lock(all().mutex);
      all().live.erase(user);
    }
    delete static_cast<Carried *>(user);
  }
  /// What the library is told: of an Error also its code, since some have a meaning there (PARB_NOT_FOUND).
  std::pair<parb_code, std::string> said() const {
    try {
      std::rethrow_exception(thrown_);
    } catch (const Error &e) {
      return {e.code(), e.what()};
    } catch (const std::exception &e) {
      return {PARB_CALLBACK, e.what()};
    } catch (...) {
      return {PARB_CALLBACK, "an exception"};
    }
  }
  std::exception_ptr thrown_;
};

}  // namespace detail

/// Throws what a C call returned, if anything: an Error, or the exception of the callback that it carries.
inline void check(parb_error *error) {
  if (!error) return;
  const Error thrown(error);
  if (std::exception_ptr carried = detail::Carried::find(parb_error_user(error))) std::rethrow_exception(carried);
  throw thrown;
}

}  // namespace parbuckle

#endif  // PARBUCKLE_ERROR_HPP
