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
#include "summands.h"

namespace halnorm {

// How an element lies in memory. Both 16-bit formats are stored as uint16: Halide 21 turns NaN into
// numbers in its own narrowing conversions.
enum class Storage { f32, f16, bf16 };
Halide::Type storage_type(Storage storage);

// The stored bits as f32, exactly.
Halide::Expr widen(const Halide::Expr &stored, Storage storage, const Halide::Target &target);
// f32 to stored bits: round to nearest, ties to even; a NaN stays a NaN.
Halide::Expr narrow(const Halide::Expr &value, Storage storage, const Halide::Target &target);

// The row tree. A row is cut into chunks of kChunk elements, and each chunk adds up in kLanes
// lanes, in order, in f32: element i belongs to lane i mod kLanes, but for the last n mod kLanes
// elements of a row, which belong to the last lanes. A row of one chunk folds its lanes by halves
// in f32; a longer row adds its chunks lane by lane, in order, in f64, and folds in f64.
constexpr int kLanes = 32;
constexpr int kChunk = 1024;

// The column tree. Blocks of kBlock along the reduced axis, in order, in f32; blocks in order, in
// f64.
constexpr int kBlock = 64;

// Which order a kernel sums in, of the elements of a dense row.
enum class Tree {
  one_chunk,   // the row tree of rows of at most kChunk elements
  many_chunks  // the row tree of longer rows
};

// The axes of the algorithms; a schedule finds them by these names.
struct Vars {
  Halide::Var i{"i"}, row{"row"}, lane{"lane"}, part{"part"}, w{"w"};
};

// Sums taken in one pass over a row, as the Funcs that a schedule places.
struct Sum {
  Halide::Func partial;  // in f32: (place of a lane, row), (place, part, row) by chunks
  Halide::Func lanes;    // the same by lanes, where they have other places; else undefined
  Halide::RDom within;   // the steps of a partial sum
  Halide::Func ordered;  // the chunks added up, in f64: (lane, row); undefined in one_chunk
  Halide::RDom parts;
  std::vector<Halide::Func> folds;  // (lane, row), of width 16, 8, 4, 2, 1
  Halide::Func total;               // (row)

  const Halide::Func &by_lanes() const { return lanes.defined() ? lanes : partial; }
};

// What is known of an element (x; dy and x; ...), and what is summed of it.
using Values = std::vector<Halide::Expr>;
using Terms = std::function<std::vector<Halide::Expr>(const Values &values)>;

inline std::map<std::string, Summands> summands_by_name() {
  return {{"values", Summands::values},
          {"deviations", Summands::deviations},
          {"gradients", Summands::gradients},
          {"weighted_gradients", Summands::weighted_gradients},
          {"parameter_gradients", Summands::parameter_gradients}};
}

// All values of a Func of one or several values.
Values values_of(const Halide::Func &func, const std::vector<Halide::Expr> &at);

// The values of the last kLanes elements of rows of n. The last n mod kLanes of a row are read and
// written through it, so that neither needs a mask; where there are none, it is not filled in.
struct Window {
  Halide::Func values;  // (w, row)
  Halide::RDom blank;   // (lane), of rows shorter than the window; undefined if not wanted
  Halide::RDom lanes;   // (lane, 0)
};
// Sums do not use the lanes before a row that is shorter, but they compute with them: `blank` wants
// zeros there, where else is what memory held, and a subnormal number costs a hundred cycles.
Window window_of(const Halide::Func &values, const Halide::Expr &n, const Vars &vars,
                 bool blank = false);

// Sums over dense rows of n elements, read as values(i, row), by one of the trees.
class Summation {
 public:
  // `pairs` keeps the lanes of even numbers apart from those of odd ones, as they come from words
  // of two elements.
  Summation(Tree tree, const Halide::Func &values, const Halide::Expr &n, const Vars &vars,
            bool blank = false, bool pairs = false);
  Sum sum(const std::string &name, const Terms &terms) const;
  // many_chunks in two steps: the partial sums, and what adds them up. In memory, they are all
  // there before the first is added.
  Sum chunk_sums(const std::string &name, const Terms &terms) const;
  static void add_chunks(Sum *sum, const std::string &name, const Halide::Expr &chunk_count,
                         const Vars &vars, bool from_memory);
  const Window &window() const { return window_; }

 private:
  Sum lane_sums(const std::string &name, const Terms &terms,
                const std::vector<Halide::Expr> &at) const;
  Sum one_chunk(const std::string &name, const Terms &terms) const;
  Sum many_chunks(const std::string &name, const Terms &terms) const;

  Tree tree_;
  Halide::Func values_;
  Window window_;
  Halide::Expr n_;
  Vars vars_;
  bool pairs_;
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

// What layer_moments() wants summed of a deviation d: d^2 and, if corrected, d.
std::vector<Halide::Expr> deviation_terms(const Halide::Expr &d, bool corrected);

// What is summed of a gradient g and a deviation, x - mean or xhat: g and their product.
std::vector<Halide::Expr> gradient_terms(const Halide::Expr &g, const Halide::Expr &deviation);

// (value - mean) * rstd * gamma + beta, of a mean kept as high + low if corrected.
Halide::Expr layer_normalized(const Halide::Expr &value, const Halide::Expr &high,
                              const Halide::Expr &low, const Halide::Expr &rstd,
                              const Halide::Expr &gamma, const Halide::Expr &beta, bool corrected);

// dx of an element from g = dy * gamma, with the means over the statistic's elements of g and of
// g * xhat, xhat = (x - mean) * rstd; slope is rstd times the latter. With y = xhat * gamma + beta
// this is the derivative of y through x, the mean and the variance (Ioffe, Szegedy, "Batch
// Normalization", 2015, the equations at the end of section 3, written with the two means):
//   dx = (g - mean_g - xhat * mean_g_xhat) * rstd
Halide::Expr input_gradient(const Halide::Expr &g, const Halide::Expr &x, const Halide::Expr &mean,
                            const Halide::Expr &rstd, const Halide::Expr &mean_g,
                            const Halide::Expr &slope);

// mean_g and slope of n elements from the sums of gradient_terms(g, x - mean), in f64.
struct GradientMeans {
  Halide::Expr mean_g, slope;  // f32
};
GradientMeans gradient_means(const Halide::Func &total, const std::vector<Halide::Expr> &at,
                             const Halide::Expr &n, const Halide::Expr &rstd,
                             const Halide::Expr &has_mean);

// Value k of a Func of one or several values.
Halide::Expr value_of(const Halide::Func &func, size_t k, const std::vector<Halide::Expr> &at);

}  // namespace halnorm

#endif  // HALNORM_GENERATORS_NORM_MATH_H_
