// SPDX-License-Identifier: Apache-2.0
// The tuner's log, a line of JSON for each candidate: enough to draw every plot, and to go on after
// an interrupt without measuring anything twice.
#ifndef HALNORM_SCHEDULES_TUNE_LOG_H_
#define HALNORM_SCHEDULES_TUNE_LOG_H_

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace halnorm_tune {

class Log {
 public:
  // Goes on with the file if it begins with the same header and has no end; keeps a finished one
  // under another name. Throws std::runtime_error for the log of another run.
  Log(const std::string &file, const nlohmann::json &header);

  // What an earlier run wrote under the key, or null.
  const nlohmann::json *recall(const std::string &key) const;
  void append(const std::string &key, nlohmann::json line);
  void finish();

  size_t recalled() const { return lines_.size(); }

 private:
  std::map<std::string, nlohmann::json> lines_;
  std::ofstream file_;
};

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_LOG_H_
