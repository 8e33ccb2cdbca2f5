// parbuckle.hpp: every class, its exceptions, its lifetimes.
#include "test.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include <unistd.h>

namespace p = parbuckle;
using namespace std::chrono_literals;

static p::Layer small(std::string_view text = "hello", const p::Options &options = {}) {
  return p::LayerBuilder().add_bytes("hello.txt", 0644, text).add_symlink("link", "hello.txt").remove("gone").build(options);
}

static p::Image scratch(std::string_view text = "hello") {
  return p::ImageBuilder().add_layer(small(text)).set_platform("linux/amd64").set_env("A", "1").build();
}

static std::string tar_of(const p::Layer &layer) { return test::text_of(layer.open_uncompressed()); }

static void round_trip() {
  p::Server server;
  p::Client client(p::ClientOptions().user_agent("cpp-test").retry(2, 10ms).timeouts(5s, 5s, 5s));
  const p::Ref ref = server.ref("team/app:1");
  const auto made = p::ImageBuilder()
                        .add_layer(small())
                        .set_history("made by hand", "someone", "", "2024-02-29T00:00:00Z")
                        .set_platform("linux/arm64/v8")
                        .set_env("A", "1")
                        .set_env("GONE", "x")
                        .unset_env("GONE")
                        .set_entrypoint({"/bin/app", "--serve"})
                        .set_user("1000")
                        .set_working_dir("/app")
                        .set_label("k", "v")
                        .set_label("z", "last")
                        .set_annotation("note", "n")
                        .add_exposed_port("80/tcp")
                        .add_volume("/data")
                        .set_stop_signal("SIGTERM")
                        .set_created("2024-02-29T12:00:00Z")
                        .set_author("me")
                        .build();
  client.push(ref, made);
  const auto pulled = client.pull(ref);
  EQUAL(pulled.digest(), made.digest());
  EQUAL(pulled.manifest(), made.manifest());
  EQUAL(pulled.descriptor().size(), pulled.manifest().size());
  EQUAL(pulled.media_type(), "application/vnd.oci.image.manifest.v1+json");
  EQUAL(pulled.annotations().get("note").value(), "n");
  CHECK(!pulled.annotations().get("none"));
  const auto config = pulled.config();
  EQUAL(config.platform(), "linux/arm64/v8");
  EQUAL(config.env().size(), 1u);
  EQUAL(config.env()[0], "A=1");
  EQUAL(config.env("A").value(), "1");
  CHECK(!config.env("GONE"));
  CHECK(config.entrypoint() && !config.cmd());
  std::string argv;
  for (std::string_view word : config.entrypoint()) argv.append(word).append(" ");
  EQUAL(argv, "/bin/app --serve ");
  std::string labels;
  for (auto [key, value] : config.labels()) labels.append(key).append("=").append(value).append(" ");
  EQUAL(labels, "k=v z=last ");
  EQUAL(config.user(), "1000");
  EQUAL(config.working_dir(), "/app");
  EQUAL(config.stop_signal(), "SIGTERM");
  EQUAL(config.created(), "2024-02-29T12:00:00Z");
  EQUAL(p::Config::parse(config.json()).json(), config.json());
  std::size_t layers = 0;
  for (const auto &layer : client.pull(ref).layers()) { // the range keeps its image
    EQUAL(layer.diff_id(), config.diff_ids()[layers++]);
    CHECK(layer.size() > 0);
  }
  EQUAL(layers, 1u);
  EQUAL(pulled.layers().size(), 1u);
  EQUAL(pulled.layer(0).digest(), pulled.layers()[0].digest());
  pulled.validate();
  EQUAL(client.resolve(ref).digest(), made.digest());
  EQUAL(p::ImageBuilder(pulled).build().digest(), made.digest());
  CHECK(client.stats().find("\"requests\":") != std::string::npos);
  const auto requests = server.requests();
  CHECK(std::any_of(requests.begin(), requests.end(), [](const auto &r) { return r.find("cpp-test") != std::string::npos; }));
  client.close();
  FAILS(PARB_INVALID_STATE, client.pull(ref));
  EQUAL(pulled.digest(), made.digest());
  server.stop();
}

static void errors() {
  p::Server server;
  p::Client client;
  const auto e = FAILS(PARB_NOT_FOUND, client.pull(server.ref("none:1")));
  EQUAL(e.http_status(), 404);
  EQUAL(e.code_name(), "NOT_FOUND");
  CHECK(!e.registry_code().empty());
  CHECK(!e.retry_after());
  CHECK(e.subject().find("none") != std::string_view::npos);
  CHECK(std::string(e.what()).find(std::string(e.subject())) == 0);
  CHECK(std::string(e.what()).find(std::string(e.message())) != std::string::npos);
  const p::Error copy = e; // NOLINT: copies share the C error
  EQUAL(copy.get(), e.get());
  CHECK(FAILS(PARB_NOT_FOUND, p::Layer::from_file("/nowhere/at/all")).os_code() != 0);
  FAILS(PARB_INVALID_ARGUMENT, p::Ref("UPPER/case"));
  FAILS(PARB_INVALID_ARGUMENT, p::Ref(std::string("a\0b", 3)));
  FAILS(PARB_INVALID_ARGUMENT, p::Keychain::basic("host", "u", "\xff"));
  FAILS(PARB_INVALID_ARGUMENT, p::ImageBuilder().set_cmd({"ok", "\xff"}));
  FAILS(PARB_INVALID_ARGUMENT, p::ImageBuilder().set_env("", "x").build());
  FAILS(PARB_INVALID_ARGUMENT, client.pull(server.ref("x:1"), p::Options().jobs(3)));
  FAILS(PARB_INVALID_ARGUMENT, p::ServerOptions().fault("GET", "*", 1, "no such"); p::Server(p::ServerOptions().fault("GET", "*", 1, "no such")));
  p::Server busy(p::ServerOptions().fault("*", "*", 0, "503"));
  CHECK(FAILS(PARB_UNAVAILABLE, p::Client(p::ClientOptions().retry(1, 1ms)).pull(busy.ref("x:1"))).retry_after());
  p::Image moved_from = scratch();
  const p::Image kept = std::move(moved_from);
  FAILS(PARB_INVALID_ARGUMENT, p::ImageBuilder{moved_from}); // NOLINT: what a moved-from object does
  CHECK(!moved_from && kept);
}

static void values_are_cheap_copies() {
  std::vector<p::Image> all;
  {
    const auto image = scratch();
    all.assign(3, image);
    all.push_back(image);
    all[0] = all[1];
    all[0] = *&all[0];
  }
  for (const auto &image : all) EQUAL(image.digest(), all[0].digest());
  p::Ref a = "ubuntu", b = a;
  b = a.with_tag("24.04");
  EQUAL(a.text(), "index.docker.io/library/ubuntu:latest");
  EQUAL(b.tag(), "24.04");
  EQUAL(b.with_digest(all[0].digest()).digest(), all[0].digest());
  CHECK(b.digest().data() == nullptr);
  p::Descriptor own = all[0].descriptor();
  all.clear();
  CHECK(own.digest().substr(0, 7) == "sha256:");
  EQUAL(own.annotations().size(), 0u);
  const p::DescriptorView view = own;
  EQUAL(view.digest(), own.digest());
}

static void layers_from_everywhere() {
  const auto expected = small();
  const std::string tar = tar_of(expected);
  EQUAL(p::Layer::from_bytes(tar).digest(), expected.digest());

  const auto path = std::filesystem::temp_directory_path() / ("parb-cpp-" + std::to_string(getpid()) + ".tar");
  std::ofstream(path) << tar;
  EQUAL(p::Layer::from_file(path).digest(), expected.digest());
  EQUAL(p::Layer::from_file(path.string()).digest(), expected.digest());
  EQUAL(p::Layer::from_file(std::string_view(path.native())).digest(), expected.digest());
  std::filesystem::remove(path);

  std::istringstream in(tar);
  EQUAL(p::Layer::from_stream(in).digest(), expected.digest());
  EQUAL(p::Layer::from_source(p::Source(std::make_shared<std::istringstream>(tar))).digest(), expected.digest());
  std::size_t at = 0;
  EQUAL(p::Layer::from_source(p::Source([&](std::uint8_t *to, std::size_t size) {
          const std::size_t n = std::min({size, tar.size() - at, std::size_t(7)});
          std::memcpy(to, tar.data() + at, n);
          at += n;
          return n;
        })).digest(),
        expected.digest());

  p::LayerWriter writer;
  writer.write(std::string_view(tar).substr(0, 100));
  writer.write(tar.data() + 100, tar.size() - 100);
  EQUAL(writer.finish().digest(), expected.digest());
  FAILS(PARB_INVALID_STATE, writer.finish());

  EQUAL(small("hello", p::Options().compression("zstd", 7)).descriptor().media_type(),
        "application/vnd.oci.image.layer.v1.tar+zstd");
  FAILS(PARB_INVALID_ARGUMENT, p::LayerBuilder().add_bytes("../up", 0644, "").build());
}

struct Fire {
  int heat;
};

static void exceptions_travel() {
  struct Counted {
    std::shared_ptr<std::atomic<int>> alive = std::make_shared<std::atomic<int>>(0);
  } counted;
  const auto burn = [alive = counted.alive](std::uint8_t *, std::size_t) -> std::size_t { throw Fire{42}; };
  int caught = 0;
  try {
    p::Layer::from_source(p::Source(burn));
  } catch (const Fire &fire) {
    caught = fire.heat;
  }
  EQUAL(caught, 42);
  try {
    p::Layer::from_source_start(p::Source(burn)).future().get();
  } catch (const Fire &fire) {
    caught += fire.heat;
  }
  EQUAL(caught, 84);
  const auto own = [](std::uint8_t *, std::size_t) -> std::size_t { throw p::Error(PARB_DENIED, "not you"); };
  FAILS(PARB_DENIED, p::Layer::from_source(p::Source(own)));
  CHECK(test::soon([&] { return counted.alive.use_count() == 2; })); // the functions were destroyed; `burn` has one
  // An error of C code in the same program, whose user pointer is not ours.
  int user = 0;
  parb_error *foreign = parb_error_new(PARB_CALLBACK, "from C", &user, nullptr);
  CHECK(FAILS(PARB_CALLBACK, p::check(foreign)).message() == "from C");
}

static void streams() {
  std::string text(1 << 20, 'x');
  for (std::size_t i = 0; i < text.size(); i++) text[i] = static_cast<char>(i * 7 + i / 1000);
  const auto layer = small(text);
  const std::string tar = tar_of(layer);
  p::ReaderStream in(layer.open_uncompressed());
  std::string piece(100000, 0), all;
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())), in.gcount() > 0) {
    all.append(piece, 0, static_cast<std::size_t>(in.gcount()));
    const int next = in.get();
    if (next != std::istream::traits_type::eof()) all.push_back(static_cast<char>(next));
  }
  CHECK(in.eof() && all == tar);

  // What goes wrong in the middle is thrown as itself.
  p::Server broken(p::ServerOptions().fault("GET", "*/blobs/" + std::string(layer.digest()), 0, "wrong-digest"));
  p::Client client;
  client.push(broken.ref("s:1"), p::ImageBuilder().add_layer(layer).build());
  const auto back = client.pull(broken.ref("s:1")).layer(0);
  p::ReaderStream bad(back.open());
  FAILS(PARB_DIGEST_MISMATCH, bad.ignore(std::numeric_limits<std::streamsize>::max()));
  CHECK(bad.bad());
}

static void contexts() {
  p::Server server(p::ServerOptions().fault("*", "*", 0, "stall"));
  p::Client client;
  const auto began = std::chrono::steady_clock::now();
  FAILS(PARB_TIMED_OUT, client.pull(server.ref("x:1"), p::Context(50ms)));
  CHECK(std::chrono::steady_clock::now() - began < 3s);
  p::Context ctx;
  std::thread other([&] {
    std::this_thread::sleep_for(50ms);
    ctx.cancel();
  });
  FAILS(PARB_CANCELLED, client.pull(server.ref("x:1"), ctx.child()));
  other.join();
  CHECK(ctx.is_cancelled() && ctx.child().is_cancelled() && !p::Context::background().is_cancelled());

  struct Alive {
    std::atomic<int> *count;
    explicit Alive(std::atomic<int> *c) : count(c) { ++*count; }
    Alive(const Alive &other) : count(other.count) { ++*count; }
    ~Alive() { --*count; }
  };
  std::atomic<int> alive{0}, told{0};
  {
    p::Context heard;
    heard.on_progress([alive = Alive(&alive), &told](const p::Event &event) {
      told++;
      if (event.kind() == "compress") throw Fire{1}; // stays where it is
    });
    EQUAL(alive.load(), 1);
    p::Layer::from_bytes(tar_of(small()), {}, heard);
    CHECK(heard.progress().first > 0);
    heard.on_progress([alive = Alive(&alive)](const p::Event &) {});
    heard.on_progress(nullptr);
  }
  CHECK(test::soon([&] { return alive == 0; }));
  CHECK(told > 0);
}

static void asynchronous() {
  p::Server server;
  p::Client client;
  const p::Ref ref = server.ref("a:1");
  client.push_async(ref, scratch()).get();
  std::vector<std::future<p::Image>> pulls;
  for (int i = 0; i < 100; i++) pulls.push_back(client.pull_async(ref));
  for (auto &pull : pulls) EQUAL(pull.get().digest(), scratch().digest());
  const auto e = FAILS(PARB_NOT_FOUND, client.pull_async(server.ref("none:1")).get());
  EQUAL(e.http_status(), 404);
  FAILS(PARB_NOT_FOUND, p::Layer::from_file_async("/nowhere").get());

  p::Op<p::Image> op = client.pull_start(ref);
  op.wait();
  CHECK(op.is_done());
  const p::Image image = op.take();
  FAILS(PARB_INVALID_STATE, op.take());
  EQUAL(image.config_start().future().get().platform(), "linux/amd64");
  image.layer(0).diff_id_start().future().get();
  p::Reader reader = image.layer(0).open_start().future().get();
  std::string all;
  for (;;) {
    const p::Buf next = reader.next_start().future().get();
    if (next.size() == 0) break;
    all.append(next.view());
  }
  EQUAL(all.size(), image.layer(0).size());
  image.validate_start().future().get();
  EQUAL(client.resolve_start(ref).future().get().digest(), image.digest());
  EQUAL(p::LayerWriter::start().future().get().get() != nullptr, true);

  std::atomic<int> called{0};
  p::Op<p::Image> told = client.pull_start(ref);
  told.on_done([&] {
    try {
      client.pull(ref); // waits: refused on this thread
    } catch (const p::Error &refused) {
      called = refused.code();
    }
    throw Fire{1}; // stays where it is
  });
  CHECK(test::soon([&] { return called == PARB_INVALID_STATE; }));

  // A future that is dropped lets the call run; an op that is dropped ends it.
  client.push_async(server.ref("dropped:1"), image);
  CHECK(test::soon([&] {
    try {
      return client.pull(server.ref("dropped:1")).digest() == image.digest();
    } catch (const p::Error &) {
      return false;
    }
  }));
  p::Server stalling(p::ServerOptions().fault("*", "*", 0, "stall"));
  std::future<p::Image> hung;
  {
    p::Context ctx;
    hung = client.pull_async(stalling.ref("x:1"), {}, ctx);
    CHECK(hung.wait_for(50ms) == std::future_status::timeout);
    ctx.cancel();
  }
  FAILS(PARB_CANCELLED, hung.get());
  p::Context over;
  over.cancel();
  FAILS(PARB_CANCELLED, client.pull_async(ref, {}, over).get());
}

static void queues() {
  p::Server server;
  p::Client client;
  const p::Ref ref = server.ref("q:1");
  client.push(ref, scratch());
  p::Queue queue;
  CHECK(queue.fd() >= 0);
  std::vector<p::Op<p::Image>> ops;
  for (std::uintptr_t i = 0; i < 50; i++) {
    ops.push_back(client.pull_start(ref));
    queue.add(ops.back(), i);
  }
  std::vector<std::uintptr_t> seen;
  while (seen.size() < 50) {
    for (std::uintptr_t tag : queue.take(10s, 8)) {
      seen.push_back(tag);
      ops[tag].take();
    }
  }
  std::sort(seen.begin(), seen.end());
  for (std::uintptr_t i = 0; i < 50; i++) EQUAL(seen[i], i);
  CHECK(queue.take(0ms).empty());
  queue.wake();
  CHECK(queue.take(-1ms).empty());
}

static void servers() {
  if (std::getenv("PARB_UNDER_VALGRIND")) {
    std::puts("  skipped: valgrind takes what the assembly of AES-GCM makes for uninitialised");
    return;
  }
  p::Server server(p::ServerOptions().user("u", "p").token_auth(60s).tls_domain("registry.test"));
  CHECK(server.url().substr(0, 8) == "https://");
  p::ClientOptions right, wrong;
  const auto known = p::Keychain::basic(server.address(), "u", "p");
  right.ca_pem(server.ca_pem()).keychain(p::Keychain::chain({p::Keychain::anonymous(), known}));
  wrong.ca_pem(server.ca_pem()).keychain(p::Keychain::basic(server.address(), "u", "x"));
  p::Client(right).push(server.ref("t:1"), scratch());
  EQUAL(p::Client(right).pull(server.ref("t:1")).digest(), scratch().digest());
  FAILS(PARB_UNAUTHENTICATED, p::Client(wrong).pull(server.ref("t:1")));
  FAILS(PARB_TLS, p::Client(p::ClientOptions().retry(1, 1ms)).pull(server.ref("t:1")));
}

/// What is lent by an object lives as long as it, also after its client and server are gone.
static void lifetimes() {
  std::optional<p::Image> image;
  {
    p::Server server;
    p::Client client;
    client.push(server.ref("l:1"), scratch());
    image = client.pull(server.ref("l:1"));
    image->config();
  }
  EQUAL(image->digest(), scratch().digest());
  EQUAL(image->config().platform(), "linux/amd64"); // remembered
  image.reset();
  CHECK(p::is_new_enough());
  EQUAL(p::version(), "0.1.0");
  CHECK(!p::has_feature("none"));
  CHECK(p::build_info()[0] == '{');
}

static_assert(std::is_copy_constructible_v<p::Image> && std::is_copy_assignable_v<p::Layer>);
static_assert(std::is_nothrow_move_constructible_v<p::Image> && std::is_nothrow_move_assignable_v<p::Config>);
static_assert(!std::is_copy_constructible_v<p::Client> && !std::is_copy_constructible_v<p::Op<void>>);
static_assert(std::is_nothrow_copy_constructible_v<p::Error>);

int main() {
  RUN(round_trip);
  RUN(errors);
  RUN(values_are_cheap_copies);
  RUN(layers_from_everywhere);
  RUN(exceptions_travel);
  RUN(streams);
  RUN(contexts);
  RUN(asynchronous);
  RUN(queues);
  RUN(servers);
  RUN(lifetimes);
  return test::finish();
}
