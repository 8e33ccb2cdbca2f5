/* archive [MEBIBYTES]: archives, written and read: by path, descriptor and stream, at once and started; what they
   refuse; and that a large layer passes through both ways in less than 32 MiB of memory. */
#include "test.h"
#include <fcntl.h>
#include <sys/stat.h>

#define MOST_KIB (32 << 10)

static uint64_t mebibytes = 1024;
static char directory[] = "/tmp/parb-archive-XXXXXX";
static const char *const FORMATS[] = {"docker", "oci", "legacy"};

static char *in(const char *name) {
  static char paths[4][200];
  static int at;
  char *path = paths[at++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", directory, name);
  return path;
}

static parb_options *form(const char *format) {
  parb_options *o = parb_options_new();
  parb_options_set_archive_format(o, format);
  return o;
}

static parb_strings *names(const char *a, const char *b) {
  parb_strings *list = parb_strings_new(NULL, 0);
  parb_strings_add(list, a);
  if (b) parb_strings_add(list, b);
  return list;
}

static parb_archive *opened(const char *path) {
  parb_archive *archive = NULL;
  OK(parb_archive_open(path, NULL, NULL, &archive));
  return archive;
}

/* The archive has this image under this name. */
static void has(const parb_archive *archive, const char *name, const char *digest) {
  parb_image *image = NULL;
  OK(parb_archive_image(archive, name, NULL, NULL, &image));
  if (digest) CHECK_STR(parb_image_digest(image), digest);
  OK(parb_image_validate(image, NULL, NULL));
  parb_image_free(image);
}

static void set_up(void) { CHECK(mkdtemp(directory) != NULL); }

static void every_form(void) {
  parb_image *a = scratch(100000, 1), *b = scratch(1000, 2);
  const parb_image *both[] = {a, b};
  parb_strings *refs = names("localhost/a:1", "localhost/b:1");
  for (int i = 0; i < 3; i++) {
    parb_options *o = form(FORMATS[i]);
    OK(parb_archive_write(in("a.tar"), both, 2, refs, o, NULL));
    parb_archive *archive = opened(in("a.tar")), *same = parb_archive_clone(archive);
    CHECK_STR(parb_archive_kind(archive), i == 1 ? "oci" : "docker");
    CHECK_INT(parb_strings_count(parb_archive_refs(archive)), 2);
    parb_archive_free(archive);
    /* Docker's form has no OCI manifests to keep. */
    has(same, "localhost/a:1", i == 1 ? parb_image_digest(a) : NULL);
    has(same, "localhost/b:1", i == 1 ? parb_image_digest(b) : NULL);
    parb_image *image = NULL;
    FAILS(parb_archive_image(same, NULL, NULL, NULL, &image), PARB_INVALID_ARGUMENT);
    FAILS(parb_archive_image(same, "localhost/c", NULL, NULL, &image), PARB_NOT_FOUND);
    CHECK(image == NULL);
    parb_archive_free(same), parb_options_free(o);
  }
  parb_strings_free(refs), parb_image_free(a), parb_image_free(b);
}

static void indexes(void) {
  parb_image *a = scratch(10, 1);
  const parb_image *one[] = {a};
  parb_options *oci = form("oci");
  parb_strings *refs = names("a", NULL);
  OK(parb_archive_write(in("i.tar"), one, 1, refs, oci, NULL));
  parb_archive *archive = opened(in("i.tar"));
  parb_index *index = NULL, *back = NULL;
  OK(parb_archive_index(archive, NULL, NULL, NULL, &index));
  CHECK_INT(parb_index_count(index), 1);
  FAILS(parb_archive_index(archive, "a", NULL, NULL, &back), PARB_INVALID_ARGUMENT);
  parb_archive_free(archive);
  FAILS(parb_archive_write_index(in("i.tar"), index, NULL, NULL, NULL), PARB_UNSUPPORTED);
  OK(parb_archive_write_index(in("j.tar"), index, "all", oci, NULL));
  archive = opened(in("j.tar"));
  OK(parb_archive_index(archive, "all", NULL, NULL, &back));
  CHECK_STR(parb_descriptor_digest(parb_index_descriptor(back)), parb_descriptor_digest(parb_index_descriptor(index)));
  has(archive, parb_image_digest(a), parb_image_digest(a));
  parb_archive_free(archive), parb_index_free(back);
  /* Both kinds in one. */
  const parb_image *images[] = {a};
  const parb_index *indexes[] = {index};
  parb_strings *two = names("one", "many");
  FAILS(parb_archive_write_all(in("k.tar"), images, 1, indexes, 1, two, NULL, NULL), PARB_UNSUPPORTED);
  FAILS(parb_archive_write_all(in("k.tar"), images, 0, indexes, 1, two, oci, NULL), PARB_INVALID_ARGUMENT);
  OK(parb_archive_write_all(in("k.tar"), images, 1, indexes, 1, two, oci, NULL));
  archive = opened(in("k.tar"));
  has(archive, "one", parb_image_digest(a));
  OK(parb_archive_index(archive, "many", NULL, NULL, &back));
  CHECK_STR(parb_descriptor_digest(parb_index_descriptor(back)), parb_descriptor_digest(parb_index_descriptor(index)));
  parb_archive_free(archive), parb_index_free(back), parb_index_free(index), parb_strings_free(two);
  parb_options_free(oci), parb_strings_free(refs), parb_image_free(a);
}

static void *read_pipe(void *fd) {
  parb_archive *archive = NULL;
  parb_error *e = parb_archive_open_fd(*(int *)fd, NULL, NULL, &archive);
  parb_error_free(e);
  return archive;
}

static void pipes(void) {
  parb_image *a = scratch(3 << 20, 3);
  const parb_image *one[] = {a};
  for (int i = 0; i < 3; i++) {
    int ends[2];
    pthread_t reader;
    void *archive = NULL;
    CHECK(!pipe(ends));
    if (i == 2) fcntl(ends[1], F_SETFL, O_NONBLOCK); /* nobody has to wait in write */
    CHECK(!pthread_create(&reader, NULL, read_pipe, &ends[0]));
    parb_options *o = form(FORMATS[i]);
    OK(parb_archive_write_fd(ends[1], one, 1, NULL, o, NULL));
    CHECK(!close(ends[1])); /* it was ours all the time */
    CHECK(!pthread_join(reader, &archive) && archive);
    has(archive, NULL, i == 1 ? parb_image_digest(a) : NULL);
    close(ends[0]);
    parb_archive_free(archive), parb_options_free(o);
  }
  int ends[2];
  CHECK(!pipe(ends) && !close(ends[0]));
  FAILS(parb_archive_write_fd(ends[1], one, 1, NULL, NULL, NULL), PARB_IO); /* and no SIGPIPE */
  close(ends[1]);
  FAILS(parb_archive_write_fd(ends[1], one, 1, NULL, NULL, NULL), PARB_IO);
  FAILS(parb_archive_write_fd(-1, one, 1, NULL, NULL, NULL), PARB_INVALID_ARGUMENT);
  parb_image_free(a);
}

static size_t step = 1000;
static parb_error *read_file(void *user, uint8_t *buf, size_t cap, size_t *out_n) {
  ssize_t n = read(*(int *)user, buf, cap > step ? step : cap);
  if (n < 0) return parb_error_new(PARB_IO, "reading", NULL, NULL);
  *out_n = (size_t)n;
  return NULL;
}
static int closed;
static void close_file(void *user) { close(*(int *)user), count_up(&closed); }

static void streams_and_operations(void) {
  parb_image *a = scratch(50000, 4);
  const parb_image *one[] = {a};
  parb_op *op = NULL;
  parb_archive *archive = NULL;
  OK(parb_archive_write_start(in("s.tar"), one, 1, NULL, NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_op_finish(op));
  parb_op_free(op);
  int fd = open(in("s.tar"), O_RDONLY);
  parb_source *source = parb_source_new(read_file, NULL, &fd, close_file);
  OK(parb_archive_open_source(source, NULL, NULL, &archive));
  has(archive, NULL, NULL);
  parb_archive_free(archive), archive = NULL;
  FAILS(parb_archive_open_source(source, NULL, NULL, &archive), PARB_INVALID_STATE);
  parb_source_free(source);
  CHECK_INT(count_settles(&closed, 1), 1);
  OK(parb_archive_open_start(in("s.tar"), NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_op_take_archive(op, &archive));
  parb_op_free(op);
  unlink(in("s.tar")); /* it stays open */
  OK(parb_archive_image_start(archive, NULL, NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  parb_image *image = NULL;
  OK(parb_op_take_image(op, &image));
  parb_archive_free(archive);
  OK(parb_image_validate(image, NULL, NULL));
  parb_op_free(op), parb_image_free(image), parb_image_free(a);
}

static void refusals(void) {
  parb_image *a = scratch(10, 5);
  const parb_image *one[] = {a};
  parb_archive *archive = NULL;
  parb_strings *two = names("a", "b"), *bad = names("A B", NULL);
  parb_error *e = FAILURE(parb_archive_write(in("r.tar"), one, 1, two, NULL, NULL), PARB_INVALID_ARGUMENT);
  CHECK(strstr(parb_error_message(e), "2 names for 1"));
  parb_error_free(e);
  FAILS(parb_archive_write(in("r.tar"), one, 1, bad, NULL, NULL), PARB_INVALID_ARGUMENT);
  FAILS(parb_archive_write(in("r.tar"), NULL, 0, NULL, NULL, NULL), PARB_INVALID_ARGUMENT);
  FAILS(parb_archive_write(in("no/such/r.tar"), one, 1, NULL, NULL, NULL), PARB_NOT_FOUND);
  FAILS(parb_archive_open(in("r.tar"), NULL, NULL, &archive), PARB_NOT_FOUND);
  FAILS(parb_archive_open(directory, NULL, NULL, &archive), PARB_INVALID_ARGUMENT);
  FAILS(parb_archive_open("/dev/null", NULL, NULL, &archive), PARB_MALFORMED);
  FILE *f = fopen(in("r.tar"), "w");
  CHECK(f && fputs("not a tar, but long enough to be taken for one at first sight", f) > 0 && !fclose(f));
  e = FAILURE(parb_archive_open(in("r.tar"), NULL, NULL, &archive), PARB_MALFORMED);
  CHECK_STR(parb_error_subject(e), in("r.tar"));
  parb_error_free(e);
  CHECK(archive == NULL);
  parb_options *o = parb_options_new();
  parb_options_set_jobs(o, 2);
  FAILS(parb_archive_open(in("r.tar"), o, NULL, &archive), PARB_INVALID_ARGUMENT);
  unlink(in("r.tar"));
  parb_options_free(o), parb_strings_free(two), parb_strings_free(bad), parb_image_free(a);
}

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

/* A layer of many files that compresses to three quarters. */
static parb_layer *large(void) {
  static uint8_t piece[1 << 20];
  parb_layer_builder *b = parb_layer_builder_new();
  FILE *f = fopen(in("piece"), "w");
  mixed_bytes(piece, sizeof piece, 7);
  CHECK(f && fwrite(piece, 1, sizeof piece, f) == sizeof piece && !fclose(f));
  char name[30];
  for (uint64_t i = 0; i < mebibytes; i++) {
    snprintf(name, sizeof name, "file-%d", (int)i);
    parb_layer_builder_add_path(b, in("piece"), name);
  }
  parb_options *o = parb_options_new();
  parb_options_set_compression(o, "none", 0);
  parb_layer *layer = NULL;
  OK(parb_layer_builder_build(b, o, NULL, &layer));
  parb_layer_builder_free(b), parb_options_free(o);
  return layer;
}

static void a_large_layer(void) {
  char *archives[] = {strdup(in("large.docker")), strdup(in("large.oci")), strdup(in("large.legacy"))};
  setenv("TMPDIR", directory, 1);
  parb_layer *layer = large();
  parb_image *a = image_of(layer);
  parb_layer_free(layer);
  const parb_image *one[] = {a};
  for (int i = 0; i < 3; i++) {
    parb_options *o = form(FORMATS[i]);
    OK(parb_archive_write(archives[i], one, 1, NULL, o, NULL));
    memory_is_bounded(FORMATS[i]);
    parb_archive *archive = opened(archives[i]);
    has(archive, NULL, i == 1 ? parb_image_digest(a) : NULL);
    memory_is_bounded("read");
    parb_archive_free(archive), parb_options_free(o);
    if (i) unlink(archives[i]);
  }
  parb_image_free(a);
  parb_archive *archive = opened(archives[0]);
  parb_image *packed = NULL;
  parb_options *o = parb_options_new();
  parb_options_set_compression(o, "gzip", 0);
  OK(parb_archive_image(archive, NULL, o, NULL, &packed));
  memory_is_bounded("compressed");
  parb_image_free(packed), parb_archive_free(archive), parb_options_free(o);
  int fd = open(archives[0], O_RDONLY);
  step = 64 << 10;
  parb_source *source = parb_source_new(read_file, NULL, &fd, close_file);
  OK(parb_archive_open_source(source, NULL, NULL, &archive));
  has(archive, NULL, NULL);
  memory_is_bounded("by a stream");
  parb_archive_free(archive), parb_source_free(source);
  for (int i = 0; i < 3; i++) unlink(archives[i]), free(archives[i]);
}

static int left(void) { return entries(directory); }

static void no_file_stays_behind(void) {
  unlink(in("a.tar")), unlink(in("i.tar")), unlink(in("j.tar")), unlink(in("k.tar")), unlink(in("piece"));
  CHECK_INT(settles(left, 0), 0);
  CHECK(!rmdir(directory));
}

int main(int argc, char **argv) {
  if (argc > 1) mebibytes = (uint64_t)atoi(argv[1]);
  RUN(set_up);
  RUN(every_form);
  RUN(indexes);
  RUN(pipes);
  RUN(streams_and_operations);
  RUN(refusals);
  RUN(a_large_layer);
  RUN(no_file_stays_behind);
  return finish();
}
