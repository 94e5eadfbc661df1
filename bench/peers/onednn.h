// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_BENCH_PEERS_ONEDNN_H_
#define HALNORM_BENCH_PEERS_ONEDNN_H_

#include <cstdint>
#include <memory>
#include <string>

namespace halnorm_bench {

// One layer normalization forward primitive, prepared outside the timed loop as oneDNN's users do:
// the engine, the stream, the just-in-time compiled primitive and the memory objects exist before
// the first execute(). A fair timed call is execute() alone, on buffers that were touched before,
// after at least one untimed call.
//
// GNU OpenMP's workers keep spinning after a parallel call, about ten milliseconds unless
// OMP_WAIT_POLICY or GOMP_SPINCOUNT says otherwise. With threads > 1, time other libraries in
// another process or after a pause, or those workers take cores from them.
//
// Not thread-safe: one object serves one calling thread at a time. No exception escapes.
class OneDnnLayerNorm {
 public:
  // Tensors are dense and row-major, normalized over columns. x and y have the type dtype; gamma,
  // beta, mean and variance are always f32.
  struct Options {
    const char *dtype = "f32";  // "f32", "f16" or "bf16"
    int64_t rows = 0;
    int64_t columns = 0;
    bool gamma = true;        // dnnl_use_scale
    bool beta = true;         // dnnl_use_shift
    bool statistics = false;  // forward_training: writes mean and variance
    int threads = 1;
    float eps = 1e-5f;
  };

  // Null when this oneDNN has no such primitive on this CPU, with the reason in *why_not (which
  // may be null). Sets the calling thread's OpenMP thread count.
  static std::unique_ptr<OneDnnLayerNorm> create(const Options &options, std::string *why_not);

  ~OneDnnLayerNorm();
  OneDnnLayerNorm(const OneDnnLayerNorm &) = delete;
  OneDnnLayerNorm &operator=(const OneDnnLayerNorm &) = delete;

  // Returns once y is complete. Pointers for operands that the options leave out are ignored. Sets
  // the calling thread's OpenMP thread count when it is not options.threads.
  void execute(const void *x, const float *gamma, const float *beta, void *y, float *mean,
               float *variance) noexcept;

  // True once any execute() failed: its times and results are then worthless.
  bool failed() const noexcept;

  // oneDNN's name for what it chose, e.g. "jit:uni", "simple:any" or "ref:any". A "ref" is not an
  // optimized implementation, and a comparison with it has to say so.
  std::string implementation() const;

  // The version of the library that was loaded, e.g. "3.2.0".
  static std::string version();

 private:
  struct State;
  explicit OneDnnLayerNorm(std::unique_ptr<State> state) noexcept;

  std::unique_ptr<State> state_;
};

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_PEERS_ONEDNN_H_
