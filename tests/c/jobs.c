/* 64 layers pushed 64 at once, on one core: what waits for what never goes round in a circle. */
#include "test.h"
#include <sched.h>
#include <signal.h>

#define LAYERS 64

static void one_core(void) {
  cpu_set_t cores, one;
  CHECK(!sched_getaffinity(0, sizeof cores, &cores));
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
    if (CPU_ISSET(i, &cores)) CPU_SET(i, &one);
  CHECK(!sched_setaffinity(0, sizeof one, &one));
}

/* Layers that lie here go up, and are read back, all at once. */
static void push_and_validate(void) {
  parb_server *server = serve();
  parb_client *c = client();
  parb_ref *ref = ref_on(server, "j:1");
  parb_image_builder *b = parb_image_builder_new(NULL);
  parb_options *o = parb_options_new();
  parb_image *image = NULL, *pulled = NULL;
  for (int i = 0; i < LAYERS; i++) {
    parb_layer *layer = layer_of(600000, (uint64_t)i + 100, NULL);
    parb_image_builder_add_layer(b, layer);
    parb_layer_free(layer);
  }
  OK(parb_image_builder_build(b, NULL, NULL, &image));
  parb_options_set_jobs(o, 64);
  OK(parb_push(c, ref, image, o, NULL));
  OK(parb_pull(c, ref, NULL, NULL, &pulled));
  CHECK_INT(parb_image_layer_count(pulled), LAYERS);
  OK(parb_image_validate(pulled, o, NULL));
  parb_image_builder_free(b), parb_image_free(image), parb_image_free(pulled), parb_options_free(o);
  parb_ref_free(ref), parb_client_free(c), parb_server_free(server);
}

/* As many layers are compressed at once, straight into the registry. */
static void make_at_once(void) {
  parb_server *server = serve();
  parb_client *c = client();
  parb_ref *ref = ref_on(server, "m:1");
  parb_sink *sink = NULL;
  OK(parb_sink_repository(c, ref, &sink));
  parb_options *o = parb_options_new();
  parb_options_set_sink(o, sink);
  parb_op *ops[LAYERS];
  uint8_t *data = malloc(1 << 20);
  for (int i = 0; i < LAYERS; i++) {
    parb_layer_builder *lb = parb_layer_builder_new();
    mixed_bytes(data, 1 << 20, (uint64_t)i + 200);
    parb_layer_builder_add_bytes(lb, "f", 0644, data, 1 << 20);
    OK(parb_layer_builder_build_start(lb, o, NULL, &ops[i]));
    parb_layer_builder_free(lb);
  }
  for (int i = 0; i < LAYERS; i++) {
    parb_layer *layer = NULL;
    OK(parb_op_wait(ops[i], NULL));
    OK(parb_op_take_layer(ops[i], &layer));
    parb_layer_free(layer), parb_op_free(ops[i]);
  }
  free(data), parb_options_free(o), parb_sink_free(sink), parb_ref_free(ref), parb_client_free(c), parb_server_free(server);
}

/* More streams are open for reading, all half read, than there are places for transfers. */
static void half_read(void) {
  parb_server *server = serve();
  parb_client *c = client();
  parb_ref *ref = ref_on(server, "h:1");
  parb_image *image = scratch(3 << 20, 300), *pulled = NULL;
  OK(parb_push(c, ref, image, NULL, NULL));
  OK(parb_pull(c, ref, NULL, NULL, &pulled));
  parb_layer *layer = NULL;
  OK(parb_image_layer_at(pulled, 0, &layer));
  parb_reader *readers[LAYERS];
  uint8_t byte;
  size_t n;
  for (int i = 0; i < LAYERS; i++) {
    OK(parb_layer_open_uncompressed(layer, NULL, NULL, &readers[i]));
    OK(parb_reader_read(readers[i], &byte, 1, NULL, &n));
  }
  uint64_t total = 0;
  OK(drain(layer, NULL, &total));
  for (int i = 0; i < LAYERS; i++) parb_reader_free(readers[i]);
  parb_layer_free(layer), parb_image_free(image), parb_image_free(pulled);
  parb_ref_free(ref), parb_client_free(c), parb_server_free(server);
}

int main(void) {
  alarm(240); /* it ends, or is ended */
  RUN(one_core);
  RUN(push_and_validate);
  RUN(make_at_once);
  RUN(half_read);
  return finish();
}
