/* derive BASE TARGET LAYER.tar: pulls an image, puts a layer on it, changes its config, pushes it. */
#include <parbuckle.h>
#include <stdio.h>

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: derive BASE TARGET LAYER.tar\n"), 2;
  parb_error *err = NULL;
  parb_client *client = NULL;
  parb_ref *from = NULL, *to = NULL;
  parb_image *base = NULL, *made = NULL;
  parb_config *config = NULL;
  parb_sink *sink = NULL;
  parb_layer *layer = NULL;
  parb_image_builder *b = NULL;
  parb_client_options *who = parb_client_options_new();
  parb_options *into = parb_options_new();
  parb_ctx *ctx = parb_ctx_new(NULL);
  parb_ctx_set_timeout_ms(ctx, 120 * 1000);
  parb_client_options_set_user_agent(who, "example-c");
  if ((err = parb_client_new(who, &client)) || (err = parb_ref_parse(argv[1], NULL, &from)) ||
      (err = parb_ref_parse(argv[2], NULL, &to)) || (err = parb_pull(client, from, NULL, ctx, &base)) ||
      (err = parb_image_config(base, NULL, ctx, &config)) || (err = parb_sink_repository(client, to, &sink)))
    goto done;
  const char *platform = parb_config_platform(config);
  printf("pulled %s: %s\n", parb_ref_text(from), platform ? platform : "");
  for (size_t i = 0; i < parb_image_layer_count(base); i++) {
    parb_layer *one = NULL;
    if ((err = parb_image_layer_at(base, i, &one))) goto done;
    const parb_descriptor *d = parb_layer_descriptor(one);
    printf("  layer %s %11llu bytes\n", parb_descriptor_digest(d), (unsigned long long)parb_descriptor_size(d));
    parb_layer_free(one);
  }
  parb_options_set_sink(into, sink); /* the layer goes straight to the target, compressed on the way */
  if ((err = parb_layer_from_file(argv[3], into, ctx, &layer))) goto done;
  b = parb_image_builder_new(base);
  parb_image_builder_add_layer(b, layer); /* setters don't fail: build reports the first mistake */
  parb_image_builder_set_env(b, "APP_MODE", "production");
  parb_image_builder_set_label(b, "org.example.derived", "yes");
  parb_image_builder_set_working_dir(b, "/app");
  if ((err = parb_image_builder_build(b, NULL, ctx, &made)) || (err = parb_push(client, to, made, NULL, ctx)))
    goto done;
  printf("c %s\n", parb_image_digest(made));
done:
  if (err) {
    const char *subject = parb_error_subject(err);
    fprintf(stderr, "%s: %s: %s\n", parb_error_code_name(parb_error_code(err)), subject ? subject : "",
            parb_error_message(err));
  }
  parb_image_builder_free(b), parb_layer_free(layer), parb_sink_free(sink), parb_config_free(config);
  parb_image_free(made), parb_image_free(base), parb_ref_free(to), parb_ref_free(from), parb_client_free(client);
  parb_ctx_free(ctx), parb_options_free(into), parb_client_options_free(who);
  return err ? (parb_error_free(err), 1) : 0;
}
