// SPDX-License-Identifier: Apache-2.0
// The mathematics that every norm shares: 16-bit storage, and sums whose order is fixed. Nothing
// here schedules anything; a schedule may change the speed of these sums, never a bit of them.
#ifndef HALNORM_GENERATORS_NORM_MATH_H_
#define HALNORM_GENERATORS_NORM_MATH_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "Halide.h"

namespace halnorm {

// How an element lies in memory. Both 16-bit formats are stored as uint16: Halide 21 turns NaN into
// numbers in its own narrowing conversions.
enum class Storage { f32, f16, bf16 };
Halide::Type storage_type(Storage storage);

// The stored bits as f32, exactly.
Halide::Expr widen(const Halide::Expr &stored, Storage storage, const Halide::Target &target);
// f32 to stored bits: round to nearest, ties to even; a NaN stays a NaN.
Halide::Expr narrow(const Halide::Expr &value, Storage storage, const Halide::Target &target);

// The row tree. Element i belongs to lane i mod kLanes; a row is cut into chunks of kChunk; a lane
// adds its elements of a chunk in order, in f32. A row of one chunk folds its lanes by halves in
// f32; a longer row adds its chunks lane by lane, in order, in f64, and folds in f64.
constexpr int kLanes = 32;
constexpr int kChunk = 1024;

// The column tree. Blocks of kBlock along the reduced axis, in order, in f32; blocks in order, in
// f64.
constexpr int kBlock = 64;

// Which order a kernel sums in. A row is the elements of one statistic, however they lie in memory.
enum class Tree {
  one_chunk,    // the row tree of rows of at most kChunk elements
  many_chunks,  // the row tree of longer rows
  columns,      // the column tree: rows side by side, adjacent elements belong to adjacent rows
  any_order     // a plain reduction over dense rows: for autoschedulers, which fail on the trees
};

// The axes of the algorithms; a schedule finds them by these names.
struct Vars {
  Halide::Var i{"i"}, row{"row"}, lane{"lane"}, part{"part"}, w{"w"};
};

// Sums taken in one pass over a row, as the Funcs that a schedule places.
struct Sum {
  Halide::Func partial;  // in f32: (lane, row), (lane, part, row) by chunks, (row, part) by blocks
  Halide::RDom within;   // the steps of a partial sum
  Halide::Func ordered;  // the parts added up, in f64: (lane, row) or (row); undefined in one_chunk
  Halide::RDom parts;
  std::vector<Halide::Func> folds;  // (lane, row), of width 16, 8, 4, 2, 1; none in columns
  Halide::Func total;               // (row)
};

// What is summed, of an element's value.
using Terms = std::function<std::vector<Halide::Expr>(const Halide::Expr &value)>;

// Sums over rows of n elements, read as value(i, row), by one of the trees.
class Summation {
 public:
  Summation(Tree tree, const Halide::Func &value, const Halide::Expr &n, const Vars &vars);
  Sum sum(const std::string &name, const Terms &terms) const;
  // many_chunks in two steps: the partial sums, and what adds them up.
  Sum chunk_sums(const std::string &name, const Terms &terms) const;
  static void add_chunks(Sum *sum, const std::string &name, const Halide::Expr &chunk_count,
                         const Vars &vars);
  // columns that go on from the f64 sums of the elements before.
  Sum columns(const std::string &name, const Terms &terms,
              const std::vector<Halide::Expr> &before) const;
  // The last kLanes elements of a row. The last n mod kLanes are read from here, so that no load
  // of a row tree needs a mask.
  Halide::Func window() const { return window_; }

 private:
  Sum lane_sums(const std::string &name, const Terms &terms,
                const std::vector<Halide::Expr> &at) const;
  Sum one_chunk(const std::string &name, const Terms &terms) const;
  Sum many_chunks(const std::string &name, const Terms &terms) const;
  Sum any_order(const std::string &name, const Terms &terms) const;

  Tree tree_;
  Halide::Func value_, window_;
  Halide::Expr n_;
  Vars vars_;
};

// The variance of n elements from the sums of d^2 and d, d = x - center, and what center lacks to
// be the mean: the corrected two-pass algorithm, eq. (1.7) in Chan, Golub, LeVeque, "Algorithms for
// computing the sample variance: analysis and recommendations", The American Statistician, 1983.
struct Moments {
  Halide::Expr low, variance;  // f32
};
// total(at) holds the sum of d^2 and, if corrected, that of d; without, low is 0.
Moments layer_moments(const Halide::Func &total, const std::vector<Halide::Expr> &at,
                      const Halide::Expr &n, bool corrected);

// Of a row in parts: what center lacks to be the mean, and rstd. Without a mean the variance is
// that about center.
Halide::Tuple part_statistics(const Halide::Func &total, const std::vector<Halide::Expr> &at,
                              const Halide::Expr &n, const Halide::Expr &eps, bool corrected,
                              const Halide::Expr &has_mean);

// What layer_moments() wants summed of a deviation d: d^2 and, if corrected, d.
std::vector<Halide::Expr> deviation_terms(const Halide::Expr &d, bool corrected);

// (value - mean) * rstd * gamma + beta, of a mean kept as high + low if corrected.
Halide::Expr layer_normalized(const Halide::Expr &value, const Halide::Expr &high,
                              const Halide::Expr &low, const Halide::Expr &rstd,
                              const Halide::Expr &gamma, const Halide::Expr &beta, bool corrected);

// Value k of a Func of one or several values.
Halide::Expr value_of(const Halide::Func &func, size_t k, const std::vector<Halide::Expr> &at);

}  // namespace halnorm

#endif  // HALNORM_GENERATORS_NORM_MATH_H_
