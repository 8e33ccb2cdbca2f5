/* estargz: layers with a table of contents, made and read file by file.
   estargz read REFERENCE PATH: one file of the topmost layer that has it goes to standard output. */
#include "test.h"

#define LARGE (6 << 20)

static parb_server *server;

/* What the server has sent of blobs so far. */
static long long sent(void) {
  parb_strings *all = NULL;
  OK(parb_server_requests(server, &all));
  long long sum = 0;
  for (size_t i = 0; i < parb_strings_count(all); i++) {
    const char *line = parb_strings_at(all, i), *at = strstr(line, "\"sent\":");
    if (strstr(line, "\"GET\"") && strstr(line, "/blobs/") && at) sum += atoll(at + 7);
  }
  parb_strings_free(all);
  return sum;
}

static parb_layer *made(const char *compression) {
  parb_options *o = parb_options_new();
  if (compression) parb_options_set_compression(o, compression, 1);
  uint8_t *data = malloc(LARGE);
  parb_layer_builder *b = parb_layer_builder_new();
  parb_layer_builder_add_bytes(b, "etc/first", 0644, (const uint8_t *)"one", 3);
  for (int i = 0; i < 8; i++) {
    char name[40];
    snprintf(name, sizeof name, "data/%d", i);
    mixed_bytes(data, LARGE, (uint64_t)i + 7);
    parb_layer_builder_add_bytes(b, name, 0600, data, LARGE);
  }
  parb_layer_builder_add_bytes(b, "etc/last", 0644, (const uint8_t *)"two", 3);
  parb_layer_builder_add_symlink(b, "etc/link", "last");
  parb_layer *layer = NULL;
  OK(parb_layer_builder_build(b, o, NULL, &layer));
  parb_layer_builder_free(b), parb_options_free(o), free(data);
  return layer;
}

static size_t read_all(parb_reader *reader, uint8_t *to, size_t room) {
  size_t len = 0, n = 1;
  while (n > 0) {
    CHECK(len < room);
    OK(parb_reader_read(reader, to + len, room - len, NULL, &n));
    len += n;
  }
  parb_reader_free(reader);
  return len;
}

static void is(const parb_layer *layer, const char *path, const char *content) {
  parb_reader *reader = NULL;
  char buf[100] = {0};
  OK(parb_layer_open_file(layer, path, NULL, NULL, &reader));
  read_all(reader, (uint8_t *)buf, sizeof buf);
  CHECK_STR(buf, content);
}

/* Pushed, pulled and read: a small file costs next to nothing, a large one no more than itself. */
static void only_what_is_needed(void) {
  parb_client *c = client();
  parb_ref *ref = ref_on(server, "lazy:1");
  parb_layer *layer = made("estargz"), *pulled = NULL;
  parb_image *image = image_of(layer), *back = NULL;
  OK(parb_push(c, ref, image, NULL, NULL));
  OK(parb_pull(c, ref, NULL, NULL, &back));
  OK(parb_image_layer_at(back, 0, &pulled));
  CHECK(parb_descriptor_size(parb_layer_descriptor(pulled)) > 30 << 20);
  CHECK(parb_layer_has_toc(layer) && parb_layer_has_toc(pulled));
  CHECK_INT(sent(), 0);
  is(pulled, "etc/last", "two");
  is(pulled, "/etc/first", "one");
  CHECK(sent() < 1 << 20);
  printf("  two small files of a layer of %llu bytes: %lld bytes fetched\n",
         (unsigned long long)parb_descriptor_size(parb_layer_descriptor(pulled)), sent());
  long long before = sent();
  uint8_t *content = malloc(LARGE + 1), *expected = malloc(LARGE);
  parb_reader *reader = NULL;
  OK(parb_layer_open_file(pulled, "./data/3", NULL, NULL, &reader));
  CHECK_INT(read_all(reader, content, LARGE + 1), LARGE);
  mixed_bytes(expected, LARGE, 10);
  CHECK(!memcmp(content, expected, LARGE));
  CHECK(sent() - before < LARGE + (1 << 20));
  free(content), free(expected);
  parb_layer_free(pulled), parb_image_free(back), parb_image_free(image), parb_layer_free(layer);
  parb_ref_free(ref), parb_client_free(c);
}

static bool says(const parb_buf *json, const char *text) {
  return memmem(parb_buf_data(json), parb_buf_len(json), text, strlen(text)) != NULL;
}

static void the_table(void) {
  parb_layer *layer = made("estargz");
  parb_buf *json = NULL, *again = NULL;
  OK(parb_layer_toc_json(layer, NULL, NULL, &json));
  CHECK(says(json, "{\"path\":\".no.prefetch.landmark\",\"type\":\"reg\",\"size\":1"));
  CHECK(says(json, "{\"path\":\"data/7\",\"type\":\"reg\",\"size\":6291456,\"mode\":384"));
  CHECK(says(json, "\"link\":\"last\""));
  CHECK(!says(json, "stargz.index.json"));
  parb_op *op = NULL;
  OK(parb_layer_toc_json_start(layer, NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_op_take_buf(op, &again));
  CHECK(parb_buf_len(again) == parb_buf_len(json));
  CHECK(!memcmp(parb_buf_data(again), parb_buf_data(json), parb_buf_len(json)));
  parb_op_free(op), parb_buf_free(json), parb_buf_free(again), parb_layer_free(layer);
}

static void started(void) {
  parb_layer *layer = made("estargz");
  parb_op *op = NULL;
  parb_reader *reader = NULL;
  char buf[10] = {0};
  OK(parb_layer_open_file_start(layer, "etc/last", NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_op_take_reader(op, &reader));
  CHECK_INT(read_all(reader, (uint8_t *)buf, sizeof buf), 3);
  CHECK_STR(buf, "two");
  parb_op_free(op), parb_layer_free(layer);
}

static void mistakes(void) {
  parb_reader *reader = NULL;
  parb_buf *json = NULL;
  for (int i = 0; i < 2; i++) {
    parb_layer *layer = made(i ? "gzip" : "estargz");
    CHECK_INT(parb_layer_has_toc(layer), !i);
    is(layer, "etc/last", "two");
    FAILS(parb_layer_open_file(layer, "etc/none", NULL, NULL, &reader), PARB_NOT_FOUND);
    FAILS(parb_layer_open_file(layer, "etc/link", NULL, NULL, &reader), PARB_INVALID_ARGUMENT);
    FAILS(parb_layer_open_file(layer, "", NULL, NULL, &reader), PARB_INVALID_ARGUMENT);
    FAILS(parb_layer_open_file(layer, NULL, NULL, NULL, &reader), PARB_INVALID_ARGUMENT);
    if (i) FAILS(parb_layer_toc_json(layer, NULL, NULL, &json), PARB_NOT_FOUND);
    parb_layer_free(layer);
  }
  CHECK(!parb_layer_has_toc(NULL));
  CHECK(!reader && !json);
}

static void set_up(void) { server = serve(); }
static void tear_down(void) { parb_server_free(server); }

static int read_file(const char *reference, const char *path) {
  parb_client *c = client();
  parb_ref *ref = ref_of(reference);
  parb_image *image = NULL;
  parb_layer *layer = NULL;
  parb_reader *reader = NULL;
  uint8_t buf[64 << 10];
  OK(parb_pull(c, ref, NULL, NULL, &image));
  OK(parb_image_layer_at(image, parb_image_layer_count(image) - 1, &layer));
  CHECK(parb_layer_has_toc(layer));
  OK(parb_layer_open_file(layer, path, NULL, NULL, &reader));
  for (size_t n = 1; n > 0;) {
    OK(parb_reader_read(reader, buf, sizeof buf, NULL, &n));
    CHECK(fwrite(buf, 1, n, stdout) == n);
  }
  parb_reader_free(reader), parb_layer_free(layer), parb_image_free(image), parb_ref_free(ref), parb_client_free(c);
  return fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc == 4 && !strcmp(argv[1], "read")) {
    if (setjmp(test_end)) return 1;
    return read_file(argv[2], argv[3]);
  }
  RUN(set_up);
  RUN(only_what_is_needed);
  RUN(the_table);
  RUN(started);
  RUN(mistakes);
  RUN(tear_down);
  return finish();
}
