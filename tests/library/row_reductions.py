# SPDX-License-Identifier: Apache-2.0
"""The reductions over rows are vector code of the target's width, with their sums in registers.

For each kernel of the parts row, long_row and moments of one x86 target, of its innermost loops:
- one for each pass holds an accumulator for each of the 32 lanes of the row tree, as vectors as
  wide as the target has: packed additions to registers that nothing else in the loop writes;
- where the target has registers for it (AVX and up) no loop that only adds up stores a vector to a
  fixed place on the stack, as it would for a sum that is not in a register;
- none adds scalars up from step to step;
- a kernel with the knob prefetch prefetches;
- the last pass is such a vector loop too, and scalar arithmetic is found only where it is meant:
  in the folds and the statistics of a call of fewer rows than the kernel takes (additions, or
  a division for each row), and in f16 without hardware conversions in rows shorter than 32
  elements (one multiplication of the conversion).

SSE4.1 has 16 registers, and the second pass of an f32 LayerNorm alone 16 accumulators, so that
there the additions are counted wherever the sums are kept. Look at the code by hand with
  llvm-objdump -d --no-show-raw-insn BUILD/runtime/kernels/SYMBOL.o
and make one kernel anew with the command that `ninja -t commands BUILD/.../SYMBOL.o` prints.
"""
import argparse
import os
import re
from collections import Counter, namedtuple

import checks
import disassembly

Width = namedtuple("Width", "register lanes keeps_sums")
WIDTHS = [("avx512", Width("zmm", 16, True)), ("avx", Width("ymm", 8, True)),
          ("sse41", Width("xmm", 4, False))]
LANES = 32  # kLanes of generators/norm_math.h

ARITHMETIC = re.compile(r"^v?(h?add|h?sub|mul|div|sqrt|max|min)([ps])[sd]$")
VECTOR_MOVE = re.compile(r"^v?(mov|pmov|cvtps2ph|extract)")


def operands(instruction):
    """Split at the commas that are not within an address; opmasks left out."""
    parts = re.split(r",\s*(?![^(]*\))", instruction.operands)
    return [re.sub(r"\s*\{.*?\}", "", part).strip() for part in parts]


def written(instruction):
    """The vector register that an instruction writes, as its number, or None."""
    if re.match(r"cmp[bwlq]?$|v?p?test|v?u?comis", instruction.mnemonic):
        return None
    match = re.match(r"%[xyz]mm(\d+)$", operands(instruction)[-1])
    return match and match.group(1)


def accumulations(loop, kind):
    """The additions of a kind (p: packed, s: scalar) to a register that only they write."""
    writes = Counter(written(instruction) for instruction in loop)
    found = []
    for instruction in loop:
        match = ARITHMETIC.match(instruction.mnemonic)
        if not match or match.group(1) != "add" or match.group(2) != kind:
            continue
        *sources, result = operands(instruction)
        if len(sources) == 1:
            sources.append(result)  # SSE adds to its second operand
        if result in sources and writes[written(instruction)] == 1:
            found.append(instruction)
    return found


def adds_up_in_memory(loop):
    """True if a scalar sum is kept in one place in memory from step to step."""
    loads, stores = set(), set()
    changing = {part.lstrip("%") for instruction in loop for part in operands(instruction)[-1:]
                if re.match(r"%r[a-z0-9]+$", part)}
    for instruction in loop:
        if not re.match(r"^v?(movs[sd]|adds[sd])$", instruction.mnemonic):
            continue
        *sources, result = operands(instruction)
        loads.update(part for part in sources if "(" in part)
        if "(" in result:
            stores.add(result)
    return any(not changing & set(re.findall(r"%(\w+)", place)) for place in loads & stores)


def vector_stores(loop, where):
    """The stores of vectors to addresses that a pattern matches."""
    return [instruction for instruction in loop
            if VECTOR_MOVE.match(instruction.mnemonic)
            and re.search(where, operands(instruction)[-1])
            and any(re.match(r"%[xyz]mm", part) for part in operands(instruction)[:-1])]


def check_kernel(kernel, width, function):
    loops = disassembly.innermost_loops(function)
    vectors = LANES // width.lanes
    passes = 2 if kernel.operation == "layer_norm_forward" else 1
    # The sum of d beside that of d^2.
    corrected = kernel.part == "moments" or (passes == 2 and kernel.dtype == "f32")
    reductions, most_sums, last_passes = 0, 0, 0
    for loop in loops:
        where = "%s: loop at %x" % (kernel.symbol, loop[0].address)
        packed, scalar = Counter(), Counter()
        for instruction in loop:
            match = ARITHMETIC.match(instruction.mnemonic)
            if match and match.group(2) == "s":
                scalar[match.group(1)] += 1
            elif match and width.register in instruction.operands:
                packed[match.group(1)] += 1
        sums = [one for one in accumulations(loop, "p") if width.register in one.operands]
        enough = vectors if width.keeps_sums else 0
        if packed["mul"] and vector_stores(loop, r"\((?!%rsp)"):
            last_passes += 1
        elif len(sums) >= enough and packed["add"] >= vectors:
            reductions += 1
            most_sums = max(most_sums, len(sums))
        # One place on the stack, in each step: what moves from step to step is a result.
        if width.keeps_sums and packed["add"] and not vector_stores(loop, r"\((?!%rsp)"):
            for store in vector_stores(loop, r"\(%rsp\)"):
                checks.expect(False, "%s: a sum is not kept in a register: %s %s"
                              % ((where,) + store[1:]))
        for one in accumulations(loop, "s"):
            checks.expect(False, "%s adds up scalars: %s %s" % ((where,) + one[1:]))
        checks.expect(not (scalar["add"] and adds_up_in_memory(loop)),
                      where + " adds up scalars in memory")
        if scalar and not packed:
            converts = kernel.dtype == "f16" and not width.keeps_sums and \
                scalar == Counter(mul=1)
            of_rows = kernel.rows > 1 and (scalar["div"] or set(scalar) == {"add"})
            checks.expect(converts or of_rows,
                          "%s is scalar arithmetic: %s" % (where, dict(scalar)))
    checks.expect(reductions >= passes,
                  "%s: %d loops add up %d vectors of %s, there are %d passes"
                  % (kernel.symbol, reductions, vectors, width.register, passes))
    if corrected and width.keeps_sums:
        checks.expect(most_sums >= 2 * vectors,
                      "%s: no loop keeps the sums of d and d^2 in %d registers: the most is %d"
                      % (kernel.symbol, 2 * vectors, most_sums))
    # Halide drops a prefetch whose area it takes for empty, with a warning that no build shows.
    if re.search(r"_prefetch(_true|[1-9])", kernel.symbol):
        checks.expect(any(one.mnemonic.startswith("prefetch") for one in function.instructions),
                      kernel.symbol + ": has the knob prefetch and no prefetch instruction")
    if kernel.part != "moments":
        checks.expect(last_passes, "%s: no loop of the last pass is %s code"
                      % (kernel.symbol, width.register))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("objdump", "table", "kernels", "target", "features"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    checks.need(options.objdump, "llvm-objdump", "llvm-19")
    features = options.features.split()
    width = next((width for feature, width in WIDTHS if feature in features), None)
    if width is None:
        print("skipped: this test reads x86 code only, not that of " + options.target)
        raise SystemExit(checks.SKIPPED)
    count = 0
    for kernel in checks.kernels(options.table):
        if kernel.target != options.target or kernel.part not in ("row", "long_row", "moments"):
            continue
        path = os.path.join(options.kernels, kernel.symbol + ".o")
        code = [function for function in disassembly.functions(options.objdump, path)
                if function.name == kernel.symbol]
        if checks.expect(code, kernel.symbol + ": no code was found"):
            check_kernel(kernel, width, code[0])
            count += 1
    checks.expect(count, "no kernel of %s was found" % options.target)
    checks.finish("%d kernels of %s add up in %s" % (count, options.target, width.register))


main()
