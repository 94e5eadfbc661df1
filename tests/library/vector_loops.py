# SPDX-License-Identifier: Apache-2.0
"""The inner loops of kernels are vector code of the target's width, with their sums in registers.

For each kernel of one target, of its innermost loops:

Sums over dense rows (the parts row, row_ahead, long_row, row_totals_* and row_chunks_*):
- one for each sweep (the knob lane_sweeps) of each pass holds an accumulator for each of its lanes
  of the row tree, as vectors as wide as the target has: packed additions to registers that nothing
  else in the loop writes; one holds those of all sums of the kernel that run together, such as d
  and d^2;
- where the target has registers for it (AVX and up, NEON) no loop that only adds up stores a
  vector to a fixed place on the stack, as it would for a sum that is not in a register;
- with the registers of NEON no hot loop, last passes included, loads what it could keep in one;
- none adds scalars up from step to step;
- a kernel with the knob prefetch prefetches, into all caches;
- totals alone take no vector apart element by element, as LLVM does with halves of 16 lanes;
- the last pass of row, row_ahead and long_row is in vectors of that width too, its tails included;
- scalar arithmetic is found only where it is meant: in the folds and the statistics of a call of
  fewer rows than the kernel takes (additions, or a division for each row), and in f16 without
  hardware conversions in rows shorter than 32 elements (one multiplication of the conversion for
  each tensor, of four elements at a time).

Sums over rows that are neighbours (column_sums_*): the main loop loads a vector of each sum, adds
as many elements to it as the knob elements says while it stays in its register, and stores it. So
does that of row_backward_parameters with both its sums and as many rows as last_rows says.

Last passes (row_apply*, row_backward*, column_apply*, column_backward*): there is a loop that
multiplies vectors and writes results.

In both of these all arithmetic of innermost loops, tails included, is packed and of the target's
width. None of the loops of accumulators, column sums and last passes moves one or two elements
between memory and a vector.

Not looked at: row_fold, parameter and parameter_gradient, whose work is small. A part that this
script does not know fails.

SSE4.1 has 16 registers, and the second pass of an f32 LayerNorm alone 16 accumulators, so that
there additions count wherever on the stack the sums are kept. Look at the code by hand with
  llvm-objdump -d --no-show-raw-insn BUILD/runtime/kernels/SYMBOL.o
and make one kernel anew with the command that `ninja -t commands BUILD/.../SYMBOL.o` prints.
"""
import argparse
import os
import re
from collections import Counter, namedtuple

import aarch64_code
import checks
import disassembly
import x86_code

Width = namedtuple("Width", "register lanes keeps_sums keeps_constants operations")
# keeps_sums: there are registers for all sums that run together; keeps_constants: for all that a
# hot loop reads besides.
WIDTHS = [("avx512", Width("zmm", 16, True, False, x86_code.operations)),
          ("avx", Width("ymm", 8, True, False, x86_code.operations)),
          ("sse41", Width("xmm", 4, False, False, x86_code.operations)),
          ("neon", Width("q", 4, True, True, aarch64_code.operations))]
LANES = 32  # kLanes of generators/norm_math.h
ELEMENTS = LAST_ROWS = 1  # knobs of schedules/knobs.inc where a schedule does not give them


def loops(kernel, width, function):
    """The innermost loops: where each is, and its operations."""
    return [("%s: loop at %x" % (kernel.symbol, loop[0].address), width.operations(function, loop))
            for loop in disassembly.innermost_loops(function)]


def accumulations(loop):
    """The additions to a register that only they write."""
    writes = Counter(one.result for one in loop)
    return [one for one in loop
            if one.arithmetic == "add" and one.result in one.sources and writes[one.result] == 1]


def adds_up_in_memory(loop):
    """True if a scalar sum is kept in one place in memory from step to step."""
    scalar = [one for one in loop if one.width == "scalar" and one.arithmetic in (None, "add")]
    loads = {place for one in scalar for place in one.sources}
    return any(isinstance(one.result, disassembly.Place) and one.result.fixed
               and one.result in loads for one in scalar)


def stores(loop, stack):
    """The stores of vectors to the stack, or elsewhere."""
    return [one for one in loop
            if isinstance(one.result, disassembly.Place) and one.result.stack == stack]


def arithmetic(loop, width):
    """The arithmetic of a loop: on vectors of the width, on narrower ones, on scalars."""
    packed, narrow, scalar = Counter(), Counter(), Counter()
    for one in loop:
        if one.arithmetic:
            kind = scalar if one.width == "scalar" else \
                packed if one.width == width.register else narrow
            kind[one.arithmetic] += 1
    return packed, narrow, scalar


def expect_no_moves_of_few(loop, where):
    for one in loop:
        checks.expect(not one.few, "%s moves few elements: %s" % (where, one.text))


def expect_no_reloads(loop, where):
    """Of what would be in a register in each step, if there were registers for all."""
    for one in loop:
        checks.expect(not any(isinstance(place, disassembly.Place) and place.stack and place.fixed
                              for place in one.sources),
                      "%s has no register for what it reads: %s" % (where, one.text))


TAKES_APART = re.compile(r"v?pextr[dq]$|v?insertps$")
WHOLE_NORMS = ("row", "row_ahead", "long_row")


def text_of(instruction):
    return "%s %s" % (instruction.mnemonic, instruction.operands)


def sums_at_once(kernel):
    """How many sums the pass with the most of them adds up."""
    if kernel.part in WHOLE_NORMS:  # Of d^2, and of d to correct it; of the next rows.
        corrected = kernel.operation == "layer_norm_forward" and kernel.dtype == "f32"
        return 1 + corrected + (kernel.part == "row_ahead")
    return 1 if kernel.part.endswith("_values") else 2


def knob(kernel, name, initial):
    """The value of a knob of the kernel's schedule; the symbol has it where it is not initial."""
    match = re.search(r"_%s(\d+)" % name, kernel.symbol)
    return int(match.group(1)) if match else initial


def check_dense_sums(kernel, width, function):
    sweeps = knob(kernel, "lane_sweeps", 1)
    vectors = LANES // width.lanes // sweeps
    whole_norm, ahead = kernel.part in WHOLE_NORMS, kernel.part == "row_ahead"
    passes = sweeps * (2 if kernel.operation == "layer_norm_forward" and not ahead else 1)
    tensors = 1 if whole_norm and not ahead or kernel.part.endswith(("_values", "_deviations")) else 2
    folds_rows = kernel.rows > 1 and not kernel.part.startswith("row_chunks")
    reductions, most_sums, last_passes = 0, 0, 0
    for where, loop in loops(kernel, width, function):
        packed, narrow, scalar = arithmetic(loop, width)
        results = stores(loop, stack=False)
        sums = len([one for one in accumulations(loop) if one.width == width.register]) \
            if width.keeps_sums else packed["add"]
        if packed["mul"] and results:
            last_passes += 1
        elif sums >= vectors:
            reductions += 1
            most_sums = max(most_sums, sums)
        if sums >= vectors or packed["mul"] and results:
            expect_no_moves_of_few(loop, where)
            if width.keeps_constants:
                expect_no_reloads(loop, where)
        checks.expect(not (narrow["mul"] and results) or narrow["div"] or narrow["sqrt"],
                      "%s writes results in vectors narrower than %s: %s"
                      % (where, width.register, dict(narrow)))
        # One place on the stack, in each step: what moves from step to step is a result.
        if width.keeps_sums and packed["add"] and not results:
            spilled = [one.text for one in stores(loop, stack=True) if one.result.fixed]
            checks.expect(not spilled, "%s: sums are not kept in registers: %s"
                          % (where, ", ".join(spilled)))
        for one in accumulations(loop):
            checks.expect(one.width != "scalar", "%s adds up scalars: %s" % (where, one.text))
        checks.expect(not (scalar["add"] and adds_up_in_memory(loop)),
                      where + " adds up scalars in memory")
        if scalar and not packed:
            converts = kernel.dtype == "f16" and not width.keeps_sums and \
                set(scalar) == {"mul"} and scalar["mul"] <= 4 * tensors
            of_rows = folds_rows and (scalar["div"] or set(scalar) == {"add"})
            checks.expect(converts or of_rows,
                          "%s is scalar arithmetic: %s" % (where, dict(scalar)))
    checks.expect(reductions >= passes,
                  "%s: %d loops add up %d vectors of %s, there are %d passes"
                  % (kernel.symbol, reductions, vectors, width.register, passes))
    wanted = sums_at_once(kernel) * vectors
    checks.expect(most_sums >= wanted, "%s: no loop has its %d accumulators in %s: the most is %d"
                  % (kernel.symbol, wanted, width.register, most_sums))
    # Halide drops a prefetch whose area it takes for empty, with a warning that no build shows. Its
    # own asks for no place beyond the first cache, or says on ARM that the line is not used again.
    if knob(kernel, "prefetch", 0):
        fetched = [text_of(one) for one in function.instructions
                   if disassembly.PREFETCH.match(one.mnemonic)]
        checks.expect(fetched, kernel.symbol + ": has the knob prefetch and no such instruction")
        checks.expect(not any("nta" in text or "strm" in text for text in fetched),
                      "%s does not fetch into all caches: %s" % (kernel.symbol, fetched[:1]))
    if kernel.part.startswith("row_totals_") and width.lanes > 4:
        apart = [text_of(one) for one in function.instructions
                 if TAKES_APART.match(one.mnemonic)]
        checks.expect(not apart, "%s takes vectors apart: %s" % (kernel.symbol, ", ".join(apart[:3])))
    if whole_norm:
        checks.expect(last_passes, "%s: no loop of the last pass is %s code"
                      % (kernel.symbol, width.register))


def vector_loops(kernel, width, function):
    """The innermost loops with arithmetic, each of which has to be vector code throughout."""
    found = []
    for where, loop in loops(kernel, width, function):
        packed, narrow, scalar = arithmetic(loop, width)
        if not packed and not narrow and not scalar:
            continue
        found.append(loop)
        checks.expect(not scalar, "%s has scalar arithmetic: %s" % (where, dict(scalar)))
        checks.expect(not narrow, "%s has vectors narrower than %s: %s"
                      % (where, width.register, dict(narrow)))
        expect_no_moves_of_few(loop, where)
        if width.keeps_constants:
            expect_no_reloads(loop, where)
    return found


def additions_to_loaded(loop, width):
    """For each vector that is stored: how many were added to what its place in memory had held, in
    registers all the while; None if the result is another."""
    held, stored = {}, []  # held: of each register, {address: additions to what was there}

    def value(source):
        if isinstance(source, disassembly.Place):
            return held.get(source, {source.address: 0})
        return held.get(source, {})

    for one in loop:
        if isinstance(one.result, disassembly.Place):
            if not one.result.stack:
                stored.append(value(one.sources[-1]).get(one.result.address))
            elif not width.keeps_sums:
                held[one.result] = value(one.sources[-1])
        elif one.arithmetic == "add" and one.width == width.register:
            held[one.result] = {address: additions + 1 for source in one.sources
                                for address, additions in value(source).items()}
        elif one.result:
            held[one.result] = value(one.sources[0]) if one.copies else {}
    return stored


def check_column_sums(kernel, width, function):
    wanted = [knob(kernel, "elements", ELEMENTS)] * sums_at_once(kernel)
    found = [additions_to_loaded(loop, width) for loop in vector_loops(kernel, width, function)]
    checks.expect(wanted in found,
                  "%s: no loop adds %s vectors of %s to its sums between a load and a store: %s"
                  % (kernel.symbol, wanted, width.register, found))


def check_last_pass(kernel, width, function):
    main = [loop for loop in vector_loops(kernel, width, function)
            if arithmetic(loop, width)[0]["mul"] and stores(loop, stack=False)]
    checks.expect(main, "%s: no loop writes results as %s code" % (kernel.symbol, width.register))


def check_last_pass_with_sums(kernel, width, function):
    check_last_pass(kernel, width, function)
    wanted = knob(kernel, "last_rows", LAST_ROWS)
    most = max([additions_to_loaded(loop, width).count(wanted)
                for loop in vector_loops(kernel, width, function)], default=0)
    checks.expect(most >= 2, "%s: no loop adds %d rows to both sums between a load and a store"
                  % (kernel.symbol, wanted))


def check_dense_sums_and_last_pass(kernel, width, function):
    check_dense_sums(kernel, width, function)
    check_last_pass_with_sums(kernel, width, function)


CHECKS = [(r"row|row_ahead|long_row|row_(totals|chunks)_\w+", check_dense_sums),
          (r"column_sums_\w+", check_column_sums),
          (r"(row|column)_(apply|backward)(_channel)?", check_last_pass),
          (r"row_backward_parameters", check_last_pass_with_sums),
          (r"row_gradients", check_dense_sums_and_last_pass),
          (r"row_fold|parameter(_gradient)?", None)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("objdump", "table", "kernels", "target", "features"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    checks.need(options.objdump, "llvm-objdump", "llvm-19")
    features = options.features.split()
    width = next((width for feature, width in WIDTHS if feature in features), None)
    if width is None:
        print("skipped: this test cannot read the code of " + options.target)
        raise SystemExit(checks.SKIPPED)
    count = 0
    for kernel in checks.kernels(options.table):
        if kernel.target != options.target:
            continue
        check = [check for parts, check in CHECKS if re.fullmatch(parts, kernel.part)]
        if not checks.expect(check, "%s: there is no check of the part %s"
                             % (kernel.symbol, kernel.part)) or not check[0]:
            continue
        path = os.path.join(options.kernels, kernel.symbol + ".o")
        code = [function for function in disassembly.functions(options.objdump, path)
                if function.name == kernel.symbol]
        if checks.expect(code, kernel.symbol + ": no code was found"):
            check[0](kernel, width, code[0])
            count += 1
    checks.expect(count, "no kernel of %s was found" % options.target)
    checks.finish("the loops of %d kernels of %s are %s code"
                  % (count, options.target, width.register))


main()
