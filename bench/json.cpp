// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <charconv>

namespace halnorm_bench {

// Each of the functions ends behind what it read, or returns false at the place of the error.
class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  bool read_all(Json *value) {
    if (!read(value)) return false;
    skip_blanks();
    return at_ == text_.size() || expected("the end");
  }
  const std::string &error() const { return error_; }

 private:
  bool expected(const char *what) {
    error_ = "expected " + std::string(what) + " at byte " + std::to_string(at_);
    return false;
  }
  void skip_blanks() {
    const size_t next = text_.find_first_not_of(" \t\r\n", at_);
    at_ = next == std::string_view::npos ? text_.size() : next;
  }
  bool take(char c) {
    skip_blanks();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  bool read(Json *value) {
    skip_blanks();
    if (take('{')) return read_members(value);
    if (take('[')) return read_items(value);
    if (take('"')) return read_text(&value->text_);
    if (take("true")) {
      value->number_ = 1;
      return true;
    }
    if (take("false") || take("null")) return true;
    const char *begin = text_.data() + at_, *end = text_.data() + text_.size();
    const std::from_chars_result result = std::from_chars(begin, end, value->number_);
    if (result.ec != std::errc()) return expected("a value");
    at_ += static_cast<size_t>(result.ptr - begin);
    return true;
  }

  bool read_members(Json *value) {
    if (take('}')) return true;
    do {
      auto &member = value->members_.emplace_back();
      if (!take('"')) return expected("a name in quotes");
      if (!read_text(&member.first)) return false;
      if (!take(':')) return expected("':'");
      if (!read(&member.second)) return false;
    } while (take(','));
    return take('}') || expected("',' or '}'");
  }

  bool read_items(Json *value) {
    value->is_array_ = true;
    if (take(']')) return true;
    do {
      if (!read(&value->items_.emplace_back())) return false;
    } while (take(','));
    return take(']') || expected("',' or ']'");
  }

  bool read_text(std::string *text) {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return true;
      }
      if (c == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] != 'u') {
        constexpr std::string_view kLetters = "bfnrt", kMeanings = "\b\f\n\r\t";
        const char escaped = text_[++at_];
        const size_t letter = kLetters.find(escaped);
        text->push_back(letter == std::string_view::npos ? escaped : kMeanings[letter]);
      } else {
        text->push_back(c);
      }
    }
    return expected("the end of a string");
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string error_;
};

bool Json::parse(std::string_view text, Json *value, std::string *error) {
  JsonReader reader(text);
  if (reader.read_all(value)) return true;
  *error = reader.error();
  return false;
}

const Json &Json::operator[](std::string_view name) const {
  static const Json null;
  for (const auto &[own, value] : members_) {
    if (own == name) return value;
  }
  return null;
}

}  // namespace halnorm_bench
