// SPDX-License-Identifier: Apache-2.0
//
// Two tensors share memory where the address of an element of one equals that of an element of the
// other: sum a_i s_i - sum b_j t_j = distance, with 0 <= a_i < extent. Counting backwards along an
// axis of the wrong sign makes every term positive:
//
//   sum k_i c_i = rest,  0 <= k_i <= bound_i
//
// The search goes from the largest step c down. A term's k must leave a rest that the smaller terms
// can make up; where strides nest that leaves one or two values for each k, so the search is short.
// Elsewhere it gives up after kBudget steps.
#include "overlap.h"

namespace halnorm {
namespace {

constexpr int kBudget = 1 << 14;
constexpr int kMaxTerms = 2 * kMaxRank + 1;

struct Term {
  int64_t step, bound;
};

struct Equation {
  Term terms[kMaxTerms];  // by step, smallest first, once sorted
  int count = 0;
  int64_t reach[kMaxTerms + 1];    // reach[n]: the largest sum of terms [0, n)
  int64_t divisor[kMaxTerms + 1];  // divisor[n]: of the steps of terms [0, n), the greatest common
  int budget = kBudget;
};

int64_t magnitude(int64_t value) { return value < 0 ? -value : value; }

int64_t greatest_common_divisor(int64_t a, int64_t b) {
  while (b != 0) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

// Keeps the terms sorted. A term that cannot move the sum is left out.
void add_term(Equation *equation, int64_t step, int64_t bound) {
  if (step == 0 || bound == 0) return;
  int at = equation->count++;
  for (; at > 0 && equation->terms[at - 1].step > step; --at) {
    equation->terms[at] = equation->terms[at - 1];
  }
  equation->terms[at] = {step, bound};
}

// Joins terms that together reach every multiple of the smaller step, such as the axes of a dense
// tensor. It keeps whether there is a solution, not how many.
void merge_terms(Equation *equation) {
  int kept = 0;
  for (int i = 1; i < equation->count; ++i) {
    Term &low = equation->terms[kept];
    const Term &high = equation->terms[i];
    const int64_t ratio = high.step / low.step;
    if (high.step % low.step == 0 && low.bound >= ratio - 1) {
      low.bound += ratio * high.bound;
    } else {
      equation->terms[++kept] = high;
    }
  }
  if (equation->count > 0) equation->count = kept + 1;
}

void prepare(Equation *equation) {
  equation->reach[0] = 0;
  equation->divisor[0] = 0;
  for (int n = 0; n < equation->count; ++n) {
    const Term &term = equation->terms[n];
    equation->reach[n + 1] = equation->reach[n] + term.step * term.bound;
    equation->divisor[n + 1] = greatest_common_divisor(term.step, equation->divisor[n]);
  }
}

// How many ways, up to `wanted`, terms [0, n) have of adding up to `rest`. Means nothing once the
// budget is below 0.
int count_solutions(Equation *equation, int n, int64_t rest, int wanted) {
  if (--equation->budget < 0) return 0;
  if (rest > equation->reach[n]) return 0;
  if (n == 0) return 1;
  if (rest % equation->divisor[n] != 0) return 0;
  if (n == 1) return 1;
  const Term &term = equation->terms[n - 1];
  const int64_t excess = rest - equation->reach[n - 1];
  const int64_t least = excess <= 0 ? 0 : (excess + term.step - 1) / term.step;
  const int64_t most = rest / term.step < term.bound ? rest / term.step : term.bound;
  int found = 0;
  for (int64_t k = least; k <= most && found < wanted && equation->budget >= 0; ++k) {
    found += count_solutions(equation, n - 1, rest - k * term.step, wanted - found);
  }
  return found;
}

Overlap solve(Equation *equation, int64_t rest, int wanted) {
  prepare(equation);
  const int found = count_solutions(equation, equation->count, rest, wanted);
  if (found >= wanted) return Overlap::some;
  return equation->budget < 0 ? Overlap::undecided : Overlap::none;
}

// The terms of a tensor's elements in units of `unit` bytes.
void add_tensor(Equation *equation, const View &view, int64_t unit) {
  const int64_t units = view.element_bytes / unit;
  for (int32_t i = 0; i < view.rank; ++i) {
    add_term(equation, magnitude(view.strides[i]) * units, view.shape[i] - 1);
  }
  add_term(equation, 1, units - 1);
}

}  // namespace

Overlap self_overlap(const View &view) {
  Equation equation;
  for (int32_t i = 0; i < view.rank; ++i) {
    if (view.strides[i] == 0 && view.shape[i] > 1) return Overlap::some;
    add_term(&equation, magnitude(view.strides[i]), view.shape[i] - 1);
  }
  bool nested = true;
  int64_t reach = 0;
  for (int i = 0; i < equation.count; ++i) {
    Term &term = equation.terms[i];
    nested = nested && term.step > reach;
    reach += term.step * term.bound;
    term.bound *= 2;
  }
  if (nested) return Overlap::none;
  // Two indices meet where the steps between them add up to 0. Shifted to be positive, every index
  // meets itself at `reach`: a second solution is an overlap.
  return solve(&equation, reach, 2);
}

Overlap pair_overlap(const View &a, const View &b) {
  // Elements are aligned, so addresses are multiples of the smaller size.
  const int64_t unit = a.element_bytes < b.element_bytes ? a.element_bytes : b.element_bytes;
  Equation equation;
  add_tensor(&equation, a, unit);
  add_tensor(&equation, b, unit);
  merge_terms(&equation);
  // From the first byte of a to the last unit of b, whose elements count backwards.
  const auto distance = static_cast<int64_t>(b.end - a.begin) / unit - 1;
  return solve(&equation, distance, 1);
}

}  // namespace halnorm
