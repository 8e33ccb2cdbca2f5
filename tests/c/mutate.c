/* mutate [MEBIBYTES]: changes to images and indexes, against a server of this process; and a large layer that is written
   anew, which must not be held in memory. */
#include "test.h"

#define MOST_KIB (32 << 10)
#define PIECE (1 << 20)

static parb_server *server;
static parb_client *c;
static uint64_t mebibytes = 64;

static parb_options *compression(const char *name, int level) {
  parb_options *o = parb_options_new();
  parb_options_set_compression(o, name, level);
  return o;
}

static parb_image *built(parb_image_builder *b) {
  parb_image *image = NULL;
  OK(parb_image_builder_build(b, NULL, NULL, &image));
  parb_image_builder_free(b);
  return image;
}

/* Pushes, pulls, and reads all of it. */
static void sound(const parb_image *image) {
  parb_ref *ref = ref_on(server, "out:x");
  OK(parb_push(c, ref, image, NULL, NULL));
  parb_image *back = NULL;
  OK(parb_pull(c, ref, NULL, NULL, &back));
  CHECK_STR(parb_image_digest(back), parb_image_digest(image));
  OK(parb_image_validate(back, NULL, NULL));
  parb_image_free(back);
  parb_ref_free(ref);
}

static const char *layer_type(const parb_image *image, size_t i) {
  static char type[200];
  parb_layer *layer = NULL;
  OK(parb_image_layer_at(image, i, &layer));
  snprintf(type, sizeof type, "%s", parb_descriptor_media_type(parb_layer_descriptor(layer)));
  parb_layer_free(layer);
  return type;
}

static void layers_and_history(void) {
  parb_layer *one = layer_of(5000, 1, NULL), *two = layer_of(5000, 2, NULL);
  parb_image_builder *b = parb_image_builder_new(NULL);
  parb_image_builder_add_layer(b, one);
  parb_image_builder_add_empty_layer(b);
  parb_image_builder_set_history(b, "ENV A=1", NULL, NULL, "2020-01-01T00:00:00Z");
  parb_image_builder_add_layer(b, two);
  parb_image_builder_set_layer_annotation(b, "k", "v");
  parb_image_builder_annotate_layer(b, 0, "first", "yes");
  parb_image_builder_set_config_annotation(b, "config", "yes");
  parb_image_builder_set_artifact_type(b, "application/x");
  parb_image *image = built(b);
  sound(image);
  CHECK_INT(parb_image_layer_count(image), 2);
  const uint8_t *manifest = parb_image_manifest(image, NULL);
  CHECK(strstr((const char *)manifest, "\"first\":\"yes\""));

  b = parb_image_builder_new(image);
  parb_image_builder_remove_layer(b, 0);
  parb_image_builder_replace_layer(b, 0, one);
  parb_image_builder_clear_subject(b);
  parb_image *less = built(b);
  sound(less);
  CHECK_INT(parb_image_layer_count(less), 1);

  b = parb_image_builder_new(image);
  parb_image_builder_remove_layer(b, 2);
  parb_image *none = NULL;
  FAILS(parb_image_builder_build(b, NULL, NULL, &none), PARB_INVALID_ARGUMENT);
  parb_image_builder_free(b);
  parb_image_free(less);
  parb_image_free(image);
  parb_layer_free(one);
  parb_layer_free(two);
}

static void config_members(void) {
  parb_image *base = scratch(100, 1);
  const char *const argv[] = {"CMD", "true"};
  parb_strings *test = parb_strings_new(argv, 2);
  parb_image_builder *b = parb_image_builder_new(base);
  parb_image_builder_clear_env(b);
  parb_image_builder_set_label(b, "l", "1");
  parb_image_builder_clear_labels(b);
  parb_image_builder_set_healthcheck(b, test, 1000, 0, 0, 3);
  parb_image_builder_set_shell(b, test);
  parb_image_builder_set_on_build(b, NULL);
  parb_image *image = built(b);
  parb_config *config = NULL;
  OK(parb_image_config(image, NULL, NULL, &config));
  CHECK_INT(parb_strings_count(parb_config_env(config)), 0);
  CHECK_INT(parb_map_count(parb_config_labels(config)), 0);
  const char *json = (const char *)parb_config_json(config, NULL);
  CHECK(strstr(json, "\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":1000,\"Retries\":3}"));
  CHECK(strstr(json, "\"Shell\":[\"CMD\",\"true\"]"));
  sound(image);
  parb_config_free(config);
  parb_image_free(image);
  b = parb_image_builder_new(base);
  parb_image_builder_set_raw_config(b, (const uint8_t *)"{}", 2, "application/vnd.oci.empty.v1+json");
  image = built(b);
  CHECK(strstr((const char *)parb_image_manifest(image, NULL), "vnd.oci.empty.v1+json"));
  parb_image_free(image);
  parb_strings_free(test);
  parb_image_free(base);
}

static void types(void) {
  parb_image *oci = scratch(5000, 1), *docker = NULL, *back = NULL;
  OK(parb_image_convert(oci, "docker", NULL, NULL, &docker));
  CHECK_STR(layer_type(docker, 0), "application/vnd.docker.image.rootfs.diff.tar.gzip");
  OK(parb_image_convert(docker, "oci", NULL, NULL, &back));
  CHECK_STR(parb_image_digest(back), parb_image_digest(oci));
  parb_image_free(back);
  parb_image *none = NULL;
  FAILS(parb_image_convert(oci, "squashfs", NULL, NULL, &none), PARB_INVALID_ARGUMENT);

  parb_options *zstd = compression("zstd", 0);
  OK(parb_image_recompress(oci, zstd, NULL, &back));
  CHECK_STR(layer_type(back, 0), "application/vnd.oci.image.layer.v1.tar+zstd");
  sound(back);
  FAILS(parb_image_convert(back, "docker", NULL, NULL, &none), PARB_UNSUPPORTED);
  parb_image_free(back);
  parb_options_free(zstd);
  parb_image_free(docker);
  parb_image_free(oci);
}

static void times(void) {
  parb_image *image = scratch(5000, 1), *timed = NULL, *again = NULL;
  OK(parb_image_with_time(image, "2020-01-01T00:00:00Z", NULL, NULL, &timed));
  OK(parb_image_with_time(image, "2020-01-01T00:00:00Z", NULL, NULL, &again));
  CHECK_STR(parb_image_digest(timed), parb_image_digest(again));
  CHECK(strcmp(parb_image_digest(timed), parb_image_digest(image)));
  sound(timed);
  parb_image_free(again);
  parb_image *none = NULL;
  FAILS(parb_image_with_time(image, "soon", NULL, NULL, &none), PARB_INVALID_ARGUMENT);
  parb_op *op = NULL;
  OK(parb_image_canonical_start(timed, NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_op_take_image(op, &again));
  parb_op_free(op);
  sound(again);
  parb_image_free(again);
  parb_image_free(timed);
  parb_image_free(image);
}

static void bases(void) {
  parb_image *old = scratch(5000, 1), *new = scratch(5000, 2), *made = NULL;
  parb_layer *top = layer_of(5000, 3, NULL);
  parb_image_builder *b = parb_image_builder_new(old);
  parb_image_builder_add_layer(b, top);
  parb_image *app = built(b);
  OK(parb_image_rebase(app, old, new, "example.com/base:2", NULL, NULL, &made));
  sound(made);
  const parb_map *annotations = parb_image_annotations(made);
  CHECK_STR(parb_map_get(annotations, "org.opencontainers.image.base.digest"), parb_image_digest(new));
  parb_image *none = NULL;
  FAILS(parb_image_rebase(app, new, old, NULL, NULL, NULL, &none), PARB_INVALID_ARGUMENT);
  parb_image_free(made);
  parb_image_free(app);
  parb_layer_free(top);
  parb_image_free(old);
  parb_image_free(new);
}

static void indexes(void) {
  parb_image *one = scratch(5000, 1), *two = scratch(5000, 2);
  parb_index_builder *b = parb_index_builder_new(NULL);
  parb_index_builder_add_image(b, one);
  parb_index_builder_add_image(b, two);
  parb_index_builder_set_entry_platform(b, "linux/arm64/v8");
  parb_index_builder_set_entry_annotation(b, "k", "v");
  parb_index_builder_set_annotation(b, "whole", "yes");
  parb_index *index = NULL, *made = NULL;
  OK(parb_index_builder_build(b, NULL, NULL, &index));
  parb_index_builder_free(b);
  CHECK_INT(parb_index_count(index), 2);
  parb_ref *ref = ref_on(server, "index:1");
  OK(parb_push_index(c, ref, index, NULL, NULL));
  parb_index_free(index);
  OK(parb_pull_index(c, ref, NULL, NULL, &index));
  parb_ref_free(ref);
  parb_image *arm = NULL;
  OK(parb_index_image(index, "linux/arm64", NULL, NULL, &arm));
  CHECK_STR(parb_image_digest(arm), parb_image_digest(two));

  OK(parb_index_convert(index, "docker", NULL, NULL, &made));
  CHECK_STR(parb_descriptor_media_type(parb_index_at(made, 1)), "application/vnd.docker.distribution.manifest.v2+json");
  parb_image *docker = NULL;
  OK(parb_index_image(made, "linux/arm64", NULL, NULL, &docker));
  sound(docker);
  parb_image_free(docker);
  parb_index_free(made);

  parb_matcher *arms = parb_matcher_new();
  parb_matcher_add_platform(arms, "linux/arm64");
  b = parb_index_builder_new(index);
  parb_index_builder_annotate(b, arms, "note", "x");
  parb_index_builder_keep(b, arms);
  OK(parb_index_builder_build(b, NULL, NULL, &made));
  CHECK_INT(parb_index_count(made), 1);
  CHECK_STR(parb_map_get(parb_descriptor_annotations(parb_index_at(made, 0)), "note"), "x");
  parb_index_free(made);
  parb_index_builder *forgotten = parb_index_builder_new(index);
  parb_index_builder_remove(forgotten, NULL);
  parb_index *none = NULL;
  FAILS(parb_index_builder_build(forgotten, NULL, NULL, &none), PARB_INVALID_ARGUMENT);
  parb_index_builder_free(forgotten);
  parb_matcher *all = parb_matcher_new();
  parb_index_builder_remove(b, all);
  parb_matcher_free(all);
  OK(parb_index_builder_build(b, NULL, NULL, &made));
  CHECK(strstr((const char *)parb_index_manifest(made, NULL), "\"manifests\":[]"));
  parb_index_free(made);
  parb_index_builder_free(b);
  parb_matcher_free(arms);
  OK(parb_index_rebase(index, index, index, NULL, NULL, NULL, &made));
  CHECK_STR(parb_descriptor_digest(parb_index_descriptor(made)), parb_descriptor_digest(parb_index_descriptor(index)));
  parb_index_free(made);
  parb_image_free(arm);
  parb_index_free(index);
  parb_image_free(one);
  parb_image_free(two);
}

static void files(void) {
  parb_image *image = scratch(5000, 1), *made = NULL, *gone = NULL;
  OK(parb_image_edit_file(image, "/file", (const uint8_t *)"new", 3, NULL, NULL, &made));
  CHECK_INT(parb_image_layer_count(made), 2);
  sound(made);
  OK(parb_image_remove_file(made, "file", NULL, NULL, &gone));
  sound(gone);
  parb_image *none = NULL;
  FAILS(parb_image_remove_file(gone, "file", NULL, NULL, &none), PARB_NOT_FOUND);
  FAILS(parb_image_remove_file(gone, "../file", NULL, NULL, &none), PARB_INVALID_ARGUMENT);
  parb_image_free(gone);
  parb_image_free(made);
  parb_image_free(image);
  parb_layer *layer = layer_of(5000, 1, NULL), *windows = NULL;
  OK(parb_layer_for_windows(layer, NULL, NULL, &windows));
  uint64_t before, after;
  OK(drain(layer, NULL, &before));
  OK(drain(windows, NULL, &after));
  CHECK(after > before);
  parb_layer_free(windows);
  parb_layer_free(layer);
}

static long peak_kib(void) {
  FILE *status = fopen("/proc/self/status", "r");
  char line[200];
  long kib = -1;
  while (fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &kib);
  fclose(status);
  return kib;
}

/* A tar of one large file, piece by piece. */
static parb_layer *large(uint64_t seed) {
  parb_layer_writer *w = NULL;
  OK(parb_layer_writer_new(NULL, NULL, &w));
  uint8_t *buf = calloc(1, PIECE);
  char *h = (char *)buf;
  strcpy(h, "large");
  snprintf(h + 100, 8, "0000644"), snprintf(h + 108, 8, "0000000"), snprintf(h + 116, 8, "0000000");
  snprintf(h + 124, 12, "%011llo", (unsigned long long)mebibytes * PIECE), snprintf(h + 136, 12, "00000000001");
  memset(h + 148, ' ', 8);
  h[156] = '0';
  memcpy(h + 257, "ustar\0" "00", 8);
  unsigned sum = 0;
  for (int i = 0; i < 512; i++) sum += buf[i];
  snprintf(h + 148, 8, "%06o", sum);
  OK(parb_layer_writer_write(w, buf, 512, NULL));
  for (uint64_t i = 0; i < mebibytes; i++) {
    mixed_bytes(buf, PIECE, i + seed);
    OK(parb_layer_writer_write(w, buf, PIECE, NULL));
  }
  memset(buf, 0, 1024);
  OK(parb_layer_writer_write(w, buf, 1024, NULL));
  free(buf);
  parb_layer *layer = NULL;
  OK(parb_layer_writer_finish(w, NULL, NULL, &layer));
  parb_layer_writer_free(w);
  return layer;
}

static void memory_is_flat(void) {
    parb_layer *layer = large(0), *other = large(1000000);
  parb_image *base = image_of(layer), *made = NULL;
  parb_image_builder *b = parb_image_builder_new(base);
  parb_image_builder_add_layer(b, other);
  parb_image *image = built(b);
  parb_image_free(base);
  parb_layer_free(other);
  printf("  made: VmHWM %.1f MiB\n", (double)peak_kib() / 1024);
  parb_options *gzip = compression("gzip", 1), *zstd = compression("zstd", 1);
  OK(parb_image_recompress(image, gzip, NULL, &made));
  printf("  recompressed to gzip: VmHWM %.1f MiB\n", (double)peak_kib() / 1024);
  parb_image_free(made);
  OK(parb_image_with_time(image, "2020-01-01T00:00:00Z", gzip, NULL, &made));
  printf("  with one time: VmHWM %.1f MiB\n", (double)peak_kib() / 1024);
  parb_image_free(made);
  parb_layer *windows = NULL;
  OK(parb_layer_for_windows(layer, gzip, NULL, &windows));
  parb_layer_free(windows);
  OK(parb_image_recompress(image, zstd, NULL, &made));
  printf("  recompressed to zstd: VmHWM %.1f MiB\n", (double)peak_kib() / 1024);
  parb_image_free(made);
  const char *unchecked = getenv("PARB_MEMORY_UNCHECKED");
  if (!unchecked || !*unchecked) CHECK(peak_kib() <= MOST_KIB);
  parb_options_free(zstd);
  parb_options_free(gzip);
  parb_image_free(image);
  parb_layer_free(layer);
}

int main(int argc, char **argv) {
  if (argc > 1) mebibytes = (uint64_t)atoll(argv[1]);
  RUN(memory_is_flat);
  server = serve();
  c = client();
  RUN(layers_and_history);
  RUN(config_members);
  RUN(types);
  RUN(times);
  RUN(bases);
  RUN(indexes);
  RUN(files);
  parb_client_free(c);
  parb_server_free(server);
  return finish();
}
