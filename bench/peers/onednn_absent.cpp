// SPDX-License-Identifier: Apache-2.0
// In the place of onednn.cpp where no oneDNN was found: every question has the same answer.
#include <utility>

#include "onednn.h"

namespace halnorm_bench {

struct OneDnnPrimitive::State {};

std::unique_ptr<OneDnnPrimitive> OneDnnPrimitive::create(const Options &, const Operands &,
                                                         std::string *why_not) {
  *why_not = "not in this build (bench/requirements.txt)";
  return nullptr;
}

OneDnnPrimitive::OneDnnPrimitive(std::unique_ptr<State> state) noexcept
    : state_(std::move(state)) {}

OneDnnPrimitive::~OneDnnPrimitive() = default;

bool OneDnnPrimitive::execute() noexcept { return false; }

std::string OneDnnPrimitive::implementation() const { return ""; }

std::string OneDnnPrimitive::version() { return ""; }

}  // namespace halnorm_bench
