// SPDX-License-Identifier: Apache-2.0
// What an algorithm hands to a schedule: its Funcs by the part they play. Generators fill these in,
// schedules/ places them, and neither knows more of the other.
#ifndef HALNORM_GENERATORS_ROLES_H_
#define HALNORM_GENERATORS_ROLES_H_

#include <vector>

#include "Halide.h"
#include "norm_math.h"

namespace halnorm {

// The stages of an output over dense rows, in order.
struct LastPass {
  Halide::RDom groups;  // (lane, group), the last of which may be the window
  Halide::RDom few;     // a row of fewer than a group
};

// Rows (or elements) that are taken in order, a few in each step.
struct Steps {
  Halide::RDom steps;  // (place in a step, step)
  Halide::RDom rest;   // what is no whole step
};

struct Roles {
  Halide::Pipeline pipeline;  // of all outputs
  Vars vars;
  std::vector<Halide::ImageParam> inputs;  // tensors, as stored
  Window window;                           // of dense rows
  std::vector<Sum> sums;                   // of dense rows, in the order of their passes
  std::vector<Halide::Func> between;       // (row), what a later pass needs of an earlier one
  Halide::Func statistics;                 // an output: (row)
  Halide::Func output;                     // an output: the elements
  LastPass last_pass;                      // of the output, over dense rows
  Halide::Func gradients;                  // an output: (element), sums over rows
  Steps steps;                             // of column sums: elements; of gradients: rows
  Halide::Expr row_count, n;
  bool pairs = false;  // elements come from words of two
};

}  // namespace halnorm

#endif  // HALNORM_GENERATORS_ROLES_H_
