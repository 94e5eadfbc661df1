// SPDX-License-Identifier: Apache-2.0
// What a schedule can be: the words of knobs.inc, the templates of templates.inc, the kernels of
// generators/operations.cmake, and one point in the space of a kernel's schedules.
#ifndef HALNORM_SCHEDULES_TUNE_SCHEDULE_H_
#define HALNORM_SCHEDULES_TUNE_SCHEDULE_H_

#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace halnorm_tune {

// By which macro of knobs.inc.
enum class WordKind { knob, length_knob, cache_knob, launch };

struct Word {
  std::string name;
  WordKind kind;
  int initial;  // where a row does not say it
  std::vector<int> values;
};

// All there are, in the order in which rows say them.
const std::vector<Word> &words();

struct Template {
  std::string name;
  std::vector<Word> words;  // that make a difference to it

  // The same for rows of such lengths.
  Template with_lengths(const std::vector<int> &lengths) const;
  // With one value for launch words and cache knobs, of which a kernel's code does not tell what
  // they are worth: that of the settings.
  Template of_code(const std::map<std::string, int> &settings) const;
  bool has_launch_words() const;
  double points() const;  // how many there are, legal or not
};
const Template &template_named(const std::string &name);

// A kernel that has schedule rows: one of operations.cmake, for one dtype.
struct Family {
  std::string operation, part, dtype;
  const Template *schedule;
  std::string generator;
  std::vector<std::string> parameters;

  std::string name() const { return operation + " " + part + " " + dtype; }
};
std::vector<Family> read_families(const std::string &operations_file,
                                  const std::vector<std::string> &dtypes);

// Values of words by name, as a row says them.
using Settings = std::map<std::string, int>;

// A value for each word of a template.
class Point {
 public:
  // Words that the settings leave out are initial ones; words of no use to the template are
  // dropped.
  Point(const Template &schedule, const Settings &settings);
  static Point random(const Template &schedule, std::mt19937_64 *random);

  // All that differ in one word, by a step up or down the list of its values.
  std::vector<Point> neighbours() const;
  // Each word from one of two points.
  static Point mix(const Point &a, const Point &b, std::mt19937_64 *random);

  // As rows say them: words at their initial value are left out, but never `rows` and `held`, which
  // the runtime reads too.
  Settings settings() const;
  std::string knobs() const { return text(false); }
  std::string launch() const { return text(true); }
  int rows() const;  // or, of a kernel of CUDA, `held`
  // The longest row that a kernel of whole rows of CUDA can take; none of others.
  std::optional<int> held() const;

  bool operator<(const Point &other) const { return values_ < other.values_; }
  bool operator==(const Point &other) const { return values_ == other.values_; }

 private:
  std::string text(bool launch) const;
  std::optional<int> value_of(const std::string &word) const;

  const Template *schedule_;
  std::vector<int> values_;
};

// "rows=8 vectors=2" taken apart. Throws std::runtime_error where it is not words and numbers.
Settings parse_settings(const std::string &text);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_SCHEDULE_H_
