// Changes to images and indexes through parbuckle.hpp, and looking at them: file systems, examination, comparison.
#include "test.hpp"

#include <algorithm>
#include <set>

namespace p = parbuckle;
using namespace std::chrono_literals;

static p::Layer layer(std::string_view text, const std::string &path = "etc/app.conf", const p::Options &options = {}) {
  return p::LayerBuilder().add_bytes(path, 0640, text).build(options);
}

static p::Image base(std::string_view text = "base") {
  return p::ImageBuilder().add_layer(layer(text)).set_platform("linux/amd64").set_env("A", "1").build();
}

static bool has(std::string_view text, std::string_view what) { return text.find(what) != std::string_view::npos; }

static void layers_and_history() {
  const auto image = p::ImageBuilder(base())
                         .add_empty_layer()
                         .set_history("ENV B=2", "someone", "a comment", "2020-01-01T00:00:00Z")
                         .add_layer(layer("top"))
                         .set_layer_annotation("k", "v")
                         .set_layer_annotation("gone", "x")
                         .set_layer_annotation("gone", std::nullopt)
                         .set_layer_urls({"https://elsewhere.example/layer"})
                         .annotate_layer(0, "first", "yes")
                         .set_config_annotation("config", "yes")
                         .build();
  EQUAL(image.layers().size(), 2u);
  EQUAL(image.layer(0).descriptor().annotations().get("first").value(), "yes");
  EQUAL(image.layer(1).descriptor().annotations().get("k").value(), "v");
  CHECK(!image.layer(1).descriptor().annotations().get("gone"));
  CHECK(has(image.manifest(), "https://elsewhere.example/layer"));
  CHECK(has(image.manifest(), R"("annotations":{"config":"yes"})"));
  CHECK(has(image.config().json(), R"("created_by":"ENV B=2")"));
  const auto less = p::ImageBuilder(image).remove_layer(0).replace_layer(0, layer("other")).build();
  EQUAL(less.layers().size(), 1u);
  EQUAL(less.layer(0).digest(), layer("other").digest());
  less.validate();
  FAILS(PARB_INVALID_ARGUMENT, p::ImageBuilder(image).remove_layer(2).build());
  const auto typed = p::ImageBuilder().add_layer(layer("x")).set_layer_media_type("application/x").build();
  EQUAL(typed.layer(0).descriptor().media_type(), "application/x");
  CHECK(!has(p::ImageBuilder().add_layer(layer("x")).set_layer_urls({"https://x"}).set_layer_urls({}).build().manifest(),
             "https://x"));
}

static void configs() {
  const auto image = p::ImageBuilder(base())
                         .clear_env()
                         .set_label("l", "1")
                         .clear_labels()
                         .set_annotation("a", "1")
                         .clear_annotations()
                         .set_healthcheck({"CMD", "true"}, 30s, 1ms, 0s, 3)
                         .set_shell({"/bin/sh", "-c"})
                         .set_on_build({"RUN true"})
                         .set_artifact_type("application/x")
                         .build();
  const auto config = image.config();
  EQUAL(config.env().size(), 0u);
  EQUAL(config.labels().size(), 0u);
  EQUAL(image.annotations().size(), 0u);
  CHECK(has(config.json(), R"("Healthcheck":{"Test":["CMD","true"],"Interval":30000000000,"Timeout":1000000,"Retries":3})"));
  CHECK(has(config.json(), R"("Shell":["/bin/sh","-c"])"));
  CHECK(has(config.json(), R"("OnBuild":["RUN true"])"));
  EQUAL(image.artifact_type(), "application/x");
  const auto bare = p::ImageBuilder(image).unset_healthcheck().unset_shell().unset_on_build().set_artifact_type("").build();
  CHECK(!has(bare.config().json(), "Shell") && !has(bare.config().json(), "OnBuild"));
  CHECK(!has(bare.config().json(), "Healthcheck"));

  const auto artifact = p::ImageBuilder().set_raw_config("{}", "application/vnd.oci.empty.v1+json").build();
  EQUAL(artifact.artifact_type(), "application/vnd.oci.empty.v1+json");
  CHECK(has(p::ImageBuilder(base()).set_config_media_type("application/y").build().manifest(), "application/y"));
  EQUAL(p::ImageBuilder(base()).set_format("docker").build().digest(), base().convert("docker").digest());
  const auto docker = "application/vnd.docker.distribution.manifest.v2+json";
  EQUAL(p::ImageBuilder(base()).set_media_type(docker).build().media_type(), docker);
  const auto referrer = p::ImageBuilder(base()).set_subject(base("x").descriptor()).build();
  CHECK(has(referrer.manifest(), base("x").digest()));
  EQUAL(p::ImageBuilder(referrer).clear_subject().build().digest(), base().digest());
}

static void compressions_and_types() {
  const auto image = base();
  const auto zstd = image.recompress(p::Options().compression("zstd").jobs(2));
  EQUAL(zstd.layer(0).descriptor().media_type(), "application/vnd.oci.image.layer.v1.tar+zstd");
  EQUAL(zstd.config().json(), image.config().json());
  EQUAL(test::text_of(zstd.layer(0).open_uncompressed()), test::text_of(image.layer(0).open_uncompressed()));
  FAILS(PARB_UNSUPPORTED, zstd.convert("docker"));
  const auto docker = image.convert_start("docker").future().get();
  EQUAL(docker.layer(0).descriptor().media_type(), "application/vnd.docker.image.rootfs.diff.tar.gzip");
  EQUAL(docker.convert("oci").digest(), image.digest());
  FAILS(PARB_INVALID_ARGUMENT, image.convert("squashfs"));
}

static void times() {
  const auto timed = base().with_time("2020-01-01T00:00:00Z");
  EQUAL(timed.digest(), base().with_time_start("2020-01-01T00:00:00Z").future().get().digest());
  EQUAL(timed.config().created(), "2020-01-01T00:00:00Z");
  EQUAL(timed.layer(0).files()[0].mtime().count(), 1577836800);
  EQUAL(timed.canonical().digest(), base().with_time("2021-01-01T00:00:00Z").canonical().digest());
  FAILS(PARB_INVALID_ARGUMENT, base().with_time("soon"));
}

static void bases() {
  const auto old_base = base("old"), new_base = base("new");
  const auto app = p::ImageBuilder(old_base).add_layer(layer("app", "app")).build();
  const auto made = app.rebase(old_base, new_base, "example.com/base:2");
  EQUAL(made.layer(0).digest(), new_base.layer(0).digest());
  EQUAL(made.layer(1).digest(), app.layer(1).digest());
  EQUAL(made.annotations().get("org.opencontainers.image.base.digest").value(), new_base.digest());
  EQUAL(made.annotations().get("org.opencontainers.image.base.name").value(), "example.com/base:2");
  made.validate();
  FAILS(PARB_INVALID_ARGUMENT, app.rebase(new_base, old_base));
}

static void indexes() {
  const auto arm = p::ImageBuilder(base("arm")).set_platform("linux/arm64/v8").build();
  const auto index = p::IndexBuilder()
                         .add_image(base())
                         .add_image(arm)
                         .set_entry_annotation("k", "v")
                         .set_entry_urls({"https://elsewhere.example/image"})
                         .set_entry_artifact_type("application/x")
                         .set_annotation("whole", "yes")
                         .set_subject(base("subject").descriptor())
                         .set_artifact_type("application/y")
                         .build();
  EQUAL(index.size(), 2u);
  EQUAL(index.annotations().get("whole").value(), "yes");
  EQUAL(index[1].annotations().get("k").value(), "v");
  EQUAL(index[1].artifact_type(), "application/x");
  EQUAL(index[1].platform(), "linux/arm64/v8");
  CHECK(has(index.manifest(), "https://elsewhere.example/image"));
  CHECK(has(index.manifest(), base("subject").digest()));
  CHECK(!has(p::IndexBuilder(index).clear_subject().build().manifest(), "subject"));
  CHECK(index.platforms() == (std::vector<std::string>{"linux/amd64", "linux/arm64/v8"}));
  EQUAL(index.total_size(), index.descriptor().size() + base().total_size() + arm.total_size());
  index.total_size_start().future().get();

  p::Matcher arms;
  arms.platform("linux/arm64");
  CHECK(index.find(arms) == std::vector<std::string>{std::string(arm.digest())});
  EQUAL(index.find(p::Matcher()).size(), 2u);
  EQUAL(index.find(p::Matcher().artifact_type("application/x").annotation("k")).size(), 1u);
  EQUAL(index.find(p::Matcher().media_type(index[0].media_type())).size(), 2u);
  EQUAL(index.find(p::Matcher().annotation("k", "w")).size(), 0u);
  EQUAL(index.find(p::Matcher().digest(base().digest()).digest(arm.digest())).size(), 2u);
  FAILS(PARB_INVALID_ARGUMENT, index.find(p::Matcher().platform("")));
  EQUAL(p::IndexBuilder(index).keep(arms).build().size(), 1u);
  EQUAL(p::IndexBuilder(index).remove(arms).build()[0].digest(), base().digest());
  EQUAL(p::IndexBuilder(index).annotate(arms, "note", "x").build()[1].annotations().get("note").value(), "x");
  CHECK(!p::IndexBuilder(index).annotate(arms, "k", std::nullopt).build()[1].annotations().get("k"));

  const auto nested = p::IndexBuilder().add_index(index).set_entry_platform(std::nullopt).build();
  EQUAL(nested.size(), 1u);
  EQUAL(nested.child(index.digest()).digest(), index.digest());
  EQUAL(p::IndexBuilder(nested).flatten().build().size(), 2u);
  EQUAL(p::IndexBuilder().add_children(index).build_start().future().get()[1].digest(), arm.digest());
  const auto docker = "application/vnd.docker.distribution.manifest.list.v2+json";
  EQUAL(p::IndexBuilder(index).clear_subject().set_artifact_type("").set_format("docker").build().descriptor().media_type(),
        docker);
  EQUAL(p::IndexBuilder().build(p::Options().format("docker")).descriptor().media_type(), docker);

  const auto both = p::IndexBuilder().add_image(base()).add_image(arm).build();
  EQUAL(both.convert("docker")[0].digest(), base().convert("docker").digest());
  EQUAL(both.rebase(both, both).digest(), both.digest());
  EQUAL(both.flatten()[1].platform(), "linux/arm64/v8");
  both.validate_start().future().get();
  CHECK(both.examine().empty());
  CHECK(both.compare(both).empty());
  CHECK(!both.compare(index).empty());
}

static void files_are_changed() {
  const auto image = base();
  const auto edited = image.edit_file("/etc/app.conf", "new");
  EQUAL(edited.layers().size(), 2u);
  EQUAL(test::text_of(edited.open_file("etc/app.conf")), "new");
  EQUAL(edited.files()[2].mode(), 0640u);
  EQUAL(test::text_of(edited.edit_file_start("empty", "").future().get().open_file("empty")), "");
  const auto removed = edited.remove_file("etc/app.conf");
  FAILS(PARB_NOT_FOUND, removed.open_file("etc/app.conf"));
  FAILS(PARB_NOT_FOUND, removed.remove_file("etc/app.conf"));
  FAILS(PARB_INVALID_ARGUMENT, image.edit_file("../up", "x"));
  const auto windows = image.layer(0).for_windows();
  std::set<std::string> paths;
  for (const auto &file : windows.files()) paths.emplace(file.path());
  CHECK(paths.count("Files/etc/app.conf") && paths.count("Hives"));
}

static void file_systems() {
  const auto image = p::ImageBuilder(base())
                         .add_layer(p::LayerBuilder()
                                        .add_bytes("bin/app", 04755, "#!")
                                        .add_symlink("bin/link", "app")
                                        .remove("etc/app.conf")
                                        .build())
                         .build();
  std::string seen;
  for (const auto &file : image.files()) {
    seen.append(file.path()).append(1, ':').append(1, file.kind()).append(" ");
    if (file.path() == "bin/app") {
      EQUAL(file.size(), 2u);
      EQUAL(file.mode(), 04755u);
      EQUAL(file.layer(), 1u);
      EQUAL(file.uid() + file.gid(), 0u);
      EQUAL(file.mtime().count() + file.mtime_part().count(), 0);
      CHECK(file.device() == std::pair(0u, 0u));
      CHECK(!file.xattrs() && file.xattrs().empty() && !file.xattr("user.x"));
    }
    if (file.kind() == 'l') EQUAL(file.link(), "app");
  }
  CHECK(has(seen, "bin/app:f bin/link:l ") && !has(seen, "app.conf"));
  const auto own = image.layer(1).files_start().future().get();
  CHECK(std::any_of(own.begin(), own.end(), [](const p::File &f) { return f.kind() == 'w' && f.path() == "etc/app.conf"; }));
  EQUAL(test::text_of(image.open_file("/bin/link")), "#!");
  FAILS(PARB_NOT_FOUND, image.open_file("etc/app.conf"));
  FAILS(PARB_INVALID_ARGUMENT, image.open_file("bin"));
  const std::string tar = test::text_of(image.filesystem());
  EQUAL(test::text_of(image.filesystem_start().future().get()), tar);
  const auto flat = image.flatten(p::Options().compression("none"));
  EQUAL(flat.layers().size(), 1u);
  EQUAL(test::text_of(flat.layer(0).open()), tar);
  EQUAL(flat.files().size(), image.files().size());
}

/// One entry of a tar.
static std::string entry(const std::string &name, char type, const std::string &content) {
  std::string block(512, '\0');
  const auto put = [&](std::size_t at, const std::string &text) { block.replace(at, text.size(), text); };
  put(0, name), put(100, "0000644"), put(108, "0000000"), put(116, "0000000"), put(136, "00000000000");
  char size[12];
  std::snprintf(size, sizeof size, "%011zo", content.size());
  put(124, size), put(148, "        "), put(156, std::string(1, type)), put(257, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (const unsigned char byte : block) sum += byte;
  std::snprintf(size, sizeof size, "%06o", sum);
  put(148, std::string(size, 7));
  return block + content + std::string((512 - content.size() % 512) % 512, '\0');
}

static void extended_attributes() {
  const std::string tar = entry("pax", 'x', "31 SCHILY.xattr.user.note=some\n") + entry("file", '0', "x") + std::string(1024, '\0');
  const auto files = p::Layer::from_bytes(tar).files();
  EQUAL(files.size(), 1u);
  EQUAL(files[0].xattrs().size(), 1u);
  EQUAL(files[0].xattrs()[0], "user.note");
  EQUAL(files[0].xattr("user.note").value(), "some");
  CHECK(!files[0].xattr("user.other"));
}

static void single_files() {
  const auto lazy = layer("lazily", "etc/app.conf", p::Options().compression("estargz"));
  CHECK(lazy.has_toc() && !layer("x").has_toc());
  CHECK(has(lazy.toc_json(), "\"etc/app.conf\""));
  EQUAL(lazy.toc_json_start().future().get(), lazy.toc_json());
  EQUAL(test::text_of(lazy.open_file("etc/app.conf")), "lazily");
  EQUAL(test::text_of(layer("eagerly").open_file("/etc/app.conf")), "eagerly");
  FAILS(PARB_NOT_FOUND, layer("x").toc_json());
  FAILS(PARB_NOT_FOUND, lazy.open_file("none"));

  // Of a layer in a registry only the parts that are needed are fetched.
  p::Server server;
  p::Client client;
  const std::string noise = test::text_of(p::Layer::random(3 << 20, 1).open_uncompressed());
  const auto large = p::LayerBuilder()
                         .add_bytes("noise", 0644, noise)
                         .add_bytes("small", 0644, "small")
                         .build(p::Options().compression("estargz"));
  client.push(server.ref("lazy:1"), p::ImageBuilder().add_layer(large).build());
  const auto before = server.requests().size();
  const auto there = client.pull(server.ref("lazy:1")).layer(0);
  EQUAL(test::text_of(there.open_file("small")), "small");
  const auto requests = server.requests();
  for (std::size_t i = before; i < requests.size(); i++) {
    const auto at = requests[i].find("\"sent\":");
    CHECK(at == std::string::npos || std::stoul(requests[i].substr(at + 7)) < (1 << 20));
  }
}

static void reports() {
  const auto image = base();
  CHECK(image.examine().empty());
  CHECK(image.examine_start(p::Options().fast()).future().get().empty());
  image.layer(0).validate();
  const auto wrong = p::Image::from_parts(
      image.manifest(), p::Blobs().add_bytes(image.config().json()).set_open([](p::DescriptorView, std::uint64_t) {
        return p::Source(std::make_shared<std::istringstream>("nonsense"));
      }));
  const auto report = wrong.examine();
  EQUAL(report.size(), 1u);
  EQUAL(report[0].code, PARB_DIGEST_MISMATCH);
  EQUAL(report[0].subject, image.layer(0).digest());
  CHECK(has(report.json(), report[0].code_name()));
  FAILS(PARB_DIGEST_MISMATCH, wrong.validate());
  FAILS(PARB_INVALID_ARGUMENT, image.examine(p::Options().files()));

  const auto other = base("other");
  CHECK(image.compare(image).empty());
  const auto differences = image.compare(other, p::Options().files());
  std::string subjects;
  for (const auto &finding : differences) subjects.append(finding.subject).append(" ");
  CHECK(has(subjects, "digest ") && has(subjects, "etc/app.conf"));
  CHECK(image.layer(0).compare(other.layer(0)).size() >= 2); // digest and diff id
  CHECK(image.layer(0).compare_start(image.layer(0)).future().get().empty());
  EQUAL(std::count_if(differences.begin(), differences.end(), [](const p::Finding &f) { return f.code != PARB_DIGEST_MISMATCH; }), 0);
}

static void texts_that_are_none() {
  const std::optional<std::string> some = "v", none;
  const auto value = [](const p::Text &text) { return text.c_str() ? text.c_str() : "(none)"; };
  EQUAL(std::string(value(some)), "v");
  EQUAL(std::string(value(none)), "(none)");
  EQUAL(std::string(value(std::nullopt)), "(none)");
  EQUAL(std::string(value({})), "(none)");
  EQUAL(std::string(value(base().config().env("A"))), "1");
  FAILS(PARB_INVALID_ARGUMENT, value(std::optional(std::string("a\0b", 3))));
}

int main() {
  RUN(layers_and_history);
  RUN(configs);
  RUN(compressions_and_types);
  RUN(times);
  RUN(bases);
  RUN(indexes);
  RUN(files_are_changed);
  RUN(file_systems);
  RUN(extended_attributes);
  RUN(single_files);
  RUN(reports);
  RUN(texts_that_are_none);
  return test::finish();
}
