# SPDX-License-Identifier: Apache-2.0
"""What the build refuses of schedules beyond their form, with a message that names it: targets that
do not exist when it is configured, and knobs that do not exist or are not legal for a kernel."""
import argparse
import os
import shutil

import checks

TARGET = "target=x86-64-linux-sse41-strict_float-no_asserts-no_bounds_query-no_runtime"

# Parameters of a generator, and what the message has to say.
KNOBS = [
    ("layer_norm_forward", ["rows=8", "first_rowz=2"], ["layer_norm_forward", "first_rowz"]),
    ("apply", ["bogus=1"], ["apply", "bogus"]),
    ("layer_norm_forward", ["rows=12", "first_rows=8"], ["rows=12", "8", "first_rows"]),
    ("layer_norm_forward", ["rows=9", "first_rows=1", "later_rows=2"], ["rows=9", "later_rows"]),
    ("apply", ["rows=6", "last_rows=4"], ["rows=6", "4", "last_rows"]),
    ("layer_norm_forward", ["rows=many"], ["many"]),
    ("layer_norm_forward", ["storage=f64"], ["f64"]),
    ("row_totals", ["rows=30", "first_rows=4"], ["rows=30", "4", "first_rows"]),
    ("column_sums", ["elements=few"], ["few"]),
]


def check_knobs(options):
    for generator, parameters, words in KNOBS:
        what = "%s %s" % (generator, " ".join(parameters))
        status, output = checks.run(options.generators, "-g", generator, "-f", "refused", "-n",
                                    "refused", "-o", options.work, "-e", "object", TARGET,
                                    *parameters)
        checks.expect(status != 0, what + " is built")
        for word in words:
            checks.expect(word in output, "%s: the message does not say '%s': %s"
                          % (what, word, output))
    # The same command with knobs as they should be: none of the above failed for another reason.
    for generator in sorted({generator for generator, _, _ in KNOBS}):
        status, output = checks.run(options.generators, "-g", generator, "-f", "taken", "-n",
                                    "taken", "-o", options.work, "-e", "object", TARGET,
                                    "rows=8", "first_rows=2")
        checks.expect(status == 0, "%s rows=8 first_rows=2 is refused: %s" % (generator, output))


def configure(options, what, names, **defines):
    """Configures the repository with other schedules; the message must say all of the names."""
    build = os.path.join(options.work, "configure")
    shutil.rmtree(build, ignore_errors=True)
    status, output = checks.run(
        options.cmake, "-S", os.path.join(options.work, "source"), "-B", build,
        "-G", options.generator, "-DCMAKE_MAKE_PROGRAM=" + options.make_program,
        "-DCMAKE_CXX_COMPILER=" + options.cxx, "-DCMAKE_C_COMPILER=" + options.cc,
        "-DHalide_DIR=" + options.halide, "-DHalideHelpers_DIR=" + options.halide_helpers,
        "-DHALNORM_EXAMPLES=OFF",
        *["-D%s=%s" % item for item in defines.items()])
    checks.expect(status != 0, what + " is configured")
    text = " ".join(output.split())
    for name in names:
        checks.expect(name in text, "%s: the message does not say '%s': %s" % (what, name, output))


def check_configurations(options):
    # The repository with schedules of its own, everything else as it is.
    source = os.path.join(options.work, "source")
    shutil.rmtree(source, ignore_errors=True)
    os.makedirs(source)
    for name in ("CMakeLists.txt", "cmake", "generators", "runtime"):
        os.symlink(os.path.join(options.source, name), os.path.join(source, name))
    schedules = os.path.join(source, "schedules")
    shutil.copytree(os.path.join(options.source, "schedules"), schedules)
    target = options.target
    configure(options, "HALNORM_TARGETS=vax_780",
              ["'vax_780'", "schedules/targets.txt", "x86_avx2", "arm_neon"],
              HALNORM_TARGETS=target + ";vax_780")
    other = "x86_avx2" if target.startswith("arm_") else "arm_neon"
    configure(options, "a target of another processor", ["'%s'" % other, target, "toolchain"],
              HALNORM_TARGETS=target + ";" + other)
    file = os.path.join(schedules, target + ".sched")
    rows = checks.read(file)
    with open(file, "w", encoding="utf-8") as out:
        out.write(rows.replace("\n", "\n* row f32 : rows=1 : streem=1 # x\n", 1))
    configure(options, "the launch 'streem=1'", [target + ".sched", "'streem=1'", "stream=N"],
              HALNORM_TARGETS=target)
    for row, word in (("* rwo f32 : rows=1 : # x", "rwo"), ("* row f64 : rows=1 : # x", "f64"),
                      ("layer_norm_foward row f32 : rows=1 : # x", "layer_norm_foward"),
                      ("* row f32 : rows=1 : # a [ in the row before\n* rwo f32 : : # x", "rwo")):
        with open(file, "w", encoding="utf-8") as out:
            out.write(rows.replace("\n", "\n%s\n" % row, 1))
        configure(options, row, ["'%s'" % word, target, "'make tune'"], HALNORM_TARGETS=target)
    with open(file, "w", encoding="utf-8") as out:
        out.write(rows + "* row f32 : rows=1\n")
    configure(options, "a malformed row", ["%s.sched:%d:" % (target, rows.count("\n") + 1),
                                           "'make tune'"], HALNORM_TARGETS=target)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("cmake", "generator", "make-program", "cxx", "cc", "halide", "halide-helpers",
                 "source", "generators", "target", "work"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    check_knobs(options)
    check_configurations(options)
    checks.finish("all refused by their names")


main()
