// What calls are told beside their arguments, and which entries of an index they mean.
#ifndef PARBUCKLE_OPTIONS_HPP
#define PARBUCKLE_OPTIONS_HPP

#include <parbuckle/value.hpp>

namespace parbuckle {

/// Where the bytes of new layers go: Client::sink, Layout::sink, Cache::sink, MemoryStore::sink.
class Sink : public detail::Handle<parb_sink, parb_sink_free> {
 public:
  using Handle::Handle;
};

/// What a call may be told beside its arguments; the call that is given them reports the first mistake.
class Options : public detail::Handle<parb_options, parb_options_free> {
 public:
  Options() noexcept = default;
  /// Which image where a name stands for several: "linux/arm64/v8". Read by resolve, pull, Layout::image,
  /// Archive::image, Daemon::load_index.
  Options &platform(const Text &platform) { return parb_options_set_platform(here(), platform.c_str()), *this; }
  /// How many blobs are moved at once. Read by what pushes; by what validates, examines or checks; by what fills
  /// layouts, archives and memory; and, for layers that are made at once, by Image::recompress, with_time, canonical.
  Options &jobs(std::uint32_t jobs) { return parb_options_set_jobs(here(), jobs), *this; }
  /// Where a new layer's bytes go. Read by whatever makes a layer.
  Options &sink(const Sink &sink) { return parb_options_set_sink(here(), sink.get()), *this; }
  /// "gzip", "zstd", "none" or "estargz" (gzip with a table of contents), and a level; 0: the default. Read by whatever
  /// makes a layer.
  Options &compression(const Text &name, std::int32_t level = 0) {
    return parb_options_set_compression(here(), name.c_str(), level), *this;
  }
  /// "oci" or "docker". Read by the builders where there is no base, by Archive::image and Daemon::image, and by what
  /// makes images and indexes of nothing, of parts or at random.
  Options &format(const Text &oci_or_docker) { return parb_options_set_format(here(), oci_or_docker.c_str()), *this; }
  /// "docker", "oci" or "legacy". Read by Archive::write and its like.
  Options &archive_format(const Text &format) {
    return parb_options_set_archive_format(here(), format.c_str()), *this;
  }
  /// A repository of the same registry that may have the blobs already. Read by pushes.
  Options &mount_from(const Ref &repository) { return parb_options_set_mount_from(here(), repository.get()), *this; }
  /// Take non-distributable layers along. Read by push and push_index, and by what fills layouts, archives and memory.
  Options &foreign_layers() { return parb_options_set_foreign_layers(here()), *this; }
  /// Flush files before the call is done. Read by Layout::create and by what changes a layout.
  Options &durable() { return parb_options_set_durable(here()), *this; }
  /// Keep layers decompressed, too. Read by Cache::open.
  Options &uncompressed() { return parb_options_set_uncompressed(here()), *this; }
  /// Look only whether layers are there. Read by Image::examine and Index::examine.
  Options &fast() { return parb_options_set_fast(here()), *this; }
  /// Compare the files in layers that differ. Read by what compares.
  Options &files() { return parb_options_set_files(here()), *this; }

 private:
  // Most calls are given none: those cost nothing.
  parb_options *here() {
    if (!*this) Handle::operator=(Handle(parb_options_new()));
    return get();
  }
};

/// Chooses entries of an index: of each kind of condition one must hold, of several kinds all; without any, every entry
/// is meant. The call that is given it reports the first mistake.
class Matcher : public detail::Handle<parb_matcher, parb_matcher_free> {
 public:
  Matcher() : Handle(parb_matcher_new()) {}
  Matcher &digest(const Text &digest) { return parb_matcher_add_digest(get(), digest.c_str()), *this; }
  /// What it leaves out does not matter; entries without a platform are not meant.
  Matcher &platform(const Text &platform) { return parb_matcher_add_platform(get(), platform.c_str()), *this; }
  Matcher &media_type(const Text &media_type) {
    return parb_matcher_add_media_type(get(), media_type.c_str()), *this;
  }
  Matcher &artifact_type(const Text &artifact_type) {
    return parb_matcher_add_artifact_type(get(), artifact_type.c_str()), *this;
  }
  /// With this value, or whatever it is. Several annotations must all be there.
  Matcher &annotation(const Text &key, const Text &value = std::nullopt) {
    return parb_matcher_add_annotation(get(), key.c_str(), value.c_str()), *this;
  }
  /// What a layout names so.
  Matcher &name(const Text &name) { return parb_matcher_set_name(get(), name.c_str()), *this; }
  /// For calls to which null would mean every entry.
  const parb_matcher *given() const { return detail::given(get(), "the matcher was moved from"); }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_OPTIONS_HPP
