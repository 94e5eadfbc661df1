// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_BENCH_PEERS_ONEDNN_H_
#define HALNORM_BENCH_PEERS_ONEDNN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace halnorm_bench {

// One normalization primitive, prepared outside the timed loop as oneDNN's users do: the engine,
// the stream, the just-in-time compiled primitive and the memory objects exist before the first
// execute(). A fair timed call is execute() alone, on buffers that were touched before, after at
// least one untimed call.
//
// GNU OpenMP's workers keep spinning after a parallel call, about ten milliseconds unless
// OMP_WAIT_POLICY or GOMP_SPINCOUNT says otherwise. With threads > 1, time other libraries in
// another process or after a pause, or those workers take cores from them.
//
// Not thread-safe: one object serves one calling thread at a time.
class OneDnnPrimitive {
 public:
  enum class Kind {
    layer_norm_forward,
    layer_norm_backward,
    batch_norm_inference,
    batch_norm_training,
    batch_norm_backward,
  };

  // x, y, dy and dx have the type dtype and are dense.
  struct Options {
    Kind kind = Kind::layer_norm_forward;
    const char *dtype = "f32";      // "f32", "f16" or "bf16"
    std::vector<int64_t> shape;     // layer norm: rows, columns; batch norm: N, C, d1 ...
    bool channels_last = false;     // batch norm: NHWC in place of NCHW
    bool fixed_statistics = false;  // batch norm backward: mean and variance are constants
    int threads = 1;
    float eps = 1e-5f;
  };

  // Where the operands lie, for as long as the primitive is executed. Null: the call has no such
  // operand, or leaves it out. oneDNN knows no call without y or dx, and no backward one that has
  // gamma or dgamma but not both.
  struct Operands {
    const void *x = nullptr, *dy = nullptr;
    const float *gamma = nullptr, *beta = nullptr;
    void *y = nullptr, *dx = nullptr;
    float *mean = nullptr, *variance = nullptr;  // both or none; outputs of forward and training
    float *dgamma = nullptr, *dbeta = nullptr;
  };

  // Throws std::exception with the reason when this oneDNN has no such primitive on this CPU. Sets
  // the calling thread's OpenMP thread count.
  OneDnnPrimitive(const Options &options, const Operands &operands);

  ~OneDnnPrimitive();
  OneDnnPrimitive(const OneDnnPrimitive &) = delete;
  OneDnnPrimitive &operator=(const OneDnnPrimitive &) = delete;

  // Returns once the outputs are complete; false when oneDNN reports an error. Sets the calling
  // thread's OpenMP thread count when it is not options.threads.
  bool execute() noexcept;

  // oneDNN's name for what it chose, e.g. "jit:uni", "simple:any" or "ref:any". A "ref" is not an
  // optimized implementation, and a comparison with it has to say so.
  std::string implementation() const;

  // The version of the library that was loaded, e.g. "3.2.0".
  static std::string version();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_PEERS_ONEDNN_H_
