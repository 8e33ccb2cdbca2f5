// Files of images and layers.
#ifndef PARBUCKLE_FILES_HPP
#define PARBUCKLE_FILES_HPP

#include <parbuckle/value.hpp>

#include <chrono>

namespace parbuckle {

/// One file of a list, lent by it.
class File {
 public:
  File(const parb_files *files, std::size_t at) noexcept : files_(files), at_(at) {}
  /// Relative to the root, which is "."; not necessarily UTF-8.
  std::string_view path() const noexcept { return detail::lent(parb_files_path_at(files_, at_)); }
  /// 'f' a regular file, 'd' a directory, 'l' a symbolic link, 'h' a hard link, 'c' and 'b' devices, 'p' a named pipe;
  /// in layers also 'w' a whiteout of that path, 'o' one of everything in that directory, '?' what is no file.
  char kind() const noexcept { return static_cast<char>(parb_files_kind_at(files_, at_)); }
  /// Permission bits, set-id bits and the sticky bit.
  std::uint32_t mode() const noexcept { return parb_files_mode_at(files_, at_); }
  /// Bytes of content; 0 for all but files and hard links.
  std::uint64_t size() const noexcept { return parb_files_size_at(files_, at_); }
  std::uint64_t uid() const noexcept { return parb_files_uid_at(files_, at_); }
  std::uint64_t gid() const noexcept { return parb_files_gid_at(files_, at_); }
  /// When it was changed, since 1970, without the part of a second that belongs to it.
  std::chrono::seconds mtime() const noexcept { return std::chrono::seconds(parb_files_mtime_at(files_, at_)); }
  std::chrono::nanoseconds mtime_part() const noexcept {
    return std::chrono::nanoseconds(parb_files_mtime_ns_at(files_, at_));
  }
  /// Where a link leads: a symbolic one as it says, a hard one by the path of the file.
  std::string_view link() const noexcept { return detail::lent(parb_files_link_at(files_, at_)); }
  /// Major and minor number of a device.
  std::pair<std::uint32_t, std::uint32_t> device() const noexcept {
    std::uint32_t minor_number = 0;
    const std::uint32_t major_number = parb_files_device_at(files_, at_, &minor_number);
    return {major_number, minor_number};
  }
  /// The layer it comes from, base first and counted from 0; 0 in the list of a layer.
  std::size_t layer() const noexcept { return parb_files_layer_at(files_, at_); }
  /// The names of its extended attributes; false where it has none.
  Strings xattrs() const noexcept { return Strings(parb_files_xattr_names_at(files_, at_)); }
  /// The value of one of them.
  std::optional<std::string_view> xattr(const Text &name) const noexcept {
    std::size_t size = 0;
    const std::uint8_t *value = parb_files_xattr_at(files_, at_, name.c_str(), &size);
    return value ? std::optional(detail::lent(value, size)) : std::nullopt;
  }

 private:
  const parb_files *files_;
  std::size_t at_;
};

/// A list of files: a range of File.
class Files : public detail::Handle<parb_files, parb_files_free> {
  struct View {
    const parb_files *files = nullptr;
    File operator[](std::size_t i) const noexcept { return {files, i}; }
  };

 public:
  using Handle::Handle;
  static constexpr auto take_from = parb_op_take_files;
  std::size_t size() const noexcept { return parb_files_count(get()); }
  bool empty() const noexcept { return size() == 0; }
  File operator[](std::size_t i) const noexcept { return View{get()}[i]; }
  detail::Iterator<View> begin() const noexcept { return {View{get()}, 0}; }
  detail::Iterator<View> end() const noexcept { return {View{get()}, size()}; }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_FILES_HPP
