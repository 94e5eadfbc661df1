# SPDX-License-Identifier: Apache-2.0
"""How cmake/HalnormKernels.cmake reads schedules/targets.txt and the .sched files: every row that
it takes, and how it refuses the others."""
import argparse
import os
import re

import checks

HEADER = "# x.sched: halnorm schedules 1\n\n"

# A row, and "operation part dtype longest fewest_bytes|knobs|launch".
GOOD = [
    ("layer_norm_forward row f32 : rows=8 : # by hand", "layer_norm_forward row f32  |rows=8|"),
    ("* * * : : # the default", "* * *  ||"),
    ("rms_norm_forward  long_row  bf16  n<=8192  bytes>=1024  : rows=1   prefetch=1 : stream=1  # x",
     "rms_norm_forward long_row bf16 8192 1024|rows=1   prefetch=1|stream=1"),
    ("* row * n<=64 : rows=4 fold_across=1 :  # 1.92x, EPYC 7763, Halide 21.0.0, 2026-11-23",
     "* row * 64 |rows=4 fold_across=1|"),
    ("* row f16 bytes>=25165824:rows=1:stream=1# no blanks", "* row f16  25165824|rows=1|stream=1"),
    ("* row f16 : : # a; b", "* row f16  ||"),
]

BAD = [
    ("an unknown field", "* row * m<=3 : rows=1 : # x"),
    ("a field too few", "* row : rows=1 : # x"),
    ("no provenance", "* row * : rows=1 :"),
    ("an empty provenance", "* row * : rows=1 : #"),
    ("a missing colon", "* row * : rows=1 # x"),
    ("no colon at all", "* row * rows=1 # x"),
    ("a colon too many", "* row * : rows=1 : stream : # x"),
    ("a bound without a number", "* row * n<= : rows=1 : # x"),
    ("a bound that is no number", "* row * n<=many : rows=1 : # x"),
    ("a negative bound", "* row * n<=-1 : rows=1 : # x"),
    ("another comparison", "* row * n<64 : rows=1 : # x"),
    ("bytes from above", "* row * bytes<=64 : rows=1 : # x"),
    ("bounds in another order", "* row * bytes>=64 n<=64 : rows=1 : # x"),
    ("a capital letter", "* Row * : rows=1 : # x"),
    ("a knob with a sign", "* row * : rows=-1 : # x"),
]

TARGETS = "best | x86-64-linux-avx2 | avx2 avx | base\nbase | x86-64-linux |  sse41  |\n"


class Probe:
    def __init__(self, options):
        self.options = options
        self.here = os.path.dirname(os.path.abspath(__file__))

    def write(self, name, text):
        path = os.path.join(self.options.work, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def call(self, call, **variables):
        defines = ["-D%s=%s" % item for item in variables.items()]
        return checks.run(self.options.cmake, "-DMODULE=" + self.options.module, "-DCALL=" + call,
                          *defines, "-P", os.path.join(self.here, "schedules_probe.cmake"))

    def kernel(self, target, operation="layer_norm_forward", part="row", dtype="f32"):
        return self.call("kernel", DIRECTORY=self.options.work, TARGET=target, OPERATION=operation,
                         PART=part, DTYPE=dtype)


def one_line(text):
    """CMake breaks the lines of its messages."""
    return re.sub(r"\s+", " ", text)


def check_rows(probe):
    path = probe.write("good.sched", HEADER + "".join(row + "\n" for row, _ in GOOD))
    status, output = probe.call("read", FILE=path)
    checks.expect(status == 0, "good rows are refused: " + output)
    found = output.splitlines()
    checks.expect(len(found) == len(GOOD), "%d good rows became %d" % (len(GOOD), len(found)))
    for (row, expected), actual in zip(GOOD, found):
        checks.expect(actual.strip() == expected.strip(),
                      "'%s' became '%s', not '%s'" % (row, actual, expected))
    for what, row in BAD:
        path = probe.write("bad.sched", HEADER + GOOD[0][0] + "\n" + row + "\n" + GOOD[1][0] + "\n")
        status, output = probe.call("read", FILE=path)
        if not checks.expect(status != 0, "%s is taken: '%s'" % (what, row)):
            continue
        for part in ("bad.sched:4:", "'%s'" % row, "'make tune'"):
            checks.expect(one_line(part) in one_line(output),
                          "%s: the message does not say %s: %s" % (what, part, output))


def check_provenance(probe):
    path = probe.write("provenance.sched", HEADER + "* row f32 : rows=2 : # by hand, as the default\n"
                       "* row * : rows=3 :# the default\n* * * : rows=4 :  # the default: last\n")
    status, output = probe.call("read", FILE=path, PROVENANCE="the default")
    checks.expect(status == 0, "rows by provenance are refused: " + output)
    expected = ["* row *  |rows=3|", "* * *  |rows=4|"]
    checks.expect(output.splitlines() == expected, "rows of the provenance 'the default' are %s, not %s"
                  % (output.splitlines(), expected))


def check_targets(probe):
    path = probe.write("targets.txt", "# a comment\n" + TARGETS)
    status, output = probe.call("targets", FILE=path)
    checks.expect(status == 0, "good targets are refused: " + output)
    expected = ["best|x86-64-linux-avx2|avx2 avx|base", "base|x86-64-linux|sse41|"]
    checks.expect(output.splitlines() == expected, "targets became %s, not %s"
                  % (output.splitlines(), expected))
    for row in ("best | x86-64-linux | avx2", "best x86-64-linux | avx2 |", "Best | x | avx2 |"):
        path = probe.write("bad_targets.txt", row + "\n")
        status, output = probe.call("targets", FILE=path)
        checks.expect(status != 0, "the target '%s' is taken" % row)
        for part in ("bad_targets.txt", row):
            checks.expect(part in one_line(output), "the message on '%s' does not say %s: %s"
                          % (row, part, output))


def check_choice(probe):
    probe.write("targets.txt", TARGETS)

    def expect_knobs(expected, what, *kernel):
        status, output = probe.kernel(*kernel)
        checks.expect(status == 0, "%s: refused: %s" % (what, output))
        knobs = [line.split("|")[1] for line in output.splitlines() if "|" in line]
        checks.expect(knobs == expected, "%s: chosen are %s, not %s" % (what, knobs, expected))

    default = "* * * : rows=1 : # the default\n"
    probe.write("best.sched", HEADER + "* row f32 : rows=2 : # a\n* row * : rows=3 : # b\n")
    probe.write("base.sched", HEADER + "* row f32 : rows=4 : # c\n" + default)
    expect_knobs(["rows=2"], "the first row that matches wins", "best")
    expect_knobs(["rows=3"], "a row of the target precedes its parent's", "best", "x", "row", "f16")
    expect_knobs(["rows=1"], "the parent serves what the target does not", "best", "x", "columns")
    expect_knobs(["rows=4"], "the parent does not see its child's rows", "base")
    probe.write("best.sched", HEADER + "* row * n<=64 : rows=5 : # a\n"
                "rms_norm_forward row * : rows=6 : # b\n* row * bytes>=9 : rows=7 : # c\n")
    expect_knobs(["rows=5", "rows=7", "rows=4"],
                 "rows with a bound are all kept, up to the first without", "best")
    expect_knobs(["rows=5", "rows=6"], "no row follows one without a bound", "best",
                 "rms_norm_forward")
    probe.write("best.sched", HEADER + "* row f32 bytes>=9 : rows=5 : # a\n"
                "* row * bytes>=9 : rows=6 : # b\n* row * : rows=7 : # c\n")
    expect_knobs(["rows=5", "rows=7"], "no row follows one of its bounds", "best")

    probe.write("base.sched", HEADER + "* row * : rows=4 : # c\n")
    for target in ("best", "base"):
        status, output = probe.kernel(target, "layer_norm_forward", "columns")
        checks.expect(status != 0, "%s: columns have no default and are taken" % target)
        for part in ("layer_norm_forward columns f32", "'* * *'"):
            checks.expect(part in one_line(output),
                          "without a default the message does not say %s: %s" % (part, output))
    probe.write("base.sched", HEADER + "* row f32 n<=64 : rows=4 : # c\n")
    probe.write("best.sched", HEADER)
    checks.expect(probe.kernel("best")[0] != 0, "a bounded row passes for a default")
    os.remove(os.path.join(probe.options.work, "base.sched"))
    status, output = probe.kernel("best")
    checks.expect(status != 0 and "base.sched" in output,
                  "a target without its file is not refused by its name: " + output)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("cmake", "module", "work"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    probe = Probe(options)
    check_rows(probe)
    check_provenance(probe)
    check_targets(probe)
    check_choice(probe)
    checks.finish("%d good rows, %d malformed ones" % (len(GOOD), len(BAD)))


main()
