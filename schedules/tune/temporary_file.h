// SPDX-License-Identifier: Apache-2.0
// What a program wants in a file.
#ifndef HALNORM_SCHEDULES_TUNE_TEMPORARY_FILE_H_
#define HALNORM_SCHEDULES_TUNE_TEMPORARY_FILE_H_

#include <string>

namespace halnorm_tune {

// A file that is gone with the object.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string &text);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;

  const std::string &name() const { return name_; }

 private:
  std::string name_;
};

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_TEMPORARY_FILE_H_
