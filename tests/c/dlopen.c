/* dlopen LIBRARY: the library as a plugin, not linked: loaded, used, closed, and again; the exit is clean. */
#include "test.h"
#include <dlfcn.h>

static const char *path;
static void *library;

static void *symbol(const char *name) {
  void *found = dlsym(library, name);
  if (!found) FAIL("%s: %s", name, dlerror());
  return found;
}

#define CALL(name) (__extension__(__typeof__(&name))symbol(#name))

static void load_use_close(void) {
  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) FAIL("%s", dlerror());
  parb_server *server = NULL;
  parb_client *c = NULL;
  parb_ref *ref = NULL;
  parb_layer *layer = NULL;
  parb_image *image = NULL, *pulled = NULL;
  parb_layer_builder *lb = CALL(parb_layer_builder_new)();
  parb_image_builder *b = CALL(parb_image_builder_new)(NULL);
  CALL(parb_layer_builder_add_bytes)(lb, "a", 0644, (const uint8_t *)"hello", 5);
  CHECK(!CALL(parb_serve)(NULL, NULL, &server));
  CHECK(!CALL(parb_client_new)(NULL, &c));
  char name[100];
  snprintf(name, sizeof name, "%s/d:1", strstr(CALL(parb_server_url)(server), "://") + 3);
  CHECK(!CALL(parb_ref_parse)(name, NULL, &ref));
  CHECK(!CALL(parb_layer_builder_build)(lb, NULL, NULL, &layer));
  CALL(parb_image_builder_add_layer)(b, layer);
  CHECK(!CALL(parb_image_builder_build)(b, NULL, NULL, &image));
  CHECK(!CALL(parb_push)(c, ref, image, NULL, NULL));
  CHECK(!CALL(parb_pull)(c, ref, NULL, NULL, &pulled));
  CHECK(!CALL(parb_image_validate)(pulled, NULL, NULL));
  CALL(parb_image_free)(image);
  CALL(parb_image_free)(pulled);
  CALL(parb_layer_free)(layer);
  CALL(parb_image_builder_free)(b);
  CALL(parb_layer_builder_free)(lb);
  CALL(parb_ref_free)(ref);
  CALL(parb_client_free)(c);
  CALL(parb_server_free)(server);
  CHECK(!dlclose(library)); /* at once: threads may still be on their way out */
}

/* Threads that use the library end after it was closed: what they keep for it is destroyed by code that is there. */
static void *use(void *arg) {
  parb_error *e = CALL(parb_ref_parse)("", NULL, arg);
  CALL(parb_error_free)(e);
  return NULL;
}

static void threads_outlive_it(void) {
  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  CHECK(library != NULL);
  pthread_t id[4];
  parb_ref *out[4] = {0};
  for (int i = 0; i < 4; i++) pthread_create(&id[i], NULL, use, &out[i]);
  for (int i = 0; i < 4; i++) pthread_join(id[i], NULL);
  CHECK(!dlclose(library));
}

/* Left open and running: exit has to cope. */
static void left_running(void) {
  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  CHECK(library != NULL);
  static parb_client *c;
  CHECK(!CALL(parb_client_new)(NULL, &c));
  CHECK(threads() > 1);
  CALL(parb_client_free)(c);
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: dlopen LIBRARY\n"), 2;
  path = argv[1];
  RUN(load_use_close);
  RUN(load_use_close);
  RUN(threads_outlive_it);
  RUN(left_running);
  return finish();
}
