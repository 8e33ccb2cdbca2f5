/* cancel [MOMENTS [SECONDS]]: pulls and pushes that are ended at random moments, by another thread or by a deadline.
   Each comes back within SECONDS (2) as cancelled, timed out, or done; afterwards nothing of it is left. */
#include "test.h"
#include <dirent.h>
#include <sys/stat.h>

#define LAYER (3 << 20)

static int moments = 1000;
static double bound = 2;

static char store[] = "/tmp/parb-cancel-XXXXXX", uploads[100], temporary[100];
static parb_server *server, *stalling;
static parb_client *c;
static parb_ref *pull_ref;
static parb_image *image;
static parb_layer *remote;
static uint8_t *tar;
static size_t tar_len;
static int idle_threads, idle_descriptors;

/* What is ended. Each gives its outcome. */
static parb_error *pull(const parb_ctx *ctx, int i) {
  (void)i;
  parb_image *pulled = NULL;
  parb_config *config = NULL;
  parb_layer *layer = NULL;
  uint64_t total;
  parb_error *e = parb_pull(c, pull_ref, NULL, ctx, &pulled);
  if (!e) e = parb_image_config(pulled, NULL, ctx, &config);
  if (!e) e = parb_image_layer_at(pulled, 0, &layer);
  if (!e) e = drain(layer, ctx, &total);
  parb_layer_free(layer), parb_config_free(config), parb_image_free(pulled);
  return e;
}

static parb_error *validate(const parb_ctx *ctx, int i) {
  (void)i;
  parb_image *pulled = NULL;
  parb_error *e = parb_pull(c, pull_ref, NULL, ctx, &pulled);
  if (!e) e = parb_image_validate(pulled, NULL, ctx);
  parb_image_free(pulled);
  return e;
}

static parb_ref *repository(const parb_server *on, const char *kind, int i) {
  char name[50];
  snprintf(name, sizeof name, "%s%d:1", kind, i);
  return ref_on(on, name);
}

static parb_error *push(const parb_ctx *ctx, int i) {
  parb_ref *ref = repository(server, "push", i);
  parb_error *e = parb_push(c, ref, image, NULL, ctx);
  parb_ref_free(ref);
  return e;
}

static parb_options *into(const parb_ref *ref) {
  parb_options *o = parb_options_new();
  parb_sink *sink = NULL;
  OK(parb_sink_repository(c, ref, &sink));
  parb_options_set_sink(o, sink);
  parb_sink_free(sink);
  return o;
}

static parb_error *stream(const parb_ctx *ctx, int i) {
  parb_ref *ref = repository(server, "stream", i);
  parb_options *o = into(ref);
  parb_layer *layer = NULL;
  parb_error *e = parb_layer_from_bytes(tar, tar_len, o, ctx, &layer);
  parb_layer_free(layer), parb_options_free(o), parb_ref_free(ref);
  return e;
}

static parb_error *writer(const parb_ctx *ctx, int i) {
  parb_ref *ref = repository(server, "writer", i);
  parb_options *o = into(ref);
  parb_layer *layer = NULL;
  parb_layer_writer *w = NULL;
  parb_error *e = parb_layer_writer_new(o, ctx, &w);
  for (size_t at = 0; !e && at < tar_len; at += 200000)
    e = parb_layer_writer_write(w, tar + at, tar_len - at < 200000 ? tar_len - at : 200000, ctx);
  if (!e) e = parb_layer_writer_finish(w, NULL, ctx, &layer);
  parb_layer_writer_free(w), parb_layer_free(layer), parb_options_free(o), parb_ref_free(ref);
  return e;
}

static parb_error *spooled(const parb_ctx *ctx, int i) {
  (void)i;
  parb_layer *layer = NULL;
  parb_error *e = parb_layer_from_bytes(tar, tar_len, NULL, ctx, &layer);
  parb_layer_free(layer);
  return e;
}

/* Against a server that answers nothing. */
static parb_error *hung_pull(const parb_ctx *ctx, int i) {
  parb_ref *ref = repository(stalling, "pull", i);
  parb_image *none = NULL;
  parb_error *e = parb_pull(c, ref, NULL, ctx, &none);
  parb_image_free(none), parb_ref_free(ref);
  return e;
}

static parb_error *hung_push(const parb_ctx *ctx, int i) {
  parb_ref *ref = repository(stalling, "push", i);
  parb_error *e = parb_push(c, ref, image, NULL, ctx);
  parb_ref_free(ref);
  return e;
}

static parb_error *hung_stream(const parb_ctx *ctx, int i) {
  parb_ref *ref = repository(stalling, "stream", i);
  parb_options *o = into(ref);
  parb_layer *layer = NULL;
  parb_error *e = parb_layer_from_bytes(tar, tar_len, o, ctx, &layer);
  parb_layer_free(layer), parb_options_free(o), parb_ref_free(ref);
  return e;
}

static struct {
  const char *name;
  parb_error *(*call)(const parb_ctx *, int);
  double takes; /* seconds, when nothing ends it */
  int done, cancelled, timed_out;
} kinds[] = {{"pull", pull, 0, 0, 0, 0},           {"validate", validate, 0, 0, 0, 0},
             {"push", push, 0, 0, 0, 0},           {"stream", stream, 0, 0, 0, 0},
             {"writer", writer, 0, 0, 0, 0},       {"spooled", spooled, 0, 0, 0, 0},
             {"hung pull", hung_pull, 0, 0, 0, 0}, {"hung push", hung_push, 0, 0, 0, 0},
             {"hung stream", hung_stream, 0, 0, 0, 0}};
#define KINDS ((int)(sizeof kinds / sizeof *kinds))
#define HUNG_FROM 6

/* The thread that cancels. */
static struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  const parb_ctx *ctx; /* what is to be cancelled, in `after_us` */
  long after_us;
  double at; /* when it was */
  int over;
} killer = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0, 0, 0};

static void *kill_on_demand(void *arg) {
  pthread_mutex_lock(&killer.mutex);
  while (!killer.over) {
    if (!killer.ctx) {
      pthread_cond_wait(&killer.changed, &killer.mutex);
      continue;
    }
    sleep_us(killer.after_us);
    killer.at = now();
    parb_ctx_cancel(killer.ctx);
    killer.ctx = NULL;
    pthread_cond_broadcast(&killer.changed);
  }
  pthread_mutex_unlock(&killer.mutex);
  return arg;
}

static uint64_t dice = 88172645463325252u;
static double chance(void) {
  dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
  return (double)(dice >> 11) / 9007199254740992.0;
}

static int rising(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static int open_uploads(void) { return entries(uploads); }

static void set_up(void) {
  CHECK(mkdtemp(store) != NULL);
  snprintf(uploads, sizeof uploads, "%s/registry/uploads", store);
  snprintf(temporary, sizeof temporary, "%s/tmp", store);
  CHECK(!mkdir(temporary, 0700));
  setenv("TMPDIR", temporary, 1);
  char registry[100];
  snprintf(registry, sizeof registry, "%s/registry", store);
  parb_server_options *o = parb_server_options_new();
  parb_server_options_set_storage_dir(o, registry);
  OK(parb_serve(o, NULL, &server));
  parb_server_options_free(o);
  o = parb_server_options_new();
  parb_server_options_add_fault(o, "*", "*", 0, "stall");
  OK(parb_serve(o, NULL, &stalling));
  parb_server_options_free(o);
  sleep_us(1000000); /* threads that were only needed to start */
  idle_threads = threads(), idle_descriptors = descriptors();

  c = client();
  parb_layer *layer = layer_of(LAYER, 51, NULL);
  image = image_of(layer);
  uint64_t total = 0;
  OK(drain(layer, NULL, &total));
  tar = malloc(total);
  parb_reader *reader = NULL;
  OK(parb_layer_open_uncompressed(layer, NULL, NULL, &reader));
  for (size_t n = 0; tar_len < total; tar_len += n) OK(parb_reader_read(reader, tar + tar_len, total - tar_len, NULL, &n));
  parb_reader_free(reader), parb_layer_free(layer);
  pull_ref = ref_on(server, "there:1");
  OK(parb_push(c, pull_ref, image, NULL, NULL));
  parb_image *pulled = NULL;
  OK(parb_pull(c, pull_ref, NULL, NULL, &pulled));
  OK(parb_image_layer_at(pulled, 0, &remote));
  parb_image_free(pulled);
  for (int i = 0; i < KINDS; i++) {
    double t = now();
    kinds[i].takes = 0.05;
    if (i >= HUNG_FROM) continue;
    OK(kinds[i].call(NULL, 1000000 + i));
    kinds[i].takes = now() - t;
  }
}

static void ended_at_random(void) {
  double *late = calloc((size_t)moments, sizeof *late);
  int ended = 0;
  pthread_t id;
  pthread_create(&id, NULL, kill_on_demand, NULL);
  for (int i = 0; i < moments; i++) {
    int kind = i % KINDS, by_deadline = (int)(chance() * 3) == 0;
    double moment = chance() * kinds[kind].takes * 1.1;
    parb_ctx *ctx = parb_ctx_new(NULL), *child = chance() < 0.5 ? parb_ctx_new(ctx) : NULL;
    double due = now() + moment;
    if (by_deadline) {
      parb_ctx_set_timeout_ms(ctx, (int64_t)(moment * 1000));
    } else {
      pthread_mutex_lock(&killer.mutex);
      killer.after_us = (long)(moment * 1e6), killer.ctx = ctx;
      pthread_cond_broadcast(&killer.changed);
      pthread_mutex_unlock(&killer.mutex);
    }
    parb_error *e = kinds[kind].call(child ? child : ctx, i);
    double back = now();
    if (!by_deadline) {
      pthread_mutex_lock(&killer.mutex);
      while (killer.ctx) pthread_cond_wait(&killer.changed, &killer.mutex);
      due = killer.at;
      pthread_mutex_unlock(&killer.mutex);
    }
    parb_code code = parb_error_code(e);
    if (code != PARB_OK && code != (by_deadline ? PARB_TIMED_OUT : PARB_CANCELLED)) {
      printf("  %s, moment %d of %.1f ms: ", kinds[kind].name, i, moment * 1e3);
      tell("", e);
      FAIL(" ");
    }
    code == PARB_OK ? kinds[kind].done++ : by_deadline ? kinds[kind].timed_out++ : kinds[kind].cancelled++;
    if (code != PARB_OK) late[ended++] = back - due;
    if (code != PARB_OK && back - due > bound) FAIL("%s came back %.3f s late", kinds[kind].name, back - due);
    parb_error_free(e), parb_ctx_free(child), parb_ctx_free(ctx);
    /* Connections may wait for use, sixteen for each registry at both of their ends; no more than those stay. */
    if (i % 100 == 99 && descriptors() > idle_descriptors + 200) FAIL("%d descriptors", descriptors());
  }
  pthread_mutex_lock(&killer.mutex);
  killer.over = 1;
  pthread_cond_broadcast(&killer.changed);
  pthread_mutex_unlock(&killer.mutex);
  pthread_join(id, NULL);
  for (int i = 0; i < KINDS; i++)
    printf("  %-11s (%.0f ms): %d done, %d cancelled, %d timed out\n", kinds[i].name, kinds[i].takes * 1e3, kinds[i].done,
           kinds[i].cancelled, kinds[i].timed_out);
  qsort(late, (size_t)ended, sizeof *late, rising);
  if (ended > 0)
    printf("  %d ended: median %.1f ms late, 99%% within %.1f ms, all within %.1f ms (200 ms promised)\n", ended,
           late[ended / 2] * 1e3, late[ended * 99 / 100] * 1e3, late[ended - 1] * 1e3);
  CHECK(ended > moments / 3);
  free(late);
}

/* The client still works, and what was pushed half is not to be seen. */
static void nothing_is_half(void) {
  for (int i = 0; i < moments; i++) {
    if (i % KINDS != 2) continue;
    parb_ref *ref = repository(server, "push", i);
    parb_image *seen = NULL;
    parb_error *e = parb_pull(c, ref, NULL, NULL, &seen);
    if (parb_error_code(e) != PARB_NOT_FOUND) {
      OK(e);
      OK(parb_image_validate(seen, NULL, NULL));
    } else {
      parb_error_free(e);
    }
    parb_image_free(seen), parb_ref_free(ref);
  }
}

/* Two seconds later; abandoned uploads are taken back in the background. */
static void nothing_is_left(void) {
  sleep_us(2000000);
  CHECK_INT(settles(open_uploads, 0), 0);
  CHECK_INT(entries(temporary), 0);
  uint64_t total;
  OK(drain(remote, NULL, &total));
  OK(parb_client_close(c, NULL));
  parb_layer_free(remote), parb_image_free(image), parb_ref_free(pull_ref), parb_client_free(c);
  CHECK_INT(settles(threads, idle_threads), idle_threads);
  CHECK_INT(settles(descriptors, idle_descriptors), idle_descriptors);
  parb_server_free(server), parb_server_free(stalling);
  free(tar);
  char command[200];
  snprintf(command, sizeof command, "rm -rf %s", store);
  CHECK(!system(command));
}

int main(int argc, char **argv) {
  if (argc > 1) moments = atoi(argv[1]);
  if (argc > 2) bound = atof(argv[2]);
  RUN(set_up);
  RUN(ended_at_random);
  RUN(nothing_is_half);
  RUN(nothing_is_left);
  return finish();
}
