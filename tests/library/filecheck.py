# SPDX-License-Identifier: Apache-2.0
"""Reads a kernel for LayerNorm rows of f32 with FileCheck: one of a schedule of its own, so that
what the tuner prefers does not matter.

Repeat by hand:
  llvm-objdump -d --no-show-raw-insn WORK/halnorm_filecheck.o |
    FileCheck --check-prefix=AVX2 tests/library/layer_norm_row_f32.check
"""
import argparse
import os

import checks

NAME = "halnorm_filecheck"
SCHEDULE = ["rows=32", "first_rows=1", "fold_across=1", "vectors=2"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("objdump", "filecheck", "patterns", "generators", "halide-target", "target",
                 "work"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    checks.need(options.objdump, "llvm-objdump", "llvm-19")
    checks.need(options.filecheck, "FileCheck", "llvm-19-tools")
    prefix = options.target.split("_")[1].upper()
    if "; %s:" % prefix not in checks.read(options.patterns):
        print("skipped: %s has no patterns for %s" % (options.patterns, prefix))
        raise SystemExit(checks.SKIPPED)
    os.makedirs(options.work, exist_ok=True)
    status, output = checks.run(
        options.generators, "-g", "layer_norm_forward", "-f", NAME, "-n", NAME, "-o", options.work,
        "-e", "object", "target=" + options.halide_target, "storage=f32", "tree=one_chunk",
        *SCHEDULE)
    if checks.expect(status == 0, output):
        path = os.path.join(options.work, NAME + ".o")
        status, code = checks.run(options.objdump, "-d", "--no-show-raw-insn", path)
        checks.expect(status == 0, code)
        status, output = checks.run(options.filecheck, "--check-prefix=" + prefix,
                                    options.patterns, input=code)
        checks.expect(status == 0, "%s does not match %s:\n%s" % (path, options.patterns, output))
    checks.finish("FileCheck agrees")


main()
