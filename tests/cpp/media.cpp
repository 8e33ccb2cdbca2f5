// Every place that images lie in, through parbuckle.hpp: layouts, archives, caches, memory, parts, daemons.
#include "test.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <set>

#include <fcntl.h>
#include <unistd.h>

namespace p = parbuckle;
using namespace std::chrono_literals;

static p::Image scratch(std::string_view text = "hello", const p::Text &platform = "linux/amd64") {
  return p::ImageBuilder()
      .add_layer(p::LayerBuilder().add_bytes("hello.txt", 0644, text).build())
      .set_platform(platform)
      .set_env("A", "1")
      .build();
}

static p::Image arm() { return scratch("arm", "linux/arm64/v8"); }

static p::Index both() { return p::IndexBuilder().add_image(scratch()).add_image(arm()).build(); }

static std::string read(const std::filesystem::path &path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

static void layouts() {
  const test::Folder folder;
  FAILS(PARB_NOT_FOUND, p::Layout::open(folder / "layout"));
  const auto layout = p::Layout::create(folder / "layout", p::Options().durable());
  EQUAL(layout.path(), (folder / "layout").string());
  const auto image = scratch("one");
  const auto entry = layout.add_image(image, "one", p::Options().jobs(2));
  EQUAL(entry.digest(), image.digest());
  EQUAL(entry.annotations().get("org.opencontainers.image.ref.name").value(), "one");
  layout.add_image(scratch("two"));
  layout.add_index(both(), "both");
  EQUAL(layout.image("one").digest(), image.digest());
  EQUAL(layout.image("both", p::Options().platform("linux/arm64")).digest(), arm().digest());
  EQUAL(layout.child("both").digest(), both().digest());
  FAILS(PARB_NOT_FOUND, layout.image("none"));
  FAILS(PARB_INVALID_ARGUMENT, layout.image());
  const p::Layout same = layout, again = p::Layout::open_start(folder / "layout").future().get();
  EQUAL(again.index().size(), 3u);
  std::vector<std::string> digests;
  for (const auto &each : same.index()) digests.emplace_back(each.digest());
  EQUAL(digests[0], image.digest());

  same.annotate(p::Matcher().name("one"), "k", "v");
  EQUAL(again.index()[0].annotations().get("k").value(), "v");
  same.annotate(p::Matcher().annotation("k"), "k", std::nullopt);
  CHECK(!again.index()[0].annotations().get("k"));
  FAILS(PARB_NOT_FOUND, same.annotate(p::Matcher().name("none"), "k", "v"));
  p::Matcher gone;
  const p::Matcher kept = std::move(gone);
  FAILS(PARB_INVALID_ARGUMENT, same.remove(gone)); // NOLINT: not every entry
  FAILS(PARB_INVALID_ARGUMENT, same.remove(p::Matcher().digest("nonsense")));
  layout.replace_image(scratch("three"), "one");
  layout.replace_index(both(), "both");
  EQUAL(layout.index().size(), 3u);
  EQUAL(layout.gc().size(), 3u); // what was called "one"
  EQUAL(layout.remove(p::Matcher().name("one")).size(), 1u);
  EQUAL(layout.remove_start(p::Matcher()).future().get().size(), 2u);
  CHECK(layout.index().empty());
  CHECK(!layout.gc_start().future().get().empty());

  // A layer that goes straight there, and is garbage once nobody has it.
  std::optional<p::Layer> layer = p::Layer::random(100000, 1, p::Options().sink(layout.sink()));
  CHECK(layout.gc().empty());
  layout.add_image(p::ImageBuilder().add_layer(*layer).build(), "made");
  CHECK(layout.fsck().empty());
  const std::string digest(layer->digest());
  layer.reset();
  std::ofstream(folder / ("layout/blobs/sha256/" + digest.substr(7))) << "damage";
  std::set<std::string> subjects;
  for (const auto &finding : layout.fsck()) {
    subjects.emplace(finding.subject);
    EQUAL(finding.code_name(), "DIGEST_MISMATCH");
    CHECK(!finding.message.empty());
  }
  CHECK(subjects == std::set<std::string>{digest});
  CHECK(layout.fsck_start().future().get().json().find(digest) != std::string_view::npos);
}

static void archives() {
  const test::Folder folder;
  const auto image = scratch(), other = scratch("other");
  for (const std::string kind : {"docker", "oci", "legacy"}) {
    const auto path = folder / (kind + ".tar");
    p::Archive::write(path, {{"app.example/team/app:1", image}, {"app.example/team/app:2", other}},
                      p::Options().archive_format(kind));
    const auto archive = p::Archive::open(path);
    EQUAL(archive.kind(), kind == "oci" ? "oci" : "docker"); // the legacy form has a manifest.json as well
    const std::set<std::string_view> refs(archive.refs().begin(), archive.refs().end());
    CHECK(refs == (std::set<std::string_view>{"app.example/team/app:1", "app.example/team/app:2"}));
    const auto back = archive.image("app.example/team/app:2");
    EQUAL(back.config().json(), other.config().json());
    back.validate();
    EQUAL(test::text_of(back.open_file("hello.txt")), "other");
    FAILS(PARB_NOT_FOUND, archive.image("app.example/team/app:3"));
    FAILS(PARB_INVALID_ARGUMENT, archive.image());

    // The same from a descriptor, from a stream of ours, and from a source.
    const int fd = open(path.c_str(), O_RDONLY);
    EQUAL(p::Archive::open_fd(fd).refs()[0], archive.refs()[0]);
    close(fd);
    std::ifstream in(path, std::ios::binary);
    EQUAL(p::Archive::open_stream(in).kind(), archive.kind());
    EQUAL(p::Archive::open_source(p::Source(std::make_shared<std::istringstream>(read(path)))).kind(), archive.kind());

    const int out = open((folder / "by-fd").c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    p::Archive::write_fd_start(out, {{"app.example/team/app:1", image}, {"app.example/team/app:2", other}},
                               p::Options().archive_format(kind))
        .future()
        .get();
    close(out);
    CHECK(read(folder / "by-fd") == read(path));
  }
  p::Archive::write(folder / "nameless.tar", {{"", image}});
  EQUAL(p::Archive::open(folder / "nameless.tar").refs().size(), 0u);
  EQUAL(p::Archive::open(folder / "nameless.tar").image({}, p::Options().format("oci")).digest(), image.digest());

  const auto index = both();
  p::Archive::write_index(folder / "index.tar", index, "all", p::Options().archive_format("oci"));
  const int out = open((folder / "by-fd").c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
  p::Archive::write_index_fd(out, index, "all", p::Options().archive_format("oci"));
  close(out);
  CHECK(read(folder / "by-fd") == read(folder / "index.tar"));
  const p::Archive archive = p::Archive::open_start(folder / "index.tar").future().get(), same = archive;
  EQUAL(same.kind(), "oci");
  EQUAL(same.index("all").digest(), index.digest());
  EQUAL(same.index().size(), 1u);
  EQUAL(same.image("all", p::Options().platform("linux/arm64")).digest(), arm().digest());
  FAILS(PARB_UNSUPPORTED, p::Archive::open(folder / "docker.tar").index());
  p::Archive::write_all(folder / "all.tar", {{"one", image}}, {{"all", index}}, p::Options().archive_format("oci"));
  const auto whole = p::Archive::open(folder / "all.tar");
  EQUAL(whole.image("one").digest(), image.digest());
  EQUAL(whole.index("all").digest(), index.digest());
  EQUAL(whole.index().size(), 2u);
  FAILS(PARB_INVALID_ARGUMENT, p::Archive::write(folder / "none.tar", {}));
  FAILS(PARB_NOT_FOUND, p::Archive::open(folder / "none.tar"));
  FAILS(PARB_MALFORMED, p::Archive::open_source(p::Source(std::make_shared<std::istringstream>("no tar"))));
}

struct Fire {
  int heat;
};

static void archives_of_broken_streams() {
  struct Broken : std::streambuf {
    int_type underflow() override { throw Fire{7}; }
  } broken;
  std::istream in(&broken);
  in.exceptions(std::ios::badbit);
  int heat = 0;
  try {
    p::Archive::open_stream(in);
  } catch (const Fire &fire) {
    heat = fire.heat;
  }
  EQUAL(heat, 7);

  // A stream that takes its time is given back before the call returns.
  struct Slow : std::streambuf {
    std::atomic<bool> reading{false};
    int_type underflow() override {
      reading = true;
      std::this_thread::sleep_for(300ms);
      reading = false;
      return traits_type::eof();
    }
  } slow;
  std::istream late(&slow);
  FAILS(PARB_TIMED_OUT, p::Archive::open_stream(late, p::Context(50ms)));
  CHECK(!slow.reading);
}

static void caches() {
  const test::Folder folder;
  p::Server server;
  p::Client client;
  const auto image = p::Image::random(2, 50000, 1, p::Options().compression("gzip"));
  client.push(server.ref("c:1"), image);
  const auto cache = p::Cache::open(folder / "cache", 10 << 20, p::Options().uncompressed());
  for (int i = 0; i < 2; i++) client.pull(server.ref("c:1")).cached(cache).validate();
  const auto requests = server.requests();
  const std::string layer(image.layer(0).digest());
  EQUAL(std::count_if(requests.begin(), requests.end(), [&](const auto &r) {
    return r.find("\"GET\"") != std::string::npos && r.find(layer) != std::string::npos;
  }), 1);
  CHECK(cache.size() > 100000);
  CHECK(cache.stats().find("\"hits\":") != std::string::npos);
  CHECK(cache.verify().empty());
  const auto cached = client.pull(server.ref("c:1")).layer(0).cached(cache);
  EQUAL(test::text_of(cached.open_uncompressed()), test::text_of(image.layer(0).open_uncompressed()));
  cache.remove(layer);
  FAILS(PARB_NOT_FOUND, cache.remove(layer));
  const auto index = p::Index::random(2, 1, 1000, 2);
  index.cached(cache).validate();
  cache.clear_start().future().get();
  EQUAL(p::Cache::open_start(folder / "cache", 10 << 20).future().get().size(), 0u);
  p::Layer::random(1000, 3, p::Options().sink(cache.sink()));
  CHECK(cache.size() >= 1000);
  EQUAL(p::Cache(cache).size(), cache.size());
  CHECK(cache.verify_start(p::Options().jobs(2)).future().get().empty());
}

static void memory() {
  const p::MemoryStore store(1 << 20);
  const auto image = scratch();
  store.put_image("app:1", image);
  EQUAL(store.size(), image.total_size());
  store.put_index_start(std::nullopt, both()).future().get();
  store.put_index("both", both());
  const auto names = store.names();
  CHECK(names == (std::vector<std::string>{"app:1", "both"}));
  EQUAL(store.image("app:1").digest(), image.digest());
  store.index(both().digest()).validate();
  FAILS(PARB_NOT_FOUND, store.image("app:2"));
  FAILS(PARB_LIMIT_EXCEEDED, p::Layer::random(2 << 20, 1, p::Options().sink(store.sink())));
  p::MemoryStore(store).remove("app:1"); // a copy is the same store
  FAILS(PARB_NOT_FOUND, store.remove("app:1"));
  FAILS(PARB_INVALID_ARGUMENT, p::MemoryStore(0));
}

static void parts() {
  const auto image = scratch();
  const auto layer = image.layer(0);
  const std::string bytes = test::text_of(layer.open());
  p::Blobs whole;
  whole.add_bytes(image.config().json()).add_layer(layer);
  EQUAL(p::Image::from_parts(image.manifest(), whole).digest(), image.digest());
  p::Image::from_parts(image.manifest(), p::Blobs().add_image(image)).validate();
  p::Index::from_parts(both().manifest(), p::Blobs().add_index(both())).validate();
  FAILS(PARB_NOT_FOUND, p::Image::from_parts(image.manifest(), p::Blobs()));
  FAILS(PARB_MALFORMED, p::Image::from_parts("{}", whole));
  EQUAL(p::Image::from_config(image.config().json(), {layer}).digest(), image.digest());
  FAILS(PARB_MALFORMED, p::Image::from_config(image.config().json(), {}));
  const auto known = p::Layer::from_parts(layer.descriptor().media_type(), layer.digest(), layer.size(),
                                          p::Blobs().add_bytes(bytes), layer.diff_id(), 2048);
  EQUAL(known.diff_id(), layer.diff_id());
  EQUAL(known.uncompressed_size(), 2048u);
  const auto unknown = p::Layer::from_parts(layer.descriptor().media_type(), layer.digest(), layer.size(),
                                            p::Blobs().add_bytes(bytes));
  EQUAL(unknown.diff_id(), layer.diff_id());
  EQUAL(unknown.uncompressed_size(), test::text_of(layer.open_uncompressed()).size());
  const auto fixed = p::Layer::fixed("anything", "text/plain");
  EQUAL(test::text_of(fixed.open()), "anything");
  EQUAL(fixed.descriptor().media_type(), "text/plain");

  CHECK(p::Index::make_empty().empty());
  CHECK(p::Image::make_empty().layers().empty());
  CHECK(p::Image::make_empty(p::Options().format("docker")).media_type().find("docker") != std::string_view::npos);
}

static void parts_opened_by_functions() {
  const auto image = p::Image::random(2, 3000, 4);
  std::map<std::string, std::string> all;
  std::mutex changes; // a call that fails doesn't wait for functions that are still running
  all.emplace(image.config().diff_ids()[0], test::text_of(image.layer(0).open()));
  all.emplace(image.config().diff_ids()[1], test::text_of(image.layer(1).open()));
  const auto alive = std::make_shared<int>(0);
  std::atomic<int> opened{0}, asked{0};
  std::optional<p::Image> made;
  {
    p::Blobs blobs;
    blobs.add_bytes(image.config().json())
        .set_open(
            [&, alive](p::DescriptorView blob, std::uint64_t offset) {
              opened++;
              const std::lock_guard<std::mutex> lock(changes);
              const auto at = all.find(std::string(blob.digest()));
              if (at == all.end()) throw p::Error(PARB_NOT_FOUND, "not here");
              return p::Source(std::make_shared<std::istringstream>(at->second.substr(offset)));
            },
            [&](p::DescriptorView blob) -> std::optional<bool> {
              asked++;
              const std::lock_guard<std::mutex> lock(changes);
              return all.count(std::string(blob.digest())) != 0;
            });
    made = p::Image::from_parts(image.manifest(), blobs);
  }
  made->validate();
  EQUAL(opened.load(), 2);
  CHECK(made->examine(p::Options().fast()).empty());
  CHECK(asked > 0);
  const auto change = [&](const std::function<void()> &what) {
    const std::lock_guard<std::mutex> lock(changes);
    what();
  };
  change([&] { all.begin()->second[100] ^= 1; });
  FAILS(PARB_DIGEST_MISMATCH, made->validate());
  change([&] { all.clear(); });
  FAILS(PARB_NOT_FOUND, made->validate());
  made.reset();
  CHECK(test::soon([&] { return alive.use_count() == 1; })); // the functions are gone with what needed them

  // What they throw comes out of the call that reads, and a stream's exceptions, too.
  for (const bool at_once : {true, false}) {
    p::Blobs burning;
    burning.add_bytes(image.config().json()).set_open([at_once](p::DescriptorView, std::uint64_t) {
      if (at_once) throw Fire{1};
      return p::Source([](std::uint8_t *, std::size_t) -> std::size_t { throw Fire{2}; });
    });
    int heat = 0;
    try {
      p::Image::from_parts(image.manifest(), burning).validate();
    } catch (const Fire &fire) {
      heat = fire.heat;
    }
    EQUAL(heat, at_once ? 1 : 2);
  }
}

static void random_content() {
  EQUAL(p::Image::random(2, 1000, 1).digest(), p::Image::random_start(2, 1000, 1).future().get().digest());
  CHECK(p::Image::random(2, 1000, 1).digest() != p::Image::random(2, 1000, 2).digest());
  EQUAL(p::Layer::random(1000, 1).digest(), p::Layer::random(1000, 1).digest());
  EQUAL(p::Index::random(3, 1, 100, 1).size(), 3u);
  EQUAL(p::Index::random(3, 1, 100, 1).digest(), p::Index::random(3, 1, 100, 1).digest());
  FAILS(PARB_INVALID_ARGUMENT, p::Image::random(1001, 1, 1));
}

/// One image through every place there is.
static void a_journey() {
  const test::Folder folder;
  p::Server server;
  p::Client client;
  const auto image = p::Image::random(2, 20000, 5, p::Options().compression("zstd"));
  const auto layout = p::Layout::create(folder / "layout");
  layout.add_image(image, "a");
  p::Archive::write(folder / "a.tar", {{"a", layout.image("a")}}, p::Options().archive_format("oci"));
  const p::MemoryStore store(1 << 20);
  store.put_image("a", p::Archive::open(folder / "a.tar").image("a"));
  client.push(server.ref("a:1"), store.image("a"));
  const auto arrived = client.pull(server.ref("a:1"));
  arrived.validate();
  EQUAL(arrived.digest(), image.digest());
  CHECK(arrived.compare(image).empty());
}

static void cancelled() {
  const test::Folder folder;
  p::Context over;
  over.cancel();
  const auto image = scratch();
  FAILS(PARB_CANCELLED, p::Layout::create(folder / "layout", {}, over));
  CHECK(!std::filesystem::exists(folder / "layout"));
  const auto layout = p::Layout::create(folder / "layout");
  FAILS(PARB_CANCELLED, layout.add_image(image, {}, {}, over));
  FAILS(PARB_CANCELLED, p::Archive::write(folder / "a.tar", {{"", image}}, {}, over));
  CHECK(!std::filesystem::exists(folder / "a.tar"));
  FAILS(PARB_CANCELLED, p::Image::random(1, 1000, 1, {}, over));
  FAILS(PARB_CANCELLED, image.recompress(p::Options().compression("zstd"), over));
  FAILS(PARB_CANCELLED, image.examine({}, over));
  FAILS(PARB_CANCELLED, image.files(over));
  FAILS(PARB_CANCELLED, p::MemoryStore(1 << 20).put_image({}, image, {}, over));

  // One that hangs in a function of ours: the call comes back, the function stays until it returns.
  std::atomic<bool> let_go{false}, returned{false};
  p::Blobs blobs;
  blobs.add_bytes(image.config().json()).set_open([&](p::DescriptorView, std::uint64_t) -> p::Source {
    while (!let_go) std::this_thread::sleep_for(1ms);
    returned = true;
    throw Fire{1};
  });
  FAILS(PARB_TIMED_OUT, p::Image::from_parts(image.manifest(), blobs).validate({}, p::Context(50ms)));
  CHECK(!returned);
  let_go = true;
  CHECK(test::soon([&] { return returned.load(); }));

  std::atomic<int> told{0};
  p::Context heard;
  heard.on_progress([&](const p::Event &) { told++; });
  layout.add_image(p::Image::random(2, 100000, 1), {}, {}, heard);
  CHECK(test::soon([&] { return told > 0; }));
  CHECK(heard.progress().first > 0);
}

/// Against a daemon of tests/daemons.sh.
static void daemon_at(const char *host) {
  const auto daemon = p::Daemon::connect(host);
  EQUAL(daemon.host(), host);
  CHECK(!daemon.api_version().empty());
  daemon.ping();
  CHECK(daemon.version()[0] == '{');
  const auto image = scratch("for a daemon");
  const p::Ref ref = "cpp.example/app:1", other = "cpp.example/app:2";
  const auto said = daemon.load(image, ref);
  CHECK(!said.empty() && said[0].find("cpp.example/app:1") != std::string::npos);
  CHECK(daemon.list("cpp.example/app")[0] == '[');
  CHECK(daemon.inspect(ref.text()).find("sha256:") != std::string::npos);
  CHECK(daemon.history_start(ref.text()).future().get()[0] == '[');
  const auto back = daemon.image(ref.text(), p::Options().format("oci").compression("gzip"));
  EQUAL(back.config().json(), image.config().json());
  back.validate();
  daemon.tag(ref.text(), other);
  daemon.remove(ref.text());
  FAILS(PARB_NOT_FOUND, daemon.image(ref.text()));
  daemon.remove_start(other.text()).future().get();
  daemon.load_index(both(), ref);
  daemon.remove(ref.text());
  const test::Folder folder;
  p::Archive::write(folder / "a.tar", {{std::string(other.text()), image}});
  CHECK(!daemon.load_archive(folder / "a.tar").empty());
  daemon.remove(other.text());
}

static void dockerd() { daemon_at(std::getenv("PARB_TEST_DOCKERD")); }

static void podman() { daemon_at(std::getenv("PARB_TEST_PODMAN")); }

static void daemons_that_are_not_there() {
  const auto e = FAILS(PARB_UNAVAILABLE, p::Daemon::connect("unix:///nowhere/at/all.sock"));
  CHECK(e.subject().find("/nowhere/at/all.sock") != std::string_view::npos);
  FAILS(PARB_UNAVAILABLE, p::Daemon::connect_start("unix:///nowhere/at/all.sock").future().get());
}

static_assert(std::is_copy_constructible_v<p::Layout> && std::is_copy_constructible_v<p::Archive>);
static_assert(std::is_copy_constructible_v<p::Daemon> && std::is_copy_constructible_v<p::MemoryStore>);
static_assert(std::is_copy_constructible_v<p::Cache> && std::is_nothrow_move_constructible_v<p::Blobs>);

int main() {
  RUN(layouts);
  RUN(archives);
  RUN(archives_of_broken_streams);
  RUN(caches);
  RUN(memory);
  RUN(parts);
  RUN(parts_opened_by_functions);
  RUN(random_content);
  RUN(a_journey);
  RUN(cancelled);
  RUN(daemons_that_are_not_there);
  if (std::getenv("PARB_TEST_DOCKERD")) RUN(dockerd);
  if (std::getenv("PARB_TEST_PODMAN")) RUN(podman);
  return test::finish();
}
