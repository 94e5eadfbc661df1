# SPDX-License-Identifier: Apache-2.0
"""The inner loops of kernels are vector code of the target's width, with their sums in registers.

For each kernel of one x86 target, of its innermost loops:

Sums over dense rows (the parts row, long_row, row_totals_* and row_chunks_*):
- one for each pass holds an accumulator for each of the 32 lanes of the row tree, as vectors as
  wide as the target has: packed additions to registers that nothing else in the loop writes; one
  holds those of all sums of the kernel that run together, such as d and d^2;
- where the target has registers for it (AVX and up) no loop that only adds up stores a vector to a
  fixed place on the stack, as it would for a sum that is not in a register;
- none adds scalars up from step to step;
- a kernel with the knob prefetch prefetches;
- the last pass of row and long_row is in vectors of that width too, its tails included;
- scalar arithmetic is found only where it is meant: in the folds and the statistics of a call of
  fewer rows than the kernel takes (additions, or a division for each row), and in f16 without
  hardware conversions in rows shorter than 32 elements (one multiplication of the conversion for
  each tensor, of four elements at a time).

Sums over rows that are neighbours (column_sums_*): the main loop loads a vector of each sum, adds
as many elements to it as the knob elements says while it stays in its register, and stores it.

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

import checks
import disassembly

Width = namedtuple("Width", "register lanes keeps_sums")
WIDTHS = [("avx512", Width("zmm", 16, True)), ("avx", Width("ymm", 8, True)),
          ("sse41", Width("xmm", 4, False))]
LANES = 32  # kLanes of generators/norm_math.h
ELEMENTS = 1  # the knob elements of schedules/cpu.h where a schedule does not give it

ARITHMETIC = re.compile(r"^v?(h?add|h?sub|mul|div|sqrt|max|min)([ps])[sd]$")
VECTOR_MOVE = re.compile(r"^v?(mov|pmov|cvtps2ph|extract)")
WHOLE_MOVE = re.compile(r"^v?mov([au]p|dq)")
# One or two elements between memory and a vector. movss also loads what is to be broadcast, and
# movq four elements of 16 bits.
FEW_ELEMENTS = re.compile(r"^v?(movs[sd]|movd|mov[lh]p[sd]|p(insr|extr)[bwdq]|(insert|extract)ps|"
                          r"p?gather[dq](d|q|ps|pd))$")
STACK, ELSEWHERE = r"\(%rsp\)", r"\((?!%rsp)"


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


def arithmetic(loop, width):
    """The operations of a loop: on vectors of the width, on narrower ones, on scalars."""
    packed, narrow, scalar = Counter(), Counter(), Counter()
    for instruction in loop:
        match = ARITHMETIC.match(instruction.mnemonic)
        if match:
            kind = scalar if match.group(2) == "s" else \
                packed if width.register in instruction.operands else narrow
            kind[match.group(1)] += 1
    return packed, narrow, scalar


def expect_no_moves_of_few(loop, where):
    for one in loop:
        broadcast = one.mnemonic.endswith("movss") and "(" in operands(one)[0]
        checks.expect(not FEW_ELEMENTS.match(one.mnemonic) or "(" not in one.operands or broadcast,
                      "%s moves few elements: %s %s" % ((where,) + one[1:]))


def sums_at_once(kernel):
    """How many sums the pass with the most of them adds up."""
    if kernel.part in ("row", "long_row"):  # Of d^2, and of d to correct it.
        return 2 if kernel.operation == "layer_norm_forward" and kernel.dtype == "f32" else 1
    return 1 if kernel.part.endswith("_values") else 2


def check_dense_sums(kernel, width, function):
    vectors = LANES // width.lanes
    whole_norm = kernel.part in ("row", "long_row")
    passes = 2 if kernel.operation == "layer_norm_forward" else 1
    tensors = 1 if whole_norm or kernel.part.endswith(("_values", "_deviations")) else 2
    folds_rows = kernel.rows > 1 and not kernel.part.startswith("row_chunks")
    reductions, most_sums, last_passes = 0, 0, 0
    for loop in disassembly.innermost_loops(function):
        where = "%s: loop at %x" % (kernel.symbol, loop[0].address)
        packed, narrow, scalar = arithmetic(loop, width)
        results = vector_stores(loop, ELSEWHERE)
        sums = len([one for one in accumulations(loop, "p") if width.register in one.operands]) \
            if width.keeps_sums else packed["add"]
        if packed["mul"] and results:
            last_passes += 1
        elif sums >= vectors:
            reductions += 1
            most_sums = max(most_sums, sums)
        if sums >= vectors or packed["mul"] and results:
            expect_no_moves_of_few(loop, where)
        checks.expect(not (narrow["mul"] and results) or narrow["div"] or narrow["sqrt"],
                      "%s writes results in vectors narrower than %s: %s"
                      % (where, width.register, dict(narrow)))
        # One place on the stack, in each step: what moves from step to step is a result.
        if width.keeps_sums and packed["add"] and not results:
            spilled = vector_stores(loop, STACK)
            checks.expect(not spilled, "%s: sums are not kept in registers: %s"
                          % (where, ", ".join("%s %s" % one[1:] for one in spilled)))
        for one in accumulations(loop, "s"):
            checks.expect(False, "%s adds up scalars: %s %s" % ((where,) + one[1:]))
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
    # Halide drops a prefetch whose area it takes for empty, with a warning that no build shows.
    if re.search(r"_prefetch(_true|[1-9])", kernel.symbol):
        checks.expect(any(one.mnemonic.startswith("prefetch") for one in function.instructions),
                      kernel.symbol + ": has the knob prefetch and no prefetch instruction")
    if whole_norm:
        checks.expect(last_passes, "%s: no loop of the last pass is %s code"
                      % (kernel.symbol, width.register))


def vector_loops(kernel, width, function):
    """The innermost loops with arithmetic, each of which has to be vector code throughout."""
    found = []
    for loop in disassembly.innermost_loops(function):
        where = "%s: loop at %x" % (kernel.symbol, loop[0].address)
        packed, narrow, scalar = arithmetic(loop, width)
        if not packed and not narrow and not scalar:
            continue
        found.append(loop)
        checks.expect(not scalar, "%s has scalar arithmetic: %s" % (where, dict(scalar)))
        checks.expect(not narrow, "%s has vectors narrower than %s: %s"
                      % (where, width.register, dict(narrow)))
        expect_no_moves_of_few(loop, where)
    return found


def additions_to_loaded(loop, width):
    """For each vector that is stored: how many were added to what its place in memory had held, in
    registers all the while; None if the result is another."""
    held, stored = {}, []  # held: of each register, {place in memory: additions to what was there}

    def value(operand):
        if "(" in operand:
            return held.get(operand, {operand: 0})
        return held.get(operand.lstrip("%xyzm"), {})

    for instruction in loop:
        *sources, result = operands(instruction)
        if vector_stores([instruction], ELSEWHERE):
            stored.append(value(sources[-1]).get(result))
        elif vector_stores([instruction], STACK) and not width.keeps_sums:
            held[result] = value(sources[-1])
        register = written(instruction)
        if not register:
            continue
        if re.match(r"^v?addps$", instruction.mnemonic) and width.register in instruction.operands:
            terms = sources if len(sources) == 2 else sources + [result]
            held[register] = {place: additions + 1 for term in terms
                              for place, additions in value(term).items()}
        else:
            held[register] = value(sources[0]) if WHOLE_MOVE.match(instruction.mnemonic) else {}
    return stored


def check_column_sums(kernel, width, function):
    knob = re.search(r"_elements(\d+)", kernel.symbol)
    wanted = [int(knob.group(1)) if knob else ELEMENTS] * sums_at_once(kernel)
    found = [additions_to_loaded(loop, width) for loop in vector_loops(kernel, width, function)]
    checks.expect(wanted in found,
                  "%s: no loop adds %s vectors of %s to its sums between a load and a store: %s"
                  % (kernel.symbol, wanted, width.register, found))


def check_last_pass(kernel, width, function):
    main = [loop for loop in vector_loops(kernel, width, function)
            if arithmetic(loop, width)[0]["mul"] and vector_stores(loop, ELSEWHERE)]
    checks.expect(main, "%s: no loop writes results as %s code" % (kernel.symbol, width.register))


CHECKS = [(r"row|long_row|row_(totals|chunks)_\w+", check_dense_sums),
          (r"column_sums_\w+", check_column_sums),
          (r"(row|column)_(apply|backward)(_channel)?", check_last_pass),
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
        print("skipped: this test reads x86 code only, not that of " + options.target)
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
