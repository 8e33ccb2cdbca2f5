// derive BASE TARGET LAYER.tar: pulls an image, puts a layer on it, changes its config, pushes it.
#include <parbuckle.hpp>

#include <iomanip>
#include <iostream>

int main(int argc, char **argv) try {
  if (argc != 4) {
    std::cerr << "usage: derive BASE TARGET LAYER.tar\n";
    return 2;
  }
  using namespace std::chrono_literals;
  const parbuckle::Context ctx(120s);
  const parbuckle::Client client(parbuckle::ClientOptions().user_agent("example-c++"));
  const parbuckle::Ref from = argv[1], to = argv[2];

  const auto base = client.pull(from, ctx);
  const auto config = base.config(ctx);
  std::cout << "pulled " << from.text() << ": " << config.platform() << '\n';
  for (const auto &layer : base.layers()) {
    std::cout << "  layer " << layer.digest() << ' ' << std::setw(11) << layer.size() << " bytes\n";
  }

  // The layer goes straight to the target, compressed on the way; build and push find it there.
  const auto layer = parbuckle::Layer::from_file(argv[3], parbuckle::Options().sink(client.sink(to)), ctx);
  const auto made = parbuckle::ImageBuilder(base)
                        .add_layer(layer)
                        .set_env("APP_MODE", "production")
                        .set_label("org.example.derived", "yes")
                        .set_working_dir("/app")
                        .build(ctx);
  client.push(to, made, ctx);
  std::cout << "c++ " << made.digest() << '\n';
  return 0;
} catch (const parbuckle::Error &e) {
  std::cerr << e.code_name() << ": " << e.what() << '\n';
  return 1;
}
