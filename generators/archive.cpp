// SPDX-License-Identifier: Apache-2.0
// halnorm_archive TARGET LIBRARY OBJECT...: a static library of objects for any processor, with the
// index that a linker looks for. The `ar` of a machine indexes the objects of its own kind only.
#include <cstdio>
#include <string>
#include <vector>

#include "Halide.h"

int main(int argc, char **argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: halnorm_archive TARGET LIBRARY OBJECT...\n");
    return 1;
  }
  const std::vector<std::string> objects(argv + 3, argv + argc);
  Halide::create_static_library(objects, Halide::Target(argv[1]), argv[2]);
  return 0;
}
