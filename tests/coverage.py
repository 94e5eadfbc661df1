# SPDX-License-Identifier: Apache-2.0
"""The branches of runtime/ that the tests of the C interface take, as gcov counts them. Each that they
do not take is listed with its reason in uncovered.toml, and nothing else is."""
import argparse
import collections
import glob
import json
import os
import subprocess
import sys
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)
LEAST_PERCENT = 95


def run_tests(build):
    for counts in glob.glob(os.path.join(build, "**", "*.gcda"), recursive=True):
        os.remove(counts)
    tests = os.path.join(build, "tests")
    interpreter = {"LD_LIBRARY_PATH": os.path.join(tests, "ptx", "lib")}
    for program, argument, environment in (
            ("halnorm_tests", "--gtest_brief=1", {}),
            ("halnorm_faults_tests", "--gtest_brief=1", {}),
            ("halnorm_api_c99_test", None, {}),
            ("fuzz/halnorm_replay", os.path.join(HERE, "fuzz", "corpus.txt"), {}),
            ("halnorm_cuda_tests", "--gtest_brief=1", interpreter)):
        command = [os.path.join(tests, program)] + ([argument] if argument else [])
        done = subprocess.run(command, check=False, env=dict(os.environ, **environment))
        if done.returncode != 0:
            sys.exit("%s ends with %d" % (program, done.returncode))


def branches(build):
    """(file, text of the line, taken) of each branch. The code throws nothing. One that is compiled
    several times, in a template or a header, is one branch."""
    report = subprocess.run(
        [sys.executable, "-m", "gcovr", "--root", SOURCE, "--filter", os.path.join(SOURCE, "runtime/"),
         "--exclude-throw-branches", "--gcov-suspicious-hits-threshold=0", "--json=-", os.path.join(build, "runtime")],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    counts = collections.Counter()
    for file in json.loads(report)["files"]:
        for line in file["lines"]:
            for branch in line["branches"]:
                if not branch["throw"]:
                    counts[file["file"], line["line_number"], branch["branchno"]] += branch["count"]
    found = []
    lines = {}  # of each file
    for (file, number, _), count in sorted(counts.items()):
        if file not in lines:
            with open(os.path.join(SOURCE, file), encoding="utf-8") as source:
                lines[file] = source.read().splitlines()
        found.append((file, lines[file][number - 1].strip(), count > 0))
    return found


def explained():
    """(file, text of the line) of each entry of uncovered.toml, and its reason."""
    with open(os.path.join(HERE, "uncovered.toml"), "rb") as file:
        reasons = tomllib.load(file)
    return {(file, line): reason["because"] for reason in reasons.values()
            for file, lines in reason["lines"].items() for line in lines}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, help="a build with HALNORM_COVERAGE")
    parser.add_argument("--report-only", action="store_true", help="of the counts that are there")
    options = parser.parse_args()
    if not options.report_only:
        run_tests(options.build)
    found = branches(options.build)
    by_file = collections.defaultdict(lambda: [0, 0])
    for file, _, taken in found:
        by_file[file][0] += taken
        by_file[file][1] += 1
    for file, (taken, count) in sorted(by_file.items()):
        print("%-30s %4d of %4d branches, %5.1f %%" % (file, taken, count, 100 * taken / count))
    taken = sum(taken for _, _, taken in found)
    percent = 100 * taken / len(found)
    print("%-30s %4d of %4d branches, %5.1f %%" % ("runtime/", taken, len(found), percent))
    reasons = explained()
    uncovered = {(file, text) for file, text, taken in found if not taken}
    wrong = ["not taken, nor explained: %s: %s" % place for place in sorted(uncovered - set(reasons))]
    for place in sorted(set(reasons) - uncovered):
        print("explained, but taken: %s: %s" % place)
    if percent < LEAST_PERCENT:
        wrong.append("%.1f %% is less than %d %%" % (percent, LEAST_PERCENT))
    if wrong:
        sys.exit("\n".join(wrong))


main()
