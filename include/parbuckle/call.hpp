// Calls: what bounds them, and those that are under way.
#ifndef PARBUCKLE_CALL_HPP
#define PARBUCKLE_CALL_HPP

#include <parbuckle/value.hpp>

#include <functional>
#include <future>

namespace parbuckle {

/// Something that a call tells on its way. Lent to the callback for its duration.
class Event {
 public:
  explicit Event(const parb_event *event) noexcept : event_(event) {}
  /// "download", "upload", "exists", "mount", "compress", "retry", "cache", "skip"; new kinds may come.
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
    } else if constexpr (std::is_same_v<T, std::string>) {
      return detail::text(parb_op_take_buf, get());
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      return detail::texts(parb_op_take_strings, get());
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

}  // namespace parbuckle

#endif  // PARBUCKLE_CALL_HPP
