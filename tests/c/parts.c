/* Parts, caches, memory, random content, examination and comparison. */
#include "test.h"

static char folder[] = "/tmp/parb-parts-XXXXXX";

static void bytes_of(const parb_layer *layer, uint8_t **data, size_t *len) {
  parb_reader *reader = NULL;
  OK(parb_layer_open(layer, NULL, NULL, &reader));
  size_t size = (size_t)parb_descriptor_size(parb_layer_descriptor(layer));
  *data = malloc(size + 1), *len = 0;
  for (size_t n = 1; n > 0; *len += n) OK(parb_reader_read(reader, *data + *len, size + 1 - *len, NULL, &n));
  parb_reader_free(reader);
}

static parb_image *random_image(uint32_t layers, uint64_t seed) {
  parb_image *image = NULL;
  OK(parb_image_random(layers, 40000, seed, NULL, NULL, &image));
  return image;
}

static size_t findings(parb_report *report) {
  size_t count = parb_report_count(report);
  parb_report_free(report);
  return count;
}

/* ---- Blobs that a callback opens ---- */

typedef struct {
  const uint8_t *data;
  size_t len, at;
} piece;

typedef struct {
  struct {
    char digest[80];
    uint8_t *data;
    size_t len;
  } blobs[8];
  int count, opened, destroyed, streams;
  parb_code fail;
} host;

static void add(host *h, const char *digest, const uint8_t *data, size_t len) {
  snprintf(h->blobs[h->count].digest, sizeof h->blobs[0].digest, "%s", digest);
  h->blobs[h->count].data = memcpy(malloc(len + 1), data, len);
  h->blobs[h->count++].len = len;
}

static int find(const host *h, const parb_descriptor *blob) {
  for (int i = 0; i < h->count; i++)
    if (!strcmp(h->blobs[i].digest, parb_descriptor_digest(blob))) return i;
  return -1;
}

static parb_error *piece_read(void *user, uint8_t *buf, size_t cap, size_t *out_n) {
  piece *p = user;
  size_t n = p->len - p->at;
  if (n > cap) n = cap;
  if (n > 10007) n = 10007;
  memcpy(buf, p->data + p->at, n);
  p->at += n, *out_n = n;
  return NULL;
}

static int pieces_freed;
static void piece_free(void *user) {
  __atomic_add_fetch(&pieces_freed, 1, __ATOMIC_SEQ_CST);
  free(user);
}

static parb_error *on_open(void *user, const parb_descriptor *blob, uint64_t offset, parb_source **out) {
  host *h = user;
  int i = find(h, blob);
  __atomic_add_fetch(&h->opened, 1, __ATOMIC_SEQ_CST);
  if (h->fail) return parb_error_new(h->fail, "not today", NULL, NULL);
  if (i < 0) return parb_error_new(PARB_NOT_FOUND, "the host has no such blob", NULL, NULL);
  piece *p = malloc(sizeof *p);
  *p = (piece){h->blobs[i].data, h->blobs[i].len, (size_t)offset};
  *out = parb_source_new(piece_read, NULL, p, piece_free);
  __atomic_add_fetch(&h->streams, 1, __ATOMIC_SEQ_CST);
  return NULL;
}

static parb_error *on_exists(void *user, const parb_descriptor *blob, int32_t *out_exists) {
  *out_exists = find(user, blob) >= 0;
  return NULL;
}

static parb_error *gives_nothing(void *user, const parb_descriptor *blob, uint64_t offset, parb_source **out) {
  (void)user, (void)blob, (void)offset, (void)out;
  return NULL;
}

static void on_destroy(void *user) { count_up(&((host *)user)->destroyed); }

static void fill(host *h, const parb_image *image) {
  parb_config *config = NULL;
  OK(parb_image_config(image, NULL, NULL, &config));
  size_t len = 0;
  const uint8_t *raw = parb_config_json(config, &len);
  size_t manifest_len = 0;
  const uint8_t *manifest = parb_image_manifest(image, &manifest_len);
  char *text = malloc(manifest_len + 1);
  memcpy(text, manifest, manifest_len), text[manifest_len] = 0;
  char *digest = strstr(strstr(text, "\"config\""), "sha256:"); /* the config's is the first */
  digest[71] = 0;
  add(h, digest, raw, len);
  free(text), parb_config_free(config);
  for (size_t i = 0; i < parb_image_layer_count(image); i++) {
    parb_layer *layer = NULL;
    OK(parb_image_layer_at(image, i, &layer));
    uint8_t *data;
    bytes_of(layer, &data, &len);
    add(h, parb_descriptor_digest(parb_layer_descriptor(layer)), data, len);
    free(data), parb_layer_free(layer);
  }
}

static void empty_out(host *h) {
  for (int i = 0; i < h->count; i++) free(h->blobs[i].data);
}

static void opened_by_a_callback(void) {
  host h = {0};
  parb_image *origin = random_image(2, 1), *made = NULL;
  fill(&h, origin);
  pieces_freed = 0;
  parb_blobs *blobs = parb_blobs_new();
  parb_blobs_set_open(blobs, on_open, on_exists, &h, on_destroy);
  size_t len = 0;
  const uint8_t *manifest = parb_image_manifest(origin, &len);
  OK(parb_image_from_parts(manifest, len, blobs, NULL, &made));
  parb_blobs_free(blobs);
  CHECK_STR(parb_image_digest(made), parb_image_digest(origin));
  CHECK_INT(h.opened, 0);
  OK(parb_image_validate(made, NULL, NULL));
  parb_options *fast = parb_options_new();
  parb_options_set_fast(fast);
  parb_report *report = NULL;
  OK(parb_image_examine(made, fast, NULL, &report));
  CHECK_INT(findings(report), 0);
  CHECK_INT(h.opened, 3);
  h.blobs[1].data[77] ^= 1;
  parb_error *e = FAILURE(parb_image_validate(made, NULL, NULL), PARB_DIGEST_MISMATCH);
  CHECK_STR(parb_error_subject(e), h.blobs[1].digest);
  parb_error_free(e);
  h.fail = PARB_DENIED;
  FAILS(parb_image_validate(made, NULL, NULL), PARB_DENIED);
  OK(parb_image_examine(made, NULL, NULL, &report));
  CHECK_INT(findings(report), 2);
  parb_options_free(fast), parb_image_free(made), parb_image_free(origin);
  CHECK_INT(count_settles(&h.destroyed, 1), 1);
  CHECK_INT(count_settles(&pieces_freed, h.streams), h.streams);
  empty_out(&h);
}

static void without_a_callback(void) {
  parb_image *origin = random_image(2, 2), *made = NULL;
  host h = {0};
  fill(&h, origin);
  parb_blobs *blobs = parb_blobs_new();
  size_t len = 0;
  const uint8_t *manifest = parb_image_manifest(origin, &len);
  FAILS(parb_image_from_parts(manifest, len, blobs, NULL, &made), PARB_NOT_FOUND);
  parb_layer *layers[2] = {NULL, NULL};
  for (size_t i = 0; i < 2; i++) OK(parb_image_layer_at(origin, i, &layers[i]));
  parb_blobs_add_layer(blobs, layers[0]);
  for (int i = 0; i < h.count; i++) parb_blobs_add_bytes(blobs, h.blobs[i].data, h.blobs[i].len);
  OK(parb_image_from_parts(manifest, len, blobs, NULL, &made));
  OK(parb_image_validate(made, NULL, NULL));
  CHECK_INT(parb_image_size(made), parb_image_size(origin));
  CHECK_STR(parb_image_artifact_type(made), "application/vnd.oci.image.config.v1+json");
  parb_image_free(made);

  OK(parb_image_from_config(h.blobs[0].data, h.blobs[0].len, (const parb_layer *const *)layers, 2, NULL, NULL, &made));
  CHECK_STR(parb_image_digest(made), parb_image_digest(origin));
  parb_image_free(made);
  FAILS(parb_image_from_config(h.blobs[0].data, h.blobs[0].len, (const parb_layer *const *)layers, 1, NULL, NULL, &made),
        PARB_MALFORMED);

  parb_layer *layer = NULL;
  OK(parb_layer_from_parts("application/vnd.oci.image.layer.v1.tar", h.blobs[1].digest, h.blobs[1].len, NULL, -1, blobs,
                           NULL, &layer));
  OK(parb_layer_validate(layer, NULL, NULL));
  uint64_t size = 0;
  OK(parb_layer_uncompressed_size(layer, NULL, NULL, &size));
  CHECK_INT(size, h.blobs[1].len);
  parb_layer_free(layer);
  OK(parb_layer_fixed((const uint8_t *)"text", 4, "text/plain", NULL, &layer));
  CHECK_INT(parb_descriptor_size(parb_layer_descriptor(layer)), 4);
  parb_layer_free(layer);

  parb_index *index = NULL, *again = NULL;
  OK(parb_index_random(2, 1, 1000, 3, NULL, NULL, &index));
  parb_blobs_add_index(blobs, index);
  for (size_t i = 0; i < parb_index_count(index); i++) {
    parb_image *child = NULL;
    OK(parb_index_image(index, parb_descriptor_digest(parb_index_at(index, i)), NULL, NULL, &child));
    parb_blobs_add_image(blobs, child);
    parb_image_free(child);
  }
  size_t index_len = 0;
  const uint8_t *document = parb_index_manifest(index, &index_len);
  OK(parb_index_from_parts(document, index_len, blobs, NULL, &again));
  OK(parb_index_validate(again, NULL, NULL));
  parb_index_free(again), parb_index_free(index), parb_blobs_free(blobs);
  for (size_t i = 0; i < 2; i++) parb_layer_free(layers[i]);
  parb_image_free(origin), empty_out(&h);
}

static void mistakes(void) {
  host h = {0};
  parb_blobs *blobs = parb_blobs_new();
  parb_image *image = NULL;
  parb_layer *layer = NULL;
  parb_blobs_set_open(blobs, NULL, NULL, &h, on_destroy);
  CHECK_INT(h.destroyed, 1);
  FAILS(parb_image_from_parts((const uint8_t *)"{}", 2, blobs, NULL, &image), PARB_INVALID_ARGUMENT);
  parb_blobs_free(blobs);
  parb_blobs_set_open(NULL, on_open, NULL, &h, on_destroy);
  CHECK_INT(h.destroyed, 2);
  blobs = parb_blobs_new();
  parb_blobs_set_open(blobs, gives_nothing, NULL, &h, on_destroy);
  const char *digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  OK(parb_layer_from_parts("a/b", digest, 3, NULL, -1, blobs, NULL, &layer));
  FAILS(parb_layer_validate(layer, NULL, NULL), PARB_CALLBACK);
  parb_layer_free(layer), parb_blobs_free(blobs);
  CHECK_INT(count_settles(&h.destroyed, 3), 3);
}

/* ---- Caches ---- */

static void read_through_a_cache(void) {
  parb_cache *cache = NULL;
  char path[100], blob[300];
  snprintf(path, sizeof path, "%s/cache", folder);
  FAILS(parb_cache_open(path, 0, NULL, NULL, &cache), PARB_INVALID_ARGUMENT);
  parb_options *uncompressed = parb_options_new();
  parb_options_set_uncompressed(uncompressed);
  OK(parb_cache_open(path, 10 << 20, uncompressed, NULL, &cache));
  parb_layer *origin = layer_of(100000, 1, NULL), *cached = NULL;
  OK(parb_layer_cached(origin, cache, &cached));
  uint64_t total = 0, again = 0;
  OK(drain(cached, NULL, &total));
  char *digest = digest_of(origin);
  uint64_t both = total + parb_descriptor_size(parb_layer_descriptor(origin)); /* and a line on what is in the blob */
  CHECK(parb_cache_size(cache) > both && parb_cache_size(cache) < both + 1000);
  snprintf(blob, sizeof blob, "%s/blobs/sha256/%s", path, digest + 7);
  FILE *f = fopen(blob, "r+");
  CHECK(f != NULL);
  fputc('x', f), fclose(f);
  parb_report *report = NULL;
  OK(parb_cache_verify(cache, NULL, NULL, &report));
  CHECK_INT(findings(report), 1);
  OK(parb_layer_validate(cached, NULL, NULL)); /* reads the blob, and so heals it */
  OK(parb_cache_verify(cache, NULL, NULL, &report));
  CHECK_INT(findings(report), 0);
  OK(drain(cached, NULL, &again));
  CHECK_INT(again, total);
  parb_buf *stats = NULL;
  OK(parb_cache_stats(cache, &stats));
  char json[400] = {0};
  memcpy(json, parb_buf_data(stats), parb_buf_len(stats));
  parb_buf_free(stats);
  CHECK(strstr(json, "\"corrupt\":1") != NULL);
  OK(parb_cache_remove(cache, digest, NULL, NULL));
  FAILS(parb_cache_remove(cache, digest, NULL, NULL), PARB_NOT_FOUND);
  OK(parb_cache_clear(cache, NULL, NULL));
  CHECK_INT(parb_cache_size(cache), 0);

  parb_sink *sink = NULL;
  parb_options *into = parb_options_new();
  OK(parb_sink_cache(cache, &sink));
  parb_options_set_sink(into, sink);
  parb_layer *made = layer_of(100000, 1, into);
  CHECK(access(blob, R_OK) == 0);
  parb_layer_free(made), parb_sink_free(sink), parb_options_free(into);

  parb_image *image = random_image(2, 4), *image_cached = NULL;
  parb_index *index = NULL, *index_cached = NULL;
  OK(parb_index_random(1, 1, 1000, 5, NULL, NULL, &index));
  OK(parb_image_cached(image, cache, &image_cached));
  OK(parb_index_cached(index, cache, &index_cached));
  OK(parb_image_validate(image_cached, NULL, NULL));
  OK(parb_index_validate(index_cached, NULL, NULL));
  parb_image_free(image), parb_image_free(image_cached), parb_index_free(index), parb_index_free(index_cached);

  parb_op *op = NULL;
  parb_cache *second = NULL;
  OK(parb_cache_open_start(path, 10 << 20, NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_op_take_cache(op, &second));
  CHECK_INT(parb_cache_size(second), parb_cache_size(cache));
  parb_op_free(op), parb_cache_free(second);
  second = parb_cache_clone(cache);
  parb_cache_free(cache);
  CHECK(parb_cache_size(second) > 0);
  parb_cache_free(second);
  CHECK(parb_cache_clone(NULL) == NULL);
  OK(drain(cached, NULL, &again)); /* what was made through it keeps it */
  parb_layer_free(cached), parb_layer_free(origin), parb_options_free(uncompressed), free(digest);
}

/* ---- Memory ---- */

static void held_in_memory(void) {
  parb_memory *memory = NULL;
  parb_image *image = random_image(2, 6), *had = NULL;
  parb_index *index = NULL, *had_index = NULL;
  OK(parb_index_random(2, 1, 1000, 7, NULL, NULL, &index));
  OK(parb_memory_new(1 << 20, &memory));
  OK(parb_memory_put_image(memory, "app:1", image, NULL, NULL));
  CHECK_INT(parb_memory_size(memory), parb_image_size(image));
  OK(parb_memory_put_index(memory, NULL, index, NULL, NULL));
  OK(parb_memory_image(memory, "app:1", NULL, NULL, &had));
  CHECK_STR(parb_image_digest(had), parb_image_digest(image));
  OK(parb_memory_index(memory, parb_descriptor_digest(parb_index_descriptor(index)), NULL, NULL, &had_index));
  OK(parb_index_validate(had_index, NULL, NULL));
  FAILS(parb_memory_image(memory, "app:2", NULL, NULL, &had), PARB_NOT_FOUND);
  parb_strings *names = NULL;
  OK(parb_memory_names(memory, &names));
  CHECK_INT(parb_strings_count(names), 1);
  CHECK_STR(parb_strings_at(names, 0), "app:1");
  parb_strings_free(names);
  parb_sink *sink = NULL;
  parb_options *into = parb_options_new();
  OK(parb_sink_memory(memory, &sink));
  parb_options_set_sink(into, sink);
  parb_layer *layer = NULL;
  OK(parb_layer_random(1000, 1, into, NULL, &layer));
  FAILS(parb_layer_random(2 << 20, 1, into, NULL, &layer), PARB_LIMIT_EXCEEDED);
  parb_memory *same = parb_memory_clone(memory);
  OK(parb_memory_remove(same, "app:1"));
  FAILS(parb_memory_remove(memory, "app:1"), PARB_NOT_FOUND);
  parb_memory_free(same);
  CHECK(parb_memory_clone(NULL) == NULL);
  parb_layer_free(layer), parb_sink_free(sink), parb_options_free(into), parb_memory_free(memory);
  parb_image_free(had), parb_image_free(image), parb_index_free(had_index), parb_index_free(index);
}

/* ---- Looking ---- */

static void looking(void) {
  parb_index *index = NULL;
  OK(parb_index_random(3, 2, 1000, 8, NULL, NULL, &index));
  uint64_t size = 0, again = 0;
  parb_op *op = NULL;
  OK(parb_index_size_start(index, NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_op_finish(op));
  parb_op_free(op);
  OK(parb_index_size(index, NULL, NULL, &size));
  OK(parb_index_size(index, NULL, NULL, &again));
  CHECK(size == again && size > 6000);
  parb_strings *all = NULL, *one = NULL, *platforms = NULL;
  OK(parb_index_find(index, NULL, &all));
  CHECK_INT(parb_strings_count(all), 3);
  parb_matcher *matcher = parb_matcher_new();
  parb_matcher_add_digest(matcher, parb_strings_at(all, 1));
  OK(parb_index_find(index, matcher, &one));
  CHECK_INT(parb_strings_count(one), 1);
  CHECK_STR(parb_strings_at(one, 0), parb_strings_at(all, 1));
  OK(parb_index_platforms(index, &platforms));
  CHECK_INT(parb_strings_count(platforms), 0);
  parb_strings_free(all), parb_strings_free(one), parb_strings_free(platforms), parb_matcher_free(matcher);

  parb_report *report = NULL;
  OK(parb_index_examine(index, NULL, NULL, &report));
  CHECK_INT(findings(report), 0);
  parb_index *other = NULL;
  OK(parb_index_empty(NULL, &other));
  OK(parb_index_compare(index, index, NULL, NULL, &report));
  CHECK_INT(findings(report), 0);
  OK(parb_index_compare(index, other, NULL, NULL, &report));
  CHECK(findings(report) > 3);
  parb_index_free(index), parb_index_free(other);
}

static void differences(void) {
  parb_image *a = random_image(1, 9), *b = random_image(1, 10), *nothing = NULL;
  parb_report *report = NULL;
  OK(parb_image_compare(a, a, NULL, NULL, &report));
  CHECK_INT(findings(report), 0);
  parb_options *files = parb_options_new(), *docker = parb_options_new();
  parb_options_set_files(files);
  OK(parb_image_compare(a, b, files, NULL, &report));
  CHECK_STR(parb_report_subject_at(report, 0), "digest");
  CHECK_INT(parb_report_code_at(report, 0), PARB_DIGEST_MISMATCH);
  CHECK(strstr(parb_report_json(report), "layers[0]/random_file_") != NULL);
  parb_report_free(report);
  parb_layer *one = NULL, *two = NULL;
  OK(parb_image_layer_at(a, 0, &one));
  OK(parb_image_layer_at(b, 0, &two));
  OK(parb_layer_compare(one, two, NULL, NULL, &report));
  CHECK_INT(findings(report), 2); /* digest and diff id */
  parb_options_set_format(docker, "docker");
  OK(parb_image_empty(docker, &nothing));
  CHECK_STR(parb_image_digest(nothing), "sha256:732112270d7e59418a8c080b134b24cabd67d250d0d0147a97ed95ba5c280aa4");
  FAILS(parb_image_empty(files, &nothing), PARB_INVALID_ARGUMENT);
  parb_layer_free(one), parb_layer_free(two), parb_options_free(files), parb_options_free(docker);
  parb_image_free(a), parb_image_free(b), parb_image_free(nothing);
}

int main(void) {
  if (!mkdtemp(folder)) return 2;
  RUN(opened_by_a_callback);
  RUN(without_a_callback);
  RUN(mistakes);
  RUN(read_through_a_cache);
  RUN(held_in_memory);
  RUN(looking);
  RUN(differences);
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  if (system(command)) return 2;
  return finish();
}
