// Lists, maps, bytes, descriptors, references.
#ifndef PARBUCKLE_VALUE_HPP
#define PARBUCKLE_VALUE_HPP

#include <parbuckle/handle.hpp>

#include <string>
#include <vector>

namespace parbuckle {

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

/// A list of texts on its way into the library or out of it.
class List : public Handle<parb_strings, parb_strings_free> {
 public:
  using Handle::Handle;
  explicit List(const std::vector<std::string> &texts) : Handle(parb_strings_new(nullptr, 0)) {
    for (const std::string &text : texts) {
      parb_strings_add(get(), Text(text).c_str());
    }
    if (parb_strings_count(get()) != texts.size()) throw Error(PARB_INVALID_ARGUMENT, "a text that is not UTF-8");
  }
  std::vector<std::string> copied() const {
    const Strings all(get());
    std::vector<std::string> texts;
    texts.reserve(all.size());
    for (std::string_view text : all) texts.emplace_back(text);
    return texts;
  }
};

/// Calls C functions that give a list of texts, or bytes that are text.
template <class... Arguments> std::vector<std::string> texts(Arguments... arguments) {
  return made<List>(arguments...).copied();
}
template <class... Arguments> std::string text(Arguments... arguments) {
  return std::string(made<Buf>(arguments...).view());
}

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
    return detail::made<Ref>(parb_ref_parse, text.c_str(), nullptr);
  }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_VALUE_HPP
