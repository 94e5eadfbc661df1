/* SPDX-License-Identifier: Apache-2.0 */
/** @file
 * halnorm: normalization kernels for the tensors that a program already has.
 *
 *     halnorm_tensor x = {data, {HALNORM_CPU, 0}, 2, HALNORM_F32, shape, NULL, 0};
 *     halnorm_tensor y = {result, {HALNORM_CPU, 0}, 2, HALNORM_F32, shape, NULL, 0};
 *     if (halnorm_layer_norm(NULL, &x, &gamma, &beta, -1, 1e-5, &y, NULL, NULL, 0) != HALNORM_OK)
 *       puts(halnorm_last_error());
 *
 * In four parts: @ref tensors, @ref operations, @ref contexts, @ref diagnosis. Rules of all:
 *
 * **Errors.** Nothing prints, aborts or throws. A function that can fail returns a halnorm_status,
 * and halnorm_last_error() then says in a sentence which argument was wrong, what it was and what
 * was expected. Arguments are checked before anything is written: after an error each output is as
 * it was, HALNORM_DEVICE_ERROR excepted. A call that is invalid and unsupported at once is invalid.
 *
 * **Threads.** Any number of threads may be in any of the operations at once, with a context each,
 * with one in common or with none. Only the functions that change a context
 * (`halnorm_context_set_*`, halnorm_context_destroy()) must not run beside a call that uses it;
 * nothing notices if they do. After fork() the child may go on calling, whatever the threads of its
 * parent were doing.
 *
 * **The process.** A call leaves the calling thread's signal mask and floating-point modes and
 * flags as they were. The library's own threads take no signal that is sent to the process; they
 * end at exit and where a shared object with halnorm in it is unloaded, which must not be beside a
 * call.
 *
 * **Bits.** The same call gives the same bits: on every CPU target, for any number of threads,
 * whatever the caller's floating-point modes (rounding, flushing of subnormals, traps); kernels run
 * with the default ones. In layer, RMS, instance and group norm, forward and dx, a row or sample
 * has the same bits alone and in any batch. Statistics of batch norm, and dgamma and dbeta of all
 * operations, are sums over the batch: another batch makes other sums. A NaN is a NaN: its sign and
 * payload are not part of the promise. The same values laid out with other strides may come out
 * different in the last bits.
 */
#ifndef HALNORM_H_
#define HALNORM_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The version of this header; halnorm_version() is that of the library. */
#define HALNORM_VERSION "0.1.0"

/** What a function that can fail returns. */
typedef enum halnorm_status {
  /** The call did what was asked. */
  HALNORM_OK = 0,
  /** The call has no meaning: a NULL that is required, shapes or dtypes that do not go together, an
   * output that shares memory with another argument, an eps that is no eps ... */
  HALNORM_INVALID_ARGUMENT = 1,
  /** The call has a meaning, and this build or this machine no kernel for it: a dtype, a device, a
   * target. */
  HALNORM_UNSUPPORTED = 2,
  /** No memory for a workspace, or the one set is too small: the message names the bytes. */
  HALNORM_OUT_OF_MEMORY = 3,
  /** The CUDA driver is missing or answered with an error. After a first launch the outputs are
   * undefined. */
  HALNORM_DEVICE_ERROR = 4,
  /** A defect of halnorm. Please report it with the message. */
  HALNORM_INTERNAL_ERROR = 5
} halnorm_status;

/** @defgroup tensors Tensors
 *
 * The three structs have the layout of DLPack's DLDevice, DLDataType and DLTensor: a DLTensor * may
 * be passed as a halnorm_tensor *. The library keeps no pointer to them after a call.
 * @{ */

/** Values of halnorm_device.device_type, the same as DLPack's kDLCPU and kDLCUDA. */
enum {
  HALNORM_CPU = 1, /**< memory of the process */
  HALNORM_CUDA = 2 /**< memory of a CUDA device */
};

/** Where the elements are. */
typedef struct halnorm_device {
  int32_t device_type; /**< HALNORM_CPU or HALNORM_CUDA; any other is HALNORM_INVALID_ARGUMENT */
  int32_t device_id;   /**< which CUDA device; not looked at on a CPU */
} halnorm_device;

/** What the elements are. Known are the three below; any other combination is
 * HALNORM_INVALID_ARGUMENT. */
typedef struct halnorm_dtype {
  uint8_t code;   /**< 2: IEEE floating point, 4: bfloat */
  uint8_t bits;   /**< of an element: 32 or 16 */
  uint16_t lanes; /**< 1 */
} halnorm_dtype;

/* clang-format off */
#define HALNORM_F32 {2, 32, 1}  /**< Initializer: `halnorm_dtype t = HALNORM_F32;` */
#define HALNORM_F16 {2, 16, 1}  /**< Initializer of IEEE half precision. */
#define HALNORM_BF16 {4, 16, 1} /**< Initializer of bfloat16. */
/* clang-format on */

/** Elements where they are. Element (i0, i1, ...) is at `data` + `byte_offset` + (i0 * `strides[0]`
 * + i1 * `strides[1]` + ...) * size of an element.
 *
 * There is no layout beyond strides. NCHW and NHWC are the same logical (N, C, H, W) tensor with
 * other strides; a LayerNorm over the channels of an NCHW tensor is a call on its (N, H, W, C)
 * view. Strides may be negative or zero, in any order, with gaps: what is not a common layout is
 * slower, not wrong. The stride of a dimension of extent 1 means nothing.
 *
 * Any extents whose product fits int64_t are fine, more than 2^31 elements included, up to 32
 * dimensions (more: HALNORM_UNSUPPORTED, whatever else is wrong). `data` + `byte_offset` is aligned
 * to the element; more is not needed. A tensor without elements may have NULL for `data`.
 *
 * HALNORM_INVALID_ARGUMENT: ndim < 0, a NULL shape with ndim > 0, a negative extent, a product of
 * extents beyond int64_t, strides that reach beyond memory, NULL data with elements, data that is
 * not aligned. */
typedef struct halnorm_tensor {
  void *data;            /**< the caller's memory, and stays so */
  halnorm_device device; /**< where that is */
  int32_t ndim;          /**< number of dimensions */
  halnorm_dtype dtype;   /**< of an element */
  int64_t *shape;        /**< `ndim` extents; NULL if `ndim` is 0 */
  int64_t *strides;      /**< in elements, `ndim` of them; NULL: row-major and dense */
  uint64_t byte_offset;  /**< of the element (0, 0, ...), from `data` */
} halnorm_tensor;

/** @} */

/** How calls run: @ref contexts. */
typedef struct halnorm_context halnorm_context;

/** @defgroup operations Operations
 *
 * A norm cuts x into sets of n elements that have their statistics in common (Wu, He 2018, "Group
 * Normalization", equations 1 to 7, put the kinds side by side):
 *
 *     layer, RMS  a row: all that lies in the dimensions axis ... ndim - 1 of x
 *     instance    a channel of a sample
 *     group       C / groups adjacent channels of a sample
 *     batch       a channel of all samples
 *
 * **Forward.** For each element i, sums over the elements of its set,
 *
 *     mean   = (1 / n) sum x_j                          RMS: 0
 *     var    = (1 / n) sum (x_j - mean)^2
 *     rstd   = 1 / sqrt(var + eps)
 *     xhat_i = (x_i - mean) * rstd
 *     y_i    = xhat_i * gamma_i + beta_i                RMS: no beta
 *
 * The variance is the biased one. For x in f32 the corrected sums of deviations of Chan, Golub,
 * LeVeque 1983, "Algorithms for Computing the Sample Variance", keep a mean much larger than the
 * deviations from spoiling it.
 *
 * **Backward.** From dy, the gradient of a loss with respect to y, those with respect to x, gamma
 * and beta, by the chain rule through mean and rstd (Ioffe, Szegedy 2015, "Batch Normalization:
 * Accelerating Deep Network Training by Reducing Internal Covariate Shift", section 3, give its
 * steps for a batch):
 *
 *     g_i    = dy_i * gamma_i
 *     dx_i   = (g_i - (1 / n) sum g_j - xhat_i * (1 / n) sum g_j * xhat_j) * rstd
 *                                                       RMS: without the first sum
 *     dgamma = sum dy_i * xhat_i                        each over all elements of x that share
 *     dbeta  = sum dy_i                                 this element of gamma
 *
 * mean and rstd are those that the forward function wrote, taken as exact.
 *
 * **Arguments.**
 *
 * - `ctx`: NULL: the defaults of a new context.
 * - `x`, `y`, `dy`, `dx`: same dtype (f32, f16 or bf16), same shape, any strides. `dx` NULL: not
 *   wanted.
 * - `gamma`, `beta`: scale and shift; any strides, each f32 or the dtype of x. NULL: none, as if
 *   all 1 and all 0.
 * - `dgamma`, `dbeta`: shape of gamma, any strides, each f32 or the dtype of x, whatever gamma is.
 *   They are overwritten, not added to. NULL: not wanted.
 * - `mean`, `rstd`: f32, dense (row-major, whatever the order of x in memory). Forward: NULL is not
 *   wanted. Backward: required.
 * - `flags`: 0, or those below that the operation knows; HALNORM_ZERO_CENTERED_GAMMA is known to
 *   all. Any other bit is HALNORM_INVALID_ARGUMENT.
 *
 * **Shapes of layer and RMS norm.** axis is ONNX's: -ndim <= axis < ndim, a negative one counts
 * from the end. gamma, beta, dgamma and dbeta have the shape of the dimensions axis ... ndim - 1.
 * mean and rstd have the shape of the dimensions before them; each may also keep the normalized
 * dimensions, as 1.
 *
 * **Shapes of instance, group and batch norm.** x is (N, C, d1, ... dk), N samples of C channels,
 * with any k >= 0 (instance norm: k >= 1). gamma, beta, dgamma and dbeta are (C). mean and rstd are
 * (N, C) in instance norm, (N, groups) in group norm and (C) in batch norm.
 *
 * eps is finite and >= 0. With eps = 0 a set without spread (RMS norm: of zeros) divides by zero,
 * as the formula says. All arithmetic is f32 or better; f16 and bf16 are how values are stored,
 * rounded to nearest even.
 *
 * **Devices.** All tensors of a call are on the same device. CUDA tensors need a build with a CUDA
 * target, else they are HALNORM_UNSUPPORTED; calls on them are in the order of the context's
 * stream, need a workspace of the caller, and use the calling thread's current CUDA context, which
 * has to be of the tensors' device. Elements of a CUDA tensor are less than 2^31 elements apart, or
 * it is HALNORM_UNSUPPORTED. Subnormals are kept there, too. docs/cuda.md has the rest.
 *
 * **Shared memory.** y may be x itself, and dx may be dy itself: same address, shape and strides.
 * Any other output that shares an element with another argument is HALNORM_INVALID_ARGUMENT (dx as
 * x, too); slices of one buffer that share none are fine, interleaved ones too. An input may
 * overlap itself (stride 0), an output not. This is decided exactly wherever strides nest, as those
 * of slices, transpositions and paddings do, and in nearly every other case; where it is not, the
 * call is HALNORM_INVALID_ARGUMENT and the message says so.
 *
 * **Nothing to do.** A backward call with dx, dgamma and dbeta all NULL checks its arguments and is
 * HALNORM_OK. So is a call on an x without elements: nothing is read, y and dx have nothing to
 * write, dgamma and dbeta become 0, and running statistics stay as they are. Sets of length 0 have
 * statistics nevertheless, where mean and rstd have room for them: NaN.
 *
 * **NaN and infinity** make what the formula says of their set, and of the elements of dgamma and
 * dbeta that sum over them, and touch nothing else. y is NaN throughout a set with either; of RMS
 * norm, if there is an infinity and no NaN, 0 where x is finite and NaN where it is not (before
 * gamma). batch_norm_inference takes each element by itself. A finite set whose elements or squared
 * deviations (of RMS norm: squares) add up to more than f32 holds, as they may from |x| of about
 * 1e18 on, has rstd 0 or NaN.
 * @{ */

/** Flags of operations. */
enum {
  /** Scale by 1 + gamma, as Gemma does: in y and in dx. Without gamma it has no effect. */
  HALNORM_ZERO_CENTERED_GAMMA = 1,
  /** batch_norm_training: the running variance takes the biased variance, as in ONNX. */
  HALNORM_RUNNING_VAR_BIASED = 2,
  /** batch_norm_backward: mean and rstd are constants and do not depend on x. */
  HALNORM_FIXED_STATISTICS = 4
};

/** Layer normalization (Ba, Kiros, Hinton 2016, "Layer Normalization", equations 3 and 4).
 * @param ctx,x,gamma,beta,axis,eps,y,mean,rstd,flags @ref operations
 * @return HALNORM_OK or an error */
halnorm_status halnorm_layer_norm(const halnorm_context *ctx, const halnorm_tensor *x,
                                  const halnorm_tensor *gamma, const halnorm_tensor *beta,
                                  int32_t axis, double eps, halnorm_tensor *y, halnorm_tensor *mean,
                                  halnorm_tensor *rstd, uint32_t flags);

/** Gradients of halnorm_layer_norm().
 * @param ctx,dy,x,gamma,mean,rstd,axis,dx,dgamma,dbeta,flags @ref operations
 * @return HALNORM_OK or an error */
halnorm_status halnorm_layer_norm_backward(const halnorm_context *ctx, const halnorm_tensor *dy,
                                           const halnorm_tensor *x, const halnorm_tensor *gamma,
                                           const halnorm_tensor *mean, const halnorm_tensor *rstd,
                                           int32_t axis, halnorm_tensor *dx, halnorm_tensor *dgamma,
                                           halnorm_tensor *dbeta, uint32_t flags);

/** Root mean square normalization (Zhang, Sennrich 2019, "Root Mean Square Layer Normalization",
 * equation 4; eps as the usual implementations add it). y_i = x_i * rstd * gamma_i with
 * rstd = 1 / sqrt((1 / n) sum x_j^2 + eps).
 * @param ctx,x,gamma,axis,eps,y,rstd,flags @ref operations
 * @return HALNORM_OK or an error */
halnorm_status halnorm_rms_norm(const halnorm_context *ctx, const halnorm_tensor *x,
                                const halnorm_tensor *gamma, int32_t axis, double eps,
                                halnorm_tensor *y, halnorm_tensor *rstd, uint32_t flags);

/** Gradients of halnorm_rms_norm().
 * @param ctx,dy,x,gamma,rstd,axis,dx,dgamma,flags @ref operations
 * @return HALNORM_OK or an error */
halnorm_status halnorm_rms_norm_backward(const halnorm_context *ctx, const halnorm_tensor *dy,
                                         const halnorm_tensor *x, const halnorm_tensor *gamma,
                                         const halnorm_tensor *rstd, int32_t axis,
                                         halnorm_tensor *dx, halnorm_tensor *dgamma,
                                         uint32_t flags);

/** Instance normalization (Ulyanov, Vedaldi, Lempitsky 2016, "Instance Normalization: The Missing
 * Ingredient for Fast Stylization"), with gamma and beta of the channel.
 * @param ctx,x,gamma,beta,eps,y,mean,rstd,flags @ref operations
 * @return HALNORM_OK or an error */
halnorm_status halnorm_instance_norm(const halnorm_context *ctx, const halnorm_tensor *x,
                                     const halnorm_tensor *gamma, const halnorm_tensor *beta,
                                     double eps, halnorm_tensor *y, halnorm_tensor *mean,
                                     halnorm_tensor *rstd, uint32_t flags);

/** Gradients of halnorm_instance_norm().
 * @param ctx,dy,x,gamma,mean,rstd,dx,dgamma,dbeta,flags @ref operations
 * @return HALNORM_OK or an error */
halnorm_status halnorm_instance_norm_backward(const halnorm_context *ctx, const halnorm_tensor *dy,
                                              const halnorm_tensor *x, const halnorm_tensor *gamma,
                                              const halnorm_tensor *mean,
                                              const halnorm_tensor *rstd, halnorm_tensor *dx,
                                              halnorm_tensor *dgamma, halnorm_tensor *dbeta,
                                              uint32_t flags);

/** Group normalization (Wu, He 2018, equation 7), with gamma and beta of the channel.
 * @param ctx,x,gamma,beta,eps,y,mean,rstd,flags @ref operations
 * @param groups >= 1 divides C; any other is HALNORM_INVALID_ARGUMENT
 * @return HALNORM_OK or an error */
halnorm_status halnorm_group_norm(const halnorm_context *ctx, const halnorm_tensor *x,
                                  const halnorm_tensor *gamma, const halnorm_tensor *beta,
                                  int32_t groups, double eps, halnorm_tensor *y,
                                  halnorm_tensor *mean, halnorm_tensor *rstd, uint32_t flags);

/** Gradients of halnorm_group_norm().
 * @param ctx,dy,x,gamma,mean,rstd,dx,dgamma,dbeta,flags @ref operations
 * @param groups those of the forward
 * @return HALNORM_OK or an error */
halnorm_status halnorm_group_norm_backward(const halnorm_context *ctx, const halnorm_tensor *dy,
                                           const halnorm_tensor *x, const halnorm_tensor *gamma,
                                           const halnorm_tensor *mean, const halnorm_tensor *rstd,
                                           int32_t groups, halnorm_tensor *dx,
                                           halnorm_tensor *dgamma, halnorm_tensor *dbeta,
                                           uint32_t flags);

/** Batch normalization with statistics from before (Ioffe, Szegedy 2015, algorithm 2).
 * @param ctx,x,gamma,beta,eps,y,flags @ref operations
 * @param running_mean the mean; required: (C), f32, dense
 * @param running_var rstd is 1 / sqrt(running_var + eps); required: (C), f32, dense
 * @return HALNORM_OK or an error */
halnorm_status halnorm_batch_norm_inference(const halnorm_context *ctx, const halnorm_tensor *x,
                                            const halnorm_tensor *gamma, const halnorm_tensor *beta,
                                            const halnorm_tensor *running_mean,
                                            const halnorm_tensor *running_var, double eps,
                                            halnorm_tensor *y, uint32_t flags);

/** Batch normalization with the statistics of this batch (Ioffe, Szegedy 2015, algorithm 1; section
 * 3.2 for k >= 1), n = N * d1 * ... * dk. running_mean and running_var, (C), f32 and dense, are
 * updated in place:
 *
 *     running_mean = (1 - momentum) * running_mean + momentum * mean
 *     running_var  = (1 - momentum) * running_var  + momentum * var * n / (n - 1)
 *
 * with 0 <= momentum <= 1 as PyTorch has it (ONNX calls 1 - momentum so). n / (n - 1) makes the
 * variance unbiased; with HALNORM_RUNNING_VAR_BIASED it is left out.
 *
 * HALNORM_INVALID_ARGUMENT: one of running_mean and running_var without the other (NULL for both:
 * there are none); momentum out of range; running statistics, n = 1 and no
 * HALNORM_RUNNING_VAR_BIASED.
 * @param ctx,x,gamma,beta,eps,y,mean,rstd,flags @ref operations
 * @param momentum the weight of this batch
 * @param running_mean,running_var as above
 * @return HALNORM_OK or an error */
halnorm_status halnorm_batch_norm_training(const halnorm_context *ctx, const halnorm_tensor *x,
                                           const halnorm_tensor *gamma, const halnorm_tensor *beta,
                                           double eps, double momentum,
                                           halnorm_tensor *running_mean,
                                           halnorm_tensor *running_var, halnorm_tensor *y,
                                           halnorm_tensor *mean, halnorm_tensor *rstd,
                                           uint32_t flags);

/** Gradients of halnorm_batch_norm_training(). With HALNORM_FIXED_STATISTICS, those of
 * halnorm_batch_norm_inference(): dx_i = g_i * rstd, for whatever mean and rstd are given.
 * @param ctx,dy,x,gamma,mean,rstd,dx,dgamma,dbeta,flags @ref operations
 * @return HALNORM_OK or an error */
halnorm_status halnorm_batch_norm_backward(const halnorm_context *ctx, const halnorm_tensor *dy,
                                           const halnorm_tensor *x, const halnorm_tensor *gamma,
                                           const halnorm_tensor *mean, const halnorm_tensor *rstd,
                                           halnorm_tensor *dx, halnorm_tensor *dgamma,
                                           halnorm_tensor *dbeta, uint32_t flags);

/** @} */

/** @defgroup contexts Contexts
 *
 * How calls run: on which instruction set, threads and memory. A NULL context is
 * HALNORM_INVALID_ARGUMENT to all of these but halnorm_context_destroy(); a refused setting leaves
 * the context as it was.
 * @{ */

/** Makes a context with the defaults, which a NULL context has, too.
 * @param out the context
 * @return HALNORM_OK; HALNORM_INVALID_ARGUMENT: out is NULL; HALNORM_OUT_OF_MEMORY */
halnorm_status halnorm_context_create(halnorm_context **out);

/** Ends a context. Memory that was set stays the caller's.
 * @param ctx NULL is fine */
void halnorm_context_destroy(halnorm_context *ctx);

/** The instruction set for tensors on the CPU, or the target for those on CUDA, whichever of the
 * two the name is of. The environment variable HALNORM_TARGET is read once for the process: later
 * changes of it are not seen.
 *
 * @param ctx a context
 * @param name one that halnorm_target_name() gives, such as "x86_avx2". NULL, and at first: the one
 *     that HALNORM_TARGET names, if it is set and not empty, else the best that can run here
 * @return HALNORM_OK; HALNORM_UNSUPPORTED: a name that is unknown or that this machine cannot run,
 *     here at once, from HALNORM_TARGET in each call that would use it. The message lists the
 *     names */
halnorm_status halnorm_context_set_target(halnorm_context *ctx, const char *name);

/** Prefer one kernel wherever it can serve: to compare schedules. It may be slower than the choice
 * that it replaces; the results are the same bits. A kernel of one stage makes a call run in stages
 * that would not otherwise.
 *
 * @param ctx a context
 * @param name the symbol, out of halnorm_kernel_name(). NULL, and at first: none
 * @return HALNORM_OK; HALNORM_INVALID_ARGUMENT: no kernel of this build has the name */
halnorm_status halnorm_context_set_kernel(halnorm_context *ctx, const char *name);

/** At most so many threads, the calling one included. Fewer threads than asked for is no error.
 * Threads of the library's own are started by the first call that has work for them, at most 256 in
 * all, and serve all contexts.
 *
 * @param ctx a context
 * @param n 1: the calling thread alone. 0, and at first: one for each CPU that the process may use
 *     when the library first asks
 * @return HALNORM_OK; HALNORM_INVALID_ARGUMENT: n < 0 */
halnorm_status halnorm_context_set_num_threads(halnorm_context *ctx, int32_t n);

/** A part of a call: index is in [0, count). */
typedef void (*halnorm_task)(void *task, int64_t index);

/** A loop over the parts of a call. It must call run(task, i) once for each i in [0, count), on any
 * threads and in any order, and return when all of these have returned; count is at least 2. pool
 * is what halnorm_context_set_parallel_for() was given. */
typedef void (*halnorm_parallel_for)(void *pool, int64_t count, halnorm_task run, void *task);

/** Run on the caller's pool in place of the library's threads. It is not called for work that one
 * thread does alone, and where halnorm_context_set_num_threads() gave an n > 0, its count is at
 * most n.
 *
 * @param ctx a context
 * @param parallel_for NULL, and at first: the library's own threads
 * @param pool is handed through
 * @return HALNORM_OK or HALNORM_INVALID_ARGUMENT */
halnorm_status halnorm_context_set_parallel_for(halnorm_context *ctx,
                                                halnorm_parallel_for parallel_for, void *pool);

/** The stream that calls on CUDA tensors use.
 * @param ctx a context
 * @param stream a CUstream; NULL, and at first: the default stream
 * @return HALNORM_OK or HALNORM_INVALID_ARGUMENT */
halnorm_status halnorm_context_set_cuda_stream(halnorm_context *ctx, void *stream);

/** Memory for intermediate results, which stays the caller's and must outlive the calls that use
 * it.
 *
 * On the CPU (which device_id does not matter) each calling thread has memory of its own at first,
 * grown as needed and freed when the thread ends; most calls need none. One that is set takes its
 * place, so that a context with a CPU workspace serves one call at a time. It may lose 63 bytes at
 * its start to alignment.
 *
 * On CUDA the caller sets it, one for each call in flight.
 *
 * A workspace that is too small makes the call HALNORM_OUT_OF_MEMORY before anything is written.
 *
 * @param ctx a context
 * @param device whose memory it is
 * @param data,bytes NULL with 0 bytes, and at first: none set
 * @return HALNORM_OK; HALNORM_INVALID_ARGUMENT: a device type that does not exist, NULL data with
 *     bytes */
halnorm_status halnorm_context_set_workspace(halnorm_context *ctx, halnorm_device device,
                                             void *data, size_t bytes);

/** Does now what the first call on the device would do: on the CPU it chooses the target, with the
 * errors of halnorm_context_set_target(); on CUDA it loads all kernels into the current CUDA
 * context, after which a stream may be captured.
 *
 * @param ctx a context
 * @param device a device
 * @return HALNORM_OK; HALNORM_DEVICE_ERROR; HALNORM_UNSUPPORTED: this build has no target for the
 *     device; HALNORM_INVALID_ARGUMENT: a device type that does not exist */
halnorm_status halnorm_context_prepare(halnorm_context *ctx, halnorm_device device);

/** @} */

/** @defgroup diagnosis Targets and diagnosis
 * @{ */

/** The number of targets of this build.
 * @return the number */
int32_t halnorm_target_count(void);

/** The targets of this build, best first.
 * @param i in [0, halnorm_target_count())
 * @return a name; NULL for any other i */
const char *halnorm_target_name(int32_t i);

/** Whether this machine can run a target.
 * @param i in [0, halnorm_target_count())
 * @return 1: it can; 0: it cannot, or any other i */
int32_t halnorm_target_usable(int32_t i);

/** The number of kernels of this build.
 * @return the number */
int32_t halnorm_kernel_count(void);

/** The symbols of the kernels of this build, those of a target in the order of preference:
 * `halnorm_<operation>_<part>_<dtype>[_n<longest row>]__<target>[__<schedule>]`.
 *
 * @param i in [0, halnorm_kernel_count())
 * @return a name; NULL for any other i */
const char *halnorm_kernel_name(int32_t i);

/** The calling thread's last failure, in a sentence. Calls that succeed leave it.
 * @return valid until this thread's next failure; "" if it had none */
const char *halnorm_last_error(void);

/** The symbol of the kernel, schedule included, that the calling thread's last call with a kernel
 * ran. Of a call in stages: the kernel of its last pass over x, or the one that the context prefers
 * if it ran. A layout that has to be packed into scratch first runs the kernels of another one.
 *
 * @return the symbol; "" if there was none */
const char *halnorm_last_kernel(void);

/** Seconds that the calling thread's calls have spent so far on loading kernels for CUDA, which the
 * driver compiles when they are first used in a CUDA context; waiting for another thread that loads
 * the same is included. What it grows by around a call, such as halnorm_context_prepare(), is what
 * first use cost this call.
 * @return seconds; 0 where nothing was loaded */
double halnorm_cuda_load_seconds(void);

/** The version of the library.
 * @return as HALNORM_VERSION has that of the header */
const char *halnorm_version(void);

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* HALNORM_H_ */
