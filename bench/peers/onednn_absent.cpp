// SPDX-License-Identifier: Apache-2.0
// In the place of onednn.cpp where no oneDNN was found: every question has the same answer.
#include "onednn.h"

namespace halnorm_bench {

struct OneDnnLayerNorm::State {};

std::unique_ptr<OneDnnLayerNorm> OneDnnLayerNorm::create(const Options &, std::string *why_not) {
  if (why_not != nullptr) *why_not = "not in this build (bench/requirements.txt)";
  return nullptr;
}

OneDnnLayerNorm::OneDnnLayerNorm(std::unique_ptr<State> state) noexcept
    : state_(std::move(state)) {}

OneDnnLayerNorm::~OneDnnLayerNorm() = default;

void OneDnnLayerNorm::execute(const void *, const float *, const float *, void *, float *,
                              float *) noexcept {}

bool OneDnnLayerNorm::failed() const noexcept { return true; }

std::string OneDnnLayerNorm::implementation() const { return ""; }

std::string OneDnnLayerNorm::version() { return ""; }

}  // namespace halnorm_bench
