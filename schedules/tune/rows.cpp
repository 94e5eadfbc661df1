// SPDX-License-Identifier: Apache-2.0
#include "rows.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <regex>
#include <stdexcept>

namespace halnorm_tune {
namespace {

std::string trimmed(const std::string &text) {
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> lines_of(const std::string &file) {
  std::ifstream stream(file);
  if (!stream) throw std::runtime_error(file + " cannot be read");
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string print_bounds(const Bounds &bounds) {
  std::string text;
  if (bounds.longest != kAnyLength) text += " n<=" + std::to_string(bounds.longest);
  if (bounds.fewest_bytes != 0) text += " bytes>=" + std::to_string(bounds.fewest_bytes);
  return trimmed(text);
}

std::string print_provenance(const Row &row) {
  if (row.gains.empty()) return row.provenance;
  std::string text;
  for (double gain : row.gains) {
    char figure[32];
    std::snprintf(figure, sizeof figure, "%s%.2fx", text.empty() ? "" : " ", gain);
    text += figure;
  }
  return text + " of the default, " + std::to_string(row.bytes) + " bytes, " + row.provenance;
}

bool say_the_same(const std::vector<Row> &a, const std::vector<Row> &b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(),
                    [](const Row &one, const Row &other) { return one.says_the_same(other); });
}

}  // namespace

bool Row::serves(const Family &family) const {
  const auto matches = [](const std::string &key, const std::string &value) {
    return key == "*" || key == value;
  };
  return matches(operation, family.operation) && matches(part, family.part) &&
         matches(dtype, family.dtype);
}

Settings Row::settings() const {
  Settings settings = parse_settings(knobs);
  settings.merge(parse_settings(launch));
  return settings;
}

bool Row::says_the_same(const Row &other) const {
  return bounds == other.bounds && knobs == other.knobs && launch == other.launch;
}

std::vector<Row> read_rows(const std::string &file) {
  static const std::regex form(
      "([a-z_*]+) +([a-z_*]+) +([a-z0-9*]+)( +n<=([0-9]+))?( +bytes>=([0-9]+))? *"
      ":([a-z0-9_= ]*):([a-z0-9_= ]*)#(.+)");
  std::vector<Row> rows;
  const std::vector<std::string> lines = lines_of(file);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string line = trimmed(lines[i]);
    if (line.empty() || line[0] == '#') continue;
    std::smatch m;
    if (!std::regex_match(line, m, form)) {
      throw std::runtime_error(file + ":" + std::to_string(i + 1) + ": '" + line +
                               "' is not 'operation part dtype [n<=N] [bytes>=B] : knobs : launch"
                               "  # provenance'");
    }
    Bounds bounds;
    if (m[5].matched) bounds.longest = std::stoll(m[5]);
    if (m[7].matched) bounds.fewest_bytes = std::stoll(m[7]);
    rows.push_back({m[1], m[2], m[3], bounds, trimmed(m[8]), trimmed(m[9]), trimmed(m[10]), {}, 0});
  }
  return rows;
}

std::string print_row(const Row &row) {
  const std::string bounds = print_bounds(row.bounds);
  return row.operation + " " + row.part + " " + row.dtype + (bounds.empty() ? "" : " " + bounds) +
         " : " + row.knobs + " : " + row.launch;
}

std::string print_rows(const std::string &target, const std::vector<Row> &rows) {
  std::vector<std::vector<std::string>> table;
  for (const Row &row : rows) {
    table.push_back({row.operation, row.part, row.dtype, print_bounds(row.bounds), ": " + row.knobs,
                     ": " + row.launch, "# " + print_provenance(row)});
  }
  std::string text = "# " + target +
                     ".sched: halnorm schedules 1\n"
                     "# operation part dtype [n<=N] [bytes>=B] : knobs : [launch]  # provenance\n";
  for (const std::vector<std::string> &fields : table) {
    for (size_t column = 0; column < fields.size(); ++column) {
      size_t width = 0;
      for (const auto &other : table) width = std::max(width, other[column].size());
      text += fields[column];
      if (column + 1 < fields.size()) text += std::string(width - fields[column].size() + 1, ' ');
    }
    text += "\n";
  }
  return text;
}

std::vector<Target> read_targets(const std::string &file) {
  static const std::regex form(
      R"(([a-z0-9_]+) *\| *([^ |]+) *\| *([^|]*[^ |]) *\| *([a-z0-9_]*) *)");
  std::vector<Target> targets;
  for (const std::string &line : lines_of(file)) {
    std::smatch m;
    if (line.empty() || line[0] == '#') continue;
    if (!std::regex_match(line, m, form)) {
      throw std::runtime_error(file + ": '" + line +
                               "' is not 'name | Halide target | features | parent'");
    }
    targets.push_back({m[1], m[2], m[3], m[4]});
  }
  return targets;
}

std::vector<Row> rows_of_target(const std::string &directory, const std::string &target) {
  const std::vector<Target> targets = read_targets(directory + "/targets.txt");
  std::vector<Row> rows;
  std::string name = target;
  while (!name.empty()) {
    const auto found = std::find_if(targets.begin(), targets.end(),
                                    [&](const Target &t) { return t.name == name; });
    if (found == targets.end())
      throw std::runtime_error("targets.txt has no target '" + name + "'");
    const std::vector<Row> own = read_rows(directory + "/" + name + ".sched");
    rows.insert(rows.end(), own.begin(), own.end());
    name = found->parent;
  }
  return rows;
}

std::vector<Row> rows_of_family(const std::vector<Row> &rows, const Family &family) {
  std::vector<Row> matching;
  for (const Row &row : rows) {
    if (!row.serves(family)) continue;
    const bool hidden = std::any_of(matching.begin(), matching.end(), [&](const Row &earlier) {
      return earlier.bounds == row.bounds;
    });
    if (hidden) continue;
    matching.push_back(row);
    if (row.bounds == Bounds()) break;
  }
  return matching;
}

std::vector<Row> merge_alike(const std::vector<RowsOfFamily> &families) {
  std::vector<RowsOfFamily> groups;
  // Widens one key of all groups that agree in the others, where they say the same; `all` tells
  // whether a group has what the "*" then stands for. A group that has a "*" already is for what
  // others are for, too, and is not widened beside them.
  const auto widen = [&](std::string Family::*key, std::string Family::*other) {
    std::vector<RowsOfFamily> widened;
    for (const RowsOfFamily &group : groups) {
      const auto is_like = [&](const RowsOfFamily &candidate) {
        return candidate.first.part == group.first.part &&
               candidate.first.*other == group.first.*other;
      };
      const auto overlaps = [&](const RowsOfFamily &candidate) {
        return candidate.first.part == group.first.part &&
               (group.first.*other == "*" || candidate.first.*other == "*");
      };
      const bool alike =
          std::all_of(groups.begin(), groups.end(), [&](const RowsOfFamily &candidate) {
            return is_like(candidate) ? say_the_same(candidate.second, group.second)
                                      : !overlaps(candidate);
          });
      const auto before = std::find_if(widened.begin(), widened.end(), is_like);
      if (!alike || before == widened.end()) {
        widened.push_back(group);
        if (alike) widened.back().first.*key = "*";
        continue;
      }
      for (size_t i = 0; i < group.second.size(); ++i) {
        Row &row = before->second[i];
        const Row &joined = group.second[i];
        row.gains.insert(row.gains.end(), joined.gains.begin(), joined.gains.end());
        row.bytes = std::max(row.bytes, joined.bytes);
      }
    }
    groups = widened;
  };
  groups = families;
  widen(&Family::dtype, &Family::operation);
  widen(&Family::operation, &Family::dtype);

  std::vector<Row> rows;
  for (const RowsOfFamily &group : groups) {
    for (Row row : group.second) {
      row.operation = group.first.operation;
      row.part = group.first.part;
      row.dtype = group.first.dtype;
      rows.push_back(row);
    }
  }
  return rows;
}

}  // namespace halnorm_tune
