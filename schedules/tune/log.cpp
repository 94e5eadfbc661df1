// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <filesystem>
#include <stdexcept>
#include <vector>

namespace halnorm_tune {

using nlohmann::json;

namespace {

// A run may go on the next day, and for longer than it was meant to at first.
json constant_part(json header) {
  header.erase("date");
  header.erase("budget_s");
  return header;
}

}  // namespace

Log::Log(const std::string &file, const json &header) {
  std::vector<std::string> kept;
  bool finished = false;
  {
    std::ifstream earlier(file);
    for (std::string text; std::getline(earlier, text);) {
      json line = json::parse(text, nullptr, false);
      if (line.is_discarded()) break;  // the interrupt came in the middle of it
      if (kept.empty() && constant_part(line) != constant_part(header)) {
        throw std::runtime_error(file + " is the log of another run (" + text +
                                 "): remove it or name another with --log");
      }
      finished = finished || line.contains("finished");
      if (line.contains("key")) lines_[line["key"]] = line;
      kept.push_back(text);
    }
  }
  if (finished) {
    std::filesystem::rename(file, file + ".finished");
    lines_.clear();
    kept.clear();
  }
  if (kept.empty()) kept.push_back(header.dump());
  file_.open(file, std::ios::trunc);
  for (const std::string &text : kept) file_ << text << '\n';
  if (!file_.flush()) throw std::runtime_error(file + " cannot be written");
}

const json *Log::recall(const std::string &key) const {
  const auto found = lines_.find(key);
  return found == lines_.end() ? nullptr : &found->second;
}

void Log::append(const std::string &key, json line) {
  line["key"] = key;
  file_ << line.dump() << std::endl;
  lines_[key] = std::move(line);
}

void Log::finish() { file_ << R"({"finished":true})" << std::endl; }

}  // namespace halnorm_tune
