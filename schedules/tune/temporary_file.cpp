// SPDX-License-Identifier: Apache-2.0
#include "temporary_file.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace halnorm_tune {

TemporaryFile::TemporaryFile(const std::string &text) {
  const char *directory = std::getenv("TMPDIR");
  name_ = std::string(directory ? directory : "/tmp") + "/halnorm-model-XXXXXX";
  const int file = mkstemp(name_.data());
  if (file < 0) throw std::runtime_error("cannot create '" + name_ + "'");
  close(file);
  std::ofstream(name_) << text;
}

TemporaryFile::~TemporaryFile() { unlink(name_.c_str()); }

}  // namespace halnorm_tune
