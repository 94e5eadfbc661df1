// SPDX-License-Identifier: Apache-2.0
// halnorm_replay: judges the calls of a corpus, an input of the fuzzer a line, in hexadecimal. Exit
// status 0: all are as promised; 1: not; 2: the command line or the corpus is wrong.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fault_reporter.h"
#include "halnorm.h"
#include "judge.h"

namespace halnorm_test {
namespace {

std::vector<uint8_t> bytes_of(const std::string &line) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < line.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoul(line.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

bool is_input(const std::string &line) {
  return std::all_of(line.begin(), line.end(), [](unsigned char c) { return std::isxdigit(c); });
}

// Which lines of the corpus are judged.
struct Choice {
  size_t line = 0;  // this one alone
  size_t every = 1;

  bool has(size_t number) const { return line != 0 ? number == line : number % every == 0; }
};

bool parse_choice(int argc, char **argv, Choice *choice) {
  if (argc == 2) return true;
  std::string_view text = argv[2];
  constexpr std::string_view kEvery = "--every=";
  const bool is_every = text.substr(0, kEvery.size()) == kEvery;
  if (is_every) text.remove_prefix(kEvery.size());
  int64_t number = 0;
  if (argc > 3 || !parse_number(text, &number) || number < 1) return false;
  (is_every ? choice->every : choice->line) = static_cast<size_t>(number);
  return true;
}

struct Totals {
  size_t calls = 0, compared = 0, refused = 0, failed = 0;
  std::set<std::string> kernels;
};

void replay(const std::vector<uint8_t> &bytes, const std::string &repeat, Totals *totals) {
  const Attempt attempt = decode(bytes.data(), bytes.size());
  const FaultReporter reporter(repeat);
  const Judgement judgement = judge(attempt);
  ++totals->calls;
  totals->compared += judgement.compared ? 1 : 0;
  totals->refused += judgement.refused ? 1 : 0;
  totals->kernels.insert(judgement.kernels.begin(), judgement.kernels.end());
  if (judgement.failure.empty()) return;
  ++totals->failed;
  std::printf("FAILED: %s\n%s  repeat: %s\n", judgement.failure.c_str(), print(attempt).c_str(),
              repeat.c_str());
}

int main(int argc, char **argv) {
  Choice choice;
  if (argc < 2 || !parse_choice(argc, argv, &choice)) {
    std::fprintf(stderr, "usage: halnorm_replay CORPUS [LINE | --every=N]\n");
    return 2;
  }
  const std::string name = argv[1];
  std::ifstream corpus(name);
  Totals totals;
  size_t number = 0;
  for (std::string line; std::getline(corpus, line);) {
    if (!choice.has(++number)) continue;
    if (!is_input(line)) {
      std::fprintf(stderr, "%s:%zu: expected bytes in hexadecimal\n", name.c_str(), number);
      return 2;
    }
    replay(bytes_of(line), "halnorm_replay " + name + " " + std::to_string(number), &totals);
  }
  std::printf("%zu calls: %zu compared with the reference, %zu refused, %zu failed\n", totals.calls,
              totals.compared, totals.refused, totals.failed);
  std::printf("%zu of %d kernels were the last of a call\n", totals.kernels.size(),
              halnorm_kernel_count());
  // A corpus that shows nothing is no test.
  const bool shows = choice.line != 0 || (totals.compared > 0 && totals.refused > 0);
  return totals.failed == 0 && shows ? 0 : 1;
}

}  // namespace
}  // namespace halnorm_test

int main(int argc, char **argv) { return halnorm_test::main(argc, argv); }
