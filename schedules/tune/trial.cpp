// SPDX-License-Identifier: Apache-2.0
// halnorm_trial: what the tuner runs for each candidate, here, under an emulator or on a board. It
// is linked anew with the kernels that are on trial, statically, and prints a line of JSON for each
// problem. usage: see kUsage.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cuda_timer.h"
#include "halnorm.h"
#include "tests/problem.h"
#include "tests/reference.h"
#include "tests/tensors.h"
#include "trial_launches.h"
#include "trial_profile.h"

namespace halnorm_tune {
namespace {

using halnorm_test::Problem;
using halnorm_test::Tensor;
using halnorm_test::Tensors;

constexpr char kUsage[] =
    "usage: halnorm_trial --target=T [--kernel=K --reference=R] [--threads=N] [--rounds=N]\n"
    "                     [--round-ms=MS] [--calls=N] [--launches] [--check=PROBLEM]... "
    "PROBLEM...\n"
    "  --check: only compares the bits of K with those of R; other problems are timed as well,\n"
    "  rounds of K in turn with rounds of the library's own choice\n"
    "  --calls: so many calls of K, or of the library's choice, and nothing else, to be counted\n"
    "  --launches: what K, or the library's choice, launches on CUDA, and nothing else\n"
    "  with none of them: the share of each kernel in the time of a problem\n";

struct Options {
  std::string target, kernel, reference;
  int64_t threads = 1, rounds = 5, calls = 0;
  double round_ms = 5;
  bool launches = false;
  std::vector<Problem> checked, timed;
};

bool parse_options(int argc, char **argv, Options *options) {
  std::string error;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const size_t equals = argument.find('=');
    const std::string_view key = argument.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : argument.substr(equals + 1);
    bool good = true;
    if (key == "--target") {
      options->target = value;
    } else if (key == "--kernel") {
      options->kernel = value;
    } else if (key == "--reference") {
      options->reference = value;
    } else if (key == "--threads") {
      good = halnorm_test::parse_number(value, &options->threads) && options->threads >= 1;
    } else if (key == "--rounds") {
      good = halnorm_test::parse_number(value, &options->rounds) && options->rounds >= 1;
    } else if (key == "--calls") {
      good = halnorm_test::parse_number(value, &options->calls) && options->calls >= 0;
    } else if (argument == "--launches") {
      options->launches = true;
    } else if (key == "--round-ms") {
      good = halnorm_test::parse_number(value, &options->round_ms);
    } else {
      const bool only_checked = key == "--check";
      const auto problem = halnorm_test::parse(only_checked ? value : argument, &error);
      good = problem.has_value();
      if (good) (only_checked ? options->checked : options->timed).push_back(*problem);
    }
    if (!good) {
      std::fprintf(stderr, "halnorm_trial: argument '%s' is wrong. %s\n%s", argv[i], error.c_str(),
                   kUsage);
      return false;
    }
  }
  return true;
}

// Small values that differ, with a few bits each so that their products vary: made quickly, as
// every candidate fills its tensors anew.
void scatter(Tensor *tensor, uint32_t seed, float middle, float spread) {
  uint32_t state = seed;
  for (int64_t row = 0; row < tensor->rows(); ++row) {
    for (int64_t i = 0; i < tensor->row_length(); ++i) {
      state = state * 1664525u + 1013904223u;
      tensor->set(row, i, middle + spread * (static_cast<float>(state >> 16) / 32768.0f - 1.0f));
    }
  }
}

class Bench {
 public:
  Bench(const Problem &problem, const Options &options)
      : tensors_(problem, halnorm_test::Placement::start_flush),
        one_thread_(options.threads == 1),
        on_cuda_(options.target.rfind("cuda", 0) == 0) {
    chosen_ = context_for("", options);
    if (!options.kernel.empty()) kernel_ = context_for(options.kernel, options);
    if (!options.reference.empty()) reference_ = context_for(options.reference, options);
  }
  ~Bench() {
    for (halnorm_context *context : {chosen_, kernel_, reference_})
      halnorm_context_destroy(context);
  }
  Bench(const Bench &) = delete;
  Bench &operator=(const Bench &) = delete;

  bool good() const { return good_; }
  bool run_kernel() { return run(kernel_); }
  bool run_chosen() { return run(chosen_); }

  // On CUDA, of the kernel or of the library's choice. Nothing reads the tensors, which can be
  // where they are.
  std::vector<RecordedLaunch> launches() {
    halnorm_test::CudaDevice::get().make_current();
    halnorm_context *context = kernel_ != nullptr ? kernel_ : chosen_;
    constexpr size_t kEnough = size_t{1} << 40;
    halnorm_context_set_workspace(context, kCuda, reinterpret_cast<void *>(kEnough), kEnough);
    std::vector<RecordedLaunch> launches;
    record_launches(&launches);
    const halnorm_status status =
        tensors_.call_bent(context, [](halnorm_test::Arguments *arguments) {
          for (halnorm_tensor *tensor :
               {arguments->x, arguments->dy, arguments->gamma, arguments->beta, arguments->y,
                arguments->dx, arguments->dgamma, arguments->dbeta, arguments->mean,
                arguments->rstd, arguments->running_mean, arguments->running_var}) {
            if (tensor != nullptr) tensor->device = kCuda;
          }
        });
    record_launches(nullptr);
    good_ = good_ && status == HALNORM_OK;
    return launches;
  }

  void prepare() {
    for (Tensor *tensor : written()) tensor->set_all(halnorm_test::kUnwritten);
    Tensors &t = tensors_;
    const bool saved = t.problem.is_backward();
    scatter(&t.x, 1, 0.25f, 1);
    if (t.dy) scatter(&*t.dy, 2, 0, 1);
    if (t.gamma) scatter(&*t.gamma, 3, 1, 0.25f);
    if (t.beta) scatter(&*t.beta, 4, 0, 0.5f);
    if (t.running_mean) scatter(&*t.running_mean, 5, 0, 0.5f);
    if (t.running_var) scatter(&*t.running_var, 6, 1, 0.5f);
    if (saved && t.mean) scatter(&*t.mean, 7, 0.25f, 0.125f);
    if (saved && t.rstd) scatter(&*t.rstd, 8, 1.5f, 0.25f);
  }

  // Whether the kernel on trial leaves the same bytes as the reference.
  bool same_bits() {
    prepare();
    if (!run(reference_)) return false;
    for (Tensor *tensor : written()) tensor->remember();
    prepare();
    if (!run(kernel_)) return false;
    for (Tensor *tensor : written()) {
      if (!tensor->unchanged()) return false;
    }
    return true;
  }

  // Seconds of a call of each, for each round.
  void time(const Options &options, std::vector<double> *kernel, std::vector<double> *chosen) {
    run(chosen_);
    run(kernel_);
    const double one = seconds_of(chosen_, 1);
    const auto most = static_cast<int64_t>(options.round_ms * 1e-3 / (one + 1e-9)) + 1;
    // What flushes the cache of a GPU takes longer than most calls.
    const int64_t calls = on_cuda_ ? std::min(most, kMostCallsOnCuda) : most;
    for (int64_t round = 0; round < options.rounds; ++round) {
      // Neither always comes first.
      for (int64_t turn = 0; turn < 2; ++turn) {
        const bool of_kernel = (round + turn) % 2 == 0;
        (of_kernel ? kernel : chosen)
            ->push_back(seconds_of(of_kernel ? kernel_ : chosen_, calls) /
                        static_cast<double>(calls));
      }
    }
  }

 private:
  halnorm_context *context_for(const std::string &kernel, const Options &options) {
    halnorm_context *context = nullptr;
    good_ = good_ && halnorm_context_create(&context) == HALNORM_OK &&
            halnorm_context_set_target(context, options.target.c_str()) == HALNORM_OK &&
            halnorm_context_set_num_threads(context, static_cast<int32_t>(options.threads)) ==
                HALNORM_OK &&
            halnorm_context_set_kernel(context, kernel.empty() ? nullptr : kernel.c_str()) ==
                HALNORM_OK;
    return context;
  }
  bool run(halnorm_context *context) {
    good_ = good_ && (on_cuda_ ? tensors_.call_on_cuda(context, halnorm_test::kAllParts)
                               : tensors_.call(context)) == HALNORM_OK;
    return good_;
  }
  double seconds_of(halnorm_context *context, int64_t calls) {
    if (on_cuda_) return seconds_on_cuda(context, calls);
    const double start = now();
    for (int64_t i = 0; i < calls; ++i) run(context);
    return now() - start;
  }
  double seconds_on_cuda(halnorm_context *context, int64_t calls) {
    if (!timer_) timer_ = std::make_unique<CudaTimer>();
    double seconds = 0;
    const auto call = [&] { return tensors_.call(context, halnorm_test::kAllParts); };
    good_ = good_ && tensors_.on_cuda(context, [&] {
      return timer_->time(calls, call, &seconds);
    }) == HALNORM_OK;
    return seconds;
  }
  // A thread alone is timed by its own clock, which stands still while others have its processor.
  double now() const {
    timespec time;
    clock_gettime(one_thread_ ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }

  std::vector<Tensor *> written() {
    const halnorm_test::Expected nothing;
    std::vector<Tensor *> tensors;
    for (const halnorm_test::Output &output : outputs_of(tensors_, nothing)) {
      tensors.push_back(const_cast<Tensor *>(output.actual));
    }
    return tensors;
  }

  static constexpr halnorm_device kCuda = {HALNORM_CUDA, 0};
  static constexpr int64_t kMostCallsOnCuda = 16;
  Tensors tensors_;
  const bool one_thread_, on_cuda_;
  halnorm_context *chosen_ = nullptr, *kernel_ = nullptr, *reference_ = nullptr;
  std::unique_ptr<CudaTimer> timer_;
  bool good_ = true;
};

void print_list(const char *name, const std::vector<double> &seconds) {
  std::printf(", \"%s\": [", name);
  for (size_t i = 0; i < seconds.size(); ++i) std::printf("%s%.4e", i ? ", " : "", seconds[i]);
  std::printf("]");
}

void try_problem(const Problem &problem, const Options &options, bool timed) {
  Bench bench(problem, options);
  if (options.calls > 0) {
    bench.prepare();
    for (int64_t i = 0; i < options.calls; ++i) {
      options.kernel.empty() ? bench.run_chosen() : bench.run_kernel();
    }
  }
  std::printf("{\"problem\": \"%s\"", print(problem).c_str());
  if (options.calls == 0) {
    const bool same = bench.same_bits();
    std::vector<double> kernel, chosen;
    if (same && timed) bench.time(options, &kernel, &chosen);
    std::printf(", \"same_bits\": %s", same ? "true" : "false");
    print_list("kernel", kernel);
    print_list("chosen", chosen);
  }
  std::printf(bench.good() ? "}\n" : ", \"error\": \"%s\"}\n", halnorm_last_error());
  std::fflush(stdout);
}

void try_launches(const Problem &problem, const Options &options) {
  Bench bench(problem, options);
  const std::vector<RecordedLaunch> launches = bench.launches();
  print_kernels(launches);
  std::printf("{\"problem\": \"%s\", \"launches\": ", print(problem).c_str());
  print_launches(launches);
  std::printf(bench.good() ? "}\n" : ", \"error\": \"%s\"}\n", halnorm_last_error());
  std::fflush(stdout);
}

void profile_problem(const Problem &problem, const Options &options) {
  Bench bench(problem, options);
  bench.prepare();
  bench.run_chosen();
  for (int i = 0; i < profile_count; ++i) profiles[i].seconds = 0;
  const auto start = std::chrono::steady_clock::now();
  int64_t calls = 0;
  double seconds = 0;
  while (bench.good() && (calls < 2 || seconds < options.round_ms * 1e-3)) {
    bench.run_chosen();
    ++calls;
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  std::printf("{\"problem\": \"%s\", \"seconds\": %.4e, \"shares\": {", print(problem).c_str(),
              seconds / static_cast<double>(calls));
  const char *comma = "";
  for (int i = 0; i < profile_count; ++i) {
    if (profiles[i].seconds == 0) continue;
    std::printf("%s\"%s\": %.4f", comma, profiles[i].kernel, profiles[i].seconds / seconds);
    comma = ", ";
  }
  std::printf(bench.good() ? "}}\n" : "}, \"error\": \"%s\"}\n", halnorm_last_error());
  std::fflush(stdout);
}

}  // namespace
}  // namespace halnorm_tune

int main(int argc, char **argv) {
  using namespace halnorm_tune;
  Options options;
  if (!parse_options(argc, argv, &options)) return 2;
  if (options.launches) {
    for (const Problem &problem : options.timed) try_launches(problem, options);
    return 0;
  }
  if (options.kernel.empty() && options.calls == 0) {
    for (const Problem &problem : options.timed) profile_problem(problem, options);
    return 0;
  }
  for (const Problem &problem : options.checked) try_problem(problem, options, false);
  for (const Problem &problem : options.timed) try_problem(problem, options, true);
  return 0;
}
