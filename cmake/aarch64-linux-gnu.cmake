# SPDX-License-Identifier: Apache-2.0
# Toolchain file for 64-bit ARM under Linux: Debian's g++-aarch64-linux-gnu, and qemu-user to run
# what it makes. The environment variable QEMU_CPU says which processor, as cortex-a53.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
