// Streams: those of the library that are read, and those of the host that it reads.
#ifndef PARBUCKLE_STREAM_HPP
#define PARBUCKLE_STREAM_HPP

#include <parbuckle/call.hpp>

#include <algorithm>
#include <cstring>
#include <istream>
#include <streambuf>

namespace parbuckle {

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
    return detail::made<Op<Buf>>(parb_reader_next_start, get(), nullptr, ctx.get());
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

/// A stream of the host, for Layer::from_source, Archive::open_source and Blobs, read on a thread of the library. After
/// a cancelled call it may be read for a moment still: what it refers to is to be owned by it (std::shared_ptr). What
/// it throws comes out of the call.
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
    const auto on_read = [](void *user, std::uint8_t *to, std::size_t size,
                            std::size_t *count) noexcept -> parb_error * {
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
      if (stream->bad()) throw std::ios_base::failure("reading a stream");
      return static_cast<std::size_t>(stream->gcount());
    };
  }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_STREAM_HPP
