/* stream HOST:PORT [MEBIBYTES [REPOSITORY]]: pushes and pulls a large layer; the server is another process. The most
   memory this process ever had stays under 32 MiB; a plain tar is compressed once, by all cores; and no file appears
   in the directory for temporary files. */
#include "test.h"
#include <sched.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define MOST_KIB (32 << 10)
#define PIECE (1 << 20)

static const char *host, *name = "stream";
static uint64_t mebibytes = 1024;
static char directory[] = "/tmp/parb-stream-XXXXXX", temporary[100], file[100];
static uint64_t tar_len;
static char *layer_digest;
static int watch;

static long peak_kib(void) {
  FILE *status = fopen("/proc/self/status", "r");
  char line[200];
  long kib = -1;
  while (fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &kib);
  fclose(status);
  return kib;
}

/* One piece of the file in the layer: half of it compresses well, the other half hardly. */
static void piece(uint8_t *to, uint64_t number) {
  mixed_bytes(to, PIECE, number);
  if (number % 2) memset(to + PIECE / 4, (int)(number & 0xff), PIECE / 2);
}

static void octal(char *field, size_t width, uint64_t value) { snprintf(field, width, "%0*llo", (int)width - 1, (unsigned long long)value); }

/* The tar, piece by piece: a header, the file, two empty blocks. */
static void header(uint8_t *h) {
  memset(h, 0, 512);
  char *text = (char *)h;
  strcpy(text, "large");
  octal(text + 100, 8, 0644), octal(text + 108, 8, 0), octal(text + 116, 8, 0);
  octal(text + 124, 12, mebibytes * PIECE), octal(text + 136, 12, 0);
  memset(h + 148, ' ', 8);
  h[156] = '0';
  memcpy(h + 257, "ustar\0" "00", 8);
  unsigned sum = 0;
  for (int i = 0; i < 512; i++) sum += h[i];
  snprintf(text + 148, 8, "%06o", sum);
}

static void set_up(void) {
  CHECK(mkdtemp(directory) != NULL);
  snprintf(temporary, sizeof temporary, "%s/tmp", directory);
  snprintf(file, sizeof file, "%s/layer.tar", directory);
  CHECK(!mkdir(temporary, 0700));
  setenv("TMPDIR", temporary, 1);
  watch = inotify_init1(IN_NONBLOCK);
  CHECK(watch >= 0);
  CHECK(inotify_add_watch(watch, temporary, IN_CREATE | IN_MOVED_TO) >= 0);
  FILE *out = fopen(file, "w");
  CHECK(out != NULL);
  uint8_t *buf = malloc(PIECE);
  header(buf);
  CHECK(fwrite(buf, 1, 512, out) == 512);
  for (uint64_t i = 0; i < mebibytes; i++) {
    piece(buf, i);
    CHECK(fwrite(buf, 1, PIECE, out) == PIECE);
  }
  memset(buf, 0, 1024);
  CHECK(fwrite(buf, 1, 1024, out) == 1024);
  CHECK(!fclose(out));
  free(buf);
  tar_len = 512 + mebibytes * PIECE + 1024;
}

static parb_ref *target(const char *repository) {
  char text[300];
  snprintf(text, sizeof text, "%s/%s-%s:1", host, name, repository);
  return ref_of(text);
}

static parb_options *into(const parb_client *c, const parb_ref *ref) {
  parb_sink *sink = NULL;
  parb_options *o = parb_options_new();
  OK(parb_sink_repository(c, ref, &sink));
  parb_options_set_sink(o, sink);
  parb_sink_free(sink);
  return o;
}

static void memory_is_bounded(const char *when) {
  printf("  %s: VmHWM %.1f MiB\n", when, (double)peak_kib() / 1024);
  const char *unchecked = getenv("PARB_MEMORY_UNCHECKED");
  if (!unchecked || !*unchecked) CHECK(peak_kib() <= MOST_KIB);
}

static void compressed_once(const parb_client *c) {
  CHECK_INT(stat_of(c, "compress_in"), tar_len);
  cpu_set_t cores;
  CHECK(!sched_getaffinity(0, sizeof cores, &cores));
  printf("  compressed %lld bytes to %lld on %lld threads, spooled %lld\n", stat_of(c, "compress_in"),
         stat_of(c, "compress_out"), stat_of(c, "compress_threads"), stat_of(c, "spool_bytes"));
  if (CPU_COUNT(&cores) >= 2) CHECK(stat_of(c, "compress_threads") >= 2);
}

static void push(const parb_client *c, const parb_ref *ref, const parb_layer *layer) {
  parb_image *image = image_of(layer);
  OK(parb_push(c, ref, image, NULL, NULL));
  parb_image_free(image);
}

static void push_file(void) {
  parb_client *c = client();
  parb_ref *ref = target("file");
  parb_options *o = into(c, ref);
  parb_layer *layer = NULL;
  OK(parb_layer_from_file(file, o, NULL, &layer));
  compressed_once(c);
  CHECK_INT(stat_of(c, "spool_bytes"), 0);
  push(c, ref, layer);
  layer_digest = digest_of(layer);
  parb_layer_free(layer), parb_options_free(o), parb_ref_free(ref), parb_client_free(c);
  memory_is_bounded("pushed a file");
}

/* The same bytes as they come: the same layer. */
static void push_by_writer(void) {
  parb_client *c = client();
  parb_ref *ref = target("writer");
  parb_options *o = into(c, ref);
  parb_layer_writer *w = NULL;
  parb_layer *layer = NULL;
  uint8_t *buf = malloc(PIECE);
  OK(parb_layer_writer_new(o, NULL, &w));
  header(buf);
  OK(parb_layer_writer_write(w, buf, 512, NULL));
  for (uint64_t i = 0; i < mebibytes; i++) {
    piece(buf, i);
    OK(parb_layer_writer_write(w, buf, PIECE, NULL));
  }
  memset(buf, 0, 1024);
  OK(parb_layer_writer_write(w, buf, 1024, NULL));
  OK(parb_layer_writer_finish(w, NULL, NULL, &layer));
  compressed_once(c);
  push(c, ref, layer);
  char *digest = digest_of(layer);
  CHECK_STR(digest, layer_digest);
  free(digest), free(buf), parb_layer_writer_free(w), parb_layer_free(layer), parb_options_free(o);
  parb_ref_free(ref), parb_client_free(c);
  memory_is_bounded("pushed by a writer");
}

static void pull(void) {
  parb_client *c = client();
  parb_ref *ref = target("file");
  parb_image *image = NULL;
  parb_layer *layer = NULL;
  parb_reader *reader = NULL;
  OK(parb_pull(c, ref, NULL, NULL, &image));
  OK(parb_image_layer_at(image, 0, &layer));
  OK(parb_layer_open(layer, NULL, NULL, &reader));
  uint8_t *buf = malloc(PIECE), *expected = malloc(PIECE);
  uint64_t total = 0;
  for (size_t n = 1; n > 0; total += n) OK(parb_reader_read(reader, buf, PIECE, NULL, &n));
  CHECK_INT(total, parb_descriptor_size(parb_layer_descriptor(layer)));
  parb_reader_free(reader);
  memory_is_bounded("pulled");
  OK(parb_layer_open_uncompressed(layer, NULL, NULL, &reader));
  total = 0;
  for (size_t n = 1; n > 0; total += n) {
    OK(parb_reader_read(reader, buf, PIECE, NULL, &n));
    /* A look at some of the bytes; all of them are verified by their digest. */
    uint64_t at = total > 512 ? (total - 512) / PIECE : 0;
    if (total <= 512 || at >= mebibytes || at % 64) continue;
    piece(expected, at);
    size_t offset = (size_t)((total - 512) % PIECE), left = PIECE - offset;
    CHECK(!memcmp(buf, expected + offset, n < left ? n : left));
  }
  CHECK_INT(total, tar_len);
  parb_reader_free(reader), free(buf), free(expected);
  parb_layer_free(layer), parb_image_free(image), parb_ref_free(ref), parb_client_free(c);
  memory_is_bounded("pulled and decompressed");
}

static void no_file_appeared(void) {
  char events[4096];
  CHECK(read(watch, events, sizeof events) < 0 && errno == EAGAIN);
  CHECK_INT(entries(temporary), 0);
  close(watch);
  CHECK(!unlink(file) && !rmdir(temporary) && !rmdir(directory));
  free(layer_digest);
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "usage: stream HOST:PORT [MEBIBYTES [REPOSITORY]]\n"), 2;
  host = argv[1];
  if (argc > 2) mebibytes = (uint64_t)atoi(argv[2]);
  if (argc > 3) name = argv[3];
  RUN(set_up);
  RUN(push_file);
  RUN(push_by_writer);
  RUN(pull);
  RUN(no_file_appeared);
  return finish();
}
