// What the C++ tests share.
#ifndef TEST_HPP
#define TEST_HPP

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iterator>
#include <parbuckle.hpp>
#include <sstream>
#include <string>
#include <thread>

#include <dirent.h>

namespace test {

inline int passed = 0, failed = 0;

struct Failure {
  std::string what;
};

template <class T> std::string shown(const T &value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

template <class A, class B> void equal(const char *what, int line, const A &actual, const B &expected) {
  if (!(actual == expected))
    throw Failure{"line " + std::to_string(line) + ": " + what + " is " + shown(actual) + ", not " + shown(expected)};
}

inline void run(const std::string &name, const std::function<void()> &body) {
  std::string why;
  try {
    body();
  } catch (const Failure &f) {
    why = f.what;
  } catch (const parbuckle::Error &e) {
    why = std::string(e.code_name()) + ": " + e.what();
  } catch (const std::exception &e) {
    why = e.what();
  }
  why.empty() ? passed++ : failed++;
  if (!why.empty()) std::printf("  %s\n", why.c_str());
  std::printf("%s %s\n", why.empty() ? "ok    " : "FAILED", name.c_str());
  std::fflush(stdout);
}

/// The error that `call` throws, which has this code.
template <class F> parbuckle::Error error_of(int line, parb_code code, F call) {
  try {
    call();
  } catch (const parbuckle::Error &e) {
    if (e.code() == code) return e;
    throw Failure{"line " + std::to_string(line) + ": wanted " + parb_error_code_name(code) + ", is " +
                  std::string(e.code_name()) + ": " + e.what()};
  }
  throw Failure{"line " + std::to_string(line) + ": wanted " + parb_error_code_name(code) + ", is success"};
}

inline int threads() {
  int count = 0;
  DIR *dir = opendir("/proc/self/task");
  while (dirent *entry = readdir(dir)) count += entry->d_name[0] != '.';
  closedir(dir);
  return count;
}

/// What must come true soon.
template <class F> bool soon(F condition) {
  for (int i = 0; i < 500 && !condition(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return condition();
}

/// A folder that is gone with this.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "parb-cpp-XXXXXX").string();
    if (!mkdtemp(name.data())) throw Failure{"no folder"};
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder &) = delete;
  Folder &operator=(const Folder &) = delete;
  std::filesystem::path operator/(const std::string &name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::string text_of(parbuckle::Reader reader) {
  parbuckle::ReaderStream in(std::move(reader));
  return std::string(std::istreambuf_iterator<char>(in), {});
}

/// The last lines of every test program, and its exit status.
inline int finish() {
  run("nothing_runs_on", [] {
    if (!failed && !soon([] { return threads() == 1; })) throw Failure{"threads are left"};
  });
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
}

}  // namespace test

#define CHECK(condition) \
  ((condition) ? (void)0 : throw test::Failure{"line " + std::to_string(__LINE__) + ": " #condition})
#define EQUAL(actual, expected) test::equal(#actual, __LINE__, actual, expected)
#define FAILS(code, ...) test::error_of(__LINE__, code, [&] { __VA_ARGS__; })
#define RUN(name) test::run(#name, name)

#endif
