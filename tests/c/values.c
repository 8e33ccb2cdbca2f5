/* Values, readers, writers, builders, options: what calls give, and how they refuse. */
#include "test.h"

static void version(void) {
  int major = -1, minor = -1, patch = -1;
  CHECK_INT(sscanf(parb_version(), "%d.%d.%d", &major, &minor, &patch), 3);
  CHECK_INT(parb_version_number(), major << 24 | minor << 16 | patch << 8);
  CHECK_INT(PARB_VERSION_NUMBER, parb_version_number());
  CHECK_INT(PARB_VERSION_NUMBER, (0 << 24) | (1 << 16) | (0 << 8));
  CHECK(parb_build_info()[0] == '{');
  CHECK(!parb_has_feature("no-such-feature"));
}

static void round_trip(void) {
  parb_server *server = serve();
  parb_client *c = client();
  parb_ref *ref = ref_on(server, "team/app:1");
  parb_layer *layer = layer_of(300000, 1, NULL), *back = NULL;
  parb_image_builder *b = parb_image_builder_new(NULL);
  const char *argv[] = {"/bin/app", "--serve"};
  parb_strings *entry = parb_strings_new(argv, 2);
  parb_image_builder_add_layer(b, layer);
  parb_image_builder_set_platform(b, "linux/arm64/v8");
  parb_image_builder_set_entrypoint(b, entry);
  parb_image_builder_set_env(b, "A", "1");
  parb_image_builder_set_env(b, "B", "");
  parb_image_builder_set_env(b, "A", "2");
  parb_image_builder_set_env(b, "GONE", "x");
  parb_image_builder_set_env(b, "GONE", NULL);
  parb_image_builder_set_label(b, "l", "\xc3\xa4");
  parb_image_builder_set_user(b, "1000:1000");
  parb_image_builder_set_working_dir(b, "/app");
  parb_image_builder_add_exposed_port(b, "80/tcp");
  parb_image_builder_add_volume(b, "/data");
  parb_image_builder_set_stop_signal(b, "SIGTERM");
  parb_image_builder_set_created(b, "2024-02-29T12:00:00Z");
  parb_image_builder_set_annotation(b, "note", "n");
  parb_image *made = NULL, *pulled = NULL;
  OK(parb_image_builder_build(b, NULL, NULL, &made));
  OK(parb_push(c, ref, made, NULL, NULL));
  OK(parb_pull(c, ref, NULL, NULL, &pulled));
  CHECK_STR(parb_image_digest(pulled), parb_image_digest(made));
  CHECK_STR(parb_image_media_type(pulled), "application/vnd.oci.image.manifest.v1+json");
  size_t len = 0, made_len = 1;
  const uint8_t *manifest = parb_image_manifest(pulled, &len), *as_made = parb_image_manifest(made, &made_len);
  CHECK_INT(len, made_len);
  CHECK_INT(parb_descriptor_size(parb_image_descriptor(pulled)), len);
  CHECK(!memcmp(manifest, as_made, len));
  CHECK_STR(parb_map_get(parb_image_annotations(pulled), "note"), "n");

  parb_config *config = NULL;
  OK(parb_image_config(pulled, NULL, NULL, &config));
  CHECK_STR(parb_config_platform(config), "linux/arm64/v8");
  CHECK_INT(parb_strings_count(parb_config_entrypoint(config)), 2);
  CHECK_STR(parb_strings_at(parb_config_entrypoint(config), 1), "--serve");
  CHECK(parb_config_cmd(config) == NULL);
  CHECK_INT(parb_strings_count(parb_config_env(config)), 2);
  CHECK_STR(parb_config_env_get(config, "A"), "2");
  CHECK_STR(parb_config_env_get(config, "B"), "");
  CHECK_STR(parb_config_env_get(config, "GONE"), NULL);
  CHECK_STR(parb_map_get(parb_config_labels(config), "l"), "\xc3\xa4");
  CHECK_STR(parb_map_key_at(parb_config_labels(config), 1), NULL);
  CHECK_STR(parb_config_user(config), "1000:1000");
  CHECK_STR(parb_config_working_dir(config), "/app");
  CHECK_STR(parb_strings_at(parb_config_exposed_ports(config), 0), "80/tcp");
  CHECK_STR(parb_strings_at(parb_config_volumes(config), 0), "/data");
  CHECK_STR(parb_config_stop_signal(config), "SIGTERM");
  CHECK_STR(parb_config_created(config), "2024-02-29T12:00:00Z");
  const char *diff_id = NULL;
  OK(parb_layer_diff_id(layer, NULL, NULL, &diff_id));
  CHECK_STR(parb_strings_at(parb_config_diff_ids(config), 0), diff_id);

  CHECK_INT(parb_image_layer_count(pulled), 1);
  OK(parb_image_layer_at(pulled, 0, &back));
  uint64_t total = 0;
  OK(drain(back, NULL, &total));
  CHECK_INT(total % 512, 0);
  CHECK(total >= 300000);
  parb_layer *none = NULL;
  FAILS(parb_image_layer_at(pulled, 1, &none), PARB_INVALID_ARGUMENT);
  CHECK(none == NULL);
  OK(parb_image_validate(pulled, NULL, NULL));
  CHECK(stat_of(c, "downloaded") > 0);

  parb_strings_free(entry), parb_layer_free(back), parb_layer_free(layer), parb_config_free(config);
  parb_image_builder_free(b), parb_image_free(made), parb_image_free(pulled), parb_ref_free(ref);
  parb_client_free(c), parb_server_free(server);
}

static void edits_of_a_base(void) {
  parb_image *base = scratch(1000, 2), *same = NULL, *other = NULL;
  parb_image_builder *b = parb_image_builder_new(base);
  OK(parb_image_builder_build(b, NULL, NULL, &same));
  CHECK_STR(parb_image_digest(same), parb_image_digest(base));
  parb_image_builder_set_env(b, "X", "y");
  OK(parb_image_builder_build(b, NULL, NULL, &other));
  CHECK(strcmp(parb_image_digest(other), parb_image_digest(base)) != 0);
  CHECK_INT(parb_image_layer_count(other), 1);
  parb_image_free(base), parb_image_free(same), parb_image_free(other), parb_image_builder_free(b);
}

static void layer_writer(void) {
  parb_layer *from = layer_of(3 << 20, 3, NULL), *written = NULL;
  uint64_t total = 0;
  parb_reader *reader = NULL;
  OK(drain(from, NULL, &total));
  uint8_t *tar = malloc(total);
  size_t at = 0, n = 1;
  OK(parb_layer_open_uncompressed(from, NULL, NULL, &reader));
  for (size_t step = 1; n > 0; at += n, step = step * 3 % 100003 + 1) {
    size_t cap = total - at < step ? total - at : step;
    uint8_t last;
    OK(cap ? parb_reader_read(reader, tar + at, cap, NULL, &n) : parb_reader_read(reader, &last, 1, NULL, &n));
    CHECK(n <= step);
  }
  CHECK_INT(at, total);
  parb_reader_free(reader);

  parb_layer_writer *writer = NULL;
  OK(parb_layer_writer_new(NULL, NULL, &writer));
  for (size_t i = 0, step = 1; i < total; i += step, step = step * 7 % 300007 + 1) {
    if (step > total - i) step = total - i;
    OK(parb_layer_writer_write(writer, tar + i, step, NULL));
  }
  OK(parb_layer_writer_write(writer, NULL, 0, NULL));
  OK(parb_layer_writer_finish(writer, NULL, NULL, &written));
  char *one = digest_of(from), *two = digest_of(written);
  CHECK_STR(one, two);
  parb_layer *again = NULL;
  FAILS(parb_layer_writer_finish(writer, NULL, NULL, &again), PARB_INVALID_STATE);
  FAILS(parb_layer_writer_write(writer, tar, 1, NULL), PARB_INVALID_STATE);
  CHECK(again == NULL);
  parb_layer_writer_free(writer);

  /* What is no tar is refused, at the latest at the end. */
  OK(parb_layer_writer_new(NULL, NULL, &writer));
  parb_error *e = parb_layer_writer_write(writer, (const uint8_t *)"this is no tar at all", 21, NULL);
  if (!e) e = parb_layer_writer_finish(writer, NULL, NULL, &again);
  FAILS(e, PARB_MALFORMED);
  parb_layer_writer_free(writer);

  /* One that is left unfinished. */
  OK(parb_layer_writer_new(NULL, NULL, &writer));
  OK(parb_layer_writer_write(writer, tar, 100000, NULL));
  parb_layer_writer_free(writer);

  /* Cancelled before anything was taken in: it goes on. */
  parb_ctx *ctx = parb_ctx_new(NULL);
  parb_ctx_cancel(ctx);
  OK(parb_layer_writer_new(NULL, NULL, &writer));
  FAILS(parb_layer_writer_write(writer, tar, total, ctx), PARB_CANCELLED);
  OK(parb_layer_writer_write(writer, tar, total, NULL));
  OK(parb_layer_writer_finish(writer, NULL, NULL, &again));
  parb_layer_writer_free(writer);
  free(two);
  two = digest_of(again);
  CHECK_STR(one, two);
  free(one), free(two), free(tar), parb_ctx_free(ctx);
  parb_layer_free(from), parb_layer_free(written), parb_layer_free(again);
}

static void writer_into_a_repository(void) {
  parb_server *server = serve();
  parb_client *c = client();
  parb_ref *ref = ref_on(server, "w:1");
  parb_sink *sink = NULL;
  parb_options *into = parb_options_new();
  OK(parb_sink_repository(c, ref, &sink));
  parb_options_set_sink(into, sink);
  parb_sink_free(sink);
  parb_layer *layer = layer_of(2 << 20, 4, into), *local = layer_of(2 << 20, 4, NULL);
  char *one = digest_of(layer), *two = digest_of(local);
  CHECK_STR(one, two);
  long long sent = stat_of(c, "uploaded");
  CHECK(sent >= 1 << 20);
  parb_image *image = image_of(layer);
  OK(parb_push(c, ref, image, NULL, NULL));
  CHECK(stat_of(c, "uploaded") - sent < 10000); /* the layer was there */
  free(one), free(two), parb_layer_free(layer), parb_layer_free(local), parb_image_free(image);
  parb_options_free(into), parb_ref_free(ref), parb_client_free(c), parb_server_free(server);
}

static void reader(void) {
  parb_server *server = serve();
  parb_client *c = client();
  parb_ref *ref = ref_on(server, "r:1");
  parb_image *image = scratch(1 << 20, 5), *pulled = NULL;
  OK(parb_push(c, ref, image, NULL, NULL));
  OK(parb_pull(c, ref, NULL, NULL, &pulled));
  parb_layer *layer = NULL;
  parb_reader *r = NULL;
  OK(parb_image_layer_at(pulled, 0, &layer));
  OK(parb_layer_open(layer, NULL, NULL, &r));
  /* A cancelled call loses nothing: the end comes only if every byte was right. */
  parb_ctx *ctx = parb_ctx_new(NULL);
  parb_ctx_cancel(ctx);
  uint8_t buf[1000];
  size_t n = 1;
  uint64_t total = 0;
  for (int i = 0; n > 0; i++) {
    if (i % 100 == 50) FAILS(parb_reader_read(r, buf, sizeof buf, ctx, &n), PARB_CANCELLED);
    OK(parb_reader_read(r, buf, sizeof buf, NULL, &n));
    total += n;
  }
  CHECK_INT(total, parb_descriptor_size(parb_layer_descriptor(layer)));
  OK(parb_reader_read(r, buf, sizeof buf, NULL, &n)); /* the end stays the end */
  CHECK_INT(n, 0);
  parb_reader_free(r);
  OK(parb_layer_open(layer, NULL, NULL, &r)); /* left in the middle */
  OK(parb_reader_read(r, buf, 1, NULL, &n));
  CHECK_INT(n, 1);
  parb_reader_free(r), parb_ctx_free(ctx), parb_layer_free(layer), parb_image_free(image), parb_image_free(pulled);
  parb_ref_free(ref), parb_client_free(c), parb_server_free(server);
}

/* Setters keep quiet; build reports the first mistake, every time. */
static void builder_mistakes(void) {
  parb_image *out = NULL;
  parb_image_builder *b = parb_image_builder_new(NULL);
  parb_image_builder_set_created(b, "yesterday");
  parb_image_builder_set_platform(b, "");
  parb_image_builder_set_env(b, NULL, "x");
  for (int i = 0; i < 2; i++) {
    parb_error *e = FAILURE(parb_image_builder_build(b, NULL, NULL, &out), PARB_INVALID_ARGUMENT);
    CHECK(strstr(parb_error_message(e), "yesterday") || strstr(parb_error_message(e), "3339") ||
          (parb_error_subject(e) && strstr(parb_error_subject(e), "yesterday")));
    parb_error_free(e);
  }
  parb_image_builder_free(b);
  struct {
    const char *name, *value;
  } env[] = {{"", "x"}, {"A=B", "x"}, {NULL, "x"}, {"\xff", "x"}, {"A", "\xff"}};
  for (size_t i = 0; i < sizeof env / sizeof *env; i++) {
    b = parb_image_builder_new(NULL);
    parb_image_builder_set_env(b, env[i].name, env[i].value);
    FAILS(parb_image_builder_build(b, NULL, NULL, &out), PARB_INVALID_ARGUMENT);
    parb_image_builder_free(b);
  }
  b = parb_image_builder_new(NULL);
  parb_image_builder_add_layer(b, NULL);
  parb_error *e = FAILURE(parb_image_builder_build(b, NULL, NULL, &out), PARB_INVALID_ARGUMENT);
  CHECK(strstr(parb_error_message(e), "layer") != NULL);
  parb_error_free(e), parb_image_builder_free(b);
  const char *ports[] = {"0x50", "80/icmpx y", "", "99999/tcp"};
  for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
    b = parb_image_builder_new(NULL);
    parb_image_builder_add_exposed_port(b, ports[i]);
    FAILS(parb_image_builder_build(b, NULL, NULL, &out), PARB_INVALID_ARGUMENT);
    parb_image_builder_free(b);
  }
  const char *paths[] = {"../x", "/abs/../..", "", NULL};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    parb_layer *layer = NULL;
    parb_layer_builder *lb = parb_layer_builder_new();
    parb_layer_builder_add_bytes(lb, paths[i], 0644, NULL, 0);
    FAILS(parb_layer_builder_build(lb, NULL, NULL, &layer), PARB_INVALID_ARGUMENT);
    parb_layer_builder_free(lb);
    CHECK(layer == NULL);
  }
  CHECK(out == NULL);
}

typedef void (*setter)(parb_options *);
static parb_ref *some_ref;
static parb_sink *some_sink;
static void set_platform(parb_options *o) { parb_options_set_platform(o, "linux/arm64"); }
static void set_jobs(parb_options *o) { parb_options_set_jobs(o, 2); }
static void set_sink(parb_options *o) { parb_options_set_sink(o, some_sink); }
static void set_compression(parb_options *o) { parb_options_set_compression(o, "zstd", 0); }
static void set_format(parb_options *o) { parb_options_set_format(o, "docker"); }
static void set_mount_from(parb_options *o) { parb_options_set_mount_from(o, some_ref); }
static void set_foreign(parb_options *o) { parb_options_set_foreign_layers(o); }

static const struct {
  const char *name;
  setter set;
} OPTIONS[] = {{"platform", set_platform},       {"jobs", set_jobs},     {"sink", set_sink},
               {"compression", set_compression}, {"format", set_format}, {"mount_from", set_mount_from},
               {"foreign_layers", set_foreign}};

/* What each call reads; every other option it refuses by name, before it does anything. */
static void options_refused(void) {
  parb_server *server = serve();
  parb_client *c = client();
  parb_image *image = scratch(100, 6), *image_out = NULL;
  parb_layer *layer = NULL, *layer_out = NULL;
  parb_layer_builder *lb = parb_layer_builder_new();
  parb_image_builder *ib = parb_image_builder_new(NULL), *based = parb_image_builder_new(image);
  parb_layer_writer *writer = NULL, *writer_out = NULL;
  parb_descriptor *descriptor = NULL;
  parb_index *index = NULL;
  parb_config *config = NULL;
  parb_reader *reader = NULL;
  parb_op *op = NULL;
  const char *diff_id = NULL;
  some_ref = ref_on(server, "other");
  parb_ref *ref = ref_on(server, "opts:1");
  OK(parb_sink_repository(c, some_ref, &some_sink));
  OK(parb_push(c, ref, image, NULL, NULL));
  OK(parb_image_layer_at(image, 0, &layer));
  OK(parb_layer_writer_new(NULL, NULL, &writer));
  int before = requests_with(server, "\"n\"");
  for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
    parb_options *o = parb_options_new();
    OPTIONS[i].set(o);
#define REFUSES(call, reads)                                                        \
  do {                                                                              \
    if (strstr(" " reads " ", OPTIONS[i].name)) break;                              \
    parb_error *e = FAILURE(call, PARB_INVALID_ARGUMENT);                           \
    if (!strstr(parb_error_message(e), OPTIONS[i].name))                            \
      FAIL("%s with %s: %s", #call, OPTIONS[i].name, parb_error_message(e));        \
    parb_error_free(e);                                                             \
  } while (0)
    REFUSES(parb_resolve(c, ref, o, NULL, &descriptor), "platform");
    REFUSES(parb_resolve_start(c, ref, o, NULL, &op), "platform");
    REFUSES(parb_pull(c, ref, o, NULL, &image_out), "platform");
    REFUSES(parb_pull_start(c, ref, o, NULL, &op), "platform");
    REFUSES(parb_pull_index(c, ref, o, NULL, &index), "");
    REFUSES(parb_pull_index_start(c, ref, o, NULL, &op), "");
    REFUSES(parb_push(c, ref, image, o, NULL), "jobs mount_from foreign_layers");
    REFUSES(parb_push_start(c, ref, image, o, NULL, &op), "jobs mount_from foreign_layers");
    REFUSES(parb_push_layer(c, ref, layer, o, NULL), "jobs mount_from");
    REFUSES(parb_push_layer_start(c, ref, layer, o, NULL, &op), "jobs mount_from");
    REFUSES(parb_image_config(image, o, NULL, &config), "");
    REFUSES(parb_image_config_start(image, o, NULL, &op), "");
    REFUSES(parb_image_validate(image, o, NULL), "jobs");
    REFUSES(parb_image_validate_start(image, o, NULL, &op), "jobs");
    REFUSES(parb_config_parse((const uint8_t *)"{}", 2, o, &config), "");
    REFUSES(parb_ref_parse("a", o, &ref), "");
    REFUSES(parb_layer_from_file("/nowhere", o, NULL, &layer_out), "sink compression");
    REFUSES(parb_layer_from_file_start("/nowhere", o, NULL, &op), "sink compression");
    REFUSES(parb_layer_from_dir("/nowhere", o, NULL, &layer_out), "sink compression");
    REFUSES(parb_layer_from_bytes((const uint8_t *)"x", 1, o, NULL, &layer_out), "sink compression");
    REFUSES(parb_layer_builder_build(lb, o, NULL, &layer_out), "sink compression");
    REFUSES(parb_layer_writer_new(o, NULL, &writer_out), "sink compression");
    REFUSES(parb_layer_writer_finish(writer, o, NULL, &layer_out), "");
    REFUSES(parb_layer_diff_id(layer, o, NULL, &diff_id), "");
    REFUSES(parb_layer_open(layer, o, NULL, &reader), "");
    REFUSES(parb_layer_open_start(layer, o, NULL, &op), "");
    REFUSES(parb_layer_open_uncompressed(layer, o, NULL, &reader), "");
    REFUSES(parb_image_builder_build(ib, o, NULL, &image_out), "format");
    REFUSES(parb_image_builder_build(based, o, NULL, &image_out), "format");
#undef REFUSES
    parb_options_free(o);
  }
  CHECK_INT(requests_with(server, "\"n\""), before);
  CHECK(!op && !image_out && !layer_out && !writer_out && !descriptor && !index && !config && !reader && !diff_id);
  parb_layer_writer_free(writer), parb_layer_builder_free(lb), parb_image_builder_free(ib);
  parb_image_builder_free(based), parb_layer_free(layer), parb_image_free(image), parb_sink_free(some_sink);
  parb_ref_free(some_ref), parb_ref_free(ref), parb_client_free(c), parb_server_free(server);
}

static void option_mistakes(void) {
  parb_layer *layer = NULL;
  parb_image *image = NULL;
  parb_client *c = client();
  parb_ref *ref = ref_of("127.0.0.1:1/x");
  const struct {
    const char *name;
    int level;
  } compressions[] = {{"lzma", 0}, {"gzip", 10}, {"gzip", -1}, {"zstd", 20}, {"none", 3}, {NULL, 0}};
  for (size_t i = 0; i < sizeof compressions / sizeof *compressions; i++) {
    parb_options *o = parb_options_new();
    parb_options_set_compression(o, compressions[i].name, compressions[i].level);
    parb_options_set_compression(o, "gzip", 1); /* too late */
    FAILS(parb_layer_from_bytes((const uint8_t *)"", 0, o, NULL, &layer), PARB_INVALID_ARGUMENT);
    parb_options_free(o);
  }
  parb_options *o = parb_options_new();
  parb_options_set_platform(o, "a/b/c/d/e");
  FAILS(parb_pull(c, ref, o, NULL, &image), PARB_INVALID_ARGUMENT);
  parb_options_free(o);
  o = parb_options_new();
  parb_options_set_jobs(o, 0);
  parb_image *made = scratch(10, 1);
  FAILS(parb_push(c, ref, made, o, NULL), PARB_INVALID_ARGUMENT);
  parb_options_free(o);
  o = parb_options_new();
  parb_options_set_sink(o, NULL);
  FAILS(parb_layer_from_bytes((const uint8_t *)"", 0, o, NULL, &layer), PARB_INVALID_ARGUMENT);
  parb_options_free(o);
  parb_client_options *co = parb_client_options_new();
  parb_client *none = NULL;
  parb_client_options_set_retry(co, 0, 1);
  FAILS(parb_client_new(co, &none), PARB_INVALID_ARGUMENT);
  parb_client_options_free(co);
  co = parb_client_options_new();
  parb_client_options_add_ca_pem(co, "no certificate");
  FAILS(parb_client_new(co, &none), PARB_MALFORMED);
  parb_client_options_free(co);
  co = parb_client_options_new();
  parb_client_options_set_user_agent(co, "line\nbreak");
  FAILS(parb_client_new(co, &none), PARB_INVALID_ARGUMENT);
  parb_client_options_free(co);
  CHECK(!layer && !image && !none);
  parb_image_free(made), parb_ref_free(ref), parb_client_free(c);
}

static void compressions(void) {
  const struct {
    const char *name, *media_type;
  } kinds[] = {{"none", "application/vnd.oci.image.layer.v1.tar"},
               {"gzip", "application/vnd.oci.image.layer.v1.tar+gzip"},
               {"zstd", "application/vnd.oci.image.layer.v1.tar+zstd"}};
  char *diff_id = NULL;
  for (size_t i = 0; i < 3; i++) {
    parb_options *o = parb_options_new();
    parb_options_set_compression(o, kinds[i].name, 0);
    parb_layer *layer = layer_of(1 << 20, 7, o);
    CHECK_STR(parb_descriptor_media_type(parb_layer_descriptor(layer)), kinds[i].media_type);
    uint64_t total = 0;
    const char *found = NULL;
    OK(drain(layer, NULL, &total));
    OK(parb_layer_diff_id(layer, NULL, NULL, &found));
    CHECK(!diff_id || !strcmp(diff_id, found));
    free(diff_id), diff_id = strdup(found);
    parb_layer_free(layer), parb_options_free(o);
  }
  free(diff_id);
}

static void references(void) {
  parb_ref *ref = ref_of("ubuntu"), *tagged = NULL, *digested = NULL, *copy = NULL;
  CHECK_STR(parb_ref_text(ref), "index.docker.io/library/ubuntu:latest");
  CHECK_STR(parb_ref_repository(ref), "library/ubuntu");
  CHECK_STR(parb_ref_digest(ref), NULL);
  OK(parb_ref_with_tag(ref, "24.04", &tagged));
  CHECK_STR(parb_ref_tag(tagged), "24.04");
  const char *digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  OK(parb_ref_with_digest(tagged, digest, &digested));
  CHECK_STR(parb_ref_digest(digested), digest);
  CHECK_STR(parb_ref_tag(digested), NULL);
  copy = parb_ref_clone(digested);
  parb_ref_free(digested);
  CHECK_STR(parb_ref_digest(copy), digest);
  parb_ref *none = NULL;
  const char *bad[] = {"", "UPPER/case", "a:b:c", "a@sha256:12", "host:99999/x", "a b", "a//b"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    parb_error *e = FAILURE(parb_ref_parse(bad[i], NULL, &none), PARB_INVALID_ARGUMENT);
    CHECK_STR(parb_error_subject(e), bad[i]);
    parb_error_free(e);
  }
  FAILS(parb_ref_with_tag(ref, "no tag", &none), PARB_INVALID_ARGUMENT);
  CHECK(none == NULL);
  parb_ref_free(ref), parb_ref_free(tagged), parb_ref_free(copy);
}

int main(void) {
  RUN(version);
  RUN(round_trip);
  RUN(edits_of_a_base);
  RUN(layer_writer);
  RUN(writer_into_a_repository);
  RUN(reader);
  RUN(builder_mistakes);
  RUN(options_refused);
  RUN(option_mistakes);
  RUN(compressions);
  RUN(references);
  return finish();
}
