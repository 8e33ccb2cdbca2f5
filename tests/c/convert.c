/* convert [-p PLATFORM] [-f FORMAT] [-s REF] [-z COMPRESSION] [-i] [-F] [-j JOBS] FROM TO: what tests/archives.sh uses
   of the library.
   FROM is registry:REF or archive:PATH[@NAME]; TO is registry:REF, or docker:, oci: or legacy: and PATH[@NAME[,NAME...]],
   or nothing: (then the image is validated). -i: an index; -s: layers are compressed into this repository;
   -F: with foreign layers. Prints the digest. */
#include <parbuckle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(parb_error *e) {
  if (!e) return;
  fprintf(stderr, "convert: %s: %s", parb_error_code_name(parb_error_code(e)), parb_error_message(e));
  if (parb_error_subject(e)) fprintf(stderr, " (%s)", parb_error_subject(e));
  for (const parb_error *c = parb_error_cause(e); c; c = parb_error_cause(c)) fprintf(stderr, ": %s", parb_error_message(c));
  fprintf(stderr, "\n");
  exit(1);
}

static char *after(char *text, const char *prefix) {
  size_t n = strlen(prefix);
  return strncmp(text, prefix, n) ? NULL : text + n;
}

/* Cuts a name off a path. */
static char *name_of(char *path) {
  char *at = strchr(path, '@');
  if (at) *at++ = 0;
  return at;
}

static parb_ref *ref_of(const char *text) {
  parb_ref *ref = NULL;
  must(parb_ref_parse(text, NULL, &ref));
  return ref;
}

int main(int argc, char **argv) {
  parb_client *client = NULL;
  parb_options *reading = parb_options_new(), *writing = parb_options_new();
  parb_sink *sink = NULL;
  parb_image *image = NULL;
  parb_index *index = NULL;
  int option, indexed = 0;
  must(parb_client_new(NULL, &client));
  while ((option = getopt(argc, argv, "p:is:z:f:Fj:")) != -1) switch (option) {
      case 'p': parb_options_set_platform(reading, optarg); break;
      case 'i': indexed = 1; break;
      case 'f': parb_options_set_format(reading, optarg); break;
      case 'j': parb_options_set_jobs(writing, (uint32_t)atoi(optarg)); break;
      case 'F': parb_options_set_foreign_layers(writing); break;
      case 'z': parb_options_set_compression(reading, optarg, 0); break;
      case 's': {
        parb_ref *ref = ref_of(optarg);
        must(parb_sink_repository(client, ref, &sink));
        parb_options_set_sink(reading, sink);
        parb_ref_free(ref);
        break;
      }
      default: return 2;
    }
  if (argc - optind != 2) return 2;
  char *from = argv[optind], *to = argv[optind + 1], *rest;
  if ((rest = after(from, "registry:"))) {
    parb_ref *ref = ref_of(rest);
    if (indexed) must(parb_pull_index(client, ref, NULL, NULL, &index));
    else must(parb_pull(client, ref, reading, NULL, &image));
    parb_ref_free(ref);
  } else if ((rest = after(from, "archive:"))) {
    char *name = name_of(rest);
    parb_archive *archive = NULL;
    must(parb_archive_open(rest, NULL, NULL, &archive));
    if (indexed) must(parb_archive_index(archive, name, NULL, NULL, &index));
    else must(parb_archive_image(archive, name, reading, NULL, &image));
    parb_archive_free(archive);
  } else return 2;
  printf("%s\n", indexed ? parb_descriptor_digest(parb_index_descriptor(index)) : parb_image_digest(image));
  fflush(stdout);
  if ((rest = after(to, "registry:"))) {
    parb_ref *ref = ref_of(rest);
    if (indexed) must(parb_push_index(client, ref, index, writing, NULL));
    else must(parb_push(client, ref, image, writing, NULL));
    parb_ref_free(ref);
  } else if (after(to, "nothing:")) {
    if (!indexed) must(parb_image_validate(image, NULL, NULL));
  } else {
    const char *formats[] = {"docker", "oci", "legacy"};
    for (int i = 0; i < 3; i++) {
      size_t n = strlen(formats[i]);
      if (strncmp(to, formats[i], n) || to[n] != ':') continue;
      rest = to + n + 1;
      parb_options_set_archive_format(writing, formats[i]);
    }
    if (!rest) return 2;
    char *name = name_of(rest);
    if (indexed) must(parb_archive_write_index(rest, index, name, writing, NULL));
    else {
      const parb_image *images[8];
      parb_strings *names = parb_strings_new(NULL, 0);
      size_t count = 0;
      for (char *one = name ? strtok(name, ",") : NULL; count < 8 && (one || count == 0); one = name ? strtok(NULL, ",") : NULL) {
        images[count++] = image;
        parb_strings_add(names, one ? one : "");
        if (!name) break;
      }
      must(parb_archive_write(rest, images, count, names, writing, NULL));
      parb_strings_free(names);
    }
  }
  parb_index_free(index), parb_image_free(image), parb_sink_free(sink);
  parb_options_free(reading), parb_options_free(writing), parb_client_free(client);
  return 0;
}
