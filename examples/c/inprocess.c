/* inprocess: runs a registry in this process, pushes an image made from scratch, and pulls it back. */
#include <parbuckle.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  parb_error *err = NULL;
  parb_server *server = NULL;
  parb_client *client = NULL;
  parb_ref *ref = NULL;
  parb_layer *layer = NULL, *back = NULL;
  parb_image *made = NULL, *pulled = NULL;
  parb_reader *tar = NULL;
  parb_layer_builder *files = parb_layer_builder_new();
  parb_image_builder *b = parb_image_builder_new(NULL);
  parb_ctx *ctx = parb_ctx_new(NULL);
  parb_ctx_set_timeout_ms(ctx, 60 * 1000);
  if ((err = parb_serve(NULL, ctx, &server)) || (err = parb_client_new(NULL, &client))) goto done;
  printf("serving at %s\n", parb_server_url(server));

  char name[100];
  snprintf(name, sizeof name, "%s/hello:1", strstr(parb_server_url(server), "://") + 3);
  const char *text = "hello from C\n";
  parb_layer_builder_add_bytes(files, "hello.txt", 0644, (const uint8_t *)text, strlen(text));
  if ((err = parb_ref_parse(name, NULL, &ref)) || (err = parb_layer_builder_build(files, NULL, ctx, &layer)))
    goto done;
  parb_image_builder_add_layer(b, layer);
  parb_image_builder_set_platform(b, "linux/amd64");
  parb_image_builder_set_label(b, "org.example.from", "scratch");
  if ((err = parb_image_builder_build(b, NULL, ctx, &made)) || (err = parb_push(client, ref, made, NULL, ctx)))
    goto done;
  printf("pushed %s: %s\n", parb_ref_text(ref), parb_image_digest(made));

  if ((err = parb_pull(client, ref, NULL, ctx, &pulled)) || (err = parb_image_layer_at(pulled, 0, &back)) ||
      (err = parb_layer_open_uncompressed(back, NULL, ctx, &tar)))
    goto done;
  uint8_t buf[4096];
  size_t n = 0, all = 0;
  while (!(err = parb_reader_read(tar, buf, sizeof buf, ctx, &n)) && n > 0) all += n;
  if (err) goto done;
  printf("pulled %s: a layer whose tar has %zu bytes\n", parb_image_digest(pulled), all);
done:
  if (err) fprintf(stderr, "%s: %s\n", parb_error_code_name(parb_error_code(err)), parb_error_message(err));
  parb_reader_free(tar), parb_layer_free(back), parb_layer_free(layer), parb_image_free(pulled);
  parb_image_free(made), parb_ref_free(ref), parb_client_free(client), parb_server_free(server);
  parb_image_builder_free(b), parb_layer_builder_free(files), parb_ctx_free(ctx);
  return err ? (parb_error_free(err), 1) : 0;
}
