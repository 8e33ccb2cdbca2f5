/* daemon HOST HOST:PORT [MEBIBYTES]: images to a real daemon (dockerd or podman's service) and back, and what it
   refuses. The registry is another process. The most memory this process ever had stays under 32 MiB, whatever the size
   of the layer (MEBIBYTES; 0 leaves that out). */
#include "test.h"

#define MOST_KIB (32 << 10)
#define PIECE (1 << 20)

static const char *host, *registry;
static uint64_t mebibytes;
static parb_daemon *daemon_;
static parb_ctx *ctx;

static long peak_kib(void) {
  FILE *status = fopen("/proc/self/status", "r");
  char line[200];
  long kib = -1;
  while (fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &kib);
  fclose(status);
  return kib;
}

static void memory_is_bounded(const char *when) {
  printf("  %s: VmHWM %.1f MiB\n", when, (double)peak_kib() / 1024);
  const char *unchecked = getenv("PARB_MEMORY_UNCHECKED");
  if (!unchecked || !*unchecked) CHECK(peak_kib() <= MOST_KIB);
}

/* The text of a document, which is freed. */
static char *text_of(parb_buf *buf) {
  char *text = strndup((const char *)parb_buf_data(buf), parb_buf_len(buf));
  parb_buf_free(buf);
  return text;
}

/* The digest of the config: what daemons call an image. */
static char *id_of(const parb_image *image) {
  size_t len = 0;
  const char *manifest = (const char *)parb_image_manifest(image, &len);
  char *text = strndup(manifest, len), *at = strstr(text, "\"config\"");
  CHECK(at != NULL);
  at = strstr(at, "sha256:");
  CHECK(at != NULL);
  char *id = strndup(at, 71);
  free(text);
  return id;
}

static void same_strings(const parb_strings *a, const parb_strings *b) {
  CHECK_INT(parb_strings_count(a), parb_strings_count(b));
  for (size_t i = 0; i < parb_strings_count(a); i++) CHECK_STR(parb_strings_at(a, i), parb_strings_at(b, i));
}

/* What came back is what was sent: config and plain layers. */
static void same_image(const parb_image *sent, const parb_image *back) {
  char *a = id_of(sent), *b = id_of(back);
  CHECK_STR(b, a);
  parb_config *before = NULL, *after = NULL;
  OK(parb_image_config(sent, NULL, ctx, &before));
  OK(parb_image_config(back, NULL, ctx, &after));
  same_strings(parb_config_diff_ids(after), parb_config_diff_ids(before));
  CHECK_INT(parb_image_layer_count(back), parb_image_layer_count(sent));
  for (size_t i = 0; i < parb_image_layer_count(back); i++) {
    parb_layer *layer = NULL;
    OK(parb_image_layer_at(back, i, &layer));
    const parb_descriptor *d = parb_layer_descriptor(layer);
    CHECK_STR(parb_descriptor_digest(d), parb_strings_at(parb_config_diff_ids(before), i)); /* they are plain */
    CHECK_STR(parb_descriptor_media_type(d), "application/vnd.docker.image.rootfs.diff.tar");
    parb_layer_free(layer);
  }
  OK(parb_image_validate(back, NULL, ctx));
  parb_config_free(before), parb_config_free(after), free(a), free(b);
}

static void remove_quietly(const char *name) { parb_error_free(parb_daemon_remove(daemon_, name, NULL, ctx)); }

static void load(const parb_image *image, const char *name, size_t lines) {
  parb_ref *ref = name ? ref_of(name) : NULL;
  parb_strings *said = NULL;
  OK(parb_daemon_load(daemon_, image, ref, NULL, ctx, &said));
  CHECK_INT(parb_strings_count(said), lines);
  if (lines) CHECK(strstr(parb_strings_at(said, 0), "Loaded image") != NULL);
  parb_strings_free(said), parb_ref_free(ref);
}

static parb_image *read_back(const char *name) {
  parb_image *image = NULL;
  OK(parb_daemon_image(daemon_, name, NULL, ctx, &image));
  return image;
}

static int has(const char *name) {
  parb_buf *buf = NULL;
  parb_error *e = parb_daemon_inspect(daemon_, name, NULL, ctx, &buf);
  if (e && parb_error_code(e) != PARB_NOT_FOUND) OK(e);
  parb_error_free(e), parb_buf_free(buf);
  return !e;
}

/* Two layers, the second empty; the seed makes it an image that the daemon does not have. */
static parb_image *two_layers(size_t len, uint64_t seed, const char *compression) {
  parb_options *o = parb_options_new();
  parb_options_set_compression(o, compression, 0);
  parb_layer *a = layer_of(len, seed, o), *b = layer_of(1, seed + 1, o);
  parb_image_builder *builder = parb_image_builder_new(NULL);
  parb_image_builder_add_layer(builder, a), parb_image_builder_add_layer(builder, b);
  parb_image_builder_set_platform(builder, "linux/amd64");
  parb_image_builder_set_env(builder, "WHAT", "a test");
  parb_image *image = NULL;
  OK(parb_image_builder_build(builder, NULL, NULL, &image));
  parb_image_builder_free(builder), parb_layer_free(a), parb_layer_free(b), parb_options_free(o);
  return image;
}

static void connects(void) {
  OK(parb_daemon_connect(host, NULL, ctx, &daemon_));
  CHECK_STR(parb_daemon_host(daemon_), host);
  CHECK(!strncmp(parb_daemon_api_version(daemon_), "1.", 2));
  OK(parb_daemon_ping(daemon_, NULL, ctx));
  parb_buf *buf = NULL;
  OK(parb_daemon_version(daemon_, NULL, ctx, &buf));
  char *version = text_of(buf);
  CHECK(strstr(version, parb_daemon_api_version(daemon_)) != NULL);
  printf("  %s, API %s\n", strstr(version, "odman") ? "podman" : "dockerd", parb_daemon_api_version(daemon_));
  free(version);

  setenv("DOCKER_HOST", host, 1);
  setenv("DOCKER_API_VERSION", "1.40", 1);
  parb_daemon *other = NULL, *again;
  OK(parb_daemon_connect(NULL, NULL, ctx, &other));
  CHECK_STR(parb_daemon_api_version(other), "1.40");
  again = parb_daemon_clone(other);
  parb_daemon_free(other);
  OK(parb_daemon_ping(again, NULL, ctx));
  parb_daemon_free(again);
  setenv("DOCKER_API_VERSION", "1.51", 1);
  parb_error *e = FAILURE(parb_daemon_connect(NULL, NULL, ctx, &other), PARB_UNSUPPORTED);
  CHECK(strstr(parb_error_message(e), "1.51") && strstr(parb_error_message(e), parb_daemon_api_version(daemon_)));
  parb_error_free(e);
  setenv("DOCKER_API_VERSION", "forty", 1);
  FAILS(parb_daemon_connect(NULL, NULL, ctx, &other), PARB_INVALID_ARGUMENT);
  unsetenv("DOCKER_API_VERSION");
  setenv("DOCKER_HOST", "unix:///nowhere/at/all.sock", 1);
  e = FAILURE(parb_daemon_connect(NULL, NULL, ctx, &other), PARB_UNAVAILABLE);
  CHECK_STR(parb_error_subject(e), "unix:///nowhere/at/all.sock");
  parb_error_free(e);
  unsetenv("DOCKER_HOST");
}

static void goes_there_and_back(void) {
  parb_image *image = two_layers(200000, (uint64_t)time(NULL), "gzip");
  char *id = id_of(image);
  CHECK(!has(id));
  load(image, "registry.test/parb/a:1", 1);
  CHECK(has("registry.test/parb/a:1") && has(id));

  parb_buf *buf = NULL;
  OK(parb_daemon_inspect(daemon_, "registry.test/parb/a:1", NULL, ctx, &buf));
  char *text = text_of(buf);
  CHECK(strstr(text, id) != NULL);
  free(text);
  OK(parb_daemon_list(daemon_, NULL, NULL, ctx, &buf));
  text = text_of(buf);
  CHECK(strstr(text, id) && strstr(text, "registry.test/parb/a:1"));
  free(text);
  OK(parb_daemon_list(daemon_, "registry.test/parb/none", NULL, ctx, &buf));
  text = text_of(buf);
  CHECK(!strstr(text, id));
  free(text);
  OK(parb_daemon_history(daemon_, id, NULL, ctx, &buf));
  text = text_of(buf);
  CHECK(strstr(text, "CreatedBy") != NULL);
  free(text);

  parb_image *by_name = read_back("registry.test/parb/a:1"), *by_id = read_back(id);
  same_image(image, by_name);
  CHECK_STR(parb_image_digest(by_id), parb_image_digest(by_name));
  parb_options *oci = parb_options_new();
  parb_options_set_format(oci, "oci");
  parb_image *other = NULL;
  OK(parb_daemon_image(daemon_, id, oci, ctx, &other));
  CHECK_STR(parb_image_media_type(other), "application/vnd.oci.image.manifest.v1+json");
  OK(parb_image_validate(other, NULL, ctx));

  /* Compressed on the way, straight into a registry. */
  char text_on[300];
  snprintf(text_on, sizeof text_on, "%s/parb/from-daemon:1", registry);
  parb_client *c = client();
  parb_ref *on = ref_of(text_on);
  parb_sink *sink = NULL;
  parb_options *into = parb_options_new();
  OK(parb_sink_repository(c, on, &sink));
  parb_options_set_sink(into, sink);
  parb_image *compressed = NULL;
  OK(parb_daemon_image(daemon_, id, into, ctx, &compressed));
  parb_layer *first = NULL;
  OK(parb_image_layer_at(compressed, 0, &first));
  CHECK(strstr(parb_descriptor_media_type(parb_layer_descriptor(first)), "gzip") != NULL);
  OK(parb_push(c, on, compressed, NULL, ctx));
  OK(parb_image_validate(compressed, NULL, ctx));
  parb_layer_free(first), parb_image_free(compressed), parb_options_free(into), parb_sink_free(sink);
  parb_ref_free(on), parb_client_free(c);

  load(by_name, "registry.test/parb/b:2", 0); /* it is there: only the name */
  CHECK(has("registry.test/parb/b:2"));
  parb_ref *third = ref_of("registry.test/parb/c:3");
  OK(parb_daemon_tag(daemon_, id, third, NULL, ctx));
  OK(parb_daemon_remove(daemon_, "registry.test/parb/a:1", NULL, ctx));
  CHECK(!has("registry.test/parb/a:1") && has("registry.test/parb/c:3"));
  OK(parb_daemon_remove(daemon_, "registry.test/parb/b:2", NULL, ctx));
  OK(parb_daemon_remove(daemon_, "registry.test/parb/c:3", NULL, ctx));
  CHECK(!has(id));
  same_image(image, by_id); /* what was read does not need the daemon any more */
  parb_ref_free(third), parb_options_free(oci), free(id);
  parb_image_free(other), parb_image_free(by_name), parb_image_free(by_id), parb_image_free(image);
}

/* Names of Docker Hub, which everybody shortens. */
static void hub_names(void) {
  parb_image *image = two_layers(100, (uint64_t)time(NULL) + 10, "gzip");
  remove_quietly("docker.io/library/parb-hub:1");
  load(image, "parb-hub:1", 1);
  CHECK(has("docker.io/library/parb-hub:1"));
  OK(parb_daemon_remove(daemon_, "docker.io/library/parb-hub:1", NULL, ctx));
  load(image, NULL, 1);
  char *id = id_of(image);
  CHECK(has(id));
  OK(parb_daemon_remove(daemon_, id, NULL, ctx));
  free(id), parb_image_free(image);
}

static void every_compression(void) {
  static const char *const names[] = {"none", "gzip", "zstd"};
  for (size_t i = 0; i < 3; i++) {
    parb_image *image = two_layers(300000, (uint64_t)time(NULL) + 20 + 3 * i, names[i]);
    load(image, "registry.test/parb/d:1", 1);
    parb_image *back = read_back("registry.test/parb/d:1");
    same_image(image, back);
    OK(parb_daemon_remove(daemon_, "registry.test/parb/d:1", NULL, ctx));
    parb_image_free(back), parb_image_free(image);
  }
}

/* From a registry to the daemon and from there to the registry. */
static void between_registry_and_daemon(void) {
  char text[300];
  snprintf(text, sizeof text, "%s/parb/between:1", registry);
  parb_client *c = client();
  parb_ref *ref = ref_of(text);
  parb_image *image = two_layers(500000, (uint64_t)time(NULL) + 40, "gzip"), *pulled = NULL;
  OK(parb_push(c, ref, image, NULL, ctx));
  OK(parb_pull(c, ref, NULL, ctx, &pulled));
  load(pulled, text, 1);
  parb_image *back = read_back(text), *again = NULL;
  same_image(pulled, back);
  OK(parb_push(c, ref, back, NULL, ctx));
  OK(parb_pull(c, ref, NULL, ctx, &again));
  CHECK_STR(parb_image_digest(again), parb_image_digest(back));
  same_image(pulled, again);
  OK(parb_daemon_remove(daemon_, text, NULL, ctx));
  parb_image_free(again), parb_image_free(back), parb_image_free(pulled), parb_image_free(image);
  parb_ref_free(ref), parb_client_free(c);
}

static void operations(void) {
  parb_op *op = NULL;
  parb_daemon *d = NULL;
  OK(parb_daemon_connect_start(host, NULL, ctx, &op));
  OK(parb_op_wait(op, ctx));
  OK(parb_op_take_daemon(op, &d));
  parb_op_free(op);
  parb_image *image = two_layers(1000, (uint64_t)time(NULL) + 50, "gzip"), *back = NULL;
  parb_ref *ref = ref_of("registry.test/parb/e:1");
  parb_strings *said = NULL;
  parb_buf *buf = NULL;
  OK(parb_daemon_load_start(d, image, ref, NULL, ctx, &op));
  OK(parb_op_wait(op, ctx));
  OK(parb_op_take_strings(op, &said));
  parb_op_free(op), parb_strings_free(said);
  OK(parb_daemon_list_start(d, NULL, NULL, ctx, &op));
  OK(parb_op_wait(op, ctx));
  OK(parb_op_take_buf(op, &buf));
  parb_op_free(op), parb_buf_free(buf);
  OK(parb_daemon_image_start(d, "registry.test/parb/e:1", NULL, ctx, &op));
  parb_daemon_free(d);
  OK(parb_op_wait(op, ctx));
  OK(parb_op_take_image(op, &back));
  parb_op_free(op);
  same_image(image, back);
  OK(parb_daemon_remove_start(daemon_, "registry.test/parb/e:1", NULL, ctx, &op));
  OK(parb_op_wait(op, ctx));
  OK(parb_op_finish(op));
  parb_op_free(op), parb_ref_free(ref), parb_image_free(back), parb_image_free(image);
}

static void refusals(void) {
  parb_buf *buf = NULL;
  parb_image *image = NULL;
  parb_strings *said = NULL;
  parb_error *e = FAILURE(parb_daemon_inspect(daemon_, "registry.test/none:1", NULL, ctx, &buf), PARB_NOT_FOUND);
  CHECK_STR(parb_error_subject(e), "registry.test/none:1");
  CHECK_INT(parb_error_http_status(e), 404);
  parb_error_free(e);
  FAILS(parb_daemon_history(daemon_, "registry.test/none:1", NULL, ctx, &buf), PARB_NOT_FOUND);
  FAILS(parb_daemon_image(daemon_, "registry.test/none:1", NULL, ctx, &image), PARB_NOT_FOUND);
  FAILS(parb_daemon_remove(daemon_, "registry.test/none:1", NULL, ctx), PARB_NOT_FOUND);
  parb_ref *ref = ref_of("registry.test/parb/f:1");
  FAILS(parb_daemon_tag(daemon_, "registry.test/none:1", ref, NULL, ctx), PARB_NOT_FOUND);

  /* Rubbish, small and large: dockerd says 200, podman 500. */
  char path[] = "/tmp/parb-daemon-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0);
  uint8_t *rubbish = malloc(5000000);
  mixed_bytes(rubbish, 5000000, 7);
  for (int i = 0; i < 2; i++) {
    CHECK(write(fd, rubbish, i ? 5000000 : 1000) > 0);
    e = FAILURE(parb_daemon_load_archive(daemon_, path, NULL, ctx, &said), PARB_UNAVAILABLE);
    CHECK_STR(parb_error_subject(e), host);
    if (!i) printf("  rubbish: %d, %s\n", parb_error_http_status(e), parb_error_message(e));
    parb_error_free(e);
  }
  close(fd), unlink(path), free(rubbish), parb_ref_free(ref);
  FAILS(parb_daemon_load_archive(daemon_, path, NULL, ctx, &said), PARB_NOT_FOUND);
}

/* A load that is ended on its way leaves nothing. */
static void cancelled(void) {
  parb_image *image = two_layers(30000000, (uint64_t)time(NULL) + 60, "none");
  char *id = id_of(image);
  parb_ref *ref = ref_of("registry.test/parb/g:1");
  for (int ms = 1; ms <= 16; ms *= 4) {
    parb_op *op = NULL;
    parb_strings *said = NULL;
    OK(parb_daemon_load_start(daemon_, image, ref, NULL, ctx, &op));
    sleep_us(ms * 1000);
    parb_op_cancel(op);
    OK(parb_op_wait(op, ctx));
    parb_error *e = parb_op_take_strings(op, &said);
    if (e) CHECK_INT(parb_error_code(e), PARB_CANCELLED);
    int done = !e;
    parb_error_free(e), parb_strings_free(said), parb_op_free(op);
    OK(parb_daemon_ping(daemon_, NULL, ctx));
    if (done) break;
    CHECK(!has("registry.test/parb/g:1") && !has(id));
  }
  remove_quietly("registry.test/parb/g:1");
  free(id), parb_ref_free(ref), parb_image_free(image);
}

static void octal(char *field, size_t width, uint64_t value) {
  snprintf(field, width, "%0*llo", (int)width - 1, (unsigned long long)value);
}

/* A layer with one large file, written straight into the registry, to the daemon and back. */
static void large(void) {
  char text[300];
  snprintf(text, sizeof text, "%s/parb/large:1", registry);
  parb_client *c = client();
  parb_ref *ref = ref_of(text);
  parb_options *o = parb_options_new();
  parb_sink *sink = NULL;
  OK(parb_sink_repository(c, ref, &sink));
  parb_options_set_sink(o, sink);
  parb_options_set_compression(o, "none", 0);
  parb_layer_writer *w = NULL;
  parb_layer *layer = NULL;
  uint8_t *buf = calloc(1, PIECE);
  char *header = (char *)buf;
  strcpy(header, "large");
  octal(header + 100, 8, 0644), octal(header + 108, 8, 0), octal(header + 116, 8, 0);
  octal(header + 124, 12, mebibytes * PIECE), octal(header + 136, 12, 0);
  memset(header + 148, ' ', 8);
  header[156] = '0';
  memcpy(header + 257, "ustar\0" "00", 8);
  unsigned sum = 0;
  for (int i = 0; i < 512; i++) sum += buf[i];
  snprintf(header + 148, 8, "%06o", sum);
  OK(parb_layer_writer_new(o, NULL, &w));
  OK(parb_layer_writer_write(w, buf, 512, NULL));
  for (uint64_t i = 0; i < mebibytes; i++) {
    mixed_bytes(buf, PIECE, i + (uint64_t)time(NULL));
    OK(parb_layer_writer_write(w, buf, PIECE, NULL));
  }
  memset(buf, 0, 1024);
  OK(parb_layer_writer_write(w, buf, 1024, NULL));
  OK(parb_layer_writer_finish(w, NULL, NULL, &layer));
  parb_image *image = image_of(layer), *pulled = NULL;
  OK(parb_push(c, ref, image, NULL, NULL));
  OK(parb_pull(c, ref, NULL, NULL, &pulled));
  memory_is_bounded("pushed");
  double began = now();
  load(pulled, "registry.test/parb/large:1", 1);
  printf("  loaded in %.1f s\n", now() - began);
  memory_is_bounded("loaded");
  began = now();
  parb_image *back = read_back("registry.test/parb/large:1");
  printf("  read in %.1f s\n", now() - began);
  memory_is_bounded("read");
  same_image(pulled, back);
  memory_is_bounded("validated");
  OK(parb_daemon_remove(daemon_, "registry.test/parb/large:1", NULL, NULL));
  parb_image_free(back), parb_image_free(pulled), parb_image_free(image), parb_layer_free(layer);
  parb_layer_writer_free(w), parb_options_free(o), parb_sink_free(sink), parb_ref_free(ref), parb_client_free(c);
  free(buf);
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "usage: daemon HOST HOST:PORT [MEBIBYTES]\n"), 2;
  host = argv[1], registry = argv[2];
  if (argc > 3) mebibytes = (uint64_t)atoll(argv[3]);
  unsetenv("DOCKER_HOST"), unsetenv("DOCKER_API_VERSION");
  unsetenv("DOCKER_TLS_VERIFY"), unsetenv("DOCKER_CERT_PATH");
  ctx = parb_ctx_new(NULL);
  parb_ctx_set_timeout_ms(ctx, 600000);
  RUN(connects);
  if (!daemon_) return 1;
  if (mebibytes) RUN(large); /* before anything else has used memory */
  RUN(goes_there_and_back);
  RUN(hub_names);
  RUN(every_compression);
  RUN(between_registry_and_daemon);
  RUN(operations);
  RUN(refusals);
  RUN(cancelled);
  parb_daemon_free(daemon_);
  parb_ctx_free(ctx);
  int left = settles(threads, 1);
  printf("%d passed, %d failed, %d threads left\n", tests_passed, tests_failed, left);
  return tests_failed || left != 1;
}
