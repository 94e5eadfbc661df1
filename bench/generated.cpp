// SPDX-License-Identifier: Apache-2.0
// halnorm_generated_bench: what a function that was made for one length gains over the call of
// halnorm.h that takes any, on one thread.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "generated_headers.inc"
#include "halnorm.h"

namespace {

// Rows of zeros and ones: no value changes the time.
template <typename Element>
struct Rows {
  Rows(int64_t count, int64_t length)
      : rows(count),
        n(length),
        x(static_cast<size_t>(count * length)),
        y(x.size()),
        gamma(static_cast<size_t>(length), 1.0f),
        beta(gamma.size()) {
    for (size_t i = 0; i < x.size(); i += 2) x[i] = 1;
  }
  int64_t rows, n;
  std::vector<Element> x, y;
  std::vector<float> gamma, beta;
};

using f32 = float;
using bf16 = uint16_t;

template <typename Element>
using LayerNorm = void (*)(int64_t, const Element *, int64_t, const float *, const float *, float,
                           Element *, int64_t, float *, float *);
template <typename Element>
using RmsNorm = void (*)(int64_t, const Element *, int64_t, const float *, float, Element *,
                         int64_t, float *);

template <typename Element>
void call(LayerNorm<Element> function, Rows<Element> *r) {
  function(r->rows, r->x.data(), r->n, r->gamma.data(), r->beta.data(), 1e-5f, r->y.data(), r->n,
           nullptr, nullptr);
}

template <typename Element>
void call(RmsNorm<Element> function, Rows<Element> *r) {
  function(r->rows, r->x.data(), r->n, r->gamma.data(), 1e-5f, r->y.data(), r->n, nullptr);
}

template <typename Element>
void call_library(LayerNorm<Element>, const halnorm_context *context, halnorm_tensor *x,
                  halnorm_tensor *gamma, halnorm_tensor *beta, halnorm_tensor *y) {
  halnorm_layer_norm(context, x, gamma, beta, -1, 1e-5, y, nullptr, nullptr, 0);
}

template <typename Element>
void call_library(RmsNorm<Element>, const halnorm_context *context, halnorm_tensor *x,
                  halnorm_tensor *gamma, halnorm_tensor *, halnorm_tensor *y) {
  halnorm_rms_norm(context, x, gamma, -1, 1e-5, y, nullptr, 0);
}

template <typename Element, typename Function>
void add(Function function, const std::string &name, int64_t rows, int64_t n) {
  const auto run = [=](benchmark::State &state, bool generated) {
    Rows<Element> r(rows, n);
    int64_t shape[] = {rows, n};
    const halnorm_dtype of_parameters = HALNORM_F32, of_bf16 = HALNORM_BF16;
    const halnorm_dtype dtype = sizeof(Element) == sizeof(float) ? of_parameters : of_bf16;
    halnorm_tensor x = {r.x.data(), {HALNORM_CPU, 0}, 2, dtype, shape, nullptr, 0};
    halnorm_tensor gamma = {r.gamma.data(), {HALNORM_CPU, 0}, 1, of_parameters,
                            shape + 1,      nullptr,          0};
    halnorm_tensor y = x;
    halnorm_tensor beta = gamma;
    y.data = r.y.data();
    beta.data = r.beta.data();
    halnorm_context *context = nullptr;
    halnorm_context_create(&context);
    halnorm_context_set_num_threads(context, 1);
    for (auto _ : state) {
      if (generated) {
        call<Element>(function, &r);
      } else {
        call_library<Element>(function, context, &x, &gamma, &beta, &y);
      }
      benchmark::ClobberMemory();
    }
    halnorm_context_destroy(context);
  };
  for (const bool generated : {false, true}) {
    benchmark::RegisterBenchmark(
        (name + ":" + std::to_string(rows) + (generated ? "/generated" : "/library")).c_str(), run,
        generated);
  }
}

bool is_usable(const std::string &target) {
  for (int32_t i = 0; i < halnorm_target_count(); ++i) {
    if (halnorm_target_name(i) == target) return halnorm_target_usable(i) != 0;
  }
  return false;
}

}  // namespace

int main(int argc, char **argv) {
  for (const int64_t rows : {1, 16, 256}) {
#define HALNORM_GENERATED(element, n, function, target) \
  if (is_usable(#target)) add<element>(function, #function, rows, n);
#include "generated_calls.inc"
  }
  // What was given comes last, and wins.
  std::vector<std::string> words = {argv[0], "--benchmark_enable_random_interleaving=true",
                                    "--benchmark_repetitions=9",
                                    "--benchmark_report_aggregates_only=true"};
  words.insert(words.end(), argv + 1, argv + argc);
  std::vector<char *> pointers;
  for (std::string &word : words) pointers.push_back(word.data());
  argc = static_cast<int>(pointers.size());
  benchmark::Initialize(&argc, pointers.data());
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
