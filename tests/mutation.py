# SPDX-License-Identifier: Apache-2.0
"""Breaks the kernels and the runtime in the ways of mutants.toml, one at a time, and runs the tests
of what is broken: a mutant that they do not catch survives, and is an error, as is one that does
not build. What the tests said of a mutant is in --work, NAME.log.

All happens in a copy of the tree with a build of its own, in the folder --work. It passes its tests
unbroken, is kept, and each mutant begins from it, so that only what the mutant changes is built.
What was found is kept too, until a file of the tree changes: a run that was stopped goes on."""
import argparse
import fnmatch
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)
TARGET = "x86_avx2"
MOST_SECONDS = 300  # that the tests of a mutant may take: one that hangs is caught, too
# What is not built into the tests cannot change them: docs, and this.
IGNORED = ("*.md", ".ci/*", ".venv", "bench/*", "examples/*", "python/*", "Makefile",
           "tests/mutants.toml", "tests/mutation.py", "*requirements*.txt", "scripts/*")


def read(path):
    return read_bytes(path).decode()


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def files_of_tree():
    """What each file of the working tree holds, by name."""
    listed = must("git", "-C", SOURCE, "ls-files", "-co", "--exclude-standard").splitlines()
    paths = {name: os.path.join(SOURCE, name) for name in sorted(listed)}
    return {name: read_bytes(path) for name, path in paths.items() if os.path.isfile(path)}


def digest_of(files):
    digest = hashlib.sha256()
    for name, content in files.items():
        if not any(fnmatch.fnmatch(name, pattern) for pattern in IGNORED):
            digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()


def mutants():
    with open(os.path.join(HERE, "mutants.toml"), "rb") as file:
        listed = tomllib.load(file)
    for name, mutant in listed.items():
        mutant["name"] = name
        mutant.setdefault("program", "halnorm_tests")
    return list(listed.values())


def applied(mutant, source):
    """The broken file. Its old text must be there once, or the mutant is not what it says."""
    text = read(os.path.join(source, mutant["file"]))
    count = text.count(mutant["old"])
    if count != 1:
        raise ValueError("%s: its text is %d times in %s: %s"
                         % (mutant["name"], count, mutant["file"], mutant["old"]))
    return text.replace(mutant["old"], mutant["new"])


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False, **options)
    return done.returncode, done.stdout


def must(*command, **options):
    status, output = run(*command, **options)
    if status != 0:
        raise RuntimeError("%s ends with %d:\n%s" % (" ".join(command), status, output))
    return output


class DoesNotBuild(Exception):
    """The mutant is no program, so that no test can tell it from the right one."""


class Clock:
    """The seconds since it was made: on the wall, and of the processors in what was run."""

    def __init__(self):
        self.began = self.now()

    @staticmethod
    def now():
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.monotonic(), children.ru_utime + children.ru_stime

    def seconds(self):
        return [now - began for now, began in zip(self.now(), self.began)]


class Tree:
    """The copy, its build, and both as they were when they last passed."""

    def __init__(self, work):
        self.tree = os.path.join(work, "tree")
        self.passed = os.path.join(work, "passed")
        self.source = os.path.join(self.tree, "source")
        self.build = os.path.join(self.tree, "build")
        self.ninja = shutil.which("ninja")

    def update(self):
        """Makes the copy that of the working tree, touching what differs alone."""
        if os.path.isdir(self.passed):
            self.restore()
        files = files_of_tree()
        for name, content in files.items():
            copy = os.path.join(self.source, name)
            if os.path.isfile(copy) and read_bytes(copy) == content:
                continue
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copy(os.path.join(SOURCE, name), copy)
        for directory, _, names in os.walk(self.source):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.relpath(path, self.source) not in files:
                    os.remove(path)
        venv, link = (os.path.join(folder, ".venv") for folder in (SOURCE, self.source))
        if os.path.isdir(venv) and not os.path.lexists(link):
            os.symlink(os.path.realpath(venv), link)

    def make_base(self, programs):
        """Builds the unbroken tree."""
        os.makedirs(self.source, exist_ok=True)
        self.update()
        must("cmake", "-S", self.source, "-B", self.build, "-G", "Ninja",
             "-DCMAKE_BUILD_TYPE=Release", "-DHALNORM_TARGETS=" + TARGET, "-DHALNORM_TESTS=ON",
             "-DHALNORM_EXAMPLES=OFF")
        must(self.ninja, "-C", self.build, *programs)
        shutil.rmtree(self.passed, ignore_errors=True)
        shutil.copytree(self.tree, self.passed, symlinks=True)

    def restore(self):
        shutil.rmtree(self.tree)
        shutil.copytree(self.passed, self.tree, symlinks=True)

    def make(self, *targets):
        status, output = run(self.ninja, "-C", self.build, *targets)
        if status != 0:
            raise DoesNotBuild(output)

    def build_mutant(self, mutant):
        if "kernels" in mutant:
            # Of the kernels, those that the mutant names; the others stay, as if they were new.
            self.make("halnorm_generators")
            folder = os.path.join("runtime", "kernels")
            names = os.listdir(os.path.join(self.build, folder))
            changed = fnmatch.filter(names, mutant["kernels"])
            if not changed:
                raise ValueError("%s: no kernel is %s" % (mutant["name"], mutant["kernels"]))
            kept = [os.path.join(folder, name) for name in names if name not in changed]
            whole = [os.path.join(self.build, path) for path in kept]
            for path in whole:
                os.utime(path)
            # CMake names the outputs of a command both ways.
            must(self.ninja, "-C", self.build, "-t", "restat", *kept, *whole)
        self.make(mutant["program"])

    def caught_by(self, mutant, log):
        """The first of its tests that fails, or nothing. What they say goes to the file log."""
        program, tests = os.path.join(self.build, "tests", mutant["program"]), mutant["tests"]
        try:
            status, output = run(program, "--gtest_filter=" + tests, "--gtest_fail_fast",
                                 "--gtest_color=no", timeout=MOST_SECONDS,
                                 env=dict(os.environ, HALNORM_TEST_LARGE="1"))
        except subprocess.TimeoutExpired:
            return "no end after %d s" % MOST_SECONDS
        write(log, output)
        if status == 0:
            if "[  PASSED  ] 0 tests" in output:
                raise ValueError("of %s no test ran:\n%s" % (tests, output))
            return ""
        lines = output.splitlines()
        for mark, what in (("[  FAILED  ] ", ""), ("[ RUN      ] ", " (crash)")):
            found = [line[len(mark):] for line in lines if line.startswith(mark)]
            if found:
                return found[-1 if what else 0].split(",")[0].split(" (")[0] + what
        raise RuntimeError("%s --gtest_filter=%s ends with %d:\n%s"
                           % (program, tests, status, output))

    def try_mutant(self, mutant, log):
        self.restore()
        broken = applied(mutant, self.source)
        write(os.path.join(self.source, mutant["file"]), broken)
        try:
            self.build_mutant(mutant)
        except DoesNotBuild as error:
            write(log, str(error))
            raise
        return self.caught_by(mutant, log)


def verdict(result):
    if not result["builds"]:
        return "NOTHING: it does not build"
    return result["caught_by"] or "NOTHING: it survives"


def table(base, results):
    """What became of each mutant, with the seconds on the wall and those of processors."""
    print("%-38s %5s %5s  %s" % ("", "wall", "CPU", "caught by"))
    print("%-38s %5.0f %5.0f" % ("(what they begin from, unbroken)", *base))
    for name, result in results.items():
        print("%-38s %5.0f %5.0f  %s" % (name, *result["seconds"], verdict(result)))
    sums = [sum(seconds) for seconds in zip(base, *(r["seconds"] for r in results.values()))]
    print("%-38s %5.0f %5.0f" % ("all", *sums))


class Record:
    """What was found, kept in a file until the tree changes."""

    def __init__(self, path, tree):
        self.path = path
        self.found = json.loads(read(path)) if os.path.isfile(path) else {}
        self.is_of_tree = self.found.get("tree") == tree
        if not self.is_of_tree:
            self.found = {"tree": tree, "base": [0, 0], "passed": [], "results": {}}

    def save(self):
        write(self.path, json.dumps(self.found, indent=1))

    def add_to_base(self, clock):
        self.found["base"] = [sum(s) for s in zip(self.found["base"], clock.seconds())]

    def knows(self, mutant):
        return self.found["results"].get(mutant["name"], {}).get("mutant") == mutant

    def of(self, listed):
        return {m["name"]: self.found["results"][m["name"]] for m in listed if self.knows(m)}


def chosen_mutants(listed, names):
    unknown = set(names) - {mutant["name"] for mutant in listed}
    if unknown:
        sys.exit("no mutant is named %s" % ", ".join(sorted(unknown)))
    stale = []
    for mutant in listed:
        try:
            applied(mutant, SOURCE)
        except ValueError as error:
            stale.append(str(error))
    if stale:
        sys.exit("\n".join(stale))
    return [mutant for mutant in listed if not names or mutant["name"] in names]


def examine(tree, mutant, record, work):
    """Runs the tests of a mutant without it, if that is not done yet, and then with it."""
    tests = [mutant["program"], mutant["tests"]]
    if tests not in record.found["passed"]:
        clock = Clock()
        tree.restore()
        failed = tree.caught_by(mutant, os.path.join(work, "unbroken.log"))
        if failed:
            sys.exit("%s fails without any mutant: %s/unbroken.log" % (failed, work))
        record.found["passed"].append(tests)
        record.add_to_base(clock)
    clock = Clock()
    result = {"mutant": mutant, "builds": True, "caught_by": ""}
    try:
        result["caught_by"] = tree.try_mutant(mutant, os.path.join(work, mutant["name"] + ".log"))
    except DoesNotBuild:
        result["builds"] = False
    result["seconds"] = clock.seconds()
    record.found["results"][mutant["name"]] = result
    print("%-38s %5.0f %5.0f  %s" % (mutant["name"], *result["seconds"], verdict(result)),
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", help="the folder of the copy")
    parser.add_argument("--check", action="store_true",
                        help="only that every mutant applies to the tree as it is")
    parser.add_argument("--list", action="store_true", help="only the names")
    parser.add_argument("names", nargs="*", help="of mutants; else all that are not known yet")
    options = parser.parse_args()
    listed = mutants()
    chosen = chosen_mutants(listed, options.names)
    if options.list or options.check:
        print("\n".join(mutant["name"] for mutant in listed) if options.list
              else "%d mutants apply" % len(listed))
        return
    work = os.path.abspath(options.work)
    os.makedirs(work, exist_ok=True)
    tree = Tree(work)
    record = Record(os.path.join(work, "results.json"), digest_of(files_of_tree()))
    if not record.is_of_tree:
        clock = Clock()
        tree.make_base({mutant["program"] for mutant in listed})
        record.add_to_base(clock)
        record.save()
    for mutant in chosen:
        if options.names or not record.knows(mutant):
            examine(tree, mutant, record, work)
            record.save()
    results = record.of(listed)
    table(record.found["base"], results)
    survivors = [name for name, result in results.items() if not result["caught_by"]]
    if survivors:
        sys.exit("%d of %d are not caught: %s"
                 % (len(survivors), len(results), ", ".join(survivors)))


main()
