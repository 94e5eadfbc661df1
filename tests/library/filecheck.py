# SPDX-License-Identifier: Apache-2.0
"""Reads the kernel that a target prefers for LayerNorm rows of f32 with FileCheck.

Repeat by hand:
  llvm-objdump -d --no-show-raw-insn BUILD/runtime/kernels/SYMBOL.o |
    FileCheck --check-prefix=AVX2 tests/library/layer_norm_row_f32.check
"""
import argparse
import os

import checks


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("objdump", "filecheck", "patterns", "table", "kernels", "target"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    checks.need(options.objdump, "llvm-objdump", "llvm-19")
    checks.need(options.filecheck, "FileCheck", "llvm-19-tools")
    prefix = options.target.split("_", 1)[1].upper()
    if "; %s:" % prefix not in checks.read(options.patterns):
        print("skipped: %s has no patterns for %s" % (options.patterns, prefix))
        raise SystemExit(checks.SKIPPED)
    # Without a bound on the bytes: the others are for data beyond the caches.
    chosen = [kernel for kernel in checks.kernels(options.table)
              if kernel[1:5] == ("layer_norm_forward", "row", "f32", options.target)
              and "_bytes" not in kernel.symbol]
    if checks.expect(chosen, "%s has no such kernel" % options.target):
        path = os.path.join(options.kernels, chosen[0].symbol + ".o")
        status, code = checks.run(options.objdump, "-d", "--no-show-raw-insn", path)
        checks.expect(status == 0, code)
        status, output = checks.run(options.filecheck, "--check-prefix=" + prefix,
                                    options.patterns, input=code)
        checks.expect(status == 0, "%s does not match %s:\n%s" % (path, options.patterns, output))
    checks.finish("FileCheck agrees")


main()
