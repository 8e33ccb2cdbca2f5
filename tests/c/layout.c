/* OCI image layouts: filled, found, changed, checked; and what they refuse. With arguments, a tool for tests/layouts.sh:
   add LAYOUT NAME SEED | pull REF LAYOUT NAME | push LAYOUT WHICH REF | digest LAYOUT WHICH
   [PLATFORM] | copy FROM WHICH TO NAME | fsck LAYOUT | gc LAYOUT | check LAYOUT WHICH */
#include "test.h"
#include <sys/stat.h>

static char folder[] = "/tmp/parb-layout-XXXXXX";

static const char *in_folder(const char *name) {
  static char path[4][600];
  static int turn;
  char *to = path[turn++ % 4];
  snprintf(to, sizeof path[0], "%s/%s", folder, name);
  return to;
}

static parb_layout *create(const char *path) {
  parb_layout *layout = NULL;
  OK(parb_layout_create(path, NULL, NULL, &layout));
  return layout;
}

static void add(const parb_layout *layout, const parb_image *image, const char *name) {
  parb_descriptor *entry = NULL;
  OK(parb_layout_add_image(layout, image, name, NULL, NULL, &entry));
  CHECK_STR(parb_descriptor_digest(entry), parb_image_digest(image));
  parb_descriptor_free(entry);
}

static size_t entries_of(const parb_layout *layout) {
  parb_index *index = NULL;
  OK(parb_layout_index(layout, NULL, NULL, &index));
  size_t count = parb_index_count(index);
  parb_index_free(index);
  return count;
}

static void is_clean(const parb_layout *layout) {
  parb_report *report = NULL;
  OK(parb_layout_fsck(layout, NULL, NULL, &report));
  CHECK_STR(parb_report_json(report), "[]");
  CHECK_INT(parb_report_count(report), 0);
  parb_report_free(report);
}

static size_t collect(const parb_layout *layout) {
  parb_strings *removed = NULL;
  OK(parb_layout_gc(layout, NULL, NULL, &removed));
  size_t count = parb_strings_count(removed);
  parb_strings_free(removed);
  return count;
}

static void round_trip(void) {
  const char *path = in_folder("round");
  parb_layout *none = NULL, *layout, *copy, *again = NULL;
  FAILS(parb_layout_open(path, NULL, NULL, &none), PARB_NOT_FOUND);
  CHECK(none == NULL);
  layout = create(path);
  CHECK_STR(parb_layout_path(layout), path);
  copy = parb_layout_clone(layout);
  parb_layout_free(layout);
  CHECK_STR(parb_layout_path(copy), path);
  parb_image *one = scratch(300000, 1), *two = scratch(1000, 2), *back = NULL;
  add(copy, one, "one");
  add(copy, two, NULL);
  add(copy, two, NULL);
  CHECK_INT(entries_of(copy), 2);
  OK(parb_layout_open(path, NULL, NULL, &again));
  const char *which[] = {"one", parb_image_digest(one)};
  for (int i = 0; i < 2; i++) {
    OK(parb_layout_image(again, which[i], NULL, NULL, &back));
    CHECK_STR(parb_image_digest(back), parb_image_digest(one));
    OK(parb_image_validate(back, NULL, NULL));
    parb_image_free(back), back = NULL;
  }
  FAILS(parb_layout_image(again, "three", NULL, NULL, &back), PARB_NOT_FOUND);
  parb_error *e = FAILURE(parb_layout_image(again, NULL, NULL, NULL, &back), PARB_INVALID_ARGUMENT);
  CHECK(strstr(parb_error_message(e), "one") != NULL);
  parb_error_free(e);
  parb_index *index = NULL;
  FAILS(parb_layout_child(again, "one", NULL, NULL, &index), PARB_INVALID_ARGUMENT);
  CHECK(back == NULL && index == NULL);
  is_clean(copy);
  parb_image_free(one), parb_image_free(two), parb_layout_free(copy), parb_layout_free(again);
}

static void changes(void) {
  parb_layout *layout = create(in_folder("changes"));
  parb_image *one = scratch(5000, 3), *two = scratch(5000, 4);
  add(layout, one, "a");
  parb_options *durable = parb_options_new();
  parb_options_set_durable(durable);
  parb_descriptor *entry = NULL;
  OK(parb_layout_replace_image(layout, two, "a", durable, NULL, &entry));
  CHECK_STR(parb_map_get(parb_descriptor_annotations(entry), "org.opencontainers.image.ref.name"), "a");
  CHECK_STR(parb_descriptor_platform(entry), "linux/amd64");
  parb_descriptor_free(entry);
  CHECK_INT(entries_of(layout), 1);
  CHECK_INT(collect(layout), 3);

  parb_matcher *matcher = parb_matcher_new();
  parb_matcher_set_name(matcher, "a");
  OK(parb_layout_annotate(layout, matcher, "k", "v", durable, NULL));
  parb_index *index = NULL;
  OK(parb_layout_index(layout, NULL, NULL, &index));
  CHECK_STR(parb_map_get(parb_descriptor_annotations(parb_index_at(index, 0)), "k"), "v");
  parb_index_free(index);
  OK(parb_layout_annotate(layout, NULL, "k", NULL, NULL, NULL));
  FAILS(parb_layout_annotate(layout, NULL, "", NULL, NULL, NULL), PARB_INVALID_ARGUMENT);
  parb_strings *removed = NULL;
  FAILS(parb_layout_gc(layout, durable, NULL, &removed), PARB_INVALID_ARGUMENT);
  FAILS(parb_layout_remove(layout, NULL, NULL, NULL, &removed), PARB_INVALID_ARGUMENT);
  OK(parb_layout_remove(layout, matcher, NULL, NULL, &removed));
  CHECK_INT(parb_strings_count(removed), 1);
  CHECK_STR(parb_strings_at(removed, 0), parb_image_digest(two));
  parb_strings_free(removed);
  FAILS(parb_layout_annotate(layout, matcher, "k", "v", NULL, NULL), PARB_NOT_FOUND);
  CHECK_INT(collect(layout), 3);
  CHECK_INT(entries_of(layout), 0);
  parb_matcher_free(matcher), parb_options_free(durable), parb_image_free(one), parb_image_free(two);
  parb_layout_free(layout);
}

static void sink(void) {
  parb_layout *layout = create(in_folder("sink"));
  parb_sink *sink = NULL;
  OK(parb_sink_layout(layout, &sink));
  parb_options *into = parb_options_new();
  parb_options_set_sink(into, sink);
  parb_layer *layer = layer_of(500000, 5, into);
  parb_sink_free(sink), parb_options_free(into);
  CHECK_INT(collect(layout), 0); /* it lives */
  parb_image *image = image_of(layer);
  add(layout, image, "made");
  parb_layer_free(layer), parb_image_free(image);
  CHECK_INT(collect(layout), 0);
  is_clean(layout);
  parb_layout_free(layout);
}

static void damage(void) {
  parb_layout *layout = create(in_folder("damage"));
  parb_image *image = scratch(1000, 6), *back = NULL;
  add(layout, image, NULL);
  char name[200], path[600];
  snprintf(name, sizeof name, "damage/blobs/sha256/%s", parb_image_digest(image) + 7);
  snprintf(path, sizeof path, "%s", in_folder(name));
  FILE *f = fopen(path, "r+b");
  CHECK(f != NULL && fseek(f, 20, SEEK_SET) == 0 && fputc('~', f) == '~' && fclose(f) == 0);
  parb_error *e = FAILURE(parb_layout_image(layout, NULL, NULL, NULL, &back), PARB_DIGEST_MISMATCH);
  CHECK_STR(parb_error_subject(e), parb_image_digest(image));
  parb_error_free(e);
  parb_strings *removed = NULL;
  FAILS(parb_layout_gc(layout, NULL, NULL, &removed), PARB_DIGEST_MISMATCH);
  parb_report *report = NULL;
  OK(parb_layout_fsck(layout, NULL, NULL, &report));
  CHECK_INT(parb_report_count(report), 1);
  CHECK_INT(parb_report_code_at(report, 0), PARB_DIGEST_MISMATCH);
  CHECK_STR(parb_report_subject_at(report, 0), parb_image_digest(image));
  parb_report_free(report);
  CHECK(unlink(path) == 0 && symlink("/etc/passwd", path) == 0);
  FAILS(parb_layout_image(layout, NULL, NULL, NULL, &back), PARB_MALFORMED);
  CHECK(back == NULL);
  parb_image_free(image), parb_layout_free(layout);
}

static void started(void) {
  parb_op *op = NULL;
  parb_layout *layout = NULL;
  OK(parb_layout_create_start(in_folder("started"), NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_op_take_layout(op, &layout));
  parb_op_free(op);
  parb_image *image = scratch(100000, 7), *back = NULL;
  parb_descriptor *entry = NULL;
  OK(parb_layout_add_image_start(layout, image, "x", NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  FAILS(parb_op_finish(op), PARB_INVALID_STATE);
  OK(parb_op_take_descriptor(op, &entry));
  parb_op_free(op), parb_descriptor_free(entry);
  OK(parb_layout_image_start(layout, "x", NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_op_take_image(op, &back));
  parb_op_free(op);
  CHECK_STR(parb_image_digest(back), parb_image_digest(image));
  OK(parb_layout_gc_start(layout, NULL, NULL, &op));
  parb_op_free(op); /* cancelled, or done */
  parb_report *report = NULL;
  OK(parb_layout_fsck_start(layout, NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_op_take_report(op, &report));
  CHECK_INT(parb_report_count(report), 0);
  parb_report_free(report), parb_op_free(op);
  parb_image_free(back), parb_image_free(image), parb_layout_free(layout);
}

/* ---- The tool ---- */

static parb_layout *open_at(const char *path) {
  parb_layout *layout = NULL;
  OK(parb_layout_open(path, NULL, NULL, &layout));
  return layout;
}

static const char *or_null(const char *text) { return *text ? text : NULL; }

static void tool(char **argv, int argc) {
  const char *verb = argv[1], *at = argv[2];
  parb_image *image = NULL;
  parb_index *index = NULL;
  parb_descriptor *entry = NULL;
  if (!strcmp(verb, "add")) {
    parb_layout *layout = create(at);
    image = scratch((size_t)atoi(argv[4]) * 1000 + 5000, (uint64_t)atoi(argv[4]));
    OK(parb_layout_add_image(layout, image, or_null(argv[3]), NULL, NULL, &entry));
    puts(parb_descriptor_digest(entry));
    parb_layout_free(layout);
  } else if (!strcmp(verb, "pull")) {
    parb_layout *layout = create(argv[3]);
    parb_client *c = client();
    parb_ref *ref = ref_of(at);
    parb_error *no_index = parb_pull_index(c, ref, NULL, NULL, &index);
    if (!no_index) {
      OK(parb_layout_add_index(layout, index, or_null(argv[4]), NULL, NULL, &entry));
    } else {
      parb_error_free(no_index);
      OK(parb_pull(c, ref, NULL, NULL, &image));
      OK(parb_layout_add_image(layout, image, or_null(argv[4]), NULL, NULL, &entry));
    }
    puts(parb_descriptor_digest(entry));
    parb_ref_free(ref), parb_client_free(c), parb_layout_free(layout);
  } else if (!strcmp(verb, "push")) {
    parb_layout *layout = open_at(at);
    parb_client *c = client();
    parb_ref *ref = ref_of(argv[4]);
    parb_error *no_index = parb_layout_child(layout, or_null(argv[3]), NULL, NULL, &index);
    if (!no_index) {
      OK(parb_push_index(c, ref, index, NULL, NULL));
    } else {
      parb_error_free(no_index);
      OK(parb_layout_image(layout, or_null(argv[3]), NULL, NULL, &image));
      OK(parb_push(c, ref, image, NULL, NULL));
    }
    parb_ref_free(ref), parb_client_free(c), parb_layout_free(layout);
  } else if (!strcmp(verb, "digest") || !strcmp(verb, "check")) {
    parb_layout *layout = open_at(at);
    parb_options *options = parb_options_new();
    if (argc > 4) parb_options_set_platform(options, argv[4]);
    OK(parb_layout_image(layout, or_null(argv[3]), options, NULL, &image));
    if (*verb == 'c') OK(parb_image_validate(image, NULL, NULL));
    puts(parb_image_digest(image));
    parb_options_free(options), parb_layout_free(layout);
  } else if (!strcmp(verb, "copy")) {
    parb_layout *from = open_at(at), *to = create(argv[4]);
    parb_error *no_index = parb_layout_child(from, or_null(argv[3]), NULL, NULL, &index);
    if (!no_index) {
      OK(parb_layout_add_index(to, index, or_null(argv[5]), NULL, NULL, &entry));
    } else {
      parb_error_free(no_index);
      OK(parb_layout_image(from, or_null(argv[3]), NULL, NULL, &image));
      OK(parb_layout_add_image(to, image, or_null(argv[5]), NULL, NULL, &entry));
    }
    puts(parb_descriptor_digest(entry));
    parb_layout_free(from), parb_layout_free(to);
  } else if (!strcmp(verb, "fsck")) {
    parb_layout *layout = open_at(at);
    is_clean(layout);
    parb_layout_free(layout);
  } else if (!strcmp(verb, "gc")) {
    parb_layout *layout = open_at(at);
    printf("%zu\n", collect(layout));
    parb_layout_free(layout);
  } else {
    FAIL("no such verb: %s", verb);
  }
  parb_image_free(image), parb_index_free(index), parb_descriptor_free(entry);
}

int main(int argc, char **argv) {
  if (argc > 2) {
    if (setjmp(test_end)) return 1;
    tool(argv, argc);
    return 0;
  }
  if (!mkdtemp(folder)) return 2;
  RUN(round_trip);
  RUN(changes);
  RUN(sink);
  RUN(damage);
  RUN(started);
  char remove[100];
  snprintf(remove, sizeof remove, "rm -rf '%s'", folder);
  if (system(remove) != 0) return 2;
  return finish();
}
