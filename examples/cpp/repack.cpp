// repack ARCHIVE LAYOUT NAME [IMAGE]: takes an image out of an archive of docker save ("-": standard input), gives it one
// time and zstd layers, and puts it into an OCI image layout, unless something is wrong with it.
#include <parbuckle.hpp>

#include <iostream>

int main(int argc, char **argv) try {
  if (argc != 4 && argc != 5) {
    std::cerr << "usage: repack ARCHIVE LAYOUT NAME [IMAGE]\n";
    return 2;
  }
  using parbuckle::Options;
  const auto archive = parbuckle::Archive::open(argv[1]);
  for (std::string_view ref : archive.refs()) std::cout << "found " << ref << '\n';

  // New layers go straight to the layout; what is put there finds them.
  const auto layout = parbuckle::Layout::create(argv[2]);
  const char *const name = argv[4];  // null: the only image
  const auto image = archive.image(name, Options().format("oci"));
  const auto made = image.with_time("2020-01-01T00:00:00Z", Options().compression("zstd").sink(layout.sink()));
  const auto report = made.examine();
  for (const auto &finding : report) {
    std::cerr << finding.code_name() << ": " << finding.subject << ": " << finding.message << '\n';
  }
  if (!report.empty()) return 1;

  layout.replace_image(made, argv[3]);
  for (const auto &file : made.files()) {
    std::cout << file.kind() << ' ' << file.size() << ' ' << file.path() << '\n';
  }
  std::cout << made.digest() << '\n';
  return 0;
} catch (const parbuckle::Error &e) {
  std::cerr << e.code_name() << ": " << e.what() << '\n';
  return 1;
}
