// SPDX-License-Identifier: Apache-2.0
#include "stages.h"

namespace halnorm_test {
namespace {

constexpr int64_t kChunk = 1024, kRowsOfAPart = 32;

void load(const std::optional<Tensor> &from, Elements *to) {
  if (!from) return;
  for (int64_t row = 0; row < from->rows(); ++row) {
    for (int64_t i = 0; i < from->row_length(); ++i) {
      to->set_bits(row * from->row_length() + i, from->bits(row, i));
    }
  }
}

// A vector, or zeros.
std::vector<float> load(const std::optional<Tensor> &from, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count), 0.0f);
  for (int64_t k = 0; from && k < count; ++k) {
    values[static_cast<size_t>(k)] = from->rows() == 1 ? from->value(0, k) : from->value(k, 0);
  }
  return values;
}

}  // namespace

Stages::Stages(Tensors *tensors)
    : tensors_(*tensors),
      dtype_(tensors->problem.dtype),
      rows_(tensors->x.rows()),
      n_(tensors->x.row_length()),
      has_mean_(tensors->problem.norm() == Norm::layer),
      x_(dtype_, rows_ * n_),
      dy_(dtype_, rows_ * n_),
      // The last part of rows may be longer than the tensor.
      result_(dtype_, (rows_ + kRowsOfAPart) * n_),
      gamma_(load(tensors->gamma, n_)),
      beta_(load(tensors->beta, n_)),
      mean_(load(tensors->mean, rows_)),
      rstd_(load(tensors->rstd, rows_)) {
  for (int64_t row = 0; row < rows_; ++row) {
    for (int64_t i = 0; i < n_; ++i) x_.set_bits(row * n_ + i, tensors->x.bits(row, i));
  }
  load(tensors->dy, &dy_);
}

void Stages::store(const Elements &elements, Tensor *to) const {
  for (int64_t row = 0; row < rows_; ++row) {
    for (int64_t i = 0; i < n_; ++i) to->set_bits(row, i, elements.bits(row * n_ + i));
  }
}

void Stages::store(const std::vector<float> &values, std::optional<Tensor> *to) const {
  for (size_t k = 0; *to && k < values.size(); ++k) {
    const auto at = static_cast<int64_t>(k);
    if ((*to)->rows() == 1) {
      (*to)->set(0, at, values[k]);
    } else {
      (*to)->set(at, 0, values[k]);
    }
  }
}

void Stages::forward_by(const std::string &kernel) {
  Launch(kernel, dtype_)
      .add_words(&x_, tensor(), true)
      .add(&gamma_, of_elements())
      .add(&beta_, of_elements())
      .add(static_cast<float>(tensors_.problem.eps))
      .add_words(&result_, tensor(), true)
      .add(&mean_, of_rows())
      .add(&rstd_, of_rows())
      .run();
  store(result_, tensors_.output());
  store(mean_, &tensors_.mean);
  store(rstd_, &tensors_.rstd);
}

void Stages::dx_by(const std::string &kernel) {
  Launch(kernel, dtype_)
      .add_words(&dy_, tensor(), true)
      .add_words(&x_, tensor(), true)
      .add(&mean_, of_rows())
      .add(&rstd_, of_rows())
      .add(&gamma_, of_elements())
      .add(has_mean_)
      .add_words(&result_, tensor(), true)
      .run();
  store(result_, tensors_.output());
}

void Stages::gradients_by(const std::string &kernel, int64_t held) {
  const int64_t parts = (rows_ + kRowsOfAPart - 1) / kRowsOfAPart;
  Parts sums = {{}, parts, held, 1};
  for (std::vector<float> &sum : sums.sums) sum.resize(static_cast<size_t>(held * parts));
  const Launch::Dimensions of_parts = {{held, 1}, {parts, held}, {1, held * parts}};
  const int64_t part = kRowsOfAPart * n_;
  Launch(kernel, dtype_)
      .add_words(&dy_, tensor(), true)
      .add_words(&x_, tensor(), true)
      .add(&mean_, of_rows())
      .add(&rstd_, of_rows())
      .add(&gamma_, of_elements())
      .add(has_mean_)
      .add(static_cast<int32_t>(rows_))
      .add_words(&result_, {{n_, 1}, {kRowsOfAPart, n_}, {parts, part}, {1, parts * part}}, true)
      .add(&sums.sums[0], of_parts)
      .add(&sums.sums[1], of_parts)
      .run();
  store(result_, tensors_.output());
  fold_gradients(&sums);
}

Stages::Parts Stages::parts_of_rows() const {
  const int64_t count = (n_ + kChunk - 1) / kChunk;
  return {{}, count, 1, count};
}

void Stages::add_parts(Launch *launch, Parts *parts, int sums, int64_t rows) const {
  for (int k = 0; k < sums; ++k) {
    parts->sums[k].assign(static_cast<size_t>(parts->count * rows), 0.0f);
    launch->add(&parts->sums[k],
                {{parts->count, parts->stride}, {rows, parts->row_stride}, {1, 0}});
  }
}

void Stages::forward(bool aligned) {
  const std::string loads = aligned ? "_aligned" : "_any";
  const double count = static_cast<double>(n_);
  std::vector<float> center = room(), low = room(), variance = room(), rstd_again = room();
  std::vector<float> rstd = room();
  Parts parts = parts_of_rows();
  if (has_mean_ != 0) {
    Launch values("values" + loads, dtype_);
    values.add_words(&x_, tensor(), aligned).add(int32_t{1});
    add_parts(&values, &parts, 1, rows_);
    values.run();
    Launch("fold_center", Dtype::f32)
        .add(&parts.sums[0], for_fold(parts, rows_))
        .add(count)
        .add(&center, of_rows())
        .run();
  }
  Launch deviations("deviations" + loads, dtype_);
  deviations.add_words(&x_, tensor(), aligned).add(&center, of_rows()).add(int32_t{1});
  add_parts(&deviations, &parts, 2, rows_);
  deviations.run();
  Launch statistics("fold_statistics", Dtype::f32);
  for (std::vector<float> &sum : parts.sums) statistics.add(&sum, for_fold(parts, rows_));
  statistics.add(&center, of_rows())
      .add(count)
      .add(static_cast<float>(tensors_.problem.eps))
      .add(has_mean_);
  for (std::vector<float> *out : {&low, &rstd, &variance, &mean_, &rstd_again}) {
    statistics.add(out, of_rows());
  }
  statistics.run();
  Launch("apply" + loads, dtype_)
      .add_words(&x_, tensor(), aligned)
      .add(&center, of_rows())
      .add(&low, of_rows())
      .add(&rstd, of_rows())
      .add(&gamma_, of_elements())
      .add(&beta_, of_elements())
      .add(int32_t{1})
      .add_words(&result_, tensor(), aligned)
      .run();
  store(result_, tensors_.output());
  store(mean_, &tensors_.mean);
  store(rstd_again, &tensors_.rstd);
}

void Stages::dx(bool aligned) {
  const std::string loads = aligned ? "_aligned" : "_any";
  Parts parts = parts_of_rows();
  Launch weighted("weighted" + loads, dtype_);
  weighted.add_words(&dy_, tensor(), aligned)
      .add_words(&x_, tensor(), aligned)
      .add(&mean_, of_rows())
      .add(&gamma_, of_elements())
      .add(int32_t{1});
  add_parts(&weighted, &parts, 2, rows_);
  weighted.run();
  std::vector<float> mean_g = room(), slope = room();
  Launch means("fold_gradient_means", Dtype::f32);
  for (std::vector<float> &sum : parts.sums) means.add(&sum, for_fold(parts, rows_));
  means.add(&rstd_, of_rows())
      .add(static_cast<double>(n_))
      .add(has_mean_)
      .add(&mean_g, of_rows())
      .add(&slope, of_rows())
      .run();
  Launch("apply_backward" + loads, dtype_)
      .add_words(&dy_, tensor(), aligned)
      .add_words(&x_, tensor(), aligned)
      .add(&mean_, of_rows())
      .add(&rstd_, of_rows())
      .add(&mean_g, of_rows())
      .add(&slope, of_rows())
      .add(&gamma_, of_elements())
      .add(int32_t{1})
      .add_words(&result_, tensor(), aligned)
      .run();
  store(result_, tensors_.output());
}

void Stages::fold_gradients(Parts *parts) {
  std::optional<Tensor> *outputs[] = {&tensors_.dbeta, &tensors_.dgamma};
  for (int k = 0; k < 2; ++k) {
    std::vector<float> gradient(static_cast<size_t>(n_));
    Launch("fold_gradient", Dtype::f32)
        .add(&parts->sums[k], for_fold(*parts, n_))
        .add(&gradient, {{n_, 1}, {1, 0}})
        .run();
    store(gradient, outputs[k]);
  }
}

void Stages::dgamma_and_dbeta(bool aligned) {
  // Columns: an element of each row is a row, and its neighbours lie beside it.
  Parts parts = {{}, (rows_ + kRowsOfAPart - 1) / kRowsOfAPart, n_, 1};
  Launch parameters(aligned ? "parameters_aligned" : "parameters_any", dtype_);
  parameters.add_words(&dy_, tensor(), aligned)
      .add_words(&x_, tensor(), aligned)
      .add(&mean_, of_rows())
      .add(&rstd_, of_rows())
      .add(int32_t{1});
  add_parts(&parameters, &parts, 2, n_);
  parameters.run();
  fold_gradients(&parts);
}

}  // namespace halnorm_test
