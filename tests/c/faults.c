/* faults [few]: every fault of the server's hook, in pulls and in the ways to push: survived where it passes, refused with the
   right code where it stays. The server's log proves that it fired. With an argument, each third of them. */
#include "test.h"

#define LAYER (1 << 20)

/* What fails, how often, and what comes of it. */
typedef struct {
  const char *method, *path; /* {layer}: the layer's digest */
  const char *fault;
  int times;           /* the first so many requests; 0: all */
  parb_code code;      /* PARB_OK: survived */
  double least;        /* seconds that it must take */
} row;

static const row PULLS[] = {
    {"GET", "*/blobs/{layer}", "reset@50%", 1, PARB_OK, 0},
    {"GET", "*/blobs/{layer}", "reset@50%", 0, PARB_UNAVAILABLE, 0}, /* half of the rest each time, and then no more */
    {"GET", "*/blobs/{layer}", "reset@0%", 0, PARB_UNAVAILABLE, 0},
    {"GET", "*/manifests/*", "reset@50%", 1, PARB_OK, 0},
    {"GET", "*/manifests/*", "reset@50%", 0, PARB_UNAVAILABLE, 0},
    {"GET", "*/blobs/{layer}", "stall", 1, PARB_OK, 0},
    {"GET", "*/manifests/*", "stall", 1, PARB_OK, 0},
    {"GET", "*/manifests/*", "stall", 0, PARB_TIMED_OUT, 0},
    {"GET", "*/blobs/{layer}", "truncate", 1, PARB_OK, 0},
    {"GET", "*/manifests/*", "truncate", 1, PARB_OK, 0},
    {"GET", "*/blobs/{layer}", "wrong-digest", 1, PARB_DIGEST_MISMATCH, 0},
    {"GET", "*/manifests/sha256:*", "wrong-digest", 0, PARB_DIGEST_MISMATCH, 0},
    {"GET", "*/blobs/{layer}", "429 retry-after=1", 1, PARB_OK, 1},
    {"GET", "*/manifests/*", "429 retry-after=1", 1, PARB_OK, 1},
    {"GET", "*/manifests/*", "429 retry-after=1", 0, PARB_RATE_LIMITED, 2},
    {"GET", "*/manifests/*", "429 retry-after=100", 1, PARB_RATE_LIMITED, 0}, /* too long to wait for */
    {"GET", "*/blobs/{layer}", "503", 3, PARB_OK, 0},
    {"GET", "*/manifests/*", "503", 3, PARB_OK, 0},
    {"GET", "*/manifests/*", "503", 0, PARB_UNAVAILABLE, 0},
    {"GET", "*/blobs/{layer}", "401 expired", 1, PARB_OK, 0},
    {"GET", "*/manifests/*", "401 expired", 1, PARB_OK, 0},
    {"GET", "*/manifests/*", "401 expired", 0, PARB_DENIED, 0},
    {"GET", "*/manifests/*", "drop-reply", 1, PARB_OK, 0},
    {"GET", "*/blobs/{layer}", "status=404", 0, PARB_NOT_FOUND, 0},
    {"GET", "*/blobs/{layer}", "delay=300", 1, PARB_OK, 0.3},
};

/* Blobs whose digest is known go up by POST and PUT. */
static const row PUSHES[] = {
    {"PUT", "*/blobs/uploads/*", "reset@50%", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "reset@50%", 0, PARB_UNAVAILABLE, 0},
    {"PUT", "*/blobs/uploads/*", "stall", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "stall", 0, PARB_TIMED_OUT, 0},
    {"PUT", "*/blobs/uploads/*", "truncate", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "truncate", 0, PARB_UNAVAILABLE, 0},
    {"PUT", "*/blobs/uploads/*", "wrong-digest", 0, PARB_DIGEST_MISMATCH, 0},
    {"PUT", "*/blobs/uploads/*", "429 retry-after=1", 1, PARB_OK, 1},
    {"PUT", "*/blobs/uploads/*", "429 retry-after=1", 0, PARB_RATE_LIMITED, 2},
    {"PUT", "*/blobs/uploads/*", "503", 3, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "500", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "500", 0, PARB_UNAVAILABLE, 0},
    {"PUT", "*/blobs/uploads/*", "drop-reply", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "401 expired", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "401 expired", 0, PARB_DENIED, 0},
    {"POST", "*/blobs/uploads/", "503", 3, PARB_OK, 0},
    {"POST", "*/blobs/uploads/", "500", 1, PARB_OK, 0},
    {"POST", "*/blobs/uploads/", "500", 0, PARB_UNAVAILABLE, 0},
    {"POST", "*/blobs/uploads/", "drop-reply", 1, PARB_OK, 0},
    {"POST", "*/blobs/uploads/", "401 expired", 1, PARB_OK, 0},
    {"POST", "*/blobs/uploads/", "429 retry-after=1", 1, PARB_OK, 1},
    {"PUT", "*/manifests/*", "reset@50%", 1, PARB_OK, 0},
    {"PUT", "*/manifests/*", "drop-reply", 1, PARB_OK, 0},
    {"PUT", "*/manifests/*", "500", 0, PARB_UNAVAILABLE, 0},
    {"PUT", "*/manifests/*", "429 retry-after=1", 1, PARB_OK, 1},
    {"PUT", "*/manifests/*", "503", 3, PARB_OK, 0},
    {"PUT", "*/manifests/*", "401 expired", 1, PARB_OK, 0},
};

/* Layers that are made on the way go up by POST, PATCH and PUT. */
static const row STREAMS[] = {
    {"PATCH", "*/blobs/uploads/*", "reset@50%", 1, PARB_OK, 0},
    {"PATCH", "*/blobs/uploads/*", "reset@50%", 0, PARB_UNAVAILABLE, 0},
    {"PATCH", "*/blobs/uploads/*", "stall", 1, PARB_OK, 0},
    {"PATCH", "*/blobs/uploads/*", "stall", 0, PARB_TIMED_OUT, 0},
    {"PATCH", "*/blobs/uploads/*", "truncate", 1, PARB_OK, 0},
    {"PATCH", "*/blobs/uploads/*", "429 retry-after=1", 1, PARB_OK, 1},
    {"PATCH", "*/blobs/uploads/*", "503", 3, PARB_OK, 0},
    {"PATCH", "*/blobs/uploads/*", "500", 1, PARB_OK, 0},
    {"PATCH", "*/blobs/uploads/*", "500", 0, PARB_UNAVAILABLE, 0},
    {"PATCH", "*/blobs/uploads/*", "drop-reply", 1, PARB_OK, 0},
    {"PATCH", "*/blobs/uploads/*", "401 expired", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "500", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "drop-reply", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "401 expired", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "wrong-digest", 0, PARB_DIGEST_MISMATCH, 0},
    {"POST", "*/blobs/uploads/", "503", 3, PARB_OK, 0},
};

/* What comes piece by piece from the host can't be had again: it is kept, and goes up by PUT when the PATCH broke. */
static const row WRITES[] = {
    {"PATCH", "*/blobs/uploads/*", "reset@50%", 0, PARB_OK, 0},
    {"PATCH", "*/blobs/uploads/*", "stall", 0, PARB_OK, 0},
    {"PATCH", "*/blobs/uploads/*", "truncate", 0, PARB_OK, 0},
    {"PATCH", "*/blobs/uploads/*", "429 retry-after=1", 1, PARB_OK, 1},
    {"PATCH", "*/blobs/uploads/*", "503", 0, PARB_OK, 0},
    {"PATCH", "*/blobs/uploads/*", "500", 0, PARB_OK, 0},
    {"PATCH", "*/blobs/uploads/*", "drop-reply", 0, PARB_OK, 0},
    {"PATCH", "*/blobs/uploads/*", "401 expired", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "500", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "503", 3, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "drop-reply", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "401 expired", 1, PARB_OK, 0},
    {"PUT", "*/blobs/uploads/*", "wrong-digest", 0, PARB_DIGEST_MISMATCH, 0},
    {"POST", "*/blobs/uploads/", "503", 3, PARB_OK, 0},
    {"*", "*/blobs/uploads/*", "500", 0, PARB_UNAVAILABLE, 0},
    {"*", "*/blobs/uploads/*", "reset@0%", 0, PARB_UNAVAILABLE, 0},
};

static const row *the;
static parb_layer *layer;
static parb_image *image;
static uint8_t *tar;
static size_t tar_len;

static parb_server *serve_with(const row *r) {
  char path[300];
  const char *at = strstr(r->path, "{layer}");
  if (at) snprintf(path, sizeof path, "%.*s%s", (int)(at - r->path), r->path, parb_descriptor_digest(parb_layer_descriptor(layer)));
  else snprintf(path, sizeof path, "%s", r->path);
  parb_server_options *o = parb_server_options_new();
  if (strstr(r->fault, "401")) {
    parb_server_options_add_user(o, "u", "p");
    parb_server_options_set_token_auth(o, 300);
  }
  for (int i = r->times ? 1 : 0; i <= r->times; i++) parb_server_options_add_fault(o, r->method, path, (uint32_t)i, r->fault);
  parb_server *server = NULL;
  OK(parb_serve(o, NULL, &server));
  parb_server_options_free(o);
  return server;
}

static parb_client *client_for(const parb_server *server) {
  parb_client_options *o = parb_client_options_new();
  const char *host = strstr(parb_server_url(server), "://") + 3;
  parb_keychain *k = strstr(the->fault, "401") ? parb_keychain_basic(host, "u", "p") : parb_keychain_anonymous();
  parb_client_options_set_keychain(o, k);
  int long_wait = !strncmp(the->fault, "delay", 5);
  parb_client_options_set_timeouts_ms(o, 5000, long_wait ? 5000 : 1500, 1500);
  parb_client_options_set_retry(o, strstr(the->fault, "429") ? 3 : 4, 20);
  parb_client *c = NULL;
  OK(parb_client_new(o, &c));
  parb_client_options_free(o), parb_keychain_free(k);
  return c;
}

/* The outcome is the row's, and the fault fired as often as it says. */
static void judge(const parb_server *server, parb_error *e, double began) {
  char fired[100];
  snprintf(fired, sizeof fired, "\"fault\":\"%s\"", the->fault);
  parb_error_free(check_fails(__LINE__, the->fault, e, the->code));
  CHECK(now() - began >= the->least);
  int count = requests_with(server, fired);
  if (the->times ? count != the->times : count < 1) FAIL("the fault fired %d times", count);
}

static void pull(void) {
  parb_server *server = serve_with(the);
  parb_client *c = client_for(server);
  parb_ref *ref = ref_on(server, "pull:1"), *by_digest = NULL;
  parb_image *pulled = NULL;
  parb_layer *back = NULL;
  uint64_t total = 0;
  OK(parb_push(c, ref, image, NULL, NULL));
  OK(parb_ref_with_digest(ref, parb_image_digest(image), &by_digest));
  double t = now();
  parb_error *e = parb_pull(c, by_digest, NULL, NULL, &pulled);
  if (!e) e = parb_image_layer_at(pulled, 0, &back);
  if (!e) e = drain(back, NULL, &total);
  if (!e) CHECK_INT(total, tar_len);
  judge(server, e, t);
  parb_layer_free(back), parb_image_free(pulled), parb_ref_free(by_digest), parb_ref_free(ref), parb_client_free(c), parb_server_free(server);
}

/* After a refusal nothing is to be seen under the name; after a success it is whole. Looked at by another client. */
static void look(const parb_server *server, const parb_ref *ref, int pushed) {
  parb_client *fresh = client_for(server);
  parb_image *seen = NULL;
  if (pushed) {
    OK(parb_pull(fresh, ref, NULL, NULL, &seen));
    OK(parb_image_validate(seen, NULL, NULL));
  } else {
    parb_error *e = FAILURE(parb_pull(fresh, ref, NULL, NULL, &seen), PARB_NOT_FOUND);
    parb_error_free(e);
  }
  parb_image_free(seen), parb_client_free(fresh);
}

static void push(void) {
  parb_server *server = serve_with(the);
  parb_client *c = client_for(server);
  parb_ref *ref = ref_on(server, "push:1");
  double t = now();
  judge(server, parb_push(c, ref, image, NULL, NULL), t);
  look(server, ref, the->code == PARB_OK);
  parb_ref_free(ref), parb_client_free(c), parb_server_free(server);
}

static int by_writer; /* else from memory */

static void stream(void) {
  parb_server *server = serve_with(the);
  parb_client *c = client_for(server);
  parb_ref *ref = ref_on(server, "stream:1");
  parb_sink *sink = NULL;
  parb_options *o = parb_options_new();
  parb_layer *made = NULL;
  parb_layer_writer *writer = NULL;
  OK(parb_sink_repository(c, ref, &sink));
  parb_options_set_sink(o, sink);
  double t = now();
  parb_error *e = NULL;
  if (by_writer) {
    e = parb_layer_writer_new(o, NULL, &writer);
    for (size_t at = 0; !e && at < tar_len; at += 100000)
      e = parb_layer_writer_write(writer, tar + at, tar_len - at < 100000 ? tar_len - at : 100000, NULL);
    if (!e) e = parb_layer_writer_finish(writer, NULL, NULL, &made);
    parb_layer_writer_free(writer);
  } else {
    e = parb_layer_from_bytes(tar, tar_len, o, NULL, &made);
  }
  judge(server, e, t);
  if (made) {
    CHECK_STR(parb_descriptor_digest(parb_layer_descriptor(made)), parb_descriptor_digest(parb_layer_descriptor(layer)));
    parb_image *whole = image_of(made);
    OK(parb_push(c, ref, whole, NULL, NULL));
    parb_image_free(whole);
  }
  look(server, ref, made != NULL);
  parb_layer_free(made), parb_options_free(o), parb_sink_free(sink), parb_ref_free(ref), parb_client_free(c), parb_server_free(server);
}

static size_t step = 1;

static void table(const char *kind, const row *rows, size_t count, void (*test)(void)) {
  for (size_t i = 0; i < count; i += step) {
    char name[200], times[20];
    the = &rows[i];
    snprintf(times, sizeof times, the->times ? "x%d" : "always", the->times);
    snprintf(name, sizeof name, "%s: %s %s %s %s", kind, the->method, the->path, the->fault, times);
    run(name, test);
  }
}

static void set_up(void) {
  layer = layer_of(LAYER, 41, NULL);
  image = image_of(layer);
  uint64_t total = 0;
  OK(drain(layer, NULL, &total));
  tar = malloc(total);
  parb_reader *reader = NULL;
  OK(parb_layer_open_uncompressed(layer, NULL, NULL, &reader));
  for (size_t n = 0; tar_len < total; tar_len += n) OK(parb_reader_read(reader, tar + tar_len, total - tar_len, NULL, &n));
  parb_reader_free(reader);
}

#define ROWS(table) table, sizeof table / sizeof *table

int main(int argc, char **argv) {
  if (argc > 1 && **++argv) step = 3;
  RUN(set_up);
  table("pull", ROWS(PULLS), pull);
  table("push", ROWS(PUSHES), push);
  table("from_bytes", ROWS(STREAMS), stream);
  by_writer = 1;
  table("writer", ROWS(WRITES), stream);
  parb_image_free(image), parb_layer_free(layer), free(tar);
  return finish();
}
