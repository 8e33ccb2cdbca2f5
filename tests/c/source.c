/* Streams of the host, the errors they carry, and the promise that destroy is called exactly once. */
#include "test.h"
#include <semaphore.h>

/* A tar in memory that is read in odd pieces. */
typedef struct {
  const uint8_t *data;
  size_t len, at, step;
  int destroyed, rewound, reads;
  parb_error *(*fail)(void); /* called in the middle */
  sem_t *entered, *leave;    /* where the callback hangs in the middle */
} stream;

static parb_error *on_read(void *user, uint8_t *buf, size_t cap, size_t *out_n) {
  stream *s = user;
  s->reads++;
  if (s->at >= s->len / 2) {
    if (s->entered) sem_post(s->entered), s->entered = NULL;
    if (s->leave) {
      while (sem_wait(s->leave)) {
      }
      s->leave = NULL;
    }
    if (s->fail) return s->fail();
  }
  size_t n = s->len - s->at;
  s->step = s->step * 5 % 70001 + 1;
  if (n > s->step) n = s->step;
  if (n > cap) n = cap;
  memcpy(buf, s->data + s->at, n);
  s->at += n;
  *out_n = n;
  return NULL;
}

static parb_error *on_rewind(void *user) {
  stream *s = user;
  s->at = 0;
  s->rewound++;
  return NULL;
}

static void on_destroy(void *user) { count_up(&((stream *)user)->destroyed); }

static uint8_t *tar;
static size_t tar_len;

static void make_tar(void) {
  parb_layer *layer = layer_of(2 << 20, 11, NULL);
  uint64_t total = 0;
  OK(drain(layer, NULL, &total));
  tar = malloc(total);
  parb_reader *reader = NULL;
  OK(parb_layer_open_uncompressed(layer, NULL, NULL, &reader));
  for (size_t n = 0; tar_len < total; tar_len += n) OK(parb_reader_read(reader, tar + tar_len, total - tar_len, NULL, &n));
  parb_reader_free(reader), parb_layer_free(layer);
}

static stream whole(void) { return (stream){.data = tar, .len = tar_len}; }

static void same_as_bytes(void) {
  parb_layer *a = NULL, *b = NULL;
  stream s = whole();
  parb_source *source = parb_source_new(on_read, on_rewind, &s, on_destroy);
  OK(parb_layer_from_source(source, NULL, NULL, &a));
  OK(parb_layer_from_bytes(tar, tar_len, NULL, NULL, &b));
  char *one = digest_of(a), *two = digest_of(b);
  CHECK_STR(one, two);
  parb_layer *again = NULL;
  FAILS(parb_layer_from_source(source, NULL, NULL, &again), PARB_INVALID_STATE);
  parb_source_free(source);
  CHECK_INT(count_settles(&s.destroyed, 1), 1);
  free(one), free(two), parb_layer_free(a), parb_layer_free(b);
}

static int carried, carried_destroyed;
static void carried_destroy(void *user) {
  if (user == &carried) count_up(&carried_destroyed);
}
static parb_error *refuse(void) { return parb_error_new(PARB_CALLBACK, "the disk is on fire", &carried, carried_destroy); }

static void error_is_carried(void) {
  for (int repository = 0; repository < 2; repository++) {
    parb_server *server = serve();
    parb_client *c = client();
    parb_ref *ref = ref_on(server, "s");
    parb_sink *sink = NULL;
    parb_options *o = parb_options_new();
    OK(parb_sink_repository(c, ref, &sink));
    if (repository) parb_options_set_sink(o, sink);
    stream s = whole();
    s.fail = refuse;
    carried_destroyed = 0;
    parb_source *source = parb_source_new(on_read, on_rewind, &s, on_destroy);
    parb_layer *layer = NULL;
    parb_error *e = FAILURE(parb_layer_from_source(source, o, NULL, &layer), PARB_CALLBACK), *copy = parb_error_clone(e);
    CHECK(layer == NULL);
    CHECK(parb_error_user(e) == &carried);
    CHECK(strstr(parb_error_message(e), "on fire") || (parb_error_cause(e) && strstr(parb_error_message(parb_error_cause(e)), "on fire")));
    parb_source_free(source);
    CHECK_INT(count_settles(&s.destroyed, 1), 1);
    CHECK_INT(s.rewound, 0); /* the host's own failure is not tried again */
    parb_error_free(e);
    CHECK_INT(count_in(&carried_destroyed), 0);
    CHECK(parb_error_user(copy) == &carried);
    parb_error_free(copy);
    CHECK_INT(count_settles(&carried_destroyed, 1), 1);
    parb_options_free(o), parb_sink_free(sink), parb_ref_free(ref), parb_client_free(c), parb_server_free(server);
  }
}

static parb_error *read_too_much(void *user, uint8_t *buf, size_t cap, size_t *out_n) {
  (void)user, (void)buf;
  *out_n = cap + 1;
  return NULL;
}

static parb_error *read_other_code(void *user, uint8_t *buf, size_t cap, size_t *out_n) {
  (void)user, (void)buf, (void)cap, (void)out_n;
  return parb_error_new(12345, NULL, NULL, NULL);
}

static parb_error *read_rubbish(void *user, uint8_t *buf, size_t cap, size_t *out_n) {
  (void)user, (void)buf, (void)cap, (void)out_n;
  static uint64_t no_error[4];
  return (parb_error *)no_error;
}

static void bad_callbacks(void) {
  const parb_read_cb reads[] = {read_too_much, read_other_code, read_rubbish};
  for (size_t i = 0; i < 3; i++) {
    int destroyed = 0;
    parb_layer *layer = NULL;
    parb_source *source = parb_source_new(reads[i], NULL, &destroyed, count_up);
    FAILS(parb_layer_from_source(source, NULL, NULL, &layer), PARB_CALLBACK);
    parb_source_free(source);
    CHECK_INT(count_settles(&destroyed, 1), 1);
  }
}

static void destroyed_once_without_reading(void) {
  int destroyed = 0;
  parb_source_free(parb_source_new(on_read, NULL, &destroyed, count_up));
  CHECK_INT(destroyed, 1);
  CHECK(parb_source_new(NULL, NULL, &destroyed, count_up) == NULL);
  CHECK_INT(destroyed, 2);

  /* Options that are refused, no place for the result, a ctx that has ended. */
  parb_options *o = parb_options_new();
  parb_options_set_jobs(o, 2);
  parb_layer *layer = NULL;
  parb_source *source = parb_source_new(on_read, NULL, &destroyed, count_up);
  FAILS(parb_layer_from_source(source, o, NULL, &layer), PARB_INVALID_ARGUMENT);
  parb_source_free(source);
  CHECK_INT(count_settles(&destroyed, 3), 3);
  source = parb_source_new(on_read, NULL, &destroyed, count_up);
  FAILS(parb_layer_from_source(source, NULL, NULL, NULL), PARB_INVALID_ARGUMENT);
  parb_source_free(source);
  CHECK_INT(count_settles(&destroyed, 4), 4);
  parb_ctx *ctx = parb_ctx_new(NULL);
  parb_ctx_cancel(ctx);
  source = parb_source_new(on_read, NULL, &destroyed, count_up);
  FAILS(parb_layer_from_source(source, NULL, ctx, &layer), PARB_CANCELLED);
  parb_source_free(source);
  CHECK_INT(count_settles(&destroyed, 5), 5);
  parb_options_free(o), parb_ctx_free(ctx);
}

/* Errors, progress and on_done keep the promise as well. */
static void no_event(void *user, const parb_event *event) { (void)user, (void)event; }
static void nothing(void *user) { (void)user; }

static void destroyed_once_elsewhere(void) {
  int d = 0;
  parb_error *e = parb_error_new(PARB_CALLBACK, "x", &d, count_up), *f = parb_error_clone(e);
  parb_error_free(e);
  CHECK_INT(d, 0);
  parb_error_free(f);
  CHECK_INT(d, 1);

  parb_ctx *ctx = parb_ctx_new(NULL);
  parb_ctx_set_progress(ctx, no_event, &d, count_up);
  CHECK_INT(d, 1);
  parb_ctx_set_progress(ctx, no_event, &d, count_up); /* replaced */
  CHECK_INT(count_settles(&d, 2), 2);
  parb_ctx_set_progress(ctx, NULL, &d, count_up); /* nobody is told: neither old nor new */
  CHECK_INT(count_settles(&d, 4), 4);
  parb_ctx_set_progress(ctx, no_event, &d, count_up);
  parb_ctx_free(ctx);
  CHECK_INT(count_settles(&d, 5), 5);
  parb_ctx_set_progress(NULL, no_event, &d, count_up);
  CHECK_INT(count_settles(&d, 6), 6);

  FAILS(parb_op_on_done(NULL, nothing, &d, count_up), PARB_INVALID_ARGUMENT);
  CHECK_INT(count_settles(&d, 7), 7);
  parb_op *op = NULL;
  OK(parb_layer_from_bytes_start(tar, tar_len, NULL, NULL, &op));
  FAILS(parb_op_on_done(op, NULL, &d, count_up), PARB_INVALID_ARGUMENT);
  CHECK_INT(count_settles(&d, 8), 8);
  OK(parb_op_on_done(op, nothing, &d, count_up));
  OK(parb_op_on_done(op, nothing, &d, count_up));
  parb_op_free(op);
  CHECK_INT(count_settles(&d, 10), 10);
}

/* A callback that hangs: the cancelled call comes back at once, the stream is destroyed when the callback does. */
static void cancelled_while_reading(void) {
  sem_t entered, leave;
  sem_init(&entered, 0, 0), sem_init(&leave, 0, 0);
  stream s = whole();
  s.entered = &entered, s.leave = &leave;
  parb_ctx *ctx = parb_ctx_new(NULL);
  parb_source *source = parb_source_new(on_read, NULL, &s, on_destroy);
  parb_op *op = NULL;
  OK(parb_layer_from_source_start(source, NULL, ctx, &op));
  parb_source_free(source);
  sem_wait(&entered);
  double t = now();
  parb_ctx_cancel(ctx);
  OK(parb_op_wait(op, NULL));
  CHECK(now() - t < 1.0);
  parb_layer *layer = NULL;
  FAILS(parb_op_take_layer(op, &layer), PARB_CANCELLED);
  sleep_us(50000);
  CHECK_INT(count_in(&s.destroyed), 0);
  sem_post(&leave);
  CHECK_INT(count_settles(&s.destroyed, 1), 1);
  parb_op_free(op), parb_ctx_free(ctx);
}

#define HUNG 64

static void too_many_callbacks(void) {
  sem_t entered, leave;
  sem_init(&entered, 0, 0), sem_init(&leave, 0, 0);
  static stream s[HUNG];
  parb_op *op[HUNG];
  for (int i = 0; i < HUNG; i++) {
    s[i] = (stream){.data = tar, .len = 0, .entered = &entered, .leave = &leave};
    parb_source *source = parb_source_new(on_read, NULL, &s[i], on_destroy);
    OK(parb_layer_from_source_start(source, NULL, NULL, &op[i]));
    parb_source_free(source);
  }
  for (int i = 0; i < HUNG; i++) sem_wait(&entered);
  int destroyed = 0;
  parb_layer *layer = NULL;
  parb_source *source = parb_source_new(on_read, NULL, &destroyed, count_up);
  FAILS(parb_layer_from_source(source, NULL, NULL, &layer), PARB_LIMIT_EXCEEDED);
  parb_source_free(source);
  CHECK_INT(count_settles(&destroyed, 1), 1);
  /* What needs no callback goes on. */
  OK(parb_layer_from_bytes(tar, tar_len, NULL, NULL, &layer));
  parb_layer_free(layer);
  /* Nor does an op that ends now stay silent: its callback is dropped, and destroy tells. */
  parb_op *late = NULL;
  OK(parb_layer_from_bytes_start(tar, tar_len, NULL, NULL, &late));
  OK(parb_op_wait(late, NULL));
  int done = 0;
  parb_error *e = parb_op_on_done(late, nothing, &done, count_up);
  CHECK(!e || parb_error_code(e) == PARB_LIMIT_EXCEEDED);
  parb_error_free(e);
  CHECK_INT(count_settles(&done, 1), 1);
  parb_op_free(late);
  for (int i = 0; i < HUNG; i++) sem_post(&leave);
  for (int i = 0; i < HUNG; i++) {
    parb_layer *one = NULL;
    OK(parb_op_wait(op[i], NULL));
    parb_error *e2 = parb_op_take_layer(op[i], &one); /* an empty stream: whether that is a tar is not asked here */
    parb_error_free(e2), parb_layer_free(one), parb_op_free(op[i]);
    CHECK_INT(count_settles(&s[i].destroyed, 1), 1);
  }
}

/* An upload that breaks in the middle of a stream that can't be read again, and of one that can. */
static void broken_upload(void) {
  for (int rewindable = 0; rewindable < 2; rewindable++) {
    parb_server_options *so = parb_server_options_new();
    parb_server_options_add_fault(so, "PATCH", "*", 1, "reset@50%");
    parb_server *server = NULL;
    OK(parb_serve(so, NULL, &server));
    parb_server_options_free(so);
    parb_client *c = client();
    parb_ref *ref = ref_on(server, "s:1");
    parb_sink *sink = NULL;
    parb_options *o = parb_options_new();
    OK(parb_sink_repository(c, ref, &sink));
    parb_options_set_sink(o, sink);
    stream s = whole();
    parb_source *source = parb_source_new(on_read, rewindable ? on_rewind : NULL, &s, on_destroy);
    parb_layer *layer = NULL;
    OK(parb_layer_from_source(source, o, NULL, &layer));
    CHECK_INT(requests_with(server, "\"fault\""), 1);
    parb_image *image = image_of(layer), *pulled = NULL;
    OK(parb_push(c, ref, image, NULL, NULL));
    OK(parb_pull(c, ref, NULL, NULL, &pulled));
    OK(parb_image_validate(pulled, NULL, NULL));
    parb_source_free(source);
    CHECK_INT(count_settles(&s.destroyed, 1), 1);
    parb_image_free(image), parb_image_free(pulled), parb_layer_free(layer), parb_options_free(o);
    parb_sink_free(sink), parb_ref_free(ref), parb_client_free(c), parb_server_free(server);
  }
}

/* What is told, in order, and the end of it. */
typedef struct {
  int told, destroyed, kinds;
  uint64_t done;
} progress;

static void on_event(void *user, const parb_event *event) {
  progress *p = user;
  const char *kind = parb_event_kind(event);
  p->told++;
  if (!strcmp(kind, "compress")) p->kinds |= 1, p->done = parb_event_done(event);
  if (!strcmp(kind, "upload")) p->kinds |= 2;
  if (!strcmp(kind, "download")) p->kinds |= 4;
}
static void progress_destroy(void *user) { count_up(&((progress *)user)->destroyed); }

static void events(void) {
  parb_server *server = serve();
  parb_client *c = client();
  parb_ref *ref = ref_on(server, "e:1");
  progress p = {0};
  parb_ctx *ctx = parb_ctx_new(NULL), *child = parb_ctx_new(ctx);
  parb_ctx_set_progress(ctx, on_event, &p, progress_destroy);
  parb_layer *layer = NULL, *back = NULL;
  OK(parb_layer_from_bytes(tar, tar_len, NULL, child, &layer));
  parb_image *image = image_of(layer), *pulled = NULL;
  OK(parb_push(c, ref, image, NULL, child));
  OK(parb_pull(c, ref, NULL, child, &pulled));
  OK(parb_image_layer_at(pulled, 0, &back));
  uint64_t total = 0, done = 0, all = 0;
  OK(drain(back, child, &total));
  parb_ctx_progress(ctx, &done, &all);
  CHECK(done >= tar_len);
  parb_layer_free(back), parb_layer_free(layer), parb_image_free(image), parb_image_free(pulled);
  parb_ctx_free(child), parb_ctx_free(ctx);
  CHECK_INT(count_settles(&p.destroyed, 1), 1);
  CHECK_INT(p.kinds, 7);
  CHECK_INT(p.done, tar_len);
  parb_ref_free(ref), parb_client_free(c), parb_server_free(server);
}

int main(void) {
  RUN(make_tar);
  RUN(same_as_bytes);
  RUN(error_is_carried);
  RUN(bad_callbacks);
  RUN(destroyed_once_without_reading);
  RUN(destroyed_once_elsewhere);
  RUN(cancelled_while_reading);
  RUN(too_many_callbacks);
  RUN(broken_upload);
  RUN(events);
  free(tar);
  return finish();
}
