// SPDX-License-Identifier: Apache-2.0
// halnorm_tensor has the layout of DLPack's DLTensor: proved against the real header.
#include "test_util.h"

#if HALNORM_HAVE_DLPACK
#include <dlpack/dlpack.h>

#include <cstddef>
#include <type_traits>
#endif

namespace {

#if HALNORM_HAVE_DLPACK

#define EXPECT_SAME_MEMBER(ours, theirs, member)                        \
  do {                                                                  \
    EXPECT_EQ(offsetof(ours, member), offsetof(theirs, member));        \
    EXPECT_EQ(sizeof(ours::member), sizeof(theirs::member)) << #member; \
  } while (false)

TEST(DLPack, LayoutIsTheSame) {
  EXPECT_EQ(sizeof(halnorm_device), sizeof(DLDevice));
  EXPECT_EQ(alignof(halnorm_device), alignof(DLDevice));
  EXPECT_SAME_MEMBER(halnorm_device, DLDevice, device_type);
  EXPECT_SAME_MEMBER(halnorm_device, DLDevice, device_id);

  EXPECT_EQ(sizeof(halnorm_dtype), sizeof(DLDataType));
  EXPECT_EQ(alignof(halnorm_dtype), alignof(DLDataType));
  EXPECT_SAME_MEMBER(halnorm_dtype, DLDataType, code);
  EXPECT_SAME_MEMBER(halnorm_dtype, DLDataType, bits);
  EXPECT_SAME_MEMBER(halnorm_dtype, DLDataType, lanes);

  EXPECT_EQ(sizeof(halnorm_tensor), sizeof(DLTensor));
  EXPECT_EQ(alignof(halnorm_tensor), alignof(DLTensor));
  EXPECT_SAME_MEMBER(halnorm_tensor, DLTensor, data);
  EXPECT_SAME_MEMBER(halnorm_tensor, DLTensor, device);
  EXPECT_SAME_MEMBER(halnorm_tensor, DLTensor, ndim);
  EXPECT_SAME_MEMBER(halnorm_tensor, DLTensor, dtype);
  EXPECT_SAME_MEMBER(halnorm_tensor, DLTensor, shape);
  EXPECT_SAME_MEMBER(halnorm_tensor, DLTensor, strides);
  EXPECT_SAME_MEMBER(halnorm_tensor, DLTensor, byte_offset);
}

TEST(DLPack, NumbersAreTheSame) {
  const halnorm_dtype f32 = HALNORM_F32, f16 = HALNORM_F16, bf16 = HALNORM_BF16;
  EXPECT_EQ(int{f32.code}, static_cast<int>(kDLFloat));
  EXPECT_EQ(int{f16.code}, static_cast<int>(kDLFloat));
  EXPECT_EQ(int{bf16.code}, static_cast<int>(kDLBfloat));
  EXPECT_EQ(static_cast<int>(HALNORM_CPU), static_cast<int>(kDLCPU));
  EXPECT_EQ(static_cast<int>(HALNORM_CUDA), static_cast<int>(kDLCUDA));
}

TEST(DLPack, TensorIsTakenAsItIs) {
  float x[] = {1, 3}, y[] = {0, 0};
  int64_t shape[] = {1, 2};
  DLTensor from = {};
  from.data = x;
  from.device = {kDLCPU, 0};
  from.ndim = 2;
  from.dtype = {kDLFloat, 32, 1};
  from.shape = shape;
  DLTensor to = from;
  to.data = y;
  ASSERT_EQ(halnorm_layer_norm(nullptr, reinterpret_cast<halnorm_tensor *>(&from), nullptr, nullptr,
                               -1, 0, reinterpret_cast<halnorm_tensor *>(&to), nullptr, nullptr, 0),
            HALNORM_OK)
      << halnorm_last_error();
  EXPECT_EQ(y[0], -1.0f);
  EXPECT_EQ(y[1], 1.0f);
}

#else

TEST(DLPack, LayoutIsTheSame) {
  GTEST_SKIP() << "dlpack/dlpack.h was not found when this build was configured; Debian has it in "
                  "libdlpack-dev";
}

#endif

}  // namespace
