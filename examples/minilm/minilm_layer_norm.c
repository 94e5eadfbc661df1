// SPDX-License-Identifier: Apache-2.0
//
// Runs every LayerNorm of a real sentence-embedding model (all-MiniLM-L6-v2) on that model's own
// activations and compares the result with what the model computed. extract.py made the data.
//
//   minilm_layer_norm DATA_DIR [REPEAT]
//
// DATA_DIR holds manifest.txt and the .npy files that it names. With REPEAT, each LayerNorm runs
// that many times, and every run must give the bits of the first.
// Exits with 0 if all is well, 1 if a call fails or a result is wrong, 2 if called wrongly.
//
// What counts as wrong. Let r be the same LayerNorm in float64 and u = 2^-24, the unit roundoff
// of float32. For each element, with xhat = (x - mean) * rstd,
//
//   |y - r| <= 8 u (|gamma xhat| + |gamma| + |beta|)
//
// is asked of halnorm and of the model's output alike; so the two differ by at most twice that.
// Four of the 8 are the four operations on an element (- mean, * rstd, * gamma, + beta), each of
// which may round by u. The other four are for the mean and rstd, whose error is the same for a
// whole row: |gamma| carries that of the mean, |gamma xhat| that of rstd. The worst case of
// a sum of 384 elements is higher, but rounding errors mostly cancel: on this data plain float32
// code in NumPy stays within 2.8 u and ONNX Runtime, which ran the model, within 3.3 u. A real
// mistake is far outside: the unbiased variance, for one, is off by 1e-3, which is 20 000 u.

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "halnorm.h"
#include "npy.h"

enum { kInput, kGamma, kBeta, kOutput, kArrays };
static const char *const kSuffix[kArrays] = {"input", "gamma", "beta", "output"};

static const double kBound = 8.0 / 16777216.0;  // 8 u

// One LayerNorm of the model: a line of the manifest and its files.
typedef struct layer {
  char name[128];
  int64_t rows, columns;
  double eps;
  npy_array arrays[kArrays];
} layer;

// Greatest absolute differences, and the greatest share of the bound that halnorm used.
typedef struct differences {
  double halnorm_model, halnorm_f64, model_f64, share;
} differences;

// A NaN stays: a comparison that simply asked d > *max would lose it.
static void raise_to(double *max, double d) {
  if (!isnan(*max) && !(d <= *max)) *max = d;
}

static void merge(differences *all, const differences *one) {
  raise_to(&all->halnorm_model, one->halnorm_model);
  raise_to(&all->halnorm_f64, one->halnorm_f64);
  raise_to(&all->model_f64, one->model_f64);
  raise_to(&all->share, one->share);
}

static halnorm_tensor cpu_tensor(float *data, int32_t ndim, int64_t *shape) {
  const halnorm_dtype f32 = HALNORM_F32;
  halnorm_tensor tensor;
  tensor.data = data;
  tensor.device.device_type = 1;  // CPU
  tensor.device.device_id = 0;
  tensor.ndim = ndim;
  tensor.dtype = f32;
  tensor.shape = shape;
  tensor.strides = NULL;  // row-major and dense
  tensor.byte_offset = 0;
  return tensor;
}

static void layer_free(layer *l) {
  for (int i = 0; i < kArrays; i++) free(l->arrays[i].data);
}

// Reads the files of a LayerNorm and checks their shapes against the manifest.
static int layer_read(const char *data_dir, layer *l) {
  for (int i = 0; i < kArrays; i++) {
    char path[4096], error[4608];
    const int length = snprintf(path, sizeof path, "%s/%s.%s.npy", data_dir, l->name, kSuffix[i]);
    if (length < 0 || (size_t)length >= sizeof path) {
      fprintf(stderr, "minilm_layer_norm: the path of %s.%s.npy is too long\n", l->name,
              kSuffix[i]);
      return -1;
    }
    npy_array *array = &l->arrays[i];
    if (npy_read(path, array, error, sizeof error) != 0) {
      fprintf(stderr, "minilm_layer_norm: %s\n", error);
      return -1;
    }
    const int is_matrix = i == kInput || i == kOutput;
    const int64_t rows = is_matrix ? l->rows : l->columns;
    const int64_t columns = is_matrix ? l->columns : 1;
    if (array->ndim != (is_matrix ? 2 : 1) || array->shape[0] != rows ||
        array->shape[1] != columns) {
      fprintf(stderr,
              "minilm_layer_norm: %s has shape %" PRId64 " x %" PRId64 ", expected %" PRId64
              " x %" PRId64 " by the manifest\n",
              path, array->shape[0], array->shape[1], rows, columns);
      return -1;
    }
  }
  return 0;
}

// Runs halnorm_layer_norm into y, which has the size of the input.
static int run_halnorm(layer *l, float *y) {
  npy_array *a = l->arrays;
  halnorm_tensor x_tensor = cpu_tensor(a[kInput].data, 2, a[kInput].shape);
  halnorm_tensor gamma_tensor = cpu_tensor(a[kGamma].data, 1, a[kGamma].shape);
  halnorm_tensor beta_tensor = cpu_tensor(a[kBeta].data, 1, a[kBeta].shape);
  halnorm_tensor y_tensor = cpu_tensor(y, 2, a[kInput].shape);
  const halnorm_status status = halnorm_layer_norm(NULL, &x_tensor, &gamma_tensor, &beta_tensor, -1,
                                                   l->eps, &y_tensor, NULL, NULL, 0);
  if (status == HALNORM_OK) return 0;
  fprintf(stderr, "minilm_layer_norm: %s: halnorm_layer_norm returned %d: %s\n", l->name,
          (int)status, halnorm_last_error());
  return -1;
}

// Runs it again and again: the bits must be those of y. NaNs fill the output first, so that an
// element which a run leaves out is noticed.
static int run_repeats(layer *l, const float *y, float *again, size_t bytes, long repeat) {
  for (long i = 1; i < repeat; i++) {
    memset(again, 0xff, bytes);
    if (run_halnorm(l, again) != 0) return -1;
    if (memcmp(y, again, bytes) != 0) {
      fprintf(stderr, "minilm_layer_norm: %s: run %ld gave other bits than run 1\n", l->name,
              i + 1);
      return -1;
    }
  }
  return 0;
}

// Is value within the bound of the float64 result? Says so on stderr if it is not.
static int within_bound(const layer *l, const char *whose, int64_t row, int64_t column,
                        double value, double reference, double bound) {
  if (fabs(value - reference) <= bound) return 1;
  fprintf(stderr,
          "minilm_layer_norm: %s: %s y[%" PRId64 "][%" PRId64
          "] is %.9g, expected %.17g within %.2g\n",
          l->name, whose, row, column, value, reference, bound);
  return 0;
}

// Compares y with the model's output and both with float64, up to the first that is wrong.
static int compare(const layer *l, const float *y, differences *d) {
  const int64_t n = l->columns;
  const float *gamma = l->arrays[kGamma].data, *beta = l->arrays[kBeta].data;
  for (int64_t row = 0; row < l->rows; row++) {
    const float *x = l->arrays[kInput].data + row * n;
    const float *model = l->arrays[kOutput].data + row * n;
    double mean = 0.0, variance = 0.0;
    for (int64_t i = 0; i < n; i++) mean += x[i];
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean);
    variance /= (double)n;
    const double rstd = 1.0 / sqrt(variance + l->eps);

    for (int64_t i = 0; i < n; i++) {
      const double scaled = (x[i] - mean) * rstd * gamma[i];
      const double reference = scaled + beta[i];
      const double bound = kBound * (fabs(scaled) + fabs((double)gamma[i]) + fabs((double)beta[i]));
      const double halnorm_y = y[row * n + i], model_y = model[i];
      raise_to(&d->halnorm_model, fabs(halnorm_y - model_y));
      raise_to(&d->halnorm_f64, fabs(halnorm_y - reference));
      raise_to(&d->model_f64, fabs(model_y - reference));
      if (bound > 0.0) raise_to(&d->share, fabs(halnorm_y - reference) / bound);
      if (!within_bound(l, "halnorm's", row, i, halnorm_y, reference, bound) ||
          !within_bound(l, "the model's", row, i, model_y, reference, bound)) {
        return -1;
      }
    }
  }
  return 0;
}

// Reads, runs, compares and prints one LayerNorm.
static int run_layer(const char *data_dir, layer *l, long repeat, differences *all) {
  int result = -1;
  float *y = NULL, *again = NULL;
  if (layer_read(data_dir, l) != 0) goto done;

  // layer_read has seen that many bytes in a file, so the product fits.
  const size_t bytes = (size_t)l->rows * (size_t)l->columns * sizeof(float);
  y = malloc(bytes);
  again = malloc(bytes);
  if (y == NULL || again == NULL) {
    fprintf(stderr, "minilm_layer_norm: %s: out of memory\n", l->name);
    goto done;
  }
  memset(y, 0xff, bytes);
  if (run_halnorm(l, y) != 0 || run_repeats(l, y, again, bytes, repeat) != 0) goto done;

  differences d = {0.0, 0.0, 0.0, 0.0};
  result = compare(l, y, &d);
  merge(all, &d);
  printf("%-42s %4" PRId64 " x %-4" PRId64 " %9.2e %9.2e %9.2e  %s\n", l->name, l->rows, l->columns,
         d.halnorm_model, d.halnorm_f64, d.model_f64, halnorm_last_kernel());
done:
  free(y);
  free(again);
  layer_free(l);
  return result;
}

// The target of calls without a context: the one that HALNORM_TARGET forces, else the best that
// this machine can run. A CUDA target binds CUDA tensors only, and here are none.
static const char *cpu_target(void) {
  const char *forced = getenv("HALNORM_TARGET");
  if (forced != NULL && forced[0] != '\0' && strncmp(forced, "cuda", 4) != 0) return forced;
  for (int32_t i = 0; i < halnorm_target_count(); i++) {
    const char *name = halnorm_target_name(i);
    if (halnorm_target_usable(i) && strncmp(name, "cuda", 4) != 0) return name;
  }
  return "no usable target";
}

// Runs every LayerNorm of the manifest. Returns how many, or -1.
static int run_manifest(FILE *manifest, const char *path, const char *data_dir, long repeat,
                        differences *all) {
  char line[512];
  int layers = 0;
  for (int number = 1; fgets(line, sizeof line, manifest) != NULL; number++) {
    if (line[0] == '#' || line[0] == '\n') continue;
    layer l;
    memset(&l, 0, sizeof l);
    char rest;
    if (sscanf(line, "%127s %" SCNd64 " %" SCNd64 " %lf %c", l.name, &l.rows, &l.columns, &l.eps,
               &rest) != 4 ||
        l.rows < 1 || l.columns < 1) {
      fprintf(stderr, "minilm_layer_norm: %s:%d: expected: name rows columns eps\n", path, number);
      return -1;
    }
    if (run_layer(data_dir, &l, repeat, all) != 0) return -1;
    layers++;
  }
  if (layers == 0) {
    fprintf(stderr, "minilm_layer_norm: %s names no LayerNorm\n", path);
    return -1;
  }
  return layers;
}

int main(int argc, char **argv) {
  long repeat = 1;
  if (argc == 3) {
    char *end;
    errno = 0;
    repeat = strtol(argv[2], &end, 10);
    if (errno != 0 || end == argv[2] || *end != '\0') repeat = 0;
  }
  if (argc < 2 || argc > 3 || repeat < 1) {
    fprintf(stderr, "usage: minilm_layer_norm DATA_DIR [REPEAT], with REPEAT 1 or more\n");
    return 2;
  }

  char path[4096];
  const int length = snprintf(path, sizeof path, "%s/manifest.txt", argv[1]);
  if (length < 0 || (size_t)length >= sizeof path) {
    fprintf(stderr, "minilm_layer_norm: the path of manifest.txt is too long\n");
    return 1;
  }
  FILE *manifest = fopen(path, "r");
  if (manifest == NULL) {
    fprintf(stderr, "minilm_layer_norm: %s: cannot open: %s\n", path, strerror(errno));
    return 1;
  }

  printf("LayerNorms of all-MiniLM-L6-v2 on its own activations: greatest absolute differences\n");
  printf("%-42s %-11s %9s %9s %9s\n", "", "", "halnorm", "halnorm", "model");
  printf("%-42s %-11s %9s %9s %9s  %s\n", "LayerNorm", "rows x cols", "-model", "-float64",
         "-float64", "kernel");
  differences all = {0.0, 0.0, 0.0, 0.0};
  const int layers = run_manifest(manifest, path, argv[1], repeat, &all);
  fclose(manifest);
  if (layers < 0) return 1;

  printf("%-42s %-11s %9.2e %9.2e %9.2e\n", "all", "", all.halnorm_model, all.halnorm_f64,
         all.model_f64);
  if (repeat > 1) printf("%ld runs of each LayerNorm gave the same bits.\n", repeat);
  printf("halnorm %s on %s: %d LayerNorms within %.2e of the model's own output", halnorm_version(),
         cpu_target(), layers, all.halnorm_model);
  printf(" (%.0f %% of the bound on the error)\n", 100.0 * all.share);
  return 0;
}
