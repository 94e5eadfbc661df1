// SPDX-License-Identifier: Apache-2.0
// halnorm_soak SECONDS: for so long, eight threads call all operations on all dtypes and layouts,
// each call with a context of one kind or another. Exit status 0: every pass gave the bits of the
// first, and memory and threads stayed as they were; 1: not; 2: the command line is wrong.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <random>
#include <thread>

#include "process.h"
#include "run.h"
#include "scoped_context.h"

namespace halnorm_test {
namespace {

constexpr size_t kCallers = 8;
constexpr size_t kFewestPasses = 4;
// From one half to the other: pages may be held back by malloc, what is allocated is exact.
constexpr int64_t kMostPagesMore = int64_t{16} << 20, kMostAllocatedMore = int64_t{4} << 10;
constexpr size_t kPassesWithoutAllocation = size_t{1} << 18;
constexpr halnorm_device kCpu = {HALNORM_CPU, 0};

std::atomic<int64_t> failures{0};

void fail(const std::string &what) {
  if (++failures <= 10) std::printf("FAILED: %s\n", what.c_str());
}

// A problem, its tensors, and what its first call gave.
struct Work {
  explicit Work(const Problem &problem) : tensors(problem, Placement::end_flush) {
    tensors.fill(Data(), 1);
  }

  Tensors tensors;
  bool has_hash = false;
  uint64_t hash = 0;
};

uint64_t hash_of_results(Tensors *tensors) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  const Expected nothing;
  for (const Output &output : outputs_of(*tensors, nothing)) {
    for (int64_t row = 0; row < output.actual->rows(); ++row) {
      for (int64_t i = 0; i < output.actual->row_length(); ++i) {
        hash ^= canonical_bits(output.actual->dtype(), output.actual->bits(row, i));
        hash *= 0x100000001b3;
      }
    }
  }
  return hash;
}

void backwards(void *, int64_t count, halnorm_task task, void *argument) {
  for (int64_t i = count; i-- > 0;) task(argument, i);
}

// One of the threads that call: its share of the work, and what lives as long as it.
class Caller {
 public:
  Caller(unsigned seed, const halnorm_context *shared)
      : random_(seed), shared_(shared), own_(1), memory_(size_t{8} << 20) {
    halnorm_context_set_workspace(own_, kCpu, memory_.data(), memory_.size());
  }

  void add(const Problem &problem) { work_.push_back(std::make_unique<Work>(problem)); }

  void run_pass() {
    std::shuffle(work_.begin(), work_.end(), random_);
    for (const std::unique_ptr<Work> &work : work_) {
      Tensors &tensors = work->tensors;
      const Problem &problem = tensors.problem;
      if (problem.inplace || problem.running) {
        tensors.fill(Data(), 1);  // the call before changed what it reads
      } else if (Tensor *output = tensors.output()) {
        output->set_all(kUnwritten);
      }
      if (call(&tensors) != HALNORM_OK) {
        fail(print(problem) + ": " + halnorm_last_error());
        continue;
      }
      const uint64_t hash = hash_of_results(&tensors);
      if (!work->has_hash) work->hash = hash;
      work->has_hash = true;
      if (hash != work->hash) fail(print(problem) + ": other bits than in the first pass");
      const std::string damage = tensors.damage();
      if (!damage.empty()) fail(print(problem) + ": " + damage);
    }
  }

 private:
  halnorm_status call(Tensors *tensors) {
    switch (random_() % 6) {
      case 0:
        return tensors->call(nullptr);
      case 1:
        return tensors->call(shared_);
      case 2:
        return tensors->call(own_);
      case 3: {  // of all threads, made and destroyed for the call
        const ScopedContext context(static_cast<int32_t>(random_() % 5));
        return tensors->call(context);
      }
      case 4: {  // with a pool of the caller's
        const ScopedContext context(static_cast<int32_t>(random_() % 5));
        halnorm_context_set_parallel_for(context, backwards, nullptr);
        return tensors->call(context);
      }
      default: {  // which is refused first, where it needs memory
        const ScopedContext context(2);
        char byte;
        halnorm_context_set_workspace(context, kCpu, &byte, 1);
        const halnorm_status status = tensors->call(context);
        if (status != HALNORM_OUT_OF_MEMORY) return status;
        halnorm_context_set_workspace(context, kCpu, nullptr, 0);
        return tensors->call(context);
      }
    }
  }

  std::minstd_rand random_;
  const halnorm_context *const shared_;
  const ScopedContext own_;
  const GuardedPages memory_;
  std::vector<std::unique_ptr<Work>> work_;
};

std::vector<Problem> problems() {
  std::vector<Problem> all;
  for (Operation operation : kOperations) {
    for (Dtype dtype : kDtypes) {
      for (Layout layout : kLayouts) {
        Problem problem = full_problem(operation, dtype, {4, 12, 700});
        problem.layout = layout;
        std::string error;  // not all operations have all layouts
        if (parse(print(problem), &error)) all.push_back(problem);
      }
      all.push_back(full_problem(operation, dtype, {4, 12, 700}));
      all.back().inplace = true;
      all.push_back(full_problem(operation, dtype, {2, 12, 12000}));  // for several threads
    }
  }
  return all;
}

// After a pass, when no thread is left but the main one and the library's.
struct Measure {
  int64_t resident, allocated;
  int threads;
};

using Iterator = std::vector<Measure>::const_iterator;

Measure most(Iterator begin, Iterator end) {
  Measure most = *begin;
  for (Iterator pass = begin; pass != end; ++pass) {
    most.resident = std::max(most.resident, pass->resident);
    most.allocated = std::max(most.allocated, pass->allocated);
  }
  return most;
}

double mib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

int soak(int64_t seconds) {
  const ScopedContext shared(3);
  std::vector<std::unique_ptr<Caller>> callers;
  for (size_t t = 0; t < kCallers; ++t) {
    callers.push_back(std::make_unique<Caller>(static_cast<unsigned>(t + 1), shared));
  }
  const std::vector<Problem> all = problems();
  for (size_t i = 0; i < all.size(); ++i) callers[i % kCallers]->add(all[i]);

  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  std::vector<Measure> passes;
  passes.reserve(kPassesWithoutAllocation);
  do {
    std::vector<std::thread> running;
    for (const std::unique_ptr<Caller> &caller : callers) {
      running.emplace_back([&caller] { caller->run_pass(); });
    }
    for (std::thread &thread : running) thread.join();
    passes.push_back({resident_bytes(), allocated_bytes(), thread_count()});
  } while (elapsed() < static_cast<double>(seconds) || passes.size() < kFewestPasses);

  // The first pass is the warm-up.
  const Measure &first = passes.front(), &last = passes.back();
  const auto middle = passes.begin() + static_cast<std::ptrdiff_t>(passes.size() / 2);
  const Measure first_half = most(passes.begin() + 1, middle + 1);
  const Measure second_half = most(middle, passes.end());
  if (second_half.resident > first_half.resident + kMostPagesMore ||
      second_half.allocated > first_half.allocated + kMostAllocatedMore) {
    fail("memory has grown");
  }
  if (last.threads != middle->threads) fail("the number of threads has changed");
  std::printf("%zu passes of %zu calls in %.0f s\n", passes.size(), all.size(), elapsed());
  std::printf(
      "resident MiB: %.1f after the first pass; at most %.1f in the first half, %.1f in the "
      "second\n",
      mib(first.resident), mib(first_half.resident), mib(second_half.resident));
  std::printf("allocated bytes: %lld after the first pass; at most %lld and %lld\n",
              static_cast<long long>(first.allocated), static_cast<long long>(first_half.allocated),
              static_cast<long long>(second_half.allocated));
  std::printf("threads of the library: %d after the first pass, %d at the end\n", first.threads - 1,
              last.threads - 1);
  std::printf("failures: %lld\n", static_cast<long long>(failures.load()));
  return failures == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
  int64_t seconds = 0;
  if (argc != 2 || !parse_number(argv[1], &seconds) || seconds < 0) {
    std::fprintf(stderr, "usage: halnorm_soak SECONDS\n");
    return 2;
  }
  return soak(seconds);
}

}  // namespace
}  // namespace halnorm_test

int main(int argc, char **argv) { return halnorm_test::main(argc, argv); }
