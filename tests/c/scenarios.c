/* scenarios errors.tsv: the calls that every binding makes, and the errors they all get. */
#include "test.h"

static char *field[9]; /* name operation reference user password code http_status registry_code subject */
static parb_image *tiny;

/* The text with {anon}, {basic} and {token} replaced; "-" is empty. */
static char *expanded(const char *text) {
  static const struct {
    const char *name, *variable;
  } places[] = {{"{anon}", "PARB_TEST_ANON"}, {"{basic}", "PARB_TEST_BASIC"}, {"{token}", "PARB_TEST_TOKEN"}};
  char *out = calloc(1, 2000);
  if (!strcmp(text, "-")) return out;
  for (size_t used = 0; *text && used < 1500; used = strlen(out)) {
    size_t i = 0;
    while (i < 3 && strncmp(text, places[i].name, strlen(places[i].name))) i++;
    if (i == 3) {
      out[used] = *text++;
      continue;
    }
    const char *value = getenv(places[i].variable);
    if (!value) FAIL("%s is not set", places[i].variable);
    strcat(out, value);
    text += strlen(places[i].name);
  }
  return out;
}

/* Parses the reference and does what the scenario says; all errors are one. */
static parb_error *perform(parb_client *c, const char *reference, const parb_ctx *ctx) {
  parb_ref *ref = NULL;
  parb_image *image = NULL;
  parb_error *e = parb_ref_parse(reference, NULL, &ref);
  if (!e) e = strcmp(field[1], "pull") ? parb_push(c, ref, tiny, NULL, ctx) : parb_pull(c, ref, NULL, ctx, &image);
  parb_image_free(image), parb_ref_free(ref);
  return e;
}

static void scenario(void) {
  char *reference = expanded(field[2]), *user = expanded(field[3]), *password = expanded(field[4]);
  char *registry_code = expanded(field[7]), *subject = expanded(field[8]);
  CHECK(!strcmp(field[1], "pull") || !strcmp(field[1], "push"));
  char registry[300] = "";
  snprintf(registry, sizeof registry, "%.*s", (int)strcspn(reference, "/"), reference);
  parb_keychain *k = *user ? parb_keychain_basic(registry, user, password) : parb_keychain_anonymous();
  parb_client_options *o = parb_client_options_new();
  parb_client_options_set_keychain(o, k);
  parb_client_options_set_retry(o, 2, 10);
  parb_client *c = NULL;
  OK(parb_client_new(o, &c));
  parb_ctx *ctx = parb_ctx_new(NULL);
  parb_ctx_set_timeout_ms(ctx, 60000);
  parb_error *e = perform(c, reference, ctx);
  const char *code = parb_error_code_name(parb_error_code(e));
  if (strcmp(code, field[5])) {
    tell("  ", e);
    FAIL(" (wanted %s)", field[5]);
  }
  if (e) {
    CHECK_INT(parb_error_http_status(e), atoi(field[6]));
    CHECK_STR(parb_error_registry_code(e) ? parb_error_registry_code(e) : "", registry_code);
    if (!strstr(parb_error_subject(e) ? parb_error_subject(e) : "", subject))
      FAIL("the subject is %s, without %s", parb_error_subject(e), subject);
    CHECK(!*password || !strstr(parb_error_message(e), password));
    CHECK(*parb_error_message(e));
  }
  parb_error_free(e), parb_ctx_free(ctx), parb_client_free(c), parb_client_options_free(o), parb_keychain_free(k);
  free(reference), free(user), free(password), free(registry_code), free(subject);
}

int main(int argc, char **argv) {
  FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
  if (!file) return fprintf(stderr, "usage: scenarios errors.tsv\n"), 2;
  if (setjmp(test_end)) return 1;
  tiny = scratch(10, 1);
  char line[4000];
  for (int number = 0; fgets(line, sizeof line, file); number++) {
    line[strcspn(line, "\r\n")] = 0;
    size_t fields = 0;
    for (char *at = line; at && fields < 9; fields++) field[fields] = strsep(&at, "\t");
    if (number == 0 || fields == 0 || !*field[0] || *field[0] == '#') continue;
    if (fields != 9) {
      printf("  line %d has %zu fields\n", number + 1, fields);
      tests_failed++;
      continue;
    }
    run(field[0], scenario);
  }
  fclose(file);
  parb_image_free(tiny);
  if (tests_passed + tests_failed == 0) return fprintf(stderr, "no scenarios in %s\n", argv[1]), 2;
  return finish();
}
