# SPDX-License-Identifier: Apache-2.0
"""No kernel needs a symbol of anyone, nor has a weak one: it runs on firmware as it is.

Look at the same by hand with
  llvm-nm BUILD/runtime/kernels/SYMBOL.o
A kernel that imports halide_error_* was built without no_asserts, halide_malloc is a Func that is
neither bounded nor on the stack, memset or expf a loop that LLVM found to be one.
"""
import argparse
import os

import checks


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("nm", "table", "kernels"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--file", help="the program file, to compare with --format")
    parser.add_argument("--format", help="what it has to say of each object")
    parser.add_argument("--prefix", default="", help="of symbols on that system")
    parser.add_argument("--cuda-imports", nargs="*", default=[],
                        help="what kernels for CUDA may import, and do")
    options = parser.parse_args()
    paths = {}
    for kernel in checks.kernels(options.table):
        path = os.path.join(options.kernels, kernel.symbol + ".o")
        if checks.expect(os.path.exists(path), kernel.symbol + ": there is no object of it"):
            paths[path] = kernel
    if options.file:
        checks.need(options.file, "file", "file")
        for path in sorted(paths):
            _, output = checks.run(options.file, "--brief", path)
            checks.expect(output.startswith(options.format), "%s is '%s', not '%s'"
                          % (path, output.strip(), options.format))
    defined = set()
    for path, name, kind in checks.symbols(options.nm, sorted(paths)):
        symbol = paths[path].symbol
        is_for_cuda = paths[path].target.startswith("cuda_")
        checks.expect(kind != "U" or is_for_cuda and name in options.cuda_imports,
                      "%s imports %s" % (symbol, name))
        checks.expect(kind not in "wWvV", "%s has the weak symbol %s" % (symbol, name))
        if kind == "T":
            checks.expect(name.startswith(options.prefix), "%s exports %s, without '%s'"
                          % (symbol, name, options.prefix))
            name = name[len(options.prefix):]
            defined.add(name)
            checks.expect(name in (symbol, symbol + "_argv", symbol + "_metadata"),
                          "%s exports %s" % (symbol, name))
    for kernel in paths.values():
        checks.expect(kernel.symbol + "_argv" in defined, kernel.symbol + " has no _argv")
    checks.finish("%d kernels import nothing" % len(paths))


main()
