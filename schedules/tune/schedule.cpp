// SPDX-License-Identifier: Apache-2.0
#include "schedule.h"

#include <algorithm>
#include <fstream>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace halnorm_tune {
namespace {

std::vector<std::string> split(const std::string &text) {
  std::istringstream stream(text);
  std::vector<std::string> parts;
  for (std::string part; stream >> part;) parts.push_back(part);
  return parts;
}

const Word &word_named(const std::string &name) {
  for (const Word &word : words()) {
    if (word.name == name) return word;
  }
  throw std::runtime_error("templates.inc: '" + name + "' is no word of knobs.inc");
}

Template make_template(const std::string &name, const std::string &names) {
  Template made = {name, {}};
  for (const std::string &word : split(names)) made.words.push_back(word_named(word));
  return made;
}

const std::vector<Template> &templates() {
  static const std::vector<Template> all = {
#define HALNORM_TEMPLATE(name, names) make_template(#name, names),
#include "schedules/templates.inc"
#undef HALNORM_TEMPLATE
  };
  return all;
}

template <typename T>
const T &any_of(const std::vector<T> &choices, std::mt19937_64 *random) {
  return choices[(*random)() % choices.size()];
}

}  // namespace

const std::vector<Word> &words() {
  static const std::vector<Word> all = {
#define HALNORM_KNOB(name, initial, ...) {#name, WordKind::knob, initial, {__VA_ARGS__}},
#define HALNORM_LENGTH_KNOB(name, initial) {#name, WordKind::length_knob, initial, {initial}},
#define HALNORM_CACHE_KNOB(name, initial, ...) \
  {#name, WordKind::cache_knob, initial, {__VA_ARGS__}},
#define HALNORM_CUDA_KNOB(name, initial, ...) {#name, WordKind::knob, initial, {__VA_ARGS__}},
#define HALNORM_LAUNCH(name, initial, ...) {#name, WordKind::launch, initial, {__VA_ARGS__}},
#include "schedules/knobs.inc"
  };
  return all;
}

double Template::points() const {
  double count = 1;
  for (const Word &word : words) count *= static_cast<double>(word.values.size());
  return count;
}

bool Template::has_launch_words() const {
  return std::any_of(words.begin(), words.end(),
                     [](const Word &word) { return word.kind == WordKind::launch; });
}

Template Template::with_lengths(const std::vector<int> &lengths) const {
  Template changed = *this;
  for (Word &word : changed.words) {
    if (word.kind == WordKind::length_knob)
      word.values.insert(word.values.end(), lengths.begin(), lengths.end());
  }
  return changed;
}

Template Template::of_code(const Settings &settings) const {
  Template changed = *this;
  for (Word &word : changed.words) {
    if (word.kind != WordKind::launch && word.kind != WordKind::cache_knob) continue;
    const auto said = settings.find(word.name);
    word.values = {said == settings.end() ? word.initial : said->second};
  }
  return changed;
}

const Template &template_named(const std::string &name) {
  for (const Template &candidate : templates()) {
    if (candidate.name == name) return candidate;
  }
  throw std::runtime_error("templates.inc has no template '" + name + "'");
}

std::vector<Family> read_families(const std::string &operations_file,
                                  const std::vector<std::string> &dtypes) {
  std::ifstream file(operations_file);
  if (!file) throw std::runtime_error(operations_file + " cannot be read");
  static const std::regex form(
      R"(^halnorm_kernel\((\w+) +(\w+) +(\w+) +(\w+) *(.*?)(?: +dtypes=([a-z0-9,]+))?\)$)");
  std::vector<Family> families;
  for (std::string line; std::getline(file, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, form)) continue;
    const std::string its_own = "," + match[6].str() + ",";
    for (const std::string &dtype : dtypes) {
      if (match[6].matched && its_own.find("," + dtype + ",") == std::string::npos) continue;
      families.push_back(
          {match[1], match[2], dtype, &template_named(match[3]), match[4], split(match[5])});
    }
  }
  return families;
}

Point::Point(const Template &schedule, const Settings &settings) : schedule_(&schedule) {
  for (const Word &word : schedule.words) {
    const auto found = settings.find(word.name);
    values_.push_back(found == settings.end() ? word.initial : found->second);
  }
}

Point Point::random(const Template &schedule, std::mt19937_64 *random) {
  Settings settings;
  for (const Word &word : schedule.words) settings[word.name] = any_of(word.values, random);
  return Point(schedule, settings);
}

std::vector<Point> Point::neighbours() const {
  std::vector<Point> points;
  for (size_t i = 0; i < values_.size(); ++i) {
    const std::vector<int> &values = schedule_->words[i].values;
    const auto at = std::find(values.begin(), values.end(), values_[i]) - values.begin();
    for (int step : {-1, 1}) {
      // A value that is not in the list, from a row written by hand, has all of it around it.
      const auto next =
          at == static_cast<std::ptrdiff_t>(values.size()) ? (step < 0 ? 0 : at - 1) : at + step;
      if (next < 0 || next >= static_cast<std::ptrdiff_t>(values.size())) continue;
      Point point = *this;
      point.values_[i] = values[static_cast<size_t>(next)];
      points.push_back(point);
    }
  }
  return points;
}

Point Point::mix(const Point &a, const Point &b, std::mt19937_64 *random) {
  Point mixed = a;
  for (size_t i = 0; i < mixed.values_.size(); ++i) {
    if ((*random)() % 2 == 0) mixed.values_[i] = b.values_[i];
  }
  return mixed;
}

std::optional<int> Point::value_of(const std::string &word) const {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (schedule_->words[i].name == word) return values_[i];
  }
  return std::nullopt;
}

std::optional<int> Point::held() const { return value_of("held"); }

int Point::rows() const { return held().value_or(value_of("rows").value_or(1)); }

Settings Point::settings() const {
  Settings settings;
  for (size_t i = 0; i < values_.size(); ++i) settings[schedule_->words[i].name] = values_[i];
  return settings;
}

std::string Point::text(bool launch) const {
  std::string text;
  for (size_t i = 0; i < values_.size(); ++i) {
    const Word &word = schedule_->words[i];
    const bool is_always_said = word.name == "rows" || word.name == "held";
    if ((word.kind == WordKind::launch) != launch ||
        (values_[i] == word.initial && !is_always_said))
      continue;
    text += (text.empty() ? "" : " ") + word.name + "=" + std::to_string(values_[i]);
  }
  return text;
}

Settings parse_settings(const std::string &text) {
  static const std::regex form("([a-z_]+)=([0-9]+)");
  Settings settings;
  for (const std::string &part : split(text)) {
    std::smatch match;
    if (!std::regex_match(part, match, form)) {
      throw std::runtime_error("'" + part + "' is not word=number");
    }
    settings[match[1]] = std::stoi(match[2]);
  }
  return settings;
}

}  // namespace halnorm_tune
