// scenarios errors.tsv: the calls that every binding makes, and the errors they all get.
#include "test.hpp"

#include <cstdlib>
#include <fstream>
#include <iostream>

namespace p = parbuckle;
using namespace std::chrono_literals;

/// With {anon}, {basic} and {token} replaced; "-" is empty.
static std::string expanded(std::string text) {
  if (text == "-") return "";
  for (const auto &[name, variable] : {std::pair{"{anon}", "PARB_TEST_ANON"}, {"{basic}", "PARB_TEST_BASIC"}, {"{token}", "PARB_TEST_TOKEN"}}) {
    for (std::size_t at; (at = text.find(name)) != std::string::npos;) {
      const char *value = std::getenv(variable);
      if (!value) throw test::Failure{std::string(variable) + " is not set"};
      text.replace(at, std::strlen(name), value);
    }
  }
  return text;
}

static void scenario(const std::vector<std::string> &fields) {
  const std::string &operation = fields[1], reference = expanded(fields[2]), user = expanded(fields[3]);
  const std::string password = expanded(fields[4]), registry_code = expanded(fields[7]), subject = expanded(fields[8]);
  CHECK(operation == "pull" || operation == "push");
  const std::string registry = reference.substr(0, reference.find('/'));
  const p::Client client(p::ClientOptions().retry(2, 10ms).keychain(
      user.empty() ? p::Keychain::anonymous() : p::Keychain::basic(registry, user, password)));
  const p::Context ctx(60s);
  const auto layer = p::LayerBuilder().add_bytes("tiny", 0644, "x").build();
  const auto image = p::ImageBuilder().add_layer(layer).set_platform("linux/amd64").build();
  try {
    operation == "pull" ? (void)client.pull(reference, ctx) : client.push(reference, image, ctx);
  } catch (const p::Error &e) {
    if (e.code_name() != fields[5]) throw;
    EQUAL(e.http_status(), std::atoi(fields[6].c_str()));
    EQUAL(e.registry_code(), registry_code);
    if (e.subject().find(subject) == std::string_view::npos) {
      throw test::Failure{"the subject is " + std::string(e.subject()) + ", without " + subject};
    }
    return;
  }
  EQUAL(fields[5], "OK");
}

int main(int argc, char **argv) {
  std::ifstream file(argc == 2 ? argv[1] : "");
  std::string line;
  if (!std::getline(file, line)) {
    std::cerr << "usage: scenarios errors.tsv\n";
    return 2;
  }
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> fields;
    std::istringstream in(line);
    for (std::string field; std::getline(in, field, '\t');) fields.push_back(field);
    test::run(fields[0], [&] {
      EQUAL(fields.size(), 9u);
      scenario(fields);
    });
  }
  CHECK(test::passed + test::failed > 0);
  return test::finish();
}
