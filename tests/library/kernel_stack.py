# SPDX-License-Identifier: Apache-2.0
"""The stack that kernels take is bounded, and docs/generate.md says by what: firmware has little.
Look by hand with
  llvm-objdump -d --no-show-raw-insn BUILD/runtime/kernels/SYMBOL.o
"""
import argparse
import os
import re

import checks

# What makes room for a frame; on x86 and on aarch64.
ROOM = re.compile(r"\tsubq?\s+(?:\$(\w+), %rsp|sp, sp, #(\w+)(, lsl #12)?)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("objdump", "table", "kernels", "document"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    checks.need(options.objdump, "llvm-objdump", "llvm-19")
    said = re.search(r"up to\s+(\d+) KB of it in a kernel", checks.read(options.document))
    if not checks.expect(said, options.document + " does not say how much stack a kernel takes"):
        checks.finish("")
    largest = 0
    for kernel in checks.kernels(options.table):
        if kernel.target.startswith("cuda_"):
            continue
        path = os.path.join(options.kernels, kernel.symbol + ".o")
        status, code = checks.run(options.objdump, "-d", "--no-show-raw-insn", path)
        checks.expect(status == 0, path + ": " + code[:200])
        stack = sum(int(x86 or aarch64, 0) << (12 if shifted else 0)
                    for x86, aarch64, shifted in ROOM.findall(code))
        checks.expect(stack <= int(said.group(1)) << 10,
                      "%s takes %d bytes of stack" % (kernel.symbol, stack))
        largest = max(largest, stack)
    checks.expect(largest > 0, "no kernel takes any stack: is '%s' how code makes room?"
                  % ROOM.pattern)
    checks.finish("%d bytes at most" % largest)


main()
