/* What the C tests share: a way to say what must hold, and shorthands for what most of them need. */
#ifndef TEST_H
#define TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <parbuckle.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAYBE_UNUSED __attribute__((unused))

static int tests_passed, tests_failed;
static jmp_buf test_end;

/* A failed check ends its test; the next one runs. Only on the thread that runs the test. */
#define FAIL(...) (printf("  %s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), putchar('\n'), longjmp(test_end, 1))
#define CHECK(condition) ((condition) ? (void)0 : FAIL("%s", #condition))
#define CHECK_STR(actual, expected) check_str(__LINE__, #actual, actual, expected)
#define CHECK_INT(actual, expected) check_int(__LINE__, #actual, (long long)(actual), (long long)(expected))
/* The call must succeed. */
#define OK(call) check_ok(__LINE__, #call, call)
/* The call must fail with this code. */
#define FAILS(call, code) parb_error_free(check_fails(__LINE__, #call, call, code))
/* As FAILS, and gives the error to be looked at and freed. */
#define FAILURE(call, code) check_fails(__LINE__, #call, call, code)

#define RUN(test) run(#test, test)

MAYBE_UNUSED static void tell(const char *what, const parb_error *e) {
  printf("%s%s: %s: %s", what, parb_error_code_name(parb_error_code(e)),
         parb_error_subject(e) ? parb_error_subject(e) : "-", parb_error_message(e));
  for (e = parb_error_cause(e); e; e = parb_error_cause(e)) printf(": %s", parb_error_message(e));
}

MAYBE_UNUSED static void check_ok(int line, const char *call, parb_error *e) {
  if (!e) return;
  printf("  line %d: %s: ", line, call);
  tell("", e);
  putchar('\n');
  parb_error_free(e);
  longjmp(test_end, 1);
}

MAYBE_UNUSED static parb_error *check_fails(int line, const char *call, parb_error *e, parb_code code) {
  if (parb_error_code(e) == code) return e;
  printf("  line %d: %s: wanted %s, is ", line, call, parb_error_code_name(code));
  if (e) tell("", e);
  else printf("success");
  putchar('\n');
  parb_error_free(e);
  longjmp(test_end, 1);
}

MAYBE_UNUSED static void check_str(int line, const char *what, const char *actual, const char *expected) {
  if (actual == expected || (actual && expected && !strcmp(actual, expected))) return;
  printf("  line %d: %s is \"%s\", not \"%s\"\n", line, what, actual ? actual : "(null)", expected ? expected : "(null)");
  longjmp(test_end, 1);
}

MAYBE_UNUSED static void check_int(int line, const char *what, long long actual, long long expected) {
  if (actual == expected) return;
  printf("  line %d: %s is %lld, not %lld\n", line, what, actual, expected);
  longjmp(test_end, 1);
}

MAYBE_UNUSED static void run(const char *name, void (*test)(void)) {
  int bad = setjmp(test_end);
  if (!bad) test();
  bad ? tests_failed++ : tests_passed++;
  printf("%s %s\n", bad ? "FAILED" : "ok    ", name);
  fflush(stdout);
}

MAYBE_UNUSED static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

MAYBE_UNUSED static void sleep_us(long us) {
  struct timespec t = {us / 1000000, us % 1000000 * 1000};
  while (nanosleep(&t, &t) && errno == EINTR) {
  }
}

/* Entries of a directory, without "." and ".."; -1 where there is none. */
MAYBE_UNUSED static int entries(const char *path) {
  DIR *dir = opendir(path);
  if (!dir) return -1;
  int count = 0;
  for (struct dirent *e; (e = readdir(dir));) count += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
  closedir(dir);
  return count;
}

MAYBE_UNUSED static int threads(void) { return entries("/proc/self/task"); }
MAYBE_UNUSED static int descriptors(void) { return entries("/proc/self/fd") - 1; /* opendir's own */ }

/* Waits until `count` gives `wanted`, at most ten seconds or so, and gives what it last was. */
MAYBE_UNUSED static int settles(int (*count)(void), int wanted) {
  int is = count();
  for (int i = 0; i < 500 && is != wanted; i++) {
    sleep_us(20000);
    is = count();
  }
  return is;
}

/* Bytes that compress to about three quarters. */
MAYBE_UNUSED static void mixed_bytes(uint8_t *to, size_t len, uint64_t seed) {
  uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
  for (size_t i = 0; i < len; i++) {
    if (i % 8 == 0) x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    to[i] = i % 4096 < 1024 ? (uint8_t)(i >> 12) : (uint8_t)(x >> (i % 8 * 8));
  }
}

MAYBE_UNUSED static parb_ref *ref_of(const char *text) {
  parb_ref *ref = NULL;
  OK(parb_ref_parse(text, NULL, &ref));
  return ref;
}

/* A reference to what lies on a server of this process. */
MAYBE_UNUSED static parb_ref *ref_on(const parb_server *server, const char *name) {
  char text[300];
  snprintf(text, sizeof text, "%s/%s", strstr(parb_server_url(server), "://") + 3, name);
  return ref_of(text);
}

MAYBE_UNUSED static parb_server *serve(void) {
  parb_server *server = NULL;
  OK(parb_serve(NULL, NULL, &server));
  return server;
}

MAYBE_UNUSED static parb_client *client(void) {
  parb_client *client = NULL;
  OK(parb_client_new(NULL, &client));
  return client;
}

/* A layer with one file of so many bytes. */
MAYBE_UNUSED static parb_layer *layer_of(size_t len, uint64_t seed, const parb_options *into) {
  uint8_t *data = malloc(len + 1);
  mixed_bytes(data, len, seed);
  parb_layer_builder *b = parb_layer_builder_new();
  parb_layer_builder_add_bytes(b, "file", 0644, data, len);
  parb_layer *layer = NULL;
  OK(parb_layer_builder_build(b, into, NULL, &layer));
  parb_layer_builder_free(b);
  free(data);
  return layer;
}

/* An image from scratch with this layer. */
MAYBE_UNUSED static parb_image *image_of(const parb_layer *layer) {
  parb_image_builder *b = parb_image_builder_new(NULL);
  parb_image_builder_add_layer(b, layer);
  parb_image_builder_set_platform(b, "linux/amd64");
  parb_image_builder_set_env(b, "PATH", "/bin");
  parb_image *image = NULL;
  OK(parb_image_builder_build(b, NULL, NULL, &image));
  parb_image_builder_free(b);
  return image;
}

/* An image from scratch with one layer of so many bytes. */
MAYBE_UNUSED static parb_image *scratch(size_t len, uint64_t seed) {
  parb_layer *layer = layer_of(len, seed, NULL);
  parb_image *image = image_of(layer);
  parb_layer_free(layer);
  return image;
}

MAYBE_UNUSED static char *digest_of(const parb_layer *layer) {
  return strdup(parb_descriptor_digest(parb_layer_descriptor(layer)));
}

/* Reads a layer's tar to its end, and tells how many bytes it has. */
MAYBE_UNUSED static parb_error *drain(const parb_layer *layer, const parb_ctx *ctx, uint64_t *total) {
  parb_reader *reader = NULL;
  parb_error *e = parb_layer_open_uncompressed(layer, NULL, ctx, &reader);
  static __thread uint8_t buf[64 << 10];
  size_t n = 1;
  *total = 0;
  while (!e && n > 0) {
    e = parb_reader_read(reader, buf, sizeof buf, ctx, &n);
    if (!e) *total += n;
  }
  parb_reader_free(reader);
  return e;
}

/* How many of the server's requests have this text in their line of the log. */
MAYBE_UNUSED static int requests_with(const parb_server *server, const char *text) {
  parb_strings *all = NULL;
  OK(parb_server_requests(server, &all));
  int count = 0;
  for (size_t i = 0; i < parb_strings_count(all); i++) count += strstr(parb_strings_at(all, i), text) != NULL;
  parb_strings_free(all);
  return count;
}

/* A number in the client's statistics. */
MAYBE_UNUSED static long long stat_of(const parb_client *client, const char *name) {
  parb_buf *buf = NULL;
  OK(parb_client_stats(client, &buf));
  char json[4096] = {0}, key[64];
  size_t len = parb_buf_len(buf);
  memcpy(json, parb_buf_data(buf), len < sizeof json ? len : sizeof json - 1);
  parb_buf_free(buf);
  snprintf(key, sizeof key, "\"%s\":", name);
  const char *at = strstr(json, key);
  if (!at) FAIL("no \"%s\" in %s", name, json);
  return atoll(at + strlen(key));
}

/* What a (cb, user, destroy) was given back, and how often. */
MAYBE_UNUSED static void count_up(void *user) { __atomic_add_fetch((int *)user, 1, __ATOMIC_SEQ_CST); }
MAYBE_UNUSED static int count_in(int *counter) { return __atomic_load_n(counter, __ATOMIC_SEQ_CST); }

/* Waits until a counter is what it is to be, and a moment longer in case it goes on. */
MAYBE_UNUSED static int count_settles(int *counter, int wanted) {
  for (int i = 0; i < 500 && count_in(counter) != wanted; i++) sleep_us(10000);
  sleep_us(20000);
  return count_in(counter);
}

static void nothing_runs_on(void) {
  if (!tests_failed) CHECK_INT(settles(threads, 1), 1); /* a test that failed has left things behind */
}

/* The last lines of every test program, and its exit status. Everything was freed: no thread of the library is left. */
MAYBE_UNUSED static int finish(void) {
  run("nothing_runs_on", nothing_runs_on);
  printf("%d passed, %d failed\n", tests_passed, tests_failed);
  return tests_failed ? 1 : 0;
}

#endif
