/* File systems of images: one tar, lists, single files, flattened images. */
#include "test.h"

static parb_layer *layer(parb_layer_builder *builder) {
  parb_layer *made = NULL;
  OK(parb_layer_builder_build(builder, NULL, NULL, &made));
  parb_layer_builder_free(builder);
  return made;
}

static void add(parb_layer_builder *b, const char *path, const char *text) {
  parb_layer_builder_add_bytes(b, path, 0640, (const uint8_t *)text, strlen(text));
}

/* Below: etc/a, etc/b, lib -> usr/lib and usr/lib/x. Above: etc/a is gone, etc/c is new, lib/x is another. */
static parb_image *image(void) {
  parb_layer_builder *below = parb_layer_builder_new(), *above = parb_layer_builder_new();
  add(below, "etc/a", "one");
  add(below, "etc/b", "two");
  add(below, "usr/lib/x", "old");
  parb_layer_builder_add_symlink(below, "lib", "usr/lib");
  parb_layer_builder_remove(above, "etc/a");
  add(above, "etc/c", "three");
  add(above, "lib/x", "new");
  parb_layer *layers[] = {layer(below), layer(above)};
  parb_image_builder *builder = parb_image_builder_new(NULL);
  for (int i = 0; i < 2; i++) {
    parb_image_builder_add_layer(builder, layers[i]);
    parb_layer_free(layers[i]);
  }
  parb_image *made = NULL;
  OK(parb_image_builder_build(builder, NULL, NULL, &made));
  parb_image_builder_free(builder);
  return made;
}

/* All that a reader gives, with a NUL behind it. */
static char *all(parb_reader *reader, size_t *len) {
  size_t cap = 1 << 16, n = 1;
  char *text = malloc(cap);
  for (*len = 0; n > 0; *len += n) {
    CHECK(*len + 1 < cap);
    OK(parb_reader_read(reader, (uint8_t *)text + *len, cap - *len - 1, NULL, &n));
  }
  text[*len] = 0;
  parb_reader_free(reader);
  return text;
}

/* "d etc 755 1;..." of a list. */
static void check_list(const parb_files *files, const char *expected) {
  char text[1000] = "";
  for (size_t i = 0; i < parb_files_count(files); i++) {
    char line[200];
    snprintf(line, sizeof line, "%c %s%s%s %o %zu;", (char)parb_files_kind_at(files, i), parb_files_path_at(files, i),
             *parb_files_link_at(files, i) ? ">" : "", parb_files_link_at(files, i), parb_files_mode_at(files, i),
             parb_files_layer_at(files, i));
    strcat(text, line);
  }
  CHECK_STR(text, expected);
}

#define TREE "d . 755 0;d etc 755 0;f etc/b 640 0;f etc/c 640 1;l lib>usr/lib 777 0;d usr 755 0;d usr/lib 755 0;f usr/lib/x 640 1;"

static void a_list_of_the_image(void) {
  parb_image *img = image();
  parb_files *files = NULL;
  OK(parb_image_files(img, NULL, NULL, &files));
  check_list(files, TREE);
  CHECK_INT(parb_files_size_at(files, 3), 5);
  CHECK_INT(parb_files_uid_at(files, 3) + parb_files_gid_at(files, 3), 0);
  CHECK_INT(parb_files_mtime_at(files, 3), 0);
  CHECK_INT(parb_files_mtime_ns_at(files, 3), 0);
  uint32_t minor = 7;
  CHECK_INT(parb_files_device_at(files, 3, &minor) + minor, 0);
  CHECK_INT(parb_files_device_at(files, 3, NULL), 0);
  CHECK(parb_files_xattr_names_at(files, 3) == NULL && parb_files_xattr_at(files, 3, "user.a", NULL) == NULL);
  size_t end = parb_files_count(files);
  CHECK(parb_files_path_at(files, end) == NULL && parb_files_link_at(files, end) == NULL);
  CHECK_INT(parb_files_kind_at(files, end), 0);
  parb_files_free(files);
  parb_image_free(img);
}

/* A header and its data, as they stand in a tar. */
static size_t entry(uint8_t *to, const char *name, char flag, const char *data, size_t size) {
  memset(to, 0, 1024);
  char *h = (char *)to;
  strcpy(h, name);
  snprintf(h + 100, 8, "%07o", 0600), snprintf(h + 108, 8, "%07o", 7), snprintf(h + 116, 8, "%07o", 8);
  snprintf(h + 124, 12, "%011zo", size), snprintf(h + 136, 12, "%011o", 1700000000);
  h[156] = flag;
  memcpy(h + 257, "ustar\0" "00", 8);
  memset(h + 148, ' ', 8);
  unsigned sum = 0;
  for (int i = 0; i < 512; i++) sum += to[i];
  snprintf(h + 148, 8, "%06o", sum);
  if (size) memcpy(to + 512, data, size);
  return size ? 1024 : 512;
}

static void extended_attributes(void) {
  static const char records[] = "27 SCHILY.xattr.user.a=b\0c\n" "21 mtime=5.123456789\n";
  uint8_t tar[5 * 1024];
  size_t n = entry(tar, "x", 'x', records, 27 + 21);
  n += entry(tar + n, "file", '0', "hi", 2);
  n += entry(tar + n, "other", '0', NULL, 0);
  memset(tar + n, 0, 1024);
  parb_layer *l = NULL;
  parb_files *files = NULL;
  OK(parb_layer_from_bytes(tar, n + 1024, NULL, NULL, &l));
  OK(parb_layer_files(l, NULL, NULL, &files));
  CHECK_INT(parb_files_count(files), 2);
  const parb_strings *names = parb_files_xattr_names_at(files, 0);
  CHECK_INT(parb_strings_count(names), 1);
  CHECK_STR(parb_strings_at(names, 0), "user.a");
  size_t len = 0;
  const uint8_t *value = parb_files_xattr_at(files, 0, "user.a", &len);
  CHECK(len == 3 && memcmp(value, "b\0c", 3) == 0);
  CHECK(parb_files_xattr_at(files, 0, "user.b", &len) == NULL);
  CHECK(parb_files_xattr_names_at(files, 1) == NULL && parb_files_xattr_at(files, 2, "user.a", NULL) == NULL);
  CHECK_INT(parb_files_uid_at(files, 0), 7);
  CHECK_INT(parb_files_gid_at(files, 0), 8);
  CHECK_INT(parb_files_mtime_at(files, 0), 5);
  CHECK_INT(parb_files_mtime_ns_at(files, 0), 123456789);
  CHECK_INT(parb_files_mtime_at(files, 1), 1700000000);
  parb_files_free(files);
  parb_layer_free(l);
}

static void a_list_of_a_layer(void) {
  parb_image *img = image();
  parb_layer *above = NULL;
  OK(parb_image_layer_at(img, 1, &above));
  parb_op *op = NULL;
  OK(parb_layer_files_start(above, NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  parb_files *files = NULL;
  OK(parb_op_take_files(op, &files));
  check_list(files, "w etc/a 600 0;f etc/c 640 0;f lib/x 640 0;");
  parb_files_free(files);
  parb_op_free(op);
  parb_layer_free(above);
  parb_image_free(img);
}

static void one_file(void) {
  parb_image *img = image();
  const struct { const char *path, *content; } files[] = {
      {"etc/b", "two"}, {"/etc/c", "three"}, {"lib/x", "new"}, {"usr/lib/x", "new"}, {"./etc/../lib/x", "new"}};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    parb_reader *reader = NULL;
    size_t len = 0;
    OK(parb_image_open_file(img, files[i].path, NULL, NULL, &reader));
    char *text = all(reader, &len);
    CHECK_STR(text, files[i].content);
    free(text);
  }
  parb_reader *none = NULL;
  FAILS(parb_image_open_file(img, "etc/a", NULL, NULL, &none), PARB_NOT_FOUND);
  FAILS(parb_image_open_file(img, "../../etc/passwd", NULL, NULL, &none), PARB_NOT_FOUND);
  FAILS(parb_image_open_file(img, "lib", NULL, NULL, &none), PARB_INVALID_ARGUMENT);
  FAILS(parb_image_open_file(img, "", NULL, NULL, &none), PARB_INVALID_ARGUMENT);
  FAILS(parb_image_open_file(img, NULL, NULL, NULL, &none), PARB_INVALID_ARGUMENT);
  CHECK(none == NULL);
  parb_image_free(img);
}

static void flattened(void) {
  parb_image *img = image(), *flat = NULL;
  OK(parb_image_flatten(img, NULL, NULL, &flat));
  CHECK_INT(parb_image_layer_count(flat), 1);
  OK(parb_image_validate(flat, NULL, NULL));
  CHECK_STR(parb_image_media_type(flat), parb_image_media_type(img));
  parb_reader *one = NULL, *two = NULL;
  OK(parb_image_filesystem(img, NULL, NULL, &one));
  size_t n, m;
  char *a = all(one, &n);
  parb_layer *only = NULL;
  OK(parb_image_layer_at(flat, 0, &only));
  OK(parb_layer_open_uncompressed(only, NULL, NULL, &two));
  char *b = all(two, &m);
  CHECK(n == m && n % 512 == 0 && memcmp(a, b, n) == 0);
  parb_files *files = NULL;
  OK(parb_image_files(flat, NULL, NULL, &files));
  CHECK_INT(parb_files_count(files), 8);
  parb_files_free(files);
  free(a), free(b);
  parb_layer_free(only);
  parb_image_free(flat);
  parb_image_free(img);
}

static void a_reader_that_is_given_up(void) {
  parb_image *img = image();
  parb_op *op = NULL;
  parb_reader *reader = NULL;
  OK(parb_image_filesystem_start(img, NULL, NULL, &op));
  OK(parb_op_wait(op, NULL));
  OK(parb_op_take_reader(op, &reader));
  uint8_t byte;
  size_t n = 0;
  OK(parb_reader_read(reader, &byte, 1, NULL, &n));
  CHECK_INT(n, 1);
  parb_reader_free(reader);
  parb_op_free(op);
  parb_image_free(img);
}

int main(void) {
  RUN(a_list_of_the_image);
  RUN(a_list_of_a_layer);
  RUN(extended_attributes);
  RUN(one_file);
  RUN(flattened);
  RUN(a_reader_that_is_given_up);
  return finish();
}
