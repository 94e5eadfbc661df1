// SPDX-License-Identifier: Apache-2.0
#include "norm_math.h"

namespace halnorm {

using Halide::cast;
using Halide::Expr;
using Halide::Float;
using Halide::Func;
using Halide::RDom;
using Halide::reinterpret;
using Halide::select;
using Halide::Target;
using Halide::Tuple;
using Halide::UInt;
using std::string;
using std::vector;

namespace {

bool converts_f16_in_hardware(const Target &target) {
  return target.has_feature(Target::F16C) || target.has_feature(Target::AVX512_Skylake) ||
         target.has_feature(Target::ARMFp16) || target.has_feature(Target::CUDA);
}

Expr widen_f16_in_integers(const Expr &stored) {
  const Expr bits = cast<uint32_t>(stored);
  const Expr sign = (bits & 0x8000) << 16;
  const Expr magnitude = bits & 0x7fff;
  // Through an integer, not a scaled float: a processor told to flush subnormals must not matter.
  const Expr subnormal = reinterpret<uint32_t>(cast<float>(cast<int32_t>(magnitude)) * 0x1p-24f);
  const Expr normal = (magnitude << 13) + (112 << 23);
  const Expr not_finite = (magnitude << 13) | 0x7f800000;
  return reinterpret<float>(
      sign | select(magnitude < 0x400, subnormal, magnitude < 0x7c00, normal, not_finite));
}

Expr narrow_to_f16_in_integers(const Expr &value) {
  const Expr bits = reinterpret<uint32_t>(value);
  const Expr sign = (bits >> 16) & 0x8000;
  const Expr magnitude = bits & 0x7fffffff;
  // One unit in the last place of 0.5f is 2^-24, the spacing of f16 subnormals: the addition
  // rounds.
  const Expr subnormal = reinterpret<uint32_t>(reinterpret<float>(magnitude) + 0.5f) - 0x3f000000;
  const Expr normal = (magnitude + 0xfff + ((magnitude >> 13) & 1) - (112 << 23)) >> 13;
  const Expr nan = 0x7e00 | ((magnitude >> 13) & 0x3ff);
  return cast<uint16_t>(sign | select(magnitude > 0x7f800000, nan,            //
                                      magnitude >= 0x47800000, Expr(0x7c00),  //
                                      magnitude < 0x38800000, subnormal, normal));
}

// The result of an f32 operation is never a signaling NaN, so that a NaN may simply be cut short.
Expr narrow_to_bf16(const Expr &value, const Target &target) {
  const Expr bits = reinterpret<uint32_t>(value);
  // Where comparisons make masks, one operation less.
  const Expr half =
      target.has_feature(Target::AVX512_Skylake)
          ? select((bits & 0x10000) != 0, cast<uint32_t>(0x8000), cast<uint32_t>(0x7fff))
          : 0x7fff + ((bits >> 16) & 1);
  // is_nan() is quicker; compilers for CUDA may take it to be false, and Halide 21 has no vectors
  // of it for OpenCL.
  const Expr is_a_nan = target.has_gpu_feature() ? (bits & 0x7fffffff) > 0x7f800000 : is_nan(value);
  return cast<uint16_t>((bits + select(is_a_nan, cast<uint32_t>(0), half)) >> 16);
}

Tuple map_values(const Func &func, const vector<vector<Expr>> &places,
                 const std::function<Expr(const vector<Expr> &)> &combine) {
  vector<Expr> result;
  for (size_t k = 0; k < static_cast<size_t>(func.outputs()); k++) {
    vector<Expr> values;
    for (const vector<Expr> &at : places) values.push_back(value_of(func, k, at));
    result.push_back(combine(values));
  }
  return Tuple(result);
}

// Width 16, 8, 4, 2, 1: lane l takes lane l + width.
void fold_lanes(Sum *sum, const string &name, const Vars &vars) {
  Func wider = sum->ordered.defined() ? sum->ordered : sum->by_lanes();
  for (int width = kLanes / 2; width >= 1; width /= 2) {
    Func fold(name + "_fold" + std::to_string(width));
    fold(vars.lane, vars.row) =
        map_values(wider, {{vars.lane, vars.row}, {vars.lane + width, vars.row}},
                   [](const vector<Expr> &v) { return v[0] + v[1]; });
    sum->folds.push_back(fold);
    wider = fold;
  }
  sum->total = Func(name + "_total");
  sum->total(vars.row) =
      map_values(wider, {{0, vars.row}}, [](const vector<Expr> &v) { return v[0]; });
}

Tuple accumulate(const Func &func, const vector<Expr> &at, const vector<Expr> &terms) {
  vector<Expr> result;
  for (size_t k = 0; k < terms.size(); k++) result.push_back(value_of(func, k, at) + terms[k]);
  return Tuple(result);
}

vector<Expr> to_f64(const Func &func, const vector<Expr> &at) {
  vector<Expr> result;
  for (size_t k = 0; k < static_cast<size_t>(func.outputs()); k++) {
    result.push_back(cast<double>(value_of(func, k, at)));
  }
  return result;
}

}  // namespace

Halide::Type storage_type(Storage storage) {
  return storage == Storage::f32 ? Float(32) : UInt(16);
}

Expr widen(const Expr &stored, Storage storage, const Target &target) {
  switch (storage) {
    case Storage::f32:
      return stored;
    case Storage::bf16:
      return reinterpret<float>(cast<uint32_t>(stored) << 16);
    case Storage::f16:
      break;
  }
  if (converts_f16_in_hardware(target)) return cast<float>(reinterpret(Float(16), stored));
  return widen_f16_in_integers(stored);
}

Expr narrow(const Expr &value, Storage storage, const Target &target) {
  switch (storage) {
    case Storage::f32:
      return value;
    case Storage::bf16:
      return narrow_to_bf16(value, target);
    case Storage::f16:
      break;
  }
  if (converts_f16_in_hardware(target)) return reinterpret(UInt(16), cast(Float(16), value));
  return narrow_to_f16_in_integers(value);
}

Expr value_of(const Func &func, size_t k, const vector<Expr> &at) {
  if (func.outputs() == 1) return func(at);
  return func(at)[static_cast<int>(k)];
}

Values values_of(const Func &func, const vector<Expr> &at) {
  Values values;
  for (size_t k = 0; k < static_cast<size_t>(func.outputs()); k++) {
    values.push_back(value_of(func, k, at));
  }
  return values;
}

Window window_of(const Func &values, const Expr &n, const Vars &vars, bool blank) {
  Window window;
  window.values = Func("window");
  // A row that is known to be shorter has no elements for the first lanes.
  const auto known = Halide::Internal::as_const_int(n);
  const int first = known && *known < kLanes ? kLanes - static_cast<int>(*known) : 0;
  window.lanes = RDom(first, kLanes - first, 0, select(n % kLanes == 0, 0, 1), "window_lanes");
  const Expr w = window.lanes.x;
  window.lanes.where(w >= kLanes - n);
  const Values last = values_of(values, {n - kLanes + w, vars.row});
  vector<Expr> nothing;
  for (const Expr &value : last) nothing.push_back(Halide::undef(value.type()));
  window.values(vars.w, vars.row) = Tuple(nothing);
  if (blank) {
    window.blank = RDom(0, kLanes, "blank");
    window.blank.where(n < kLanes);
    vector<Expr> zeros;
    for (const Expr &value : last) zeros.push_back(Halide::Internal::make_zero(value.type()));
    window.values(window.blank, vars.row) = Tuple(zeros);
  }
  window.values(w, vars.row) = Tuple(last);
  return window;
}

Summation::Summation(Tree tree, const Func &values, const Expr &n, const Vars &vars, bool blank,
                     bool pairs)
    : tree_(tree),
      values_(values),
      window_(window_of(values, n, vars, blank)),
      n_(n),
      vars_(vars),
      pairs_(pairs) {}

Sum Summation::lane_sums(const string &name, const Terms &terms, const vector<Expr> &at) const {
  const Expr place = vars_.lane, row = vars_.row;
  const Expr lane = pairs_ ? place % (kLanes / 2) * 2 + place / (kLanes / 2) : place;
  const bool chunked = at.size() == 3;
  const Expr groups_in_row = n_ / kLanes, left = n_ % kLanes;

  Sum sum;
  sum.partial = Func(name + "_lanes");
  RDom tail(0, 1, name + "_tail");
  Expr group;
  if (chunked) {
    sum.within = RDom(0, kChunk / kLanes, name + "_groups");
    group = vars_.part * (kChunk / kLanes) + sum.within;
    sum.within.where(group < groups_in_row);
    tail.where(left != 0 && vars_.part == (n_ - 1) / kChunk);
  } else {
    sum.within = RDom(0, groups_in_row, name + "_groups");
    group = sum.within;
    tail.where(left != 0);
  }
  const vector<Expr> whole = terms(values_of(values_, {group * kLanes + lane, row}));
  vector<Expr> rest = terms(values_of(window_.values, {lane + tail, row}));
  for (Expr &term : rest) term = select(lane >= kLanes - left, term, 0.0f);

  sum.partial(at) = Tuple(vector<Expr>(whole.size(), 0.0f));
  sum.partial(at) = accumulate(sum.partial, at, whole);
  sum.partial(at) = accumulate(sum.partial, at, rest);
  if (pairs_) {
    vector<Expr> of_lane = at;
    of_lane[0] = place / 2 + place % 2 * (kLanes / 2);
    sum.lanes = Func(name + "_by_lanes");
    sum.lanes(at) = Tuple(values_of(sum.partial, of_lane));
  }
  return sum;
}

Sum Summation::one_chunk(const string &name, const Terms &terms) const {
  Sum sum = lane_sums(name, terms, {vars_.lane, vars_.row});
  fold_lanes(&sum, name, vars_);
  return sum;
}

Sum Summation::chunk_sums(const string &name, const Terms &terms) const {
  return lane_sums(name, terms, {vars_.lane, vars_.part, vars_.row});
}

Sum Summation::many_chunks(const string &name, const Terms &terms) const {
  Sum sum = chunk_sums(name, terms);
  add_chunks(&sum, name, (n_ + kChunk - 1) / kChunk, vars_, false);
  return sum;
}

void Summation::add_chunks(Sum *sum, const string &name, const Expr &chunk_count, const Vars &vars,
                           bool from_memory) {
  const vector<Expr> at = {vars.lane, vars.row};
  const auto lanes_of = [&](const Expr &chunk) {
    return to_f64(sum->by_lanes(), {vars.lane, chunk, vars.row});
  };
  // No partial sum is -0, so that to begin with the first is to begin with 0.
  const int first = from_memory ? 1 : 0;
  sum->parts = RDom(first, chunk_count - first, name + "_chunk");
  sum->ordered = Func(name + "_chunks");
  const vector<Expr> lanes = lanes_of(sum->parts);
  sum->ordered(at) = Tuple(from_memory ? lanes_of(0) : vector<Expr>(lanes.size(), cast<double>(0)));
  sum->ordered(at) = accumulate(sum->ordered, at, lanes);
  fold_lanes(sum, name, vars);
}

Sum Summation::sum(const string &name, const Terms &terms) const {
  return tree_ == Tree::one_chunk ? one_chunk(name, terms) : many_chunks(name, terms);
}

Moments layer_moments(const Func &total, const vector<Expr> &at, const Expr &n, bool corrected) {
  Expr variance = value_of(total, 0, at) / n;
  if (!corrected) return {0.0f, cast<float>(variance)};
  const Expr low = value_of(total, 1, at) / n;
  variance = variance - low * low;
  // Not max(variance, 0), which may lose a NaN.
  variance = select(variance < 0, Halide::Internal::make_zero(variance.type()), variance);
  return {cast<float>(low), cast<float>(variance)};
}

vector<Expr> deviation_terms(const Expr &d, bool corrected) {
  return corrected ? vector<Expr>{d * d, d} : vector<Expr>{d * d};
}

vector<Expr> gradient_terms(const Expr &g, const Expr &deviation) { return {g, g * deviation}; }

Expr layer_normalized(const Expr &value, const Expr &high, const Expr &low, const Expr &rstd,
                      const Expr &gamma, const Expr &beta, bool corrected) {
  const Expr centered = corrected ? (value - high) - low : value - high;
  return centered * rstd * gamma + beta;
}

Expr input_gradient(const Expr &g, const Expr &x, const Expr &mean, const Expr &rstd,
                    const Expr &mean_g, const Expr &slope) {
  return ((g - mean_g) - (x - mean) * slope) * rstd;
}

GradientMeans gradient_means(const Func &total, const vector<Expr> &at, const Expr &n,
                             const Expr &rstd, const Expr &has_mean) {
  const Expr mean_g = cast<float>(value_of(total, 0, at) / n), scale = cast<double>(rstd);
  return {select(has_mean, mean_g, 0.0f), cast<float>(value_of(total, 1, at) / n * scale * scale)};
}

}  // namespace halnorm
