// SPDX-License-Identifier: Apache-2.0
#include "halnorm_api.h"

#include <dlfcn.h>

#include <map>

namespace halnorm_bench {
namespace {

HalnormApi opened(const std::string &path) {
  HalnormApi api;
  // Without a slash it would be searched for among the libraries of the system.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void *library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    api.trouble = dlerror();
    return api;
  }
  const auto find = [&](const char *name, auto *function) {
    void *symbol = dlsym(library, name);
    if (symbol == nullptr) {
      api.trouble = path + ": expected libhalnorm.a and bench/exports.cpp in it, found no " + name;
      return;
    }
    *function = *static_cast<decltype(function)>(symbol);
  };
#define HALNORM_BENCH_FIND(name) find("halnorm_bench_" #name, &api.name);
  HALNORM_BENCH_FUNCTIONS(HALNORM_BENCH_FIND)
#undef HALNORM_BENCH_FIND
  return api;
}

}  // namespace

const HalnormApi &linked_halnorm() {
  static const HalnormApi api = [] {
    HalnormApi linked;
#define HALNORM_BENCH_SET(name) linked.name = halnorm_##name;
    HALNORM_BENCH_FUNCTIONS(HALNORM_BENCH_SET)
#undef HALNORM_BENCH_SET
    return linked;
  }();
  return api;
}

const HalnormApi &open_halnorm(const std::string &path) {
  static std::map<std::string, HalnormApi> libraries;
  const auto found = libraries.find(path);
  return found != libraries.end() ? found->second : libraries[path] = opened(path);
}

}  // namespace halnorm_bench
