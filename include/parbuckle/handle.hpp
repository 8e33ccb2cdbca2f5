// What all classes are made of: texts that go in, handles, ranges.
#ifndef PARBUCKLE_HANDLE_HPP
#define PARBUCKLE_HANDLE_HPP

#include <parbuckle/error.hpp>

#include <iterator>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace parbuckle {

/// A text argument: a literal, std::string, std::string_view, or a path. One with a NUL inside is refused. std::nullopt
/// (or {}) is none, where what takes it says what that means.
class Text {
 public:
  Text() noexcept : text_(nullptr) {}
  Text(std::nullopt_t) noexcept : text_(nullptr) {}
  Text(const char *text) : text_(text) {}
  Text(const std::string &text) : text_(whole(text).c_str()) {}
  Text(std::string_view text) : own_(text), text_(whole(own_).c_str()) {}
  template <class T> Text(const std::optional<T> &text) : text_(nullptr) {
    if (text) own_ = *text, text_ = whole(own_).c_str();
  }
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
  /// Gives up the C handle, which is the caller's to free then.
  T *release() noexcept { return handle_.release(); }

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

}  // namespace parbuckle

#endif  // PARBUCKLE_HANDLE_HPP
