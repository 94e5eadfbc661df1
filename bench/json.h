// SPDX-License-Identifier: Apache-2.0
// Reads JSON (RFC 8259), as far as Google Benchmark writes it: \u escapes are left as they stand.
#ifndef HALNORM_BENCH_JSON_H_
#define HALNORM_BENCH_JSON_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace halnorm_bench {

class Json {
 public:
  // False when `text` is none; *error says what was expected where.
  static bool parse(std::string_view text, Json *value, std::string *error);

  // Of an object; where it has no such member, or is none, a null.
  const Json &operator[](std::string_view name) const;
  const std::vector<Json> &items() const { return items_; }  // of an array
  const std::string &text() const { return text_; }          // of a string
  double number() const { return number_; }                  // of a number
  bool is_true() const { return number_ != 0; }              // of true and false
  bool is_array() const { return is_array_; }

 private:
  friend class JsonReader;

  bool is_array_ = false;
  double number_ = 0;
  std::string text_;
  std::vector<Json> items_;
  std::vector<std::pair<std::string, Json>> members_;
};

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_JSON_H_
