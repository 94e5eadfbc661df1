# SPDX-License-Identifier: Apache-2.0
"""Every instruction of an ARM kernel exists where there are the features of its target and no more.

It matters for arm_neon: Halide has the f16 conversions of every ARMv8-A under one name with
half-precision arithmetic, which came with ARMv8.2-A. Look by hand with
  llvm-objdump -d --mcpu=generic BUILD/runtime/kernels/SYMBOL.o
which prints <unknown> for what a first ARMv8-A lacks.
"""
import argparse
import os

import checks
import disassembly

# A feature of runtime/cpu_features.h as LLVM spells it.
LLVM_FEATURES = {"neon": "+neon", "fp16": "+fullfp16"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("objdump", "table", "kernels", "target", "features"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    checks.need(options.objdump, "llvm-objdump", "llvm-19")
    attributes = ",".join(LLVM_FEATURES[feature] for feature in options.features.split())
    count = 0
    for kernel in checks.kernels(options.table):
        if kernel.target != options.target:
            continue
        path = os.path.join(options.kernels, kernel.symbol + ".o")
        for function in disassembly.functions(options.objdump, path, "--mcpu=generic",
                                              "--mattr=" + attributes):
            for instruction in function.instructions:
                checks.expect(instruction.mnemonic != "<unknown>",
                              "%s: no instruction of %s at %x"
                              % (function.name, options.target, instruction.address))
        count += 1
    checks.expect(count, "no kernel of %s was found" % options.target)
    checks.finish("%d kernels need nothing but %s" % (count, options.features))


main()
