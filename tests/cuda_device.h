// SPDX-License-Identifier: Apache-2.0
// A CUDA device for tests, through the driver: a GPU's, or the one of tests/ptx/ where
// LD_LIBRARY_PATH finds that first.
#ifndef HALNORM_TESTS_CUDA_DEVICE_H_
#define HALNORM_TESTS_CUDA_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "runtime/cuda_driver.h"

namespace halnorm_test {

// The process's, with a context that is current in the thread that asks first. Aborts with the
// driver's message where there is none.
class CudaDevice {
 public:
  static CudaDevice &get();
  // Empty where there is a device.
  static std::string why_none();

  uint64_t allocate(size_t bytes);
  void free(uint64_t address);
  void upload(uint64_t to, const void *from, size_t bytes);
  void download(void *to, uint64_t from, size_t bytes);
  void make_current();
  void *symbol(const char *name) const;  // null where the library does not have it

 private:
  CudaDevice();

  void *library_ = nullptr;
  std::string why_none_;
  CUcontext context_ = nullptr;
};

// Bytes of the device, freed at the end.
class DeviceMemory {
 public:
  explicit DeviceMemory(size_t bytes) : address_(CudaDevice::get().allocate(bytes)) {}
  ~DeviceMemory() { CudaDevice::get().free(address_); }
  DeviceMemory(const DeviceMemory &) = delete;
  DeviceMemory &operator=(const DeviceMemory &) = delete;

  uint64_t address() const { return address_; }
  void *data() const { return reinterpret_cast<void *>(address_); }

 private:
  uint64_t address_;
};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_CUDA_DEVICE_H_
