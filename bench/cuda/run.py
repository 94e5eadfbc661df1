# SPDX-License-Identifier: Apache-2.0
"""Times halnorm on a CUDA device: its schedules, a copy of the same bytes, PyTorch, Triton, and what
there is of Liger-Kernel, quack and FlashInfer. bench/README.md describes it."""
import argparse
import re
import sys
import time

from baselines import Baselines
from contenders import append_halnorm, limit
from driver import Device, DriverError, NoDevice
from library import TARGET, Library
from output import summary, table, write_json
from peers import Peers
from problem import DEFAULT_LIST, BadProblem, read_list
from timing import Timer
from workload import Workload


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", required=True,
                        help="the shared object of the CMake target halnorm_cuda_bench")
    parser.add_argument("--baselines", help="what the CMake target halnorm_cuda_baselines wrote, to "
                                            "compile plain norms with Halide's autoschedulers")
    parser.add_argument("--problems", default=DEFAULT_LIST,
                        help="problems with blanks between, a file with one on each line, or the name "
                             "of a list in bench/shapes (default: problems.txt beside this file)")
    parser.add_argument("--rounds", type=int, default=30, help="(default: 30)")
    parser.add_argument("--seconds", type=float, default=540,
                        help="no problem is begun that would not end in this time (default: 540)")
    parser.add_argument("--contenders", default="", help="a regular expression of names (default: all)")
    parser.add_argument("--check", action="store_true", help="check all results and time nothing")
    parser.add_argument("--json", help="every round, as halnorm_bench writes it")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds=%d: expected 1 or more" % options.rounds)
    try:
        options.wanted = re.compile(options.contenders).search
        options.problems = read_list(options.problems)
    except (BadProblem, re.error) as error:
        parser.error(str(error))
    return options


def load(library, device):
    """Seconds that the driver needs for all kernels."""
    from ctypes import byref, c_void_p
    context, before = c_void_p(), library.cuda_load_seconds()
    library.check(library.context_create(byref(context)))
    library.check(library.context_prepare(context, library.device_struct))
    library.context_destroy(context)
    return library.cuda_load_seconds() - before


def measure(problem, device, library, peers, timer, baselines, options):
    peers.release()
    workload = Workload(problem, device, peers.arrays)
    contenders = []
    append_halnorm(contenders, library, device, workload)
    contenders = [c for c in contenders if c.kind == "tuned_rows" or options.wanted(c.name)]
    baselines.append(contenders, device, workload, options.wanted)
    peers.append(contenders, workload, options.wanted)
    if not options.check:
        if options.wanted("copy"):
            contenders.append(limit(device, workload))
        timer.time([c for c in contenders if not c.trouble], options.rounds)
    return contenders


def main():
    options, begin = parse_options(), time.monotonic()
    try:
        device = Device()
    except NoDevice as reason:
        print("nothing is compared: there is no CUDA device: %s" % reason)
        return 0
    baselines = Baselines(options.baselines)
    baselines.prepare(options.problems, options.wanted)
    library = Library(options.library, device)
    loaded = load(library, device)
    peers, timer = Peers(device), Timer(device)
    context = {"cpu": device.name, "target": TARGET, "threads": "1",
               "CUDA": device.driver_version, "last_level_cache_bytes": str(device.l2_bytes),
               "halnorm": library.version().decode(),
               "seconds to load all kernels": "%.3f" % loaded,
               "reference in float64": peers.arrays.name, **peers.versions}
    print("\n".join("%s: %s" % item for item in context.items()), flush=True)
    cases, longest, trouble = [], 0.0, ""
    for problem in options.problems:
        at = time.monotonic()
        if at - begin + longest > options.seconds:
            break
        try:
            contenders = measure(problem, device, library, peers, timer, baselines, options)
        except DriverError as error:
            # A kernel of whichever contender may have broken the context for all.
            trouble = "nothing more is compared after %s: %s" % (problem.text, error)
            break
        cases.append((problem, contenders))
        print("\n" + table(problem, contenders, not options.check), flush=True)
        longest = max(longest, time.monotonic() - at)
    left_out = options.problems[len(cases):] if not trouble else []
    if not options.check:
        print("\n" + summary(cases))
    if left_out:
        print("\nno time was left for %d of %d problems:" % (len(left_out), len(options.problems)))
        print("\n".join("  " + problem.text for problem in left_out))
    if options.json:
        write_json(options.json, context, cases)
    failed = sum(c.is_own and bool(c.trouble) for _, contenders in cases for c in contenders)
    if failed:
        print("\nhalnorm was wrong or failed %d times" % failed)
    if trouble:
        print("\n" + trouble)
    return 1 if failed or trouble else 0


if __name__ == "__main__":
    sys.exit(main())
