# SPDX-License-Identifier: Apache-2.0
"""In no kernel is arithmetic that rounds in another way than the formula, or a call.

A fused multiply-add rounds once where the formula rounds twice, and rcp and rsqrt differ between
processors: each would break the promise of the same bits on every target. Look by hand with
  llvm-objdump -d --no-show-raw-insn BUILD/runtime/kernels/SYMBOL.o
"""
import argparse
import os
import re

import checks
import disassembly

INEXACT = re.compile(r"^(vfn?m(add|sub)|v?rcp|v?rsqrt|"  # x86
                     r"fml[as]|fn?madd|fn?msub|frecpe|frsqrte)")  # aarch64
CALL = re.compile(r"^(call|bl$|blr$)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("objdump", "table", "kernels"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    checks.need(options.objdump, "llvm-objdump", "llvm-19")
    count = 0
    for kernel in checks.kernels(options.table):
        if kernel.target.startswith("cuda_"):
            continue
        path = os.path.join(options.kernels, kernel.symbol + ".o")
        found = {function.name: function.instructions
                 for function in disassembly.functions(options.objdump, path)}
        if not checks.expect(found.get(kernel.symbol), kernel.symbol + ": no code was found"):
            continue
        count += 1
        for name, instructions in found.items():
            for instruction in instructions:
                what = "%s: %s %s at %x" % ((name,) + instruction[1:] + instruction[:1])
                checks.expect(not INEXACT.match(instruction.mnemonic), what)
                # The wrapper that unpacks the arguments calls the kernel, and nothing else does.
                if name != kernel.symbol + "_argv":
                    checks.expect(not CALL.match(instruction.mnemonic), what)
    checks.finish("%d kernels: nothing fused, nothing approximated, no call" % count)


main()
