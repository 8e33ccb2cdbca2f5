// parbuckle: container images, for C++17 and later. Header only: every call is one call of parbuckle.h.
// Copyright the parbuckle authors. Licence: Apache-2.0.
//
// Errors     What fails throws parbuckle::Error. An exception thrown by a callback of yours (a Source) comes out of the
//            call that ran it as itself.
// Ownership  Objects own their handles. Copies of Ref, Image, Index, Layer, Descriptor and Keychain are cheap handles
//            of the same value; the others are moved only. A moved-from object can be assigned to and destroyed.
// Lifetime   std::string_view, DescriptorView, Strings and Map are lent: they live as long as the object that gave
//            them. A view whose data() is null says that there is nothing of the kind (no tag, no user).
// Waiting    What can block takes a Context, which cancels it or bounds it in time, and has a twin named ..._start
//            that returns at once with an Op; Op::future makes a std::future of it.
// Threads    const members may be called by many threads at once, others by one at a time.
#ifndef PARBUCKLE_HPP
#define PARBUCKLE_HPP

#include <parbuckle.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <future>
#include <istream>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

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
      const std::string text = carried->text();
      {
        std::lock_guard<std::mutex> lock(all().mutex);
        all().live.insert(carried.get());
      }
      return parb_error_new(PARB_CALLBACK, text.c_str(), carried.release(), release);
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
  std::string text() const {
    try {
      std::rethrow_exception(thrown_);
    } catch (const std::exception &e) {
      return e.what();
    } catch (...) {
      return "an exception";
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

/// A text argument: a literal, std::string, std::string_view, or a path. One with a NUL inside is refused.
class Text {
 public:
  Text(const char *text) : text_(text) {}
  Text(const std::string &text) : text_(whole(text).c_str()) {}
  Text(std::string_view text) : own_(text), text_(whole(own_).c_str()) {}
  /// std::filesystem::path, and what is like it.
  template <class Path, class Native = decltype(std::declval<const Path &>().native()),
            class = std::enable_if_t<std::is_convertible_v<Native, const std::string &>>>
  Text(const Path &path) : Text(static_cast<const std::string &>(path.native())) {}
  Text(const Text &) = delete;
  Text &operator=(const Text &) = delete;
  const char *c_str() const noexcept { return text_; }

 private:
  static const std::string &whole(const std::string &text) {
    if (text.find('\0') != std::string::npos) throw Error(PARB_INVALID_ARGUMENT, "a text with a NUL inside");
    return text;
  }
  std::string own_;
  const char *text_;
};

namespace detail {

/// Owns a handle of the C library.
template <class T, void (*Free)(T *)> class Handle {
 public:
  using Raw = T;
  Handle() noexcept = default;
  explicit Handle(T *handle) noexcept : handle_(handle) {}
  /// The C handle, still owned by this object.
  T *get() const noexcept { return handle_.get(); }
  /// Whether there is one: not after a move.
  explicit operator bool() const noexcept { return handle_ != nullptr; }

 private:
  struct Deleter {
    void operator()(T *handle) const noexcept { Free(handle); }
  };
  std::unique_ptr<T, Deleter> handle_;
};

/// Owns a handle of an immutable value; copies are handles of the same value.
template <class T, void (*Free)(T *), T *(*Clone)(const T *)> class Value : public Handle<T, Free> {
 public:
  using Handle<T, Free>::Handle;
  Value() noexcept = default;
  Value(const Value &other) : Handle<T, Free>(cloned(other.get())) {}
  Value(Value &&) noexcept = default;
  Value &operator=(const Value &other) {
    if (this != &other) *this = Value(other);
    return *this;
  }
  Value &operator=(Value &&) noexcept = default;

 private:
  static T *cloned(const T *from) {
    T *const copy = Clone(from);
    if (from && !copy) throw std::bad_alloc();
    return copy;
  }
};

/// Calls a C function whose last parameter is a place for a new handle.
template <class Made, class... Parameters, class... Arguments>
Made made(parb_error *(*function)(Parameters...), Arguments... arguments) {
  typename Made::Raw *raw = nullptr;
  check(function(arguments..., &raw));
  return Made(raw);
}

/// For constructors that return null where an argument is unusable.
template <class T> T *given(T *handle, const char *why) {
  if (!handle) throw Error(PARB_INVALID_ARGUMENT, why);
  return handle;
}

/// Begin and end over anything with size() and operator[]; the range is copied, what it shows must live on.
template <class Range> class Iterator {
 public:
  using value_type = std::decay_t<decltype(std::declval<const Range &>()[0])>;
  using reference = value_type;
  using pointer = void;
  using difference_type = std::ptrdiff_t;
  using iterator_category = std::input_iterator_tag;

  Iterator() noexcept = default;
  Iterator(Range range, std::size_t at) noexcept : range_(range), at_(at) {}
  reference operator*() const { return range_[at_]; }
  Iterator &operator++() noexcept { return ++at_, *this; }
  Iterator operator++(int) noexcept { return Iterator(range_, at_++); }
  bool operator==(const Iterator &other) const noexcept { return at_ == other.at_; }
  bool operator!=(const Iterator &other) const noexcept { return at_ != other.at_; }

 private:
  Range range_{};
  std::size_t at_ = 0;
};

/// What every range of views has.
template <class Self> class Sequence {
 public:
  Iterator<Self> begin() const noexcept { return Iterator<Self>(self(), 0); }
  Iterator<Self> end() const noexcept { return Iterator<Self>(self(), self().size()); }
  bool empty() const noexcept { return self().size() == 0; }

 private:
  const Self &self() const noexcept { return static_cast<const Self &>(*this); }
};

/// A function object as C knows it: a pointer, and what deletes it.
template <class F> void destroy(void *user) noexcept { delete static_cast<F *>(user); }

}  // namespace detail

/// A lent list of texts. False where there is none (an image without an entry point), which is not an empty one.
class Strings : public detail::Sequence<Strings> {
 public:
  Strings() noexcept = default;
  explicit Strings(const parb_strings *list) noexcept : list_(list) {}
  std::size_t size() const noexcept { return parb_strings_count(list_); }
  std::string_view operator[](std::size_t i) const noexcept { return detail::lent(parb_strings_at(list_, i)); }
  explicit operator bool() const noexcept { return list_ != nullptr; }

 private:
  const parb_strings *list_ = nullptr;
};

/// Lent pairs of texts, sorted by key.
class Map : public detail::Sequence<Map> {
 public:
  Map() noexcept = default;
  explicit Map(const parb_map *map) noexcept : map_(map) {}
  std::size_t size() const noexcept { return parb_map_count(map_); }
  std::pair<std::string_view, std::string_view> operator[](std::size_t i) const noexcept {
    return {detail::lent(parb_map_key_at(map_, i)), detail::lent(parb_map_value_at(map_, i))};
  }
  /// The value of a key, where there is one.
  std::optional<std::string_view> get(const Text &key) const noexcept {
    return detail::lent_if(parb_map_get(map_, key.c_str()));
  }

 private:
  const parb_map *map_ = nullptr;
};

/// Bytes that the library made.
class Buf : public detail::Handle<parb_buf, parb_buf_free> {
 public:
  using Handle::Handle;
  static constexpr auto take_from = parb_op_take_buf;
  const std::uint8_t *data() const noexcept { return parb_buf_data(get()); }
  std::size_t size() const noexcept { return parb_buf_len(get()); }
  std::string_view view() const noexcept { return detail::lent(data(), size()); }
};

namespace detail {

/// What can be asked of a descriptor, lent or owned.
template <class Self> class DescriptorFacts {
 public:
  std::string_view media_type() const noexcept { return lent(parb_descriptor_media_type(raw())); }
  std::string_view digest() const noexcept { return lent(parb_descriptor_digest(raw())); }
  std::uint64_t size() const noexcept { return parb_descriptor_size(raw()); }
  /// What it runs on, such as "linux/arm64/v8".
  std::string_view platform() const noexcept { return lent(parb_descriptor_platform(raw())); }
  std::string_view artifact_type() const noexcept { return lent(parb_descriptor_artifact_type(raw())); }
  Map annotations() const noexcept { return Map(parb_descriptor_annotations(raw())); }

 private:
  const parb_descriptor *raw() const noexcept { return static_cast<const Self *>(this)->get(); }
};

}  // namespace detail

/// A lent descriptor: media type, digest and size of content.
class DescriptorView : public detail::DescriptorFacts<DescriptorView> {
 public:
  DescriptorView() noexcept = default;
  explicit DescriptorView(const parb_descriptor *descriptor) noexcept : descriptor_(descriptor) {}
  const parb_descriptor *get() const noexcept { return descriptor_; }

 private:
  const parb_descriptor *descriptor_ = nullptr;
};

/// A descriptor of one's own.
class Descriptor : public detail::Value<parb_descriptor, parb_descriptor_free, parb_descriptor_clone>,
                   public detail::DescriptorFacts<Descriptor> {
 public:
  using Value::Value;
  Descriptor(DescriptorView view) : Value(parb_descriptor_clone(view.get())) {}
  operator DescriptorView() const noexcept { return DescriptorView(get()); }
  static constexpr auto take_from = parb_op_take_descriptor;
};

/// Something that a call tells on its way. Lent to the callback for its duration.
class Event {
 public:
  explicit Event(const parb_event *event) noexcept : event_(event) {}
  /// "download", "upload", "exists", "mount", "compress", "retry"; new kinds may come.
  std::string_view kind() const noexcept { return detail::lent(parb_event_kind(event_)); }
  std::string_view subject() const noexcept { return detail::lent(parb_event_subject(event_)); }
  std::uint64_t done() const noexcept { return parb_event_done(event_); }
  /// UINT64_MAX where it is not known.
  std::uint64_t total() const noexcept { return parb_event_total(event_); }
  std::string_view message() const noexcept { return detail::lent(parb_event_message(event_)); }

 private:
  const parb_event *event_;
};

/// Bounds calls: cancel, deadline, progress. Any number of calls and threads may share one.
class Context : public detail::Handle<parb_ctx, parb_ctx_free> {
 public:
  Context() : Handle(parb_ctx_new(nullptr)) {}
  /// Ends by itself after so long.
  explicit Context(std::chrono::milliseconds timeout) : Context() { set_timeout(timeout); }
  /// The one that never ends: what calls have that are given none.
  static const Context &background() noexcept {
    static const Context never{Handle(nullptr)};
    return never;
  }
  /// One that ends with this one, or earlier.
  Context child() const { return Context(Handle(parb_ctx_new(get()))); }

  Context &set_timeout(std::chrono::milliseconds timeout) noexcept {
    parb_ctx_set_timeout_ms(get(), timeout.count());
    return *this;
  }
  /// Ends every call under this context, from any thread.
  void cancel() const noexcept { parb_ctx_cancel(get()); }
  bool is_cancelled() const noexcept { return parb_ctx_is_cancelled(get()); }
  /// Has `told` called for each event, on a thread of the library; what it throws is dropped. It is destroyed exactly
  /// once, when no more events will come.
  Context &on_progress(std::function<void(const Event &)> told) {
    using F = decltype(told);
    const auto call = [](void *user, const parb_event *event) noexcept {
      try {
        (*static_cast<F *>(user))(Event(event));
      } catch (...) {
      }
    };
    if (told) {
      parb_ctx_set_progress(get(), call, new F(std::move(told)), detail::destroy<F>);
    } else {
      parb_ctx_set_progress(get(), nullptr, nullptr, nullptr);
    }
    return *this;
  }
  /// Bytes moved, and bytes that are known to be moved, so far.
  std::pair<std::uint64_t, std::uint64_t> progress() const noexcept {
    std::uint64_t done = 0, total = 0;
    parb_ctx_progress(get(), &done, &total);
    return {done, total};
  }

 private:
  explicit Context(Handle &&handle) noexcept : Handle(std::move(handle)) {}
};

/// A call under way, started by a member named ..._start. Destroyed while it runs, it is cancelled.
template <class T> class Op : public detail::Handle<parb_op, parb_op_free> {
 public:
  using detail::Handle<parb_op, parb_op_free>::Handle;
  bool is_done() const noexcept { return parb_op_is_done(get()); }
  /// Blocks until it is done, well or not, or the context ends; the call itself goes on.
  void wait(const Context &ctx = Context::background()) const { check(parb_op_wait(get(), ctx.get())); }
  void cancel() const noexcept { parb_op_cancel(get()); }
  /// The outcome, once; PARB_INVALID_STATE before the end.
  T take() {
    if constexpr (std::is_void_v<T>) {
      check(parb_op_finish(get()));
    } else {
      return detail::made<T>(T::take_from, get());
    }
  }
  /// Has `done` called when it is done, on a thread of the library, where calls that wait are refused; what it throws
  /// is dropped.
  void on_done(std::function<void()> done) {
    using F = decltype(done);
    const auto call = [](void *user) noexcept {
      try {
        (*static_cast<F *>(user))();
      } catch (...) {
      }
    };
    check(parb_op_on_done(get(), call, new F(std::move(done)), detail::destroy<F>));
  }
  /// The outcome as a future, which owns the call; a future that is dropped lets it run. Cancel by the context.
  std::future<T> future() && {
    // This frame keeps the op alive, too: the callback may be over before parb_op_on_done returns.
    const auto waiter = std::make_shared<Waiter>(std::move(*this));
    std::future<T> future = waiter->promise.get_future();
    using Shared = std::shared_ptr<Waiter>;
    const auto call = [](void *user) noexcept { (*static_cast<Shared *>(user))->settle(); };
    const auto destroy = [](void *user) noexcept {
      const std::unique_ptr<Shared> shared(static_cast<Shared *>(user));
      (*shared)->settle();  // the library had no thread left for the callback
    };
    check(parb_op_on_done(waiter->op.get(), call, new Shared(waiter), destroy));
    return future;
  }

 private:
  struct Waiter {
    explicit Waiter(Op &&running) : op(std::move(running)) {}
    Op op;
    std::promise<T> promise;
    bool settled = false;
    void settle() noexcept {
      if (std::exchange(settled, true)) return;
      try {
        if constexpr (std::is_void_v<T>) {
          op.take();
          promise.set_value();
        } else {
          promise.set_value(op.take());
        }
      } catch (...) {
        promise.set_exception(std::current_exception());
      }
    }
  };
};

/// Tells which operations are done, by numbers of one's choice; has a descriptor to poll.
class Queue : public detail::Handle<parb_queue, parb_queue_free> {
 public:
  Queue() : Handle(detail::made<Handle>(parb_queue_new)) {}
  /// Readable while there are tags to take.
  int fd() const noexcept { return static_cast<int>(parb_queue_fd(get())); }
  template <class T> void add(Op<T> &op, std::uintptr_t tag) const {
    check(parb_queue_add(get(), op.get(), reinterpret_cast<void *>(tag)));
  }
  /// Tags of operations that are done, at most `most`, waiting for the first one until the time is over; a negative
  /// time waits until there is one. Empty after that time, or after wake().
  std::vector<std::uintptr_t> take(std::chrono::milliseconds timeout, std::size_t most = 64) const {
    std::vector<void *> tags(most);
    std::size_t count = 0;
    check(parb_queue_take(get(), timeout.count(), tags.data(), most, &count));
    std::vector<std::uintptr_t> taken;
    taken.reserve(count);
    for (std::size_t i = 0; i < count; i++) taken.push_back(reinterpret_cast<std::uintptr_t>(tags[i]));
    return taken;
  }
  /// Makes one take come back empty.
  void wake() const noexcept { parb_queue_wake(get()); }
};

/// A parsed reference: registry, repository, tag, digest. Any text becomes one where a Ref is wanted.
class Ref : public detail::Value<parb_ref, parb_ref_free, parb_ref_clone> {
 public:
  using Value::Value;
  Ref(const char *text) : Ref(parsed(text)) {}
  Ref(const std::string &text) : Ref(parsed(text)) {}
  Ref(std::string_view text) : Ref(parsed(text)) {}
  /// The whole reference, fully qualified.
  std::string_view text() const noexcept { return detail::lent(parb_ref_text(get())); }
  std::string_view registry() const noexcept { return detail::lent(parb_ref_registry(get())); }
  std::string_view repository() const noexcept { return detail::lent(parb_ref_repository(get())); }
  std::string_view tag() const noexcept { return detail::lent(parb_ref_tag(get())); }
  std::string_view digest() const noexcept { return detail::lent(parb_ref_digest(get())); }
  Ref with_tag(const Text &tag) const { return detail::made<Ref>(parb_ref_with_tag, get(), tag.c_str()); }
  Ref with_digest(const Text &digest) const { return detail::made<Ref>(parb_ref_with_digest, get(), digest.c_str()); }

 private:
  static Ref parsed(const Text &text) {
    const parb_options *none = nullptr;
    return detail::made<Ref>(parb_ref_parse, text.c_str(), none);
  }
};

/// Where the bytes of new layers go; made by Client::sink.
class Sink : public detail::Handle<parb_sink, parb_sink_free> {
 public:
  using Handle::Handle;
};

/// What a call may be told beside its arguments; the call that is given them reports the first mistake.
class Options : public detail::Handle<parb_options, parb_options_free> {
 public:
  Options() noexcept = default;
  /// Which image of an index: "linux/arm64/v8". Read by resolve and pull.
  Options &platform(const Text &platform) { return parb_options_set_platform(here(), platform.c_str()), *this; }
  /// How many blobs are moved at once. Read by pushes and Image::validate.
  Options &jobs(std::uint32_t jobs) { return parb_options_set_jobs(here(), jobs), *this; }
  /// Where a new layer's bytes go. Read by whatever makes a layer.
  Options &sink(const Sink &sink) { return parb_options_set_sink(here(), sink.get()), *this; }
  /// "gzip", "zstd" or "none", and a level; 0: the default. Read by whatever makes a layer.
  Options &compression(const Text &name, std::int32_t level = 0) {
    return parb_options_set_compression(here(), name.c_str(), level), *this;
  }
  /// "oci" or "docker". Read by ImageBuilder::build where there is no base.
  Options &format(const Text &oci_or_docker) { return parb_options_set_format(here(), oci_or_docker.c_str()), *this; }
  /// A repository of the same registry that may have the blobs already. Read by pushes.
  Options &mount_from(const Ref &repository) { return parb_options_set_mount_from(here(), repository.get()), *this; }
  /// Push non-distributable layers too. Read by push and push_index.
  Options &foreign_layers() { return parb_options_set_foreign_layers(here()), *this; }

 private:
  // Most calls are given none: those cost nothing.
  parb_options *here() {
    if (!*this) Handle::operator=(Handle(parb_options_new()));
    return get();
  }
};

/// An image's config.
class Config : public detail::Handle<parb_config, parb_config_free> {
 public:
  using Handle::Handle;
  static constexpr auto take_from = parb_op_take_config;
  static Config parse(std::string_view json) {
    const parb_options *none = nullptr;
    return detail::made<Config>(parb_config_parse, detail::bytes(json.data()), json.size(), none);
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

/// A stream of verified bytes; its end comes only if every byte was right.
class Reader : public detail::Handle<parb_reader, parb_reader_free> {
 public:
  using Handle::Handle;
  static constexpr auto take_from = parb_op_take_reader;
  /// Reads at least one byte and at most `size`; 0 is the end.
  std::size_t read(void *buffer, std::size_t size, const Context &ctx = Context::background()) {
    std::size_t count = 0;
    check(parb_reader_read(get(), static_cast<std::uint8_t *>(buffer), size, ctx.get(), &count));
    return count;
  }
  /// The next piece, of whatever size it comes; an empty one is the end.
  Op<Buf> next_start(const Context &ctx = Context::background()) {
    const parb_options *none = nullptr;
    return detail::made<Op<Buf>>(parb_reader_next_start, get(), none, ctx.get());
  }
};

/// A Reader as a std::istream. It throws what reading throws, unless exceptions() is told otherwise.
class ReaderStream : public std::istream {
 public:
  /// Reads under a child of `ctx`.
  explicit ReaderStream(Reader reader, const Context &ctx = Context::background())
      : std::istream(nullptr), buffer_(std::move(reader), ctx) {
    rdbuf(&buffer_);
    exceptions(std::ios::badbit);
  }

 private:
  class Buffer : public std::streambuf {
   public:
    Buffer(Reader reader, const Context &ctx) : reader_(std::move(reader)), ctx_(ctx.child()), bytes_(64 << 10) {}

   protected:
    int_type underflow() override {
      if (gptr() == egptr()) {
        const std::size_t count = reader_.read(bytes_.data(), bytes_.size(), ctx_);
        setg(bytes_.data(), bytes_.data(), bytes_.data() + count);
      }
      return gptr() == egptr() ? traits_type::eof() : traits_type::to_int_type(*gptr());
    }
    std::streamsize xsgetn(char *to, std::streamsize wanted) override {
      std::streamsize done = 0;
      while (done < wanted) {
        const std::streamsize here = std::min<std::streamsize>(egptr() - gptr(), wanted - done);
        if (here > 0) {
          std::memcpy(to + done, gptr(), static_cast<std::size_t>(here));
          setg(eback(), gptr() + here, egptr());
          done += here;
          continue;
        }
        // What is wanted goes straight to its place.
        const std::size_t count = reader_.read(to + done, static_cast<std::size_t>(wanted - done), ctx_);
        if (count == 0) break;
        done += static_cast<std::streamsize>(count);
      }
      return done;
    }

   private:
    Reader reader_;
    Context ctx_;
    std::vector<char> bytes_;
  };
  Buffer buffer_;
};

/// A stream of the host, for Layer::from_source, read on a thread of the library. After a cancelled call it may be read
/// for a moment still: what it refers to is to be owned by it (std::shared_ptr). What it throws comes out of the call.
class Source : public detail::Handle<parb_source, parb_source_free> {
 public:
  /// Reads up to so many bytes to there and tells how many; 0 is the end.
  using Read = std::function<std::size_t(std::uint8_t *, std::size_t)>;
  /// Goes back to the start.
  using Rewind = std::function<void()>;

  explicit Source(Read read, Rewind rewind = nullptr) {
    using F = std::pair<Read, Rewind>;
    const bool can_rewind = static_cast<bool>(rewind);
    auto functions = std::make_unique<F>(std::move(read), std::move(rewind));
    const auto on_read = [](void *user, std::uint8_t *to, std::size_t size, std::size_t *count) noexcept -> parb_error * {
      try {
        *count = static_cast<F *>(user)->first(to, size);
        return nullptr;
      } catch (...) {
        return detail::Carried::current();
      }
    };
    const auto on_rewind = [](void *user) noexcept -> parb_error * {
      try {
        static_cast<F *>(user)->second();
        return nullptr;
      } catch (...) {
        return detail::Carried::current();
      }
    };
    const parb_rewind_cb rewind_cb = on_rewind;
    Handle::operator=(
        Handle(parb_source_new(on_read, can_rewind ? rewind_cb : nullptr, functions.release(), detail::destroy<F>)));
  }
  /// Reads an istream, which lives as long as need be.
  explicit Source(std::shared_ptr<std::istream> stream) : Source(reading(std::move(stream))) {}

 private:
  static Read reading(std::shared_ptr<std::istream> stream) {
    return [stream = std::move(stream)](std::uint8_t *to, std::size_t size) {
      stream->read(reinterpret_cast<char *>(to), static_cast<std::streamsize>(size));
      if (stream->bad()) throw std::ios_base::failure("reading the stream of a layer");
      return static_cast<std::size_t>(stream->gcount());
    };
  }
};

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

  DescriptorView descriptor() const noexcept { return DescriptorView(parb_layer_descriptor(get())); }
  std::string_view digest() const noexcept { return descriptor().digest(); }
  std::uint64_t size() const noexcept { return descriptor().size(); }
  /// The digest of the uncompressed tar. May block the first time.
  std::string_view diff_id(const Context &ctx = Context::background()) const {
    const char *digest = nullptr;
    check(parb_layer_diff_id(get(), nullptr, ctx.get(), &digest));
    return detail::lent(digest);
  }
  Op<void> diff_id_start(const Context &ctx = Context::background()) const { return start<void>(parb_layer_diff_id_start, ctx); }
  /// The bytes as they are stored.
  Reader open(const Context &ctx = Context::background()) const {
    const parb_options *none = nullptr;
    return detail::made<Reader>(parb_layer_open, get(), none, ctx.get());
  }
  Op<Reader> open_start(const Context &ctx = Context::background()) const { return start<Reader>(parb_layer_open_start, ctx); }
  /// The tar.
  Reader open_uncompressed(const Context &ctx = Context::background()) const {
    const parb_options *none = nullptr;
    return detail::made<Reader>(parb_layer_open_uncompressed, get(), none, ctx.get());
  }
  Op<Reader> open_uncompressed_start(const Context &ctx = Context::background()) const {
    return start<Reader>(parb_layer_open_uncompressed_start, ctx);
  }

 private:
  template <class T, class Start> Op<T> start(Start function, const Context &ctx) const {
    const parb_options *none = nullptr;
    return detail::made<Op<T>>(function, get(), none, ctx.get());
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
    const parb_options *none = nullptr;
    return detail::made<Layer>(parb_layer_writer_finish, get(), none, ctx.get());
  }
  Op<Layer> finish_start(const Context &ctx = Context::background()) {
    const parb_options *none = nullptr;
    return detail::made<Op<Layer>>(parb_layer_writer_finish_start, get(), none, ctx.get());
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

/// An image: a manifest, a config, layers.
class Image : public detail::Value<parb_image, parb_image_free, parb_image_clone> {
 public:
  class Layers;
  using Value::Value;
  static constexpr auto take_from = parb_op_take_image;

  DescriptorView descriptor() const noexcept { return DescriptorView(parb_image_descriptor(get())); }
  std::string_view digest() const noexcept { return detail::lent(parb_image_digest(get())); }
  std::string_view media_type() const noexcept { return detail::lent(parb_image_media_type(get())); }
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
    const parb_options *none = nullptr;
    return detail::made<Config>(parb_image_config, get(), none, ctx.get());
  }
  Op<Config> config_start(const Context &ctx = Context::background()) const {
    const parb_options *none = nullptr;
    return detail::made<Op<Config>>(parb_image_config_start, get(), none, ctx.get());
  }
  /// Reads every blob and checks sizes, digests and diff ids. Options: jobs.
  void validate(const Options &options = {}, const Context &ctx = Context::background()) const {
    check(parb_image_validate(get(), options.get(), ctx.get()));
  }
  Op<void> validate_start(const Options &options = {}, const Context &ctx = Context::background()) const {
    return detail::made<Op<void>>(parb_image_validate_start, get(), options.get(), ctx.get());
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

/// An index: images by platform, or other indexes. A range of the descriptors it names.
class Index : public detail::Value<parb_index, parb_index_free, parb_index_clone> {
  struct View {
    const parb_index *index = nullptr;
    DescriptorView operator[](std::size_t i) const noexcept { return DescriptorView(parb_index_at(index, i)); }
  };

 public:
  using Value::Value;
  static constexpr auto take_from = parb_op_take_index;

  DescriptorView descriptor() const noexcept { return DescriptorView(parb_index_descriptor(get())); }
  std::string_view digest() const noexcept { return descriptor().digest(); }
  /// The index's exact bytes.
  std::string_view manifest() const noexcept {
    std::size_t size = 0;
    const std::uint8_t *data = parb_index_manifest(get(), &size);
    return detail::lent(data, size);
  }
  Map annotations() const noexcept { return Map(parb_index_annotations(get())); }
  std::size_t size() const noexcept { return parb_index_count(get()); }
  DescriptorView operator[](std::size_t i) const noexcept { return View{get()}[i]; }
  detail::Iterator<View> begin() const noexcept { return {View{get()}, 0}; }
  detail::Iterator<View> end() const noexcept { return {View{get()}, size()}; }
  /// The image with this digest, or the best one for this platform.
  Image image(const Text &digest_or_platform, const Context &ctx = Context::background()) const {
    const parb_options *none = nullptr;
    return detail::made<Image>(parb_index_image, get(), digest_or_platform.c_str(), none, ctx.get());
  }
  Op<Image> image_start(const Text &digest_or_platform, const Context &ctx = Context::background()) const {
    const parb_options *none = nullptr;
    return detail::made<Op<Image>>(parb_index_image_start, get(), digest_or_platform.c_str(), none, ctx.get());
  }
  /// The nested index with this digest.
  Index child(const Text &digest, const Context &ctx = Context::background()) const {
    const parb_options *none = nullptr;
    return detail::made<Index>(parb_index_child, get(), digest.c_str(), none, ctx.get());
  }
  Op<Index> child_start(const Text &digest, const Context &ctx = Context::background()) const {
    const parb_options *none = nullptr;
    return detail::made<Op<Index>>(parb_index_child_start, get(), digest.c_str(), none, ctx.get());
  }
};

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
    const parb_options *none = nullptr;
    return detail::made<Index>(parb_pull_index, get(), ref.get(), none, ctx.get());
  }
  Op<Index> pull_index_start(const Ref &ref, const Context &ctx = Context::background()) const {
    const parb_options *none = nullptr;
    return detail::made<Op<Index>>(parb_pull_index_start, get(), ref.get(), none, ctx.get());
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
    return detail::made<Op<void>>(parb_push_layer_start, get(), repository.get(), layer.get(), options.get(), ctx.get());
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

/// The version of the library that is loaded, such as "0.1.0".
inline std::string_view version() noexcept { return detail::lent(parb_version()); }
/// Whether the library that is loaded is at least as new as this header.
inline bool is_new_enough() noexcept { return parb_version_number() >= PARB_VERSION_NUMBER; }
/// How it was built, as a JSON object.
inline std::string_view build_info() noexcept { return detail::lent(parb_build_info()); }
inline bool has_feature(const Text &name) noexcept { return parb_has_feature(name.c_str()); }

}  // namespace parbuckle

#endif  // PARBUCKLE_HPP
