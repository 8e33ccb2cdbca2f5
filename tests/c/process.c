/* process [CLIENTS]: the library as a guest in a process that forks, has signals of its own, and frees in any order. */
#include "test.h"
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int clients = 1000;
static parb_server *server;
static parb_ref *ref;
static parb_image *image;

static void set_up(void) {
  server = serve();
  ref = ref_on(server, "p:1");
  image = scratch(100000, 61);
  parb_client *c = client();
  OK(parb_push(c, ref, image, NULL, NULL));
  parb_client_free(c);
}

/* Runs `work` in a forked child and gives what it returned, a text: "" is good. The child ends by a signal, so that no
   checker takes stock there: what a child can't end in order it leaves to the system. */
static void in_child(const char *(*work)(void)) {
  int ends[2], status = 0;
  char said[200] = "the child said nothing";
  CHECK(!pipe(ends));
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    const char *text = work();
    ssize_t written = write(ends[1], text, strlen(text) + 1);
    raise(written > 0 ? SIGKILL : SIGABRT);
  }
  close(ends[1]);
  ssize_t n = read(ends[0], said, sizeof said - 1);
  close(ends[0]);
  CHECK_INT(waitpid(pid, &status, 0), pid);
  CHECK(WIFSIGNALED(status));
  CHECK_INT(WTERMSIG(status), SIGKILL);
  CHECK(n > 0);
  CHECK_STR(said, "");
}

static parb_code code_of(parb_error *e) {
  parb_code code = parb_error_code(e);
  parb_error_free(e);
  return code;
}

/* What the parent made, and the child inherits. */
static struct {
  parb_client *client;
  parb_image *image;
  parb_layer *layer;
  parb_reader *reader;
  parb_op *op;
  parb_queue *queue;
  parb_sink *sink;
  parb_ctx *ctx;
  parb_layer_writer *writer;
} old;

#define EXPECT(condition) \
  do {                    \
    if (!(condition)) return #condition; \
  } while (0)

static const char *child(void) {
  parb_image *pulled = NULL;
  parb_config *config = NULL;
  parb_reader *reader = NULL;
  parb_layer *layer = NULL, *made = NULL;
  parb_op *op = NULL;
  parb_buf *stats = NULL;
  uint8_t buf[1000];
  size_t n = 0;
  int destroyed = 0;
  /* What needs the parent's threads says so. */
  EXPECT(code_of(parb_pull(old.client, ref, NULL, NULL, &pulled)) == PARB_FORKED);
  EXPECT(code_of(parb_push(old.client, ref, image, NULL, NULL)) == PARB_FORKED);
  EXPECT(code_of(parb_pull_start(old.client, ref, NULL, NULL, &op)) == PARB_FORKED);
  EXPECT(code_of(parb_image_config(old.image, NULL, NULL, &config)) == PARB_FORKED);
  EXPECT(code_of(parb_layer_open(old.layer, NULL, NULL, &reader)) == PARB_FORKED);
  EXPECT(code_of(parb_client_close(old.client, NULL)) == PARB_FORKED);
  EXPECT(code_of(parb_queue_add(old.queue, old.op, NULL)) == PARB_FORKED);
  EXPECT(code_of(parb_op_on_done(old.op, count_up, &destroyed, count_up)) == PARB_FORKED);
  EXPECT(destroyed == 1);
  parb_code read = PARB_OK;
  for (int i = 0; i < 1000 && !read; i++) read = code_of(parb_reader_read(old.reader, buf, sizeof buf, NULL, &n));
  if (read != PARB_FORKED) return parb_error_code_name(read);
  parb_code wrote = code_of(parb_layer_writer_write(old.writer, buf, sizeof buf, NULL));
  EXPECT(wrote == PARB_OK || wrote == PARB_FORKED);
  EXPECT(code_of(parb_layer_writer_finish(old.writer, NULL, NULL, &made)) == PARB_FORKED);
  EXPECT(!pulled && !op && !config && !reader && !made);
  EXPECT(code_of(parb_image_validate(image, NULL, old.ctx)) == PARB_FORKED);
  EXPECT(!parb_ctx_new(old.ctx));
  parb_ctx_cancel(old.ctx);
  EXPECT(!parb_ctx_is_cancelled(old.ctx));
  /* Facts stay. */
  EXPECT(!strcmp(parb_image_digest(old.image), parb_image_digest(image)));
  EXPECT(!code_of(parb_image_layer_at(old.image, 0, &layer)));
  EXPECT(parb_descriptor_size(parb_layer_descriptor(layer)) > 0);
  EXPECT(!code_of(parb_client_stats(old.client, &stats)));
  EXPECT(strstr(parb_server_url(server), "http://"));
  /* Frees are fine, before and after. */
  parb_layer_free(layer), parb_buf_free(stats), parb_op_free(old.op), parb_reader_free(old.reader);
  /* A new client works, and talks to the parent's server. */
  parb_client *fresh = NULL;
  EXPECT(!code_of(parb_client_new(NULL, &fresh)));
  EXPECT(!code_of(parb_pull(fresh, ref, NULL, NULL, &pulled)));
  EXPECT(!code_of(parb_image_validate(pulled, NULL, NULL)));
  parb_image_free(pulled), parb_client_free(fresh);
  parb_server *own = NULL;
  EXPECT(!code_of(parb_serve(NULL, NULL, &own)));
  parb_server_free(own);
  parb_layer_writer_free(old.writer), parb_layer_free(old.layer), parb_image_free(old.image), parb_sink_free(old.sink);
  parb_queue_free(old.queue), parb_client_free(old.client), parb_ctx_free(old.ctx), parb_server_free(server);
  return "";
}

#ifdef __SANITIZE_ADDRESS__
/* Waits until every other thread of this process has slept for a while. */
static void idle(void) {
  for (int asleep = 0, i = 0; asleep < 10 && i < 1000; i++) {
    asleep++;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; (task = readdir(tasks));) {
      char path[300], state = 'S';
      snprintf(path, sizeof path, "/proc/self/task/%s/stat", task->d_name);
      FILE *f = atoi(task->d_name) == getpid() ? NULL : fopen(path, "r");
      if (f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1 && state != 'S') asleep = 0;
      if (f) fclose(f);
    }
    closedir(tasks);
    sleep_us(5000);
  }
}
#endif

static void forked(void) {
  old.client = client();
  old.ctx = parb_ctx_new(NULL);
  OK(parb_pull(old.client, ref, NULL, NULL, &old.image));
  OK(parb_image_layer_at(old.image, 0, &old.layer));
  OK(parb_layer_open(old.layer, NULL, NULL, &old.reader));
  OK(parb_sink_repository(old.client, ref, &old.sink));
  OK(parb_queue_new(&old.queue));
  parb_options *o = parb_options_new();
  parb_options_set_sink(o, old.sink);
  OK(parb_layer_writer_new(o, NULL, &old.writer));
  parb_options_free(o);
  OK(parb_pull_start(old.client, ref, NULL, NULL, &old.op));
#ifdef __SANITIZE_ADDRESS__
  idle(); /* its allocator, unlike the C library's, keeps the locks that the parent's threads hold at the fork */
#endif
  in_child(child);
  in_child(child);
  /* The parent goes on as if nothing had been. */
  uint8_t buf[10000];
  size_t n = 1;
  while (n > 0) OK(parb_reader_read(old.reader, buf, sizeof buf, NULL, &n));
  OK(parb_op_wait(old.op, NULL));
  parb_image *pulled = NULL;
  OK(parb_op_take_image(old.op, &pulled));
  OK(parb_image_validate(pulled, NULL, NULL));
  parb_image_free(pulled), parb_op_free(old.op), parb_layer_writer_free(old.writer), parb_reader_free(old.reader);
  parb_layer_free(old.layer), parb_image_free(old.image), parb_sink_free(old.sink), parb_queue_free(old.queue);
  parb_client_free(old.client), parb_ctx_free(old.ctx);
}

/* Forks while other threads are at work: no lock of theirs may stand in the child's way. */
static int at_work;
static void *work(void *arg) {
  while (count_in(&at_work)) {
    parb_client *c = NULL;
    parb_image *pulled = NULL;
    if (!code_of(parb_client_new(NULL, &c))) parb_error_free(parb_pull(c, ref, NULL, NULL, &pulled));
    parb_image_free(pulled), parb_client_free(c);
  }
  return arg;
}

static const char *small_child(void) {
  parb_client *c = NULL;
  parb_image *pulled = NULL;
  EXPECT(!code_of(parb_client_new(NULL, &c)));
  EXPECT(!code_of(parb_pull(c, ref, NULL, NULL, &pulled)));
  return "";
}

static void forked_at_work(void) {
#ifdef __SANITIZE_ADDRESS__
  puts("  skipped: the sanitizer's own allocator keeps the locks of the parent's threads");
  return;
#endif
  pthread_t id[3];
  at_work = 1;
  for (int i = 0; i < 3; i++) pthread_create(&id[i], NULL, work, NULL);
  for (int i = 0; i < 20; i++) in_child(small_child);
  __atomic_store_n(&at_work, 0, __ATOMIC_SEQ_CST);
  for (int i = 0; i < 3; i++) pthread_join(id[i], NULL);
}

/* What the child lets go of, a thread of the parent may have had locked. */
static const char *finishing_child(void) {
  parb_layer *made = NULL;
  EXPECT(code_of(parb_layer_writer_finish(old.writer, NULL, NULL, &made)) == PARB_FORKED);
  parb_layer_writer_free(old.writer);
  return "";
}

static void forked_with_a_writer(void) {
#ifdef __SANITIZE_ADDRESS__
  puts("  skipped: the sanitizer's own allocator keeps the locks of the parent's threads");
  return;
#endif
  parb_client *c = client();
  parb_options *o = parb_options_new();
  OK(parb_sink_repository(c, ref, &old.sink));
  parb_options_set_sink(o, old.sink);
  for (int i = 0; i < (getenv("PARB_UNDER_VALGRIND") ? 5 : 1000); i++) {
    OK(parb_layer_writer_new(o, NULL, &old.writer));
    OK(parb_pull_start(c, ref, NULL, NULL, &old.op)); /* has a thread look for work while this one forks */
    in_child(finishing_child);
    parb_op_free(old.op), parb_layer_writer_free(old.writer);
  }
  parb_options_free(o), parb_sink_free(old.sink), parb_client_free(c);
}

/* The server closes in the middle of an upload; SIGPIPE is at its default, which would end this process. */
static void sigpipe(void) {
  signal(SIGPIPE, SIG_DFL);
  parb_server_options *o = parb_server_options_new();
  parb_server_options_add_fault(o, "PUT", "*/blobs/uploads/*", 0, "reset@50%");
  parb_server_options_add_fault(o, "PATCH", "*", 0, "truncate");
  parb_server *closing = NULL;
  OK(parb_serve(o, NULL, &closing));
  parb_client_options *co = parb_client_options_new();
  parb_client_options_set_retry(co, 3, 10);
  parb_client *c = NULL;
  OK(parb_client_new(co, &c));
  parb_ref *there = ref_on(closing, "s:1");
  parb_image *large = scratch(8 << 20, 62);
  FAILS(parb_push(c, there, large, NULL, NULL), PARB_UNAVAILABLE);
  CHECK(requests_with(closing, "reset@50%") >= 3);
  parb_options *into = parb_options_new();
  parb_sink *sink = NULL;
  OK(parb_sink_repository(c, there, &sink));
  parb_options_set_sink(into, sink);
  uint8_t *zeros = calloc(1, 8 << 20);
  parb_layer_builder *b = parb_layer_builder_new();
  parb_layer *layer = NULL;
  mixed_bytes(zeros, 8 << 20, 63);
  parb_layer_builder_add_bytes(b, "f", 0644, zeros, 8 << 20);
  FAILS(parb_layer_builder_build(b, into, NULL, &layer), PARB_UNAVAILABLE);
  CHECK(requests_with(closing, "truncate") >= 1);
  struct sigaction now_is;
  CHECK(!sigaction(SIGPIPE, NULL, &now_is));
  CHECK(now_is.sa_handler == SIG_DFL);
  free(zeros), parb_layer_builder_free(b), parb_sink_free(sink), parb_options_free(into), parb_image_free(large);
  parb_ref_free(there), parb_client_free(c), parb_client_options_free(co), parb_server_options_free(o), parb_server_free(closing);
}

static volatile sig_atomic_t children;
static void on_child(int signal) {
  (void)signal;
  children++;
}

static void sigchld(void) {
  struct sigaction mine = {.sa_handler = on_child, .sa_flags = SA_RESTART}, is;
  sigemptyset(&mine.sa_mask);
  CHECK(!sigaction(SIGCHLD, &mine, NULL));
  parb_client *c = client();
  parb_image *pulled = NULL;
  OK(parb_pull(c, ref, NULL, NULL, &pulled));
  OK(parb_image_validate(pulled, NULL, NULL));
  CHECK(!sigaction(SIGCHLD, NULL, &is));
  CHECK(is.sa_handler == on_child);
  CHECK_INT(children, 0);
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) raise(SIGKILL);
  CHECK_INT(waitpid(pid, &status, 0), pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  for (int i = 0; i < 100 && !children; i++) sleep_us(10000);
  CHECK_INT(children, 1);
  signal(SIGCHLD, SIG_DFL);
  parb_image_free(pulled), parb_client_free(c);
}

static void no_event(void *user, const parb_event *event) { (void)event, sleep_us(*(long *)user); }

static int thread_status(const char *id, char *name, unsigned long long *mask) {
  char path[300], line[200];
  snprintf(path, sizeof path, "/proc/self/task/%s/status", id);
  FILE *status = fopen(path, "r");
  if (!status) return 0;
  int found = 0;
  while (fgets(line, sizeof line, status)) {
    sscanf(line, "Name: %63s", name);
    found |= sscanf(line, "SigBlk: %llx", mask) == 1;
  }
  fclose(status);
  return found;
}

/* The library's threads block the signals that are meant for the host, and not those that report a fault. */
static void signal_masks(void) {
  sigset_t before, after;
  pthread_sigmask(SIG_BLOCK, NULL, &before);
  parb_client *c = client();
  parb_ctx *ctx = parb_ctx_new(NULL);
  static long us = 300000; /* events may lag behind their call */
  parb_ctx_set_progress(ctx, no_event, &us, NULL);
  parb_image *pulled = NULL;
  OK(parb_pull(c, ref, NULL, ctx, &pulled));
  OK(parb_image_validate(pulled, NULL, ctx));
  const int blocked[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGCHLD, SIGALRM, SIGUSR1, SIGUSR2, SIGWINCH, SIGIO, SIGURG};
  const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
  DIR *tasks = opendir("/proc/self/task");
  int seen = 0, callbacks = 0;
  for (struct dirent *e; (e = readdir(tasks));) {
    if (*e->d_name == '.' || atoi(e->d_name) == getpid()) continue;
    char name[64] = "";
    unsigned long long mask = 0;
    int there = thread_status(e->d_name, name, &mask);
    /* While a thread starts or ends, the C library blocks everything on it for a moment. */
    for (int i = 0; there && i < 100 && mask >> (SIGSEGV - 1) & 1; i++) {
      sleep_us(10000);
      there = thread_status(e->d_name, name, &mask);
    }
    if (!there) continue; /* it ended meanwhile */
    if (strncmp(name, "parb-", 5)) FAIL("a thread named %s", name);
    seen++, callbacks += !strcmp(name, "parb-callback");
    for (size_t i = 0; i < sizeof blocked / sizeof *blocked; i++)
      if (!(mask >> (blocked[i] - 1) & 1)) FAIL("%s does not block signal %d", name, blocked[i]);
    for (size_t i = 0; !getenv("PARB_UNDER_VALGRIND") && i < sizeof open / sizeof *open; i++)
      if (mask >> (open[i] - 1) & 1) FAIL("%s blocks signal %d", name, open[i]);
  }
  closedir(tasks);
  CHECK(seen >= 2);
  CHECK(callbacks >= 1);
  pthread_sigmask(SIG_BLOCK, NULL, &after);
  for (int i = 1; i < 32; i++) CHECK(sigismember(&before, i) == sigismember(&after, i));
  parb_ctx_free(ctx), parb_image_free(pulled), parb_client_free(c);
}

static void used_after_free_of_the_client(void) {
  parb_client *c = client();
  parb_image *pulled = NULL;
  parb_layer *layer = NULL;
  parb_config *config = NULL;
  uint64_t total;
  OK(parb_pull(c, ref, NULL, NULL, &pulled));
  parb_client_free(c);
  OK(parb_image_config(pulled, NULL, NULL, &config));
  OK(parb_image_layer_at(pulled, 0, &layer));
  OK(drain(layer, NULL, &total));
  parb_config_free(config), parb_layer_free(layer), parb_image_free(pulled);
}

static void used_after_close(void) {
  parb_client *c = client();
  parb_image *pulled = NULL, *none = NULL;
  parb_layer *layer = NULL;
  parb_config *config = NULL;
  parb_reader *reader = NULL, *other = NULL;
  parb_sink *sink = NULL;
  parb_op *op = NULL;
  uint8_t byte;
  size_t n;
  OK(parb_pull(c, ref, NULL, NULL, &pulled));
  OK(parb_image_layer_at(pulled, 0, &layer));
  OK(parb_layer_open(layer, NULL, NULL, &reader));
  OK(parb_client_close(c, NULL));
  OK(parb_client_close(c, NULL));
  FAILS(parb_pull(c, ref, NULL, NULL, &none), PARB_INVALID_STATE);
  FAILS(parb_push(c, ref, image, NULL, NULL), PARB_INVALID_STATE);
  FAILS(parb_pull_start(c, ref, NULL, NULL, &op), PARB_INVALID_STATE);
  FAILS(parb_image_config(pulled, NULL, NULL, &config), PARB_INVALID_STATE);
  FAILS(parb_layer_open(layer, NULL, NULL, &other), PARB_INVALID_STATE);
  FAILS(parb_image_validate(pulled, NULL, NULL), PARB_INVALID_STATE);
  parb_error *e = NULL;
  for (int i = 0; !e && i < 1000000; i++) e = parb_reader_read(reader, &byte, 1, NULL, &n);
  FAILS(e, PARB_INVALID_STATE);
  parb_options *o = parb_options_new();
  OK(parb_sink_repository(c, ref, &sink)); /* a place is no use of the network */
  parb_options_set_sink(o, sink);
  parb_layer *made = NULL;
  parb_layer_builder *b = parb_layer_builder_new();
  FAILS(parb_layer_builder_build(b, o, NULL, &made), PARB_INVALID_STATE);
  CHECK_STR(parb_image_digest(pulled), parb_image_digest(image));
  CHECK_INT(parb_image_layer_count(pulled), 1);
  CHECK(parb_descriptor_size(parb_layer_descriptor(layer)) > 0);
  CHECK(!none && !op && !config && !other && !made);
  parb_layer_builder_free(b), parb_options_free(o), parb_sink_free(sink), parb_reader_free(reader), parb_layer_free(layer);
  parb_image_free(pulled), parb_client_free(c);
}

/* Close ends what runs, and waits no longer than its ctx. */
static void close_ends_calls(void) {
  parb_server_options *so = parb_server_options_new();
  parb_server_options_add_fault(so, "*", "*", 0, "stall");
  parb_server *stalling = NULL;
  OK(parb_serve(so, NULL, &stalling));
  parb_server_options_free(so);
  parb_ref *hung = ref_on(stalling, "x:1");
  parb_client *c = client();
  parb_queue *q = NULL;
  OK(parb_queue_new(&q));
  parb_op *ops[8];
  for (uintptr_t i = 0; i < 8; i++) {
    OK(parb_pull_start(c, hung, NULL, NULL, &ops[i]));
    OK(parb_queue_add(q, ops[i], (void *)i));
  }
  parb_ctx *over = parb_ctx_new(NULL);
  parb_ctx_set_timeout_ms(over, -1);
  parb_error_free(parb_client_close(c, over)); /* at once; everything is ending */
  void *tags[8];
  for (size_t got = 0, n = 0; got < 8; got += n) {
    OK(parb_queue_take(q, 5000, tags, 8, &n));
    CHECK(n > 0);
  }
  OK(parb_client_close(c, NULL));
  for (int i = 0; i < 8; i++) {
    parb_image *none = NULL;
    FAILS(parb_op_take_image(ops[i], &none), PARB_INVALID_STATE);
    parb_op_free(ops[i]);
  }
  parb_ctx_free(over), parb_queue_free(q), parb_client_free(c), parb_ref_free(hung), parb_server_free(stalling);
}

/* Everything there is, freed in orders at random. */
enum { CLIENT, SERVER, IMAGE, CONFIG, LAYER, READER, SINK, OP, QUEUE, CTX, BUILDER, WRITER, REF, DESCRIPTOR, ALL };

static void frees_in_every_order(void) {
  srand(7);
  int rounds = clients < 1000 ? 20 : 200;
  for (int round = 0; round < rounds; round++) {
    void *it[ALL] = {0};
    uint8_t byte;
    size_t n;
    OK(parb_serve(NULL, NULL, (parb_server **)&it[SERVER]));
    OK(parb_client_new(NULL, (parb_client **)&it[CLIENT]));
    it[REF] = ref_on(it[SERVER], "f:1"), it[CTX] = parb_ctx_new(NULL);
    OK(parb_push(it[CLIENT], it[REF], image, NULL, it[CTX]));
    OK(parb_pull(it[CLIENT], it[REF], NULL, it[CTX], (parb_image **)&it[IMAGE]));
    OK(parb_resolve(it[CLIENT], it[REF], NULL, it[CTX], (parb_descriptor **)&it[DESCRIPTOR]));
    OK(parb_image_config(it[IMAGE], NULL, it[CTX], (parb_config **)&it[CONFIG]));
    OK(parb_image_layer_at(it[IMAGE], 0, (parb_layer **)&it[LAYER]));
    OK(parb_layer_open(it[LAYER], NULL, it[CTX], (parb_reader **)&it[READER]));
    OK(parb_reader_read(it[READER], &byte, 1, it[CTX], &n));
    OK(parb_sink_repository(it[CLIENT], it[REF], (parb_sink **)&it[SINK]));
    OK(parb_queue_new((parb_queue **)&it[QUEUE]));
    OK(parb_pull_start(it[CLIENT], it[REF], NULL, it[CTX], (parb_op **)&it[OP]));
    OK(parb_queue_add(it[QUEUE], it[OP], NULL));
    it[BUILDER] = parb_image_builder_new(it[IMAGE]);
    parb_image_builder_add_layer(it[BUILDER], it[LAYER]);
    parb_options *o = parb_options_new();
    parb_options_set_sink(o, it[SINK]);
    OK(parb_layer_writer_new(o, it[CTX], (parb_layer_writer **)&it[WRITER]));
    parb_options_free(o);
    for (int left = ALL; left > 0; left--) {
      int pick = rand() % left, at = -1;
      do at++, pick -= it[at] != NULL;
      while (pick >= 0);
      switch (at) {
        case CLIENT: parb_client_free(it[at]); break;
        case SERVER: parb_server_free(it[at]); break;
        case IMAGE: parb_image_free(it[at]); break;
        case CONFIG: parb_config_free(it[at]); break;
        case LAYER: parb_layer_free(it[at]); break;
        case READER: parb_reader_free(it[at]); break;
        case SINK: parb_sink_free(it[at]); break;
        case OP: parb_op_free(it[at]); break;
        case QUEUE: parb_queue_free(it[at]); break;
        case CTX: parb_ctx_free(it[at]); break;
        case BUILDER: parb_image_builder_free(it[at]); break;
        case WRITER: parb_layer_writer_free(it[at]); break;
        case REF: parb_ref_free(it[at]); break;
        case DESCRIPTOR: parb_descriptor_free(it[at]); break;
      }
      it[at] = NULL;
    }
  }
}

static void many_clients(void) {
  parb_client *kept = client();
  parb_image *pulled = NULL;
  OK(parb_pull(kept, ref, NULL, NULL, &pulled));
  parb_image_free(pulled);
  sleep_us(1500000); /* threads that compute end when idle */
  int before = threads();
  for (int i = 0; i < clients; i++) {
    parb_client *c = client();
    if (i % 10 == 0) {
      OK(parb_pull(c, ref, NULL, NULL, &pulled));
      parb_image_free(pulled);
    }
    parb_client_free(c);
    if (i % 50 == 0 && threads() > before + 8) FAIL("%d threads, %d before", threads(), before);
  }
  CHECK_INT(settles(threads, before), before);
  parb_client_free(kept);
}

/* A directory for temporary files that is missing, and one that is full. */
static void spool_into(const char *directory, int os_code) {
  char *kept = getenv("TMPDIR") ? strdup(getenv("TMPDIR")) : NULL;
  setenv("TMPDIR", directory, 1);
  size_t len = 4 << 20;
  uint8_t *data = malloc(len);
  for (uint64_t i = 0, x = 9; i < len; i++) x = x * 6364136223846793005u + 1442695040888963407u, data[i] = (uint8_t)(x >> 56);
  parb_layer_builder *b = parb_layer_builder_new();
  parb_layer_builder_add_bytes(b, "f", 0644, data, len);
  parb_layer *layer = NULL;
  int open = descriptors();
  parb_error *e = parb_layer_builder_build(b, NULL, NULL, &layer);
  if (kept) setenv("TMPDIR", kept, 1);
  else unsetenv("TMPDIR");
  e = check_fails(__LINE__, directory, e, PARB_IO);
  CHECK_STR(parb_error_subject(e), directory);
  CHECK_INT(parb_error_os_code(e), os_code);
  CHECK(layer == NULL);
  CHECK(entries(directory) <= 0);
  CHECK(settles(descriptors, open) <= open + 1); /* the runtime's own may have come with the first call */
  parb_error_free(e), parb_layer_builder_free(b), free(data), free(kept);
}

static void no_temporary_directory(void) {
  parb_client *c = client();
  spool_into("/nonexistent/parb-test", ENOENT);
  parb_client_free(c);
}

/* In a child with a file system of its own, where we may mount one. */
static char full[] = "/tmp/parb-full-XXXXXX";
static const char *child_with_a_full_disk(void) {
  if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
      mount("tmpfs", full, "tmpfs", 0, "size=1m"))
    return "skip";
  if (setjmp(test_end)) return "failed, as said above";
  parb_client *c = client();
  spool_into(full, ENOSPC);
  parb_client_free(c);
  fflush(stdout);
  return "";
}

static void full_temporary_directory(void) {
  CHECK(mkdtemp(full) != NULL);
  int ends[2], status;
  char said[100] = "";
  CHECK(!pipe(ends));
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    const char *text = child_with_a_full_disk();
    fflush(stdout);
    if (write(ends[1], text, strlen(text) + 1) > 0) raise(SIGKILL);
  }
  close(ends[1]);
  ssize_t n = read(ends[0], said, sizeof said - 1);
  close(ends[0]), waitpid(pid, &status, 0), rmdir(full);
  CHECK(n > 0);
  if (!strcmp(said, "skip")) puts("  skipped: nothing can be mounted here");
  else CHECK_STR(said, "");
}

static void tear_down(void) { parb_ref_free(ref), parb_image_free(image), parb_server_free(server); }

int main(int argc, char **argv) {
  if (argc > 1) clients = atoi(argv[1]);
  RUN(set_up);
  RUN(forked);
  RUN(forked_at_work);
  RUN(forked_with_a_writer);
  RUN(sigpipe);
  RUN(sigchld);
  RUN(signal_masks);
  RUN(used_after_free_of_the_client);
  RUN(used_after_close);
  RUN(close_ends_calls);
  RUN(frees_in_every_order);
  RUN(many_clients);
  RUN(no_temporary_directory);
  RUN(full_temporary_directory);
  RUN(tear_down);
  return finish();
}
