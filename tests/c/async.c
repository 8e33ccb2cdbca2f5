/* The asynchronous door: ops, callbacks, queues, an event loop. */
#include "test.h"
#include <poll.h>
#include <semaphore.h>

#define MANY 200

static parb_server *server, *stalling;
static parb_client *c;
static parb_ref *ref, *hung;

static void set_up(void) {
  server = serve();
  c = client();
  ref = ref_on(server, "a:1");
  parb_image *image = scratch(5000, 21);
  OK(parb_push(c, ref, image, NULL, NULL));
  parb_image_free(image);
  parb_server_options *o = parb_server_options_new();
  parb_server_options_add_fault(o, "*", "*", 0, "stall");
  OK(parb_serve(o, NULL, &stalling));
  parb_server_options_free(o);
  hung = ref_on(stalling, "never:1");
}

/* One descriptor for any number of operations. */
static void event_loop(void) {
  parb_queue *q = NULL;
  parb_op *ops[MANY];
  int seen[MANY] = {0}, left = MANY;
  OK(parb_queue_new(&q));
  struct pollfd p = {.fd = (int)parb_queue_fd(q), .events = POLLIN};
  CHECK(p.fd >= 0);
  CHECK_INT(poll(&p, 1, 0), 0);
  for (size_t i = 0; i < MANY; i++) {
    OK(parb_pull_start(c, ref, NULL, NULL, &ops[i]));
    OK(parb_queue_add(q, ops[i], (void *)(uintptr_t)i));
  }
  while (left > 0) {
    CHECK_INT(poll(&p, 1, 20000), 1);
    void *tags[7];
    size_t n = 0;
    OK(parb_queue_take(q, 0, tags, 7, &n));
    CHECK(n > 0);
    for (size_t i = 0; i < n; i++, left--) {
      size_t at = (uintptr_t)tags[i];
      CHECK(at < MANY && !seen[at]++);
      CHECK(parb_op_is_done(ops[at]));
      parb_image *image = NULL;
      OK(parb_op_take_image(ops[at], &image));
      CHECK(image != NULL);
      parb_image_free(image), parb_op_free(ops[at]);
    }
  }
  CHECK_INT(poll(&p, 1, 0), 0);
  size_t n = 1;
  void *tag;
  OK(parb_queue_take(q, 0, &tag, 1, &n));
  CHECK_INT(n, 0);
  double t = now();
  OK(parb_queue_take(q, 60, &tag, 1, &n));
  CHECK(n == 0 && now() - t >= 0.05);
  parb_queue_free(q);
}

static void outcomes(void) {
  parb_op *op = NULL;
  parb_image *image = NULL;
  parb_layer *layer = NULL;
  OK(parb_pull_start(c, hung, NULL, NULL, &op));
  CHECK(!parb_op_is_done(op));
  FAILS(parb_op_take_image(op, &image), PARB_INVALID_STATE);
  parb_ctx *soon = parb_ctx_new(NULL);
  parb_ctx_set_timeout_ms(soon, 50);
  FAILS(parb_op_wait(op, soon), PARB_TIMED_OUT); /* only the waiting ends */
  CHECK(!parb_op_is_done(op));
  parb_op_cancel(op);
  OK(parb_op_wait(op, NULL));
  FAILS(parb_op_take_layer(op, &layer), PARB_INVALID_STATE); /* of another kind: the outcome stays */
  FAILS(parb_op_finish(op), PARB_INVALID_STATE);
  FAILS(parb_op_take_image(op, &image), PARB_CANCELLED);
  FAILS(parb_op_take_image(op, &image), PARB_INVALID_STATE);
  parb_op_free(op), parb_ctx_free(soon);
  OK(parb_pull_start(c, ref, NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  parb_op_cancel(op); /* too late */
  OK(parb_op_take_image(op, &image));
  parb_op_free(op);
  OK(parb_image_validate_start(image, NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_op_finish(op));
  FAILS(parb_op_finish(op), PARB_INVALID_STATE);
  parb_op_free(op), parb_image_free(image);
}

/* A bad argument is told at once, by a _start as by the call itself. */
static void refused_at_once(void) {
  parb_op *op = NULL;
  parb_image *image = scratch(10, 1);
  FAILS(parb_pull_start(NULL, ref, NULL, NULL, &op), PARB_INVALID_ARGUMENT);
  FAILS(parb_pull_start(c, NULL, NULL, NULL, &op), PARB_INVALID_ARGUMENT);
  FAILS(parb_push_start(c, ref, NULL, NULL, NULL, &op), PARB_INVALID_ARGUMENT);
  FAILS(parb_pull_start(c, ref, NULL, NULL, NULL), PARB_INVALID_ARGUMENT);
  FAILS(parb_pull_start(c, ref, (const parb_options *)image, NULL, &op), PARB_INVALID_ARGUMENT);
  FAILS(parb_layer_from_file_start(NULL, NULL, NULL, &op), PARB_INVALID_ARGUMENT);
  parb_ctx *over = parb_ctx_new(NULL);
  parb_ctx_cancel(over);
  FAILS(parb_pull_start(c, ref, NULL, over, &op), PARB_CANCELLED);
  CHECK(op == NULL);
  parb_ctx_free(over), parb_image_free(image);
}

/* On a thread of the library, what does not wait works, and what would wait says so. */
typedef struct {
  parb_op *op, *other;
  parb_reader *reader;
  parb_queue *queue;
  char digest[80];
  parb_code waits[8];
  int called, destroyed;
} callback;

static parb_code code_of(parb_error *e) {
  parb_code code = parb_error_code(e);
  parb_error_free(e);
  return code;
}

static void on_done(void *user) {
  callback *b = user;
  parb_image *image = NULL, *none = NULL;
  parb_layer *layer = NULL;
  void *tag;
  size_t n;
  uint8_t byte;
  if (!code_of(parb_op_take_image(b->op, &image))) snprintf(b->digest, sizeof b->digest, "%s", parb_image_digest(image));
  b->waits[0] = code_of(parb_pull(c, ref, NULL, NULL, &none));
  b->waits[1] = code_of(parb_op_wait(b->other, NULL));
  b->waits[2] = code_of(parb_queue_take(b->queue, -1, &tag, 1, &n));
  b->waits[3] = code_of(parb_reader_read(b->reader, &byte, 1, NULL, &n));
  b->waits[4] = code_of(parb_client_close(c, NULL));
  b->waits[5] = code_of(parb_server_stop(server, NULL));
  b->waits[6] = code_of(parb_image_layer_at(image, 0, &layer)); /* this one doesn't wait */
  b->waits[7] = code_of(parb_queue_take(b->queue, 0, &tag, 1, &n));
  parb_layer_free(layer), parb_image_free(image), parb_image_free(none);
  count_up(&b->called);
}
static void callback_destroy(void *user) { count_up(&((callback *)user)->destroyed); }

static void waiting_in_a_callback(void) {
  callback b = {0};
  parb_image *image = NULL;
  parb_layer *layer = NULL;
  OK(parb_pull(c, ref, NULL, NULL, &image));
  OK(parb_image_layer_at(image, 0, &layer));
  OK(parb_layer_open(layer, NULL, NULL, &b.reader));
  OK(parb_queue_new(&b.queue));
  OK(parb_pull_start(c, hung, NULL, NULL, &b.other));
  OK(parb_pull_start(c, ref, NULL, NULL, &b.op));
  OK(parb_op_wait(b.op, NULL));
  OK(parb_op_on_done(b.op, on_done, &b, callback_destroy)); /* done already: called now */
  CHECK_INT(count_settles(&b.destroyed, 1), 1);
  CHECK_INT(count_in(&b.called), 1);
  CHECK_STR(b.digest, parb_image_digest(image));
  for (int i = 0; i < 6; i++) {
    if (b.waits[i] != PARB_INVALID_STATE) FAIL("call %d in the callback: %s", i, parb_error_code_name(b.waits[i]));
  }
  CHECK_INT(b.waits[6], PARB_OK);
  CHECK_INT(b.waits[7], PARB_OK);
  parb_reader_free(b.reader), parb_queue_free(b.queue), parb_op_free(b.op), parb_op_free(b.other);
  parb_layer_free(layer), parb_image_free(image);
  OK(parb_pull(c, ref, NULL, NULL, &image)); /* neither client nor server was ended */
  parb_image_free(image);
}

/* Takes so many tags, which have to come soon. */
static long sum_of_tags(parb_queue *q, int count) {
  long sum = 0;
  while (count > 0) {
    void *tags[3];
    size_t n = 0;
    OK(parb_queue_take(q, 10000, tags, 3, &n));
    CHECK(n > 0);
    for (size_t i = 0; i < n; i++, count--) sum += (long)(uintptr_t)tags[i];
  }
  return sum;
}

static void freed_while_running(void) {
  parb_queue *q = NULL, *p = NULL;
  OK(parb_queue_new(&q));
  OK(parb_queue_new(&p));
  int called = 0, destroyed = 0;
  for (uintptr_t i = 1; i <= 20; i++) {
    parb_op *op = NULL;
    OK(parb_pull_start(c, hung, NULL, NULL, &op));
    OK(parb_queue_add(q, op, (void *)i));
    OK(parb_queue_add(p, op, (void *)(i + 100)));
    OK(parb_op_on_done(op, count_up, &called, NULL));
    OK(parb_op_on_done(op, count_up, &destroyed, count_up));
    if (i % 2) sleep_us(1000);
    double t = now();
    parb_op_free(op);
    CHECK(now() - t < 0.5);
  }
  CHECK_INT(sum_of_tags(q, 20), 210);
  CHECK_INT(sum_of_tags(p, 20), 2210);
  CHECK_INT(count_settles(&called, 20), 20);
  CHECK_INT(count_settles(&destroyed, 40), 40);
  parb_queue_free(q), parb_queue_free(p);
}

typedef struct {
  parb_queue *queue;
  sem_t ready;
  parb_code code;
  size_t n;
} taker;

static void *take(void *arg) {
  taker *t = arg;
  void *tag;
  t->n = 99;
  sem_post(&t->ready);
  t->code = code_of(parb_queue_take(t->queue, -1, &tag, 1, &t->n));
  return NULL;
}

static void queue_freed_under_takes(void) {
  parb_queue *q = NULL;
  parb_op *op = NULL;
  OK(parb_queue_new(&q));
  OK(parb_pull_start(c, hung, NULL, NULL, &op));
  OK(parb_queue_add(q, op, NULL));
  taker t[4];
  pthread_t id[4];
  for (int i = 0; i < 4; i++) {
    t[i] = (taker){.queue = q};
    sem_init(&t[i].ready, 0, 0);
    pthread_create(&id[i], NULL, take, &t[i]);
    sem_wait(&t[i].ready);
  }
  sleep_us(200000);
  parb_queue_free(q);
  for (int i = 0; i < 4; i++) {
    pthread_join(id[i], NULL);
    CHECK_INT(t[i].code, PARB_INVALID_STATE);
    CHECK_INT(t[i].n, 99); /* nothing was written */
  }
  CHECK(!parb_op_is_done(op)); /* the op lives on */
  parb_op_cancel(op);
  OK(parb_op_wait(op, NULL));
  parb_op_free(op);
}

static void wake(void) {
  parb_queue *q = NULL;
  OK(parb_queue_new(&q));
  taker t = {.queue = q};
  pthread_t id;
  sem_init(&t.ready, 0, 0);
  pthread_create(&id, NULL, take, &t);
  sem_wait(&t.ready);
  sleep_us(50000);
  parb_queue_wake(q);
  pthread_join(id, NULL);
  CHECK_INT(t.code, PARB_OK);
  CHECK_INT(t.n, 0);
  /* A wake that comes first is kept, and shows on the descriptor. */
  parb_queue_wake(q);
  struct pollfd p = {.fd = (int)parb_queue_fd(q), .events = POLLIN};
  CHECK_INT(poll(&p, 1, 0), 1);
  void *tag;
  size_t n = 1;
  OK(parb_queue_take(q, -1, &tag, 1, &n));
  CHECK_INT(n, 0);
  CHECK_INT(poll(&p, 1, 0), 0);
  FAILS(parb_queue_take(q, 0, &tag, 0, &n), PARB_INVALID_ARGUMENT);
  FAILS(parb_queue_add(q, NULL, NULL), PARB_INVALID_ARGUMENT);
  parb_queue_free(q);
}

/* Added when it is done already, twice to the same queue. */
static void added_late(void) {
  parb_queue *q = NULL;
  parb_op *op = NULL;
  OK(parb_queue_new(&q));
  OK(parb_pull_start(c, ref, NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_queue_add(q, op, (void *)1));
  OK(parb_queue_add(q, op, (void *)2));
  void *tags[4];
  size_t n = 0;
  OK(parb_queue_take(q, -1, tags, 4, &n));
  CHECK_INT(n, 2);
  parb_op_free(op), parb_queue_free(q);
}

/* Every _start twin, by the chain that a program would make of them. */
static void twins(void) {
  parb_op *op = NULL;
  parb_image *image = NULL, *made = NULL;
  parb_config *config = NULL;
  parb_descriptor *descriptor = NULL;
  parb_layer *layer = NULL, *built = NULL, *written = NULL;
  parb_layer_writer *writer = NULL;
  parb_reader *reader = NULL;
  parb_buf *buf = NULL;
#define DONE(start, take)       \
  do {                          \
    OK(start);                  \
    OK(parb_op_wait(op, NULL)); \
    OK(take);                   \
    parb_op_free(op), op = NULL; \
  } while (0)
  DONE(parb_resolve_start(c, ref, NULL, NULL, &op), parb_op_take_descriptor(op, &descriptor));
  DONE(parb_pull_start(c, ref, NULL, NULL, &op), parb_op_take_image(op, &image));
  CHECK_STR(parb_descriptor_digest(descriptor), parb_image_digest(image));
  DONE(parb_image_config_start(image, NULL, NULL, &op), parb_op_take_config(op, &config));
  OK(parb_image_layer_at(image, 0, &layer));
  DONE(parb_layer_diff_id_start(layer, NULL, NULL, &op), parb_op_finish(op));
  const char *diff_id = NULL;
  int before = requests_with(server, "\"n\"");
  OK(parb_layer_diff_id(layer, NULL, NULL, &diff_id)); /* from memory */
  CHECK_INT(requests_with(server, "\"n\""), before);
  CHECK_STR(diff_id, parb_strings_at(parb_config_diff_ids(config), 0));
  parb_layer_builder *lb = parb_layer_builder_new();
  parb_layer_builder_add_symlink(lb, "link", "target");
  parb_layer_builder_remove(lb, "etc/gone");
  DONE(parb_layer_builder_build_start(lb, NULL, NULL, &op), parb_op_take_layer(op, &built));
  DONE(parb_layer_writer_new_start(NULL, NULL, &op), parb_op_take_layer_writer(op, &writer));
  DONE(parb_layer_open_uncompressed_start(layer, NULL, NULL, &op), parb_op_take_reader(op, &reader));
  for (size_t n = 1; n > 0; parb_buf_free(buf)) {
    DONE(parb_reader_next_start(reader, NULL, NULL, &op), parb_op_take_buf(op, &buf));
    n = parb_buf_len(buf);
    OK(parb_layer_writer_write(writer, parb_buf_data(buf), n, NULL));
  }
  parb_reader_free(reader);
  DONE(parb_layer_writer_finish_start(writer, NULL, NULL, &op), parb_op_take_layer(op, &written));
  CHECK_STR(parb_descriptor_digest(parb_layer_descriptor(written)), parb_descriptor_digest(parb_layer_descriptor(layer)));
  DONE(parb_layer_open_start(layer, NULL, NULL, &op), parb_op_take_reader(op, &reader));
  parb_image_builder *ib = parb_image_builder_new(image);
  parb_image_builder_add_layer(ib, built);
  DONE(parb_image_builder_build_start(ib, NULL, NULL, &op), parb_op_take_image(op, &made));
  DONE(parb_push_layer_start(c, ref, built, NULL, NULL, &op), parb_op_finish(op));
  DONE(parb_push_start(c, ref, made, NULL, NULL, &op), parb_op_finish(op));
  DONE(parb_image_validate_start(made, NULL, NULL, &op), parb_op_finish(op));
#undef DONE
  parb_reader_free(reader), parb_layer_free(layer), parb_layer_free(built), parb_layer_free(written);
  parb_layer_writer_free(writer), parb_layer_builder_free(lb), parb_image_builder_free(ib), parb_config_free(config);
  parb_descriptor_free(descriptor), parb_image_free(image), parb_image_free(made);
}

/* Two threads in a handle that one at a time may use: told, not corrupted. */
static void *read_slowly(void *arg) {
  uint8_t byte;
  size_t n;
  parb_ctx *ctx = parb_ctx_new(NULL);
  parb_ctx_set_timeout_ms(ctx, 400);
  parb_error_free(parb_reader_read(arg, &byte, 1, ctx, &n));
  parb_ctx_free(ctx);
  return NULL;
}

static void one_at_a_time(void) {
  parb_image *image = scratch(1 << 20, 31), *pulled = NULL;
  parb_layer *layer = NULL;
  OK(parb_image_layer_at(image, 0, &layer));
  char *digest = digest_of(layer), path[200];
  parb_layer_free(layer);
  snprintf(path, sizeof path, "*/blobs/%s", digest);
  parb_server_options *o = parb_server_options_new();
  parb_server_options_add_fault(o, "GET", path, 0, "stall");
  parb_server *slow = NULL;
  OK(parb_serve(o, NULL, &slow));
  parb_ref *there = ref_on(slow, "x:1");
  OK(parb_push(c, there, image, NULL, NULL));
  OK(parb_pull(c, there, NULL, NULL, &pulled));
  OK(parb_image_layer_at(pulled, 0, &layer));
  parb_reader *reader = NULL;
  OK(parb_layer_open(layer, NULL, NULL, &reader));
  uint8_t buf[4096];
  size_t n = 1;
  parb_ctx *ctx = parb_ctx_new(NULL);
  parb_ctx_set_timeout_ms(ctx, 300);
  parb_error *e = NULL;
  while (!e && n > 0) e = parb_reader_read(reader, buf, sizeof buf, ctx, &n); /* up to where it stalls */
  FAILS(e, PARB_TIMED_OUT);
  pthread_t id;
  pthread_create(&id, NULL, read_slowly, reader);
  sleep_us(150000);
  FAILS(parb_reader_read(reader, buf, 1, NULL, &n), PARB_INVALID_STATE);
  pthread_join(id, NULL);
  parb_reader_free(reader), parb_ctx_free(ctx), parb_layer_free(layer), parb_image_free(image), parb_image_free(pulled);
  parb_ref_free(there), parb_server_options_free(o), parb_server_free(slow), free(digest);
}

static void tear_down(void) {
  parb_ref_free(ref), parb_ref_free(hung), parb_client_free(c), parb_server_free(server), parb_server_free(stalling);
}

int main(void) {
  RUN(set_up);
  RUN(event_loop);
  RUN(outcomes);
  RUN(refused_at_once);
  RUN(waiting_in_a_callback);
  RUN(freed_while_running);
  RUN(queue_freed_under_takes);
  RUN(wake);
  RUN(added_late);
  RUN(twins);
  RUN(one_at_a_time);
  RUN(tear_down);
  return finish();
}
