# SPDX-License-Identifier: Apache-2.0
"""Whatever an operation of generators/operations.cmake or a target of schedules/targets.txt still
lacks, by name. A new operation or target is done when this test passes."""
import argparse
import os
import re

import checks

# Calls of Halide that say how and not what; generators/ has none of them.
SCHEDULING = re.compile(
    r"(?:\.|->)\s*(vectorize|parallel|unroll|compute_\w+|store_\w+|hoist_storage\w*|split|tile|"
    r"reorder\w*|fuse|rfactor|gpu_\w+|prefetch|specialize\w*|atomic|serial|rename|partition|"
    r"align_\w+|bound_storage|fold_storage|async|memoize|in)\s*\(")


def operations(source):
    """(operation, part, generator, is for CUDA, dtypes) of each halnorm_kernel() in operations.cmake."""
    text = checks.read(os.path.join(source, "generators", "operations.cmake"))
    return [(operation, part, generator, template.startswith("cuda"), (dtypes or "f32,f16,bf16").split(","))
            for operation, part, template, generator, dtypes
            in re.findall(r"^halnorm_kernel\((\w+)\s+(\w+)\s+(\w+)\s+(\w+)(?:.* dtypes=([\w,]+))?", text,
                          flags=re.MULTILINE)]


def check_templates(source):
    listed = re.findall(r"^HALNORM_TEMPLATE\((\w+),\s+([^)]*)\)",
                        checks.read(os.path.join(source, "schedules", "templates.inc")),
                        flags=re.MULTILINE)
    used = set(re.findall(r"^halnorm_kernel\(\w+\s+\w+\s+(\w+)",
                          checks.read(os.path.join(source, "generators", "operations.cmake")),
                          flags=re.MULTILINE))
    checks.expect(used == {name for name, _ in listed},
                  "operations.cmake uses the templates %s, templates.inc has %s"
                  % (sorted(used), sorted(name for name, _ in listed)))
    words = set(re.findall(r"^HALNORM_(?:\w*KNOB|LAUNCH)\((\w+),",
                           checks.read(os.path.join(source, "schedules", "knobs.inc")),
                           flags=re.MULTILINE))
    spoken = {word for _, names in listed for word in names.replace('"', " ").split()}
    checks.expect(spoken == words, "templates.inc speaks of %s, knobs.inc of %s"
                  % (sorted(spoken), sorted(words)))


def function_of(operation):
    return "halnorm_" + re.sub(r"_forward$", "", operation)


def check_operations(options, rows):
    status, output = checks.run(options.generators)
    registered = set(re.findall(r"^ +(\w+)$", output, flags=re.MULTILINE))
    checks.expect(registered, "halnorm_generators lists nothing (%d): %s" % (status, output))
    for operation, part, generator, _, _ in rows:
        checks.expect(generator in registered,
                      "%s %s: the generator %s is not registered" % (operation, part, generator))
    for generator in sorted(registered - {row[2] for row in rows}):
        checks.expect(False, "the generator %s is in no row of operations.cmake" % generator)

    status, output = checks.run(options.check, "--operations")
    # A small problem of each operation of tests/problem.h.
    problems = {line.split(":")[0]: line for line in output.split()}
    checks.expect(status == 0 and problems,
                  "halnorm_check --operations ends with %d: %s" % (status, output))
    header = os.path.join(options.source, "runtime", "halnorm.h")
    functions = {name for name in checks.public_functions(header) if "_norm" in name}
    lists = {name: checks.read(os.path.join(options.source, *name.split("/")))
             for name in ("tests/cases/hashes.txt", "tests/cases/instructions.txt",
                          "bench/shapes/default.txt")}
    # Kernels of any_norm are parts of the others.
    for operation in sorted({row[0] for row in rows} - {"any_norm"} - set(problems)):
        checks.expect(False, "%s: tests/problem.h does not have it" % operation)
    for operation, problem in sorted(problems.items()):
        function = function_of(operation)
        checks.expect(function in functions, "%s: halnorm.h has no %s" % (operation, function))
        for name, text in lists.items():
            checks.expect(re.search(r"^%s:" % operation, text, flags=re.MULTILINE),
                          "%s: %s has no case of it" % (operation, name))
        # Against the reference, which has to know the operation for that.
        status, output = checks.run(options.check, problem)
        checks.expect(status == 0, "%s: halnorm and tests/reference.cpp differ (halnorm_check ends "
                      "with %d): %s" % (operation, status, output))
    for function in sorted(functions - {function_of(operation) for operation in problems}):
        checks.expect(False, "%s of halnorm.h is no operation of tests/problem.h" % function)


def check_targets(options):
    directory = os.path.join(options.source, "schedules")
    known = re.findall(r'^ *\{"(\w+)",', checks.read(
        os.path.join(options.source, "runtime", "cpu_features.cpp")), flags=re.MULTILINE)
    checks.expect(known, "runtime/cpu_features.cpp: no features were found in it")
    names, parents = [], {}
    for line in checks.read(os.path.join(directory, "targets.txt")).splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, features, parent = [field.strip() for field in line.split("|")]
        checks.expect(re.match(r"^(x86|arm|cuda)_[a-z][a-z0-9_]*$", name),
                      "the target %s is not named family_instructions, such as x86_avx2" % name)
        checks.expect(name not in names, "the target %s is listed twice" % name)
        names.append(name)
        parents[name] = parent
        checks.expect(os.path.exists(os.path.join(directory, name + ".sched")),
                      "the target %s has no schedules/%s.sched" % (name, name))
        for feature in features.split():
            checks.expect(name.startswith("cuda_") or feature in known,
                          "%s: runtime/cpu_features.cpp does not know the feature %s"
                          % (name, feature))
    for name, parent in parents.items():
        checks.expect(not parent or parent in names[names.index(name) + 1:],
                      "%s: its parent %s does not come after it" % (name, parent))
    for file in sorted(os.listdir(directory)):
        if file.endswith(".sched"):
            checks.expect(file[:-len(".sched")] in names,
                          "schedules/%s is of no target of targets.txt" % file)
    return names


def check_generators(options):
    directory = os.path.join(options.source, "generators")
    for file in sorted(os.listdir(directory)):
        if not file.endswith((".cpp", ".h")):
            continue
        text = re.sub(r"//.*", "", checks.read(os.path.join(directory, file)))
        for number, line in enumerate(text.splitlines(), 1):
            found = SCHEDULING.search(line)
            checks.expect(not found, "generators/%s:%d schedules: %s"
                          % (file, number, line.strip()))


def check_kernels(options, rows, targets):
    status, output = checks.run(options.kernel_names)
    checks.expect(status == 0, "kernel_names ends with %d: %s" % (status, output))
    listed = re.findall(r"^kernel (\S+)$", output, flags=re.MULTILINE)
    built = re.findall(r"^target (\S+)$", output, flags=re.MULTILINE)
    checks.expect(listed, "halnorm_kernel_name() lists nothing")
    parts = {row[:2]: row[3:] for row in rows}
    pattern = re.compile(r"halnorm_(%s)_(%s)_(f32|f16|bf16)(_n\d+)?(_bytes\d+)?__(%s)(__\w+)?"
                         % ("|".join(sorted({row[0] for row in rows})),
                            "|".join(sorted({row[1] for row in rows}, key=len, reverse=True)),
                            "|".join(sorted(targets, key=len, reverse=True))))
    found = set()
    for name in listed:
        match = pattern.fullmatch(name)
        if checks.expect(match and match.group(1, 2) in parts,
                         "the kernel %s is of no operation of operations.cmake" % name):
            found.add(match.group(1, 2, 3, 6))
    for target in built:
        checks.expect(target in targets, "the target %s is not in targets.txt" % target)
        for operation, part in sorted(parts):
            is_for_cuda, dtypes = parts[operation, part]
            if is_for_cuda != target.startswith("cuda_"):
                continue
            for dtype in dtypes:
                checks.expect((operation, part, dtype, target) in found,
                              "there is no kernel %s %s %s for %s"
                              % (operation, part, dtype, target))
    checks.expect(len(set(listed)) == len(listed), "a kernel is listed twice")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("source", "generators", "check", "kernel-names"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    rows = operations(options.source)
    checks.expect(rows, "generators/operations.cmake: no rows were found in it")
    check_operations(options, rows)
    targets = check_targets(options)
    check_generators(options)
    check_templates(options.source)
    check_kernels(options, rows, targets)
    checks.finish("%d kinds of kernels, %d targets" % (len(rows), len(targets)))


main()
