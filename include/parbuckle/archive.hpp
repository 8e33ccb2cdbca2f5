// Archives: docker save in all its forms, and OCI layouts in tars.
#ifndef PARBUCKLE_ARCHIVE_HPP
#define PARBUCKLE_ARCHIVE_HPP

#include <parbuckle/index.hpp>

#include <future>

namespace parbuckle {

/// An archive that is open to be read. Images that came out of it keep its file open.
class Archive : public detail::Value<parb_archive, parb_archive_free, parb_archive_clone> {
 public:
  using Value::Value;
  static constexpr auto take_from = parb_op_take_archive;
  /// Images and what they are called; "": nothing.
  using Named = std::vector<std::pair<std::string, Image>>;
  /// Indexes and what they are called; "": nothing.
  using NamedIndexes = std::vector<std::pair<std::string, Index>>;

  /// A file, which is not to change while it is open, or a pipe ("-": standard input).
  static Archive open(const Text &path, const Context &ctx = Context::background()) {
    return detail::made<Archive>(parb_archive_open, path.c_str(), nullptr, ctx.get());
  }
  static Op<Archive> open_start(const Text &path, const Context &ctx = Context::background()) {
    return detail::made<Op<Archive>>(parb_archive_open_start, path.c_str(), nullptr, ctx.get());
  }
  /// What is open already; the descriptor stays yours.
  static Archive open_fd(int fd, const Context &ctx = Context::background()) {
    return detail::made<Archive>(parb_archive_open_fd, fd, nullptr, ctx.get());
  }
  static Op<Archive> open_fd_start(int fd, const Context &ctx = Context::background()) {
    return detail::made<Op<Archive>>(parb_archive_open_fd_start, fd, nullptr, ctx.get());
  }
  /// A stream of the host, which is read to its end and used up.
  static Archive open_source(Source source, const Context &ctx = Context::background()) {
    return detail::made<Archive>(parb_archive_open_source, source.get(), nullptr, ctx.get());
  }
  static Op<Archive> open_source_start(Source source, const Context &ctx = Context::background()) {
    return detail::made<Op<Archive>>(parb_archive_open_source_start, source.get(), nullptr, ctx.get());
  }
  /// A stream, which is read to its end on a thread of the library. Comes back, cancelled or not, when nobody reads it
  /// any more.
  static Archive open_stream(std::istream &tar, const Context &ctx = Context::background()) {
    const auto given_back = std::make_shared<std::promise<void>>();
    struct Wait {
      std::future<void> until;
      ~Wait() { until.wait(); }
    };
    const Wait wait{given_back->get_future()};
    // The stream is not ours to delete: the end of its last owner is the end of the loan.
    const Source source(std::shared_ptr<std::istream>(&tar, [given_back](std::istream *) { given_back->set_value(); }));
    return detail::made<Archive>(parb_archive_open_source, source.get(), nullptr, ctx.get());
  }

  /// "docker", "oci" or "legacy".
  std::string_view kind() const noexcept { return detail::lent(parb_archive_kind(get())); }
  /// The names of the images, in the archive's order, for which nobody vouches.
  Strings refs() const noexcept { return Strings(parb_archive_refs(get())); }
  /// The image with this name or digest, or the only one. Options: platform, format, sink, compression.
  Image image(const Text &name = std::nullopt, const Options &options = {},
              const Context &ctx = Context::background()) const {
    return detail::made<Image>(parb_archive_image, get(), name.c_str(), options.get(), ctx.get());
  }
  Op<Image> image_start(const Text &name = std::nullopt, const Options &options = {},
                        const Context &ctx = Context::background()) const {
    return detail::made<Op<Image>>(parb_archive_image_start, get(), name.c_str(), options.get(), ctx.get());
  }
  /// The index with this name or digest, or index.json.
  Index index(const Text &name = std::nullopt, const Context &ctx = Context::background()) const {
    return detail::made<Index>(parb_archive_index, get(), name.c_str(), nullptr, ctx.get());
  }
  Op<Index> index_start(const Text &name = std::nullopt, const Context &ctx = Context::background()) const {
    return detail::made<Op<Index>>(parb_archive_index_start, get(), name.c_str(), nullptr, ctx.get());
  }

  /// Writes images into a new archive ("-": standard output). Options: archive_format, jobs, foreign_layers.
  static void write(const Text &path, const Named &images, const Options &options = {},
                    const Context &ctx = Context::background()) {
    const List list(images);
    check(parb_archive_write(path.c_str(), list.images.data(), list.images.size(), list.refs(), options.get(),
                             ctx.get()));
  }
  static Op<void> write_start(const Text &path, const Named &images, const Options &options = {},
                              const Context &ctx = Context::background()) {
    const List list(images);
    return detail::made<Op<void>>(parb_archive_write_start, path.c_str(), list.images.data(), list.images.size(),
                                  list.refs(), options.get(), ctx.get());
  }
  /// An index with all that it names; otherwise as write. Options: archive_format, which has to be "oci"; jobs,
  /// foreign_layers.
  static void write_index(const Text &path, const Index &index, const Text &name = std::nullopt,
                          const Options &options = {}, const Context &ctx = Context::background()) {
    check(parb_archive_write_index(path.c_str(), index.get(), name.c_str(), options.get(), ctx.get()));
  }
  static Op<void> write_index_start(const Text &path, const Index &index, const Text &name = std::nullopt,
                                    const Options &options = {}, const Context &ctx = Context::background()) {
    return detail::made<Op<void>>(parb_archive_write_index_start, path.c_str(), index.get(), name.c_str(),
                                  options.get(), ctx.get());
  }
  /// Writes images to what is open already, which stays yours. Options: archive_format, foreign_layers.
  static void write_fd(int fd, const Named &images, const Options &options = {},
                       const Context &ctx = Context::background()) {
    const List list(images);
    check(parb_archive_write_fd(fd, list.images.data(), list.images.size(), list.refs(), options.get(),
                                ctx.get()));
  }
  static Op<void> write_fd_start(int fd, const Named &images, const Options &options = {},
                                 const Context &ctx = Context::background()) {
    const List list(images);
    return detail::made<Op<void>>(parb_archive_write_fd_start, fd, list.images.data(), list.images.size(),
                                  list.refs(), options.get(), ctx.get());
  }
  /// An index with all that it names; otherwise as write_fd. Options: archive_format, which has to be "oci";
  /// foreign_layers.
  static void write_index_fd(int fd, const Index &index, const Text &name = std::nullopt, const Options &options = {},
                             const Context &ctx = Context::background()) {
    check(parb_archive_write_index_fd(fd, index.get(), name.c_str(), options.get(), ctx.get()));
  }
  static Op<void> write_index_fd_start(int fd, const Index &index, const Text &name = std::nullopt,
                                       const Options &options = {}, const Context &ctx = Context::background()) {
    return detail::made<Op<void>>(parb_archive_write_index_fd_start, fd, index.get(), name.c_str(), options.get(),
                                  ctx.get());
  }

  /// Images and indexes in one OCI archive, the images first; otherwise as write and write_index. Options:
  /// archive_format, which has to be "oci" where there are indexes; jobs, foreign_layers.
  static void write_all(const Text &path, const Named &images, const NamedIndexes &indexes,
                        const Options &options = {}, const Context &ctx = Context::background()) {
    const List l(images, indexes);
    check(parb_archive_write_all(path.c_str(), l.images.data(), l.images.size(), l.indexes.data(), l.indexes.size(),
                                 l.refs(), options.get(), ctx.get()));
  }
  static Op<void> write_all_start(const Text &path, const Named &images, const NamedIndexes &indexes,
                                  const Options &options = {}, const Context &ctx = Context::background()) {
    const List l(images, indexes);
    return detail::made<Op<void>>(parb_archive_write_all_start, path.c_str(), l.images.data(), l.images.size(),
                                  l.indexes.data(), l.indexes.size(), l.refs(), options.get(), ctx.get());
  }
  /// Both kinds to what is open already; otherwise as write_fd. Options: archive_format, foreign_layers.
  static void write_all_fd(int fd, const Named &images, const NamedIndexes &indexes, const Options &options = {},
                           const Context &ctx = Context::background()) {
    const List l(images, indexes);
    check(parb_archive_write_all_fd(fd, l.images.data(), l.images.size(), l.indexes.data(), l.indexes.size(), l.refs(),
                                    options.get(), ctx.get()));
  }
  static Op<void> write_all_fd_start(int fd, const Named &images, const NamedIndexes &indexes,
                                     const Options &options = {}, const Context &ctx = Context::background()) {
    const List l(images, indexes);
    return detail::made<Op<void>>(parb_archive_write_all_fd_start, fd, l.images.data(), l.images.size(),
                                  l.indexes.data(), l.indexes.size(), l.refs(), options.get(), ctx.get());
  }

 private:
  /// Images, indexes and names as C knows them; no names at all where nothing has one.
  struct List {
    std::vector<const parb_image *> images;
    std::vector<const parb_index *> indexes;
    std::vector<std::string> names;
    detail::List list;
    explicit List(const Named &named, const NamedIndexes &more = {}) {
      bool any = false;
      const auto take = [&any, this](const std::string &name) {
        names.push_back(name);
        any = any || !name.empty();
      };
      for (const auto &[name, image] : named) images.push_back(image.get()), take(name);
      for (const auto &[name, index] : more) indexes.push_back(index.get()), take(name);
      if (any) list = detail::List(names);
    }
    const parb_strings *refs() const noexcept { return list.get(); }
  };
};

}  // namespace parbuckle

#endif  // PARBUCKLE_ARCHIVE_HPP
