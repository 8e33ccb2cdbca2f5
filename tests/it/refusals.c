/* What tests/it/abi_refusals.rs makes its checks of the boundary run with: one live handle of every type, and the
   words that say what must come out. The checks themselves are in checks.inc, made from src/ffi. */
#include <parbuckle.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "types.inc" /* enum { T_parb_buf, ..., N_TYPES }; TYPE_NAMES */

static void *live[N_TYPES];
static char tags[N_TYPES][8];
static int count, failures;
static struct {
  const char *function, *parameter, *what;
} now;

/* ---- What must come out ---- */

static int destroyed;
static char out_of_place; /* what outputs point to before a call that must leave them alone */
#define UNTOUCHED ((void *)&out_of_place)

static void begin(const char *function, const char *parameter, const char *what) {
  now.function = function;
  now.parameter = parameter;
  now.what = what;
  destroyed = 0;
}

static void fail(const char *why, const char *detail) {
  failures++;
  fprintf(stderr, "%s: %s = %s: %s %s\n", now.function, now.parameter, now.what, why, detail);
}

static void expect(int right, const char *what) {
  count++;
  if (!right) fail("not so:", what);
}

/* Whether the message has the parameter's name as a word of its own. */
static int names(const char *message, const char *name) {
  size_t n = strlen(name);
  const char *at = message;
  while ((at = strstr(at, name)) != NULL) {
    char before = at == message ? ' ' : at[-1], after = at[n];
    if (before == ' ' && (after == ' ' || after == 0)) return 1;
    at += n;
  }
  return 0;
}

/* The call is to fail, for this parameter's sake. */
static void refused(parb_error *error) {
  count++;
  if (error == NULL) return fail("was accepted", "");
  if (parb_error_code(error) != PARB_INVALID_ARGUMENT) {
    fail("another error:", parb_error_message(error));
  } else if (!names(parb_error_message(error), now.parameter)) {
    fail("not named:", parb_error_message(error));
  }
  parb_error_free(error);
}

/* The call may fail, but not over its arguments. */
static void accepted(parb_error *error) {
  count++;
  if (error != NULL && parb_error_code(error) == PARB_INVALID_ARGUMENT) fail("refused:", parb_error_message(error));
  parb_error_free(error);
}

/* As accepted, of drafts that may lack other things. */
static void not_named(parb_error *error) {
  count++;
  if (error != NULL && parb_error_code(error) == PARB_INVALID_ARGUMENT &&
      names(parb_error_message(error), now.parameter)) {
    fail("refused:", parb_error_message(error));
  }
  parb_error_free(error);
}

/* ---- Wrong handles ---- */

static char misaligned[64];

/* The i-th pointer that is no handle of this type: NULL, one that is misaligned (before a right tag), and a live handle
   of each other type. Returns whether there is one. */
enum { N_WRONG = 2 + N_TYPES };
static int wrong(int type, int i, void **bad, const char **what) {
  if (i == 0) {
    *bad = NULL;
    *what = "NULL";
    return 1;
  }
  if (i == 1) {
    memcpy(misaligned + 1, tags[type], 8);
    *bad = misaligned + 1;
    *what = "a misaligned pointer";
    return 1;
  }
  if (i - 2 == type || live[i - 2] == NULL) return 0;
  *bad = live[i - 2];
  *what = TYPE_NAMES[i - 2];
  return 1;
}

/* ---- Callbacks ---- */

static void destroy_cb(void *user) {
  (void)user;
  destroyed++;
}
static void done_cb(void *user) { (void)user; }
static void event_cb(void *user, const parb_event *event) {
  (void)user;
  (void)event;
}
static parb_error *read_cb(void *user, uint8_t *buf, size_t cap, size_t *out_n) {
  (void)user;
  (void)buf;
  (void)cap;
  *out_n = 0;
  return NULL;
}
static parb_error *open_cb(void *user, const parb_descriptor *blob, uint64_t offset, parb_source **out) {
  (void)user;
  (void)blob;
  (void)offset;
  *out = parb_source_new(read_cb, NULL, NULL, NULL);
  return NULL;
}
static parb_error *exists_cb(void *user, const parb_descriptor *blob, int32_t *out_exists) {
  (void)user;
  (void)blob;
  *out_exists = 1;
  return NULL;
}
static parb_error *rewind_cb(void *user) {
  (void)user;
  return NULL;
}

/* ---- Live handles ---- */

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
static const char CONFIG[] =
    "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";
static const char INDEX[] = "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}";
static uint8_t tar[1024]; /* two blocks of zeros are an empty tar */
static char tar_file[512], archive_file[512], directory[512], layout_directory[512], cache_directory[512];
static char written_archive[512] = "/dev/null", reference[128], host[64];
static int nothing; /* a descriptor that takes everything and gives nothing */
static parb_ref *index_reference;

static void must(parb_error *error) {
  if (error == NULL) return;
  fprintf(stderr, "setting up: %s\n", parb_error_message(error));
  exit(2);
}

/* A daemon in a process of its own, which has nothing. DOCKER_HOST leads to none. */
static pid_t start_daemon(void) {
  static const char ping[] = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";
  static const char nothing[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t len = sizeof at;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  if (s < 0 || bind(s, (struct sockaddr *)&at, len) != 0 || listen(s, 100) != 0) exit(2);
  if (getsockname(s, (struct sockaddr *)&at, &len) != 0) exit(2);
  snprintf(host, sizeof host, "tcp://127.0.0.1:%d", ntohs(at.sin_port));
  setenv("DOCKER_HOST", "tcp://127.0.0.1:1", 1);
  pid_t child = fork();
  if (child != 0) return close(s), child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (char request[65536];;) {
    int c = accept(s, NULL, NULL);
    const char *answer = c >= 0 && read(c, request, 10) == 10 && !memcmp(request, "GET /_ping", 10) ? ping : nothing;
    if (write(c, answer, strlen(answer)) > 0) {
      shutdown(c, SHUT_WR);
      while (read(c, request, sizeof request) > 0) continue;
    }
    close(c);
  }
}

/* A handle of its own, to be given to discard. NULL for types that are only lent. */
static void *fresh(int type) {
  void *out = NULL;
  switch (type) {
    case T_parb_archive: must(parb_archive_open(archive_file, NULL, NULL, (parb_archive **)&out)); break;
    case T_parb_buf: must(parb_client_stats(live[T_parb_client], (parb_buf **)&out)); break;
    case T_parb_blobs: out = parb_blobs_new(); break;
    case T_parb_cache: must(parb_cache_open(cache_directory, 1 << 20, NULL, NULL, (parb_cache **)&out)); break;
    case T_parb_client: must(parb_client_new(NULL, (parb_client **)&out)); break;
    case T_parb_client_options: out = parb_client_options_new(); break;
    case T_parb_config:
      must(parb_config_parse((const uint8_t *)CONFIG, sizeof CONFIG - 1, NULL, (parb_config **)&out));
      break;
    case T_parb_ctx: out = parb_ctx_new(NULL); break;
    case T_parb_daemon: must(parb_daemon_connect(host, NULL, NULL, (parb_daemon **)&out)); break;
    case T_parb_descriptor: out = parb_descriptor_clone(parb_image_descriptor(live[T_parb_image])); break;
    case T_parb_error: out = parb_error_new(PARB_CALLBACK, "x", NULL, NULL); break;
    case T_parb_files: must(parb_layer_files(live[T_parb_layer], NULL, NULL, (parb_files **)&out)); break;
    case T_parb_image:
      must(parb_image_builder_build(live[T_parb_image_builder], NULL, NULL, (parb_image **)&out));
      break;
    case T_parb_image_builder: out = parb_image_builder_new(NULL); break;
    case T_parb_index:
      must(parb_pull_index(live[T_parb_client], index_reference, NULL, NULL, (parb_index **)&out));
      break;
    case T_parb_index_builder: out = parb_index_builder_new(NULL); break;
    case T_parb_keychain: out = parb_keychain_anonymous(); break;
    case T_parb_layer: must(parb_layer_from_bytes(tar, sizeof tar, NULL, NULL, (parb_layer **)&out)); break;
    case T_parb_layout: must(parb_layout_create(layout_directory, NULL, NULL, (parb_layout **)&out)); break;
    case T_parb_layer_builder: out = parb_layer_builder_new(); break;
    case T_parb_layer_writer: must(parb_layer_writer_new(NULL, NULL, (parb_layer_writer **)&out)); break;
    case T_parb_matcher: out = parb_matcher_new(); break;
    case T_parb_memory: must(parb_memory_new(1 << 20, (parb_memory **)&out)); break;
    case T_parb_op: must(parb_image_config_start(live[T_parb_image], NULL, NULL, (parb_op **)&out)); break;
    case T_parb_options: out = parb_options_new(); break;
    case T_parb_queue: must(parb_queue_new((parb_queue **)&out)); break;
    case T_parb_reader: must(parb_layer_open(live[T_parb_layer], NULL, NULL, (parb_reader **)&out)); break;
    case T_parb_ref: must(parb_ref_parse(reference, NULL, (parb_ref **)&out)); break;
    case T_parb_report: must(parb_layout_fsck(live[T_parb_layout], NULL, NULL, (parb_report **)&out)); break;
    case T_parb_server: must(parb_serve(NULL, NULL, (parb_server **)&out)); break;
    case T_parb_server_options: out = parb_server_options_new(); break;
    case T_parb_sink: must(parb_sink_repository(live[T_parb_client], live[T_parb_ref], (parb_sink **)&out)); break;
    case T_parb_source: out = parb_source_new(read_cb, rewind_cb, NULL, NULL); break;
    case T_parb_strings: out = parb_strings_new(NULL, 0); break;
    default: break; /* only lent */
  }
  return out;
}

/* The call that reports the first mistake in a draft. Whatever it makes is gone again. */
static parb_error *use(int type, void *draft) {
  parb_error *error = NULL;
  void *out = NULL;
  switch (type) {
    case T_parb_options:
      error = parb_ref_parse(reference, draft, (parb_ref **)&out);
      parb_ref_free(out);
      break;
    case T_parb_client_options:
      error = parb_client_new(draft, (parb_client **)&out);
      parb_client_free(out);
      break;
    case T_parb_server_options:
      error = parb_serve(draft, NULL, (parb_server **)&out);
      parb_server_free(out);
      break;
    case T_parb_image_builder:
      error = parb_image_builder_build(draft, NULL, NULL, (parb_image **)&out);
      parb_image_free(out);
      break;
    case T_parb_index_builder:
      error = parb_index_builder_build(draft, NULL, NULL, (parb_index **)&out);
      parb_index_free(out);
      break;
    case T_parb_layer_builder:
      error = parb_layer_builder_build(draft, NULL, NULL, (parb_layer **)&out);
      parb_layer_free(out);
      break;
    case T_parb_matcher:
      error = parb_index_find(live[T_parb_index], draft, (parb_strings **)&out);
      parb_strings_free(out);
      break;
    case T_parb_blobs:
      error = parb_index_from_parts((const uint8_t *)INDEX, sizeof INDEX - 1, draft, NULL, (parb_index **)&out);
      parb_index_free(out);
      break;
    default:
      fprintf(stderr, "%s is no draft that this program knows\n", TYPE_NAMES[type]);
      exit(2);
  }
  return error;
}

/* There is no other way yet to get an index into a registry than to put it there by HTTP. */
static void put_index(void) {
  const parb_descriptor *image = parb_image_descriptor(live[T_parb_image]);
  const char *url = parb_server_url(live[T_parb_server]);
  char body[1024], request[2048], answer[64] = "";
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1))};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  snprintf(body, sizeof body,
           "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[{"
           "\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%llu,"
           "\"platform\":{\"architecture\":\"amd64\",\"os\":\"linux\"}}]}",
           parb_descriptor_media_type(image), parb_descriptor_digest(image),
           (unsigned long long)parb_descriptor_size(image));
  int n = snprintf(request, sizeof request,
                   "PUT /v2/app/manifests/index HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                   "Content-Type: application/vnd.oci.image.index.v1+json\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  if (s < 0 || connect(s, (struct sockaddr *)&at, sizeof at) != 0 || write(s, request, (size_t)n) != n ||
      read(s, answer, sizeof answer - 1) < 12 || strncmp(answer + 9, "201", 3) != 0) {
    fprintf(stderr, "setting up: putting an index: %s\n", answer);
    exit(2);
  }
  close(s);
}

static void set_up(const char *dir) {
  snprintf(tar_file, sizeof tar_file, "%s/layer.tar", dir);
  snprintf(directory, sizeof directory, "%s/empty", dir);
  snprintf(layout_directory, sizeof layout_directory, "%s/layout", dir);
  snprintf(cache_directory, sizeof cache_directory, "%s/cache", dir);
  FILE *f = fopen(tar_file, "wb");
  if (f == NULL || fwrite(tar, 1, sizeof tar, f) != sizeof tar || fclose(f) != 0) exit(2);
  live[T_parb_server] = fresh(T_parb_server);
  live[T_parb_client] = fresh(T_parb_client);
  snprintf(reference, sizeof reference, "%s/app:1", strstr(parb_server_url(live[T_parb_server]), "//") + 2);
  live[T_parb_ref] = fresh(T_parb_ref);
  live[T_parb_layer] = fresh(T_parb_layer);
  live[T_parb_image_builder] = fresh(T_parb_image_builder);
  parb_image_builder_add_layer(live[T_parb_image_builder], live[T_parb_layer]);
  live[T_parb_image] = fresh(T_parb_image);
  snprintf(archive_file, sizeof archive_file, "%s/images.tar", dir);
  must(parb_archive_write(archive_file, (const parb_image *const[]){live[T_parb_image]}, 1, NULL, NULL, NULL));
  nothing = open("/dev/null", O_RDWR);
  must(parb_push(live[T_parb_client], live[T_parb_ref], live[T_parb_image], NULL, NULL));
  put_index();
  must(parb_ref_with_tag(live[T_parb_ref], "index", &index_reference));
  for (int t = 0; t < N_TYPES; t++) {
    if (live[t] == NULL) live[t] = fresh(t);
  }
  live[T_parb_map] = (void *)parb_image_annotations(live[T_parb_image]);
  for (int t = 0; t < N_TYPES; t++) {
    if (live[t] != NULL) memcpy(tags[t], live[t], 8);
    else if (t != T_parb_event) {
      fprintf(stderr, "setting up: no live %s\n", TYPE_NAMES[t]);
      exit(2);
    }
  }
}

#include "checks.inc" /* static void checks(void); static void discard(int type, void *handle) */

/* Each must be seen as a failure: a call that was accepted, an error of another kind, one that names something else,
   a refusal where none should be, and a fact that is not so. */
static void wrong_answers(void) {
  begin("self_test", "image", "nothing");
  refused(NULL);
  refused(parb_error_new(PARB_IO, "image is NULL", NULL, NULL));
  refused(parb_error_new(PARB_INVALID_ARGUMENT, "images is NULL", NULL, NULL));
  accepted(parb_error_new(PARB_INVALID_ARGUMENT, "x", NULL, NULL));
  not_named(parb_error_new(PARB_INVALID_ARGUMENT, "image is NULL", NULL, NULL));
  expect(0, "false");
}

/* The runtime's threads end soon after the last handle. Those that would still run at exit are leaks to valgrind. */
static int threads_ended(void) {
  for (int tenths = 0; tenths < 200; tenths++) {
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL) return 1; /* not a system where this can be seen */
    while (readdir(tasks) != NULL) n++;
    closedir(tasks);
    if (n == 3) return 1; /* this one, and "." and ".." */
    usleep(100 * 1000);
  }
  return 0;
}

/* How many requests the registry has had. */
static size_t asked(void) {
  parb_strings *requests = NULL;
  must(parb_server_requests(live[T_parb_server], &requests));
  size_t n = parb_strings_count(requests);
  parb_strings_free(requests);
  return n;
}

/* Every call without a place for its result, where each would have something to ask or to write. */
static void nothing_is_begun(const char *dir) {
  snprintf(layout_directory, sizeof layout_directory, "%s/new layout", dir);
  snprintf(cache_directory, sizeof cache_directory, "%s/new cache", dir);
  snprintf(written_archive, sizeof written_archive, "%s/new.tar", dir);
  size_t before = asked();
  for_nobody();
  begin("all of them", "out", "NULL");
  usleep(500 * 1000); /* what was begun would be seen by now */
  expect(asked() == before, "the registry was asked nothing");
  expect(access(layout_directory, F_OK) != 0, "no layout was made");
  expect(access(cache_directory, F_OK) != 0, "no cache was made");
  expect(access(written_archive, F_OK) != 0, "no archive was made");
}

static void crashed(int signal) {
  (void)signal;
  const char *words[] = {"crashed in ", now.function, ": ", now.parameter, " = ", now.what, "\n"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (words[i] != NULL && write(2, words[i], strlen(words[i])) < 0) break;
  }
  _exit(3);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  signal(SIGSEGV, crashed);
  signal(SIGBUS, crashed);
  signal(SIGABRT, crashed);
  pid_t daemon = start_daemon();
  set_up(argv[1]);
  if (argc > 2 && strcmp(argv[2], "nobody") == 0) nothing_is_begun(argv[1]);
  else if (argc > 2) wrong_answers();
  else checks();
  for (int t = 0; t < N_TYPES; t++) {
    begin(TYPE_NAMES[t], "the handle", "after all that");
    if (live[t] != NULL) expect(memcmp(tags[t], live[t], 8) == 0, "it is still alive");
  }
  live[T_parb_map] = NULL;
  for (int t = 0; t < N_TYPES; t++) discard(t, live[t]);
  parb_ref_free(index_reference);
  begin("main", "every handle", "freed");
  expect(threads_ended(), "no thread stays behind");
  kill(daemon, SIGKILL);
  printf("%d checks, %d failures\n", count, failures);
  return failures != 0;
}
