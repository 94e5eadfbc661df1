# SPDX-License-Identifier: Apache-2.0
"""Breaks the kernels and the runtime in the ways of mutants.toml, one at a time, and runs the tests
of what is broken: a mutant that they do not catch survives, and is an error.

All happens in a copy of the tree with a build of its own, in the folder --work. It passes its tests
unbroken, is kept, and each mutant begins from it, so that only what the mutant changes is built.
What was found is kept too, until a file of the tree changes: a run that was stopped goes on."""
import argparse
import fnmatch
import hashlib
import json
import os
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

    def make_base(self):
        """Builds the unbroken tree."""
        os.makedirs(self.source, exist_ok=True)
        self.update()
        must("cmake", "-S", self.source, "-B", self.build, "-G", "Ninja",
             "-DCMAKE_BUILD_TYPE=Release", "-DHALNORM_TARGETS=" + TARGET, "-DHALNORM_TESTS=ON",
             "-DHALNORM_EXAMPLES=OFF")
        must(self.ninja, "-C", self.build, "halnorm_tests", "halnorm_check")
        shutil.rmtree(self.passed, ignore_errors=True)
        shutil.copytree(self.tree, self.passed, symlinks=True)

    def restore(self):
        shutil.rmtree(self.tree)
        shutil.copytree(self.passed, self.tree, symlinks=True)

    def build_mutant(self, mutant):
        if "kernels" in mutant:
            # Of the kernels, those that the mutant names; the others stay, as if they were new.
            must(self.ninja, "-C", self.build, "halnorm_generators")
            folder = os.path.join("runtime", "kernels")
            names = os.listdir(os.path.join(self.build, folder))
            changed = fnmatch.filter(names, mutant["kernels"])
            if not changed:
                raise ValueError("%s: no kernel is %s" % (mutant["name"], mutant["kernels"]))
            kept = [os.path.join(folder, name) for name in names if name not in changed]
            for path in kept:
                os.utime(os.path.join(self.build, path))
            must(self.ninja, "-C", self.build, "-t", "restat", *kept)
        must(self.ninja, "-C", self.build, "halnorm_tests", "halnorm_check")

    def caught_by(self, tests):
        """The first of the tests that fails, or nothing."""
        program = os.path.join(self.build, "tests", "halnorm_tests")
        try:
            status, output = run(program, "--gtest_filter=" + tests, "--gtest_fail_fast",
                                 "--gtest_color=no", timeout=MOST_SECONDS)
        except subprocess.TimeoutExpired:
            return "no end after %d s" % MOST_SECONDS
        if "Running 0 tests" in output:
            raise ValueError("no test is %s" % tests)
        if status == 0:
            return ""
        lines = output.splitlines()
        for mark, what in (("[  FAILED  ] ", ""), ("[ RUN      ] ", " (crash)")):
            found = [line[len(mark):] for line in lines if line.startswith(mark)]
            if found:
                return found[-1 if what else 0].split(",")[0].split(" (")[0] + what
        raise RuntimeError("%s --gtest_filter=%s ends with %d:\n%s"
                           % (program, tests, status, output))

    def try_mutant(self, mutant):
        self.restore()
        broken = applied(mutant, self.source)
        with open(os.path.join(self.source, mutant["file"]), "w", encoding="utf-8") as file:
            file.write(broken)
        self.build_mutant(mutant)
        return self.caught_by(mutant["tests"])


def table(listed, results):
    print("%-34s %-7s %s" % ("mutant", "seconds", "caught by"))
    for mutant in listed:
        result = results.get(mutant["name"])
        if result:
            print("%-34s %7.0f %s" % (mutant["name"], result["seconds"],
                                      result["caught_by"] or "NOTHING: it survives"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", help="the folder of the copy")
    parser.add_argument("--check", action="store_true",
                        help="only that every mutant applies to the tree as it is")
    parser.add_argument("--list", action="store_true", help="only the names")
    parser.add_argument("names", nargs="*", help="of mutants; else all that are not known yet")
    options = parser.parse_args()
    listed = mutants()
    unknown = set(options.names) - {mutant["name"] for mutant in listed}
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
    if options.list or options.check:
        print("\n".join(mutant["name"] for mutant in listed) if options.list
              else "%d mutants apply" % len(listed))
        return
    os.makedirs(options.work, exist_ok=True)
    tree = Tree(os.path.abspath(options.work))
    record = os.path.join(options.work, "results.json")
    known = json.loads(read(record)) if os.path.isfile(record) else {}
    digest = digest_of(files_of_tree())
    if known.get("tree") != digest:
        tree.make_base()
        known = {"tree": digest, "passed": [], "results": {}}
    results = known["results"]
    for mutant in listed:
        name, tests = mutant["name"], mutant["tests"]
        found = results.get(name, {})
        if name in options.names or (not options.names and found.get("mutant") != mutant):
            if tests not in known["passed"]:
                tree.restore()
                caught_by = tree.caught_by(tests)
                if caught_by:
                    sys.exit("%s fails without any mutant" % caught_by)
                known["passed"].append(tests)
            began = time.monotonic()
            caught_by = tree.try_mutant(mutant)
            results[name] = {"mutant": mutant, "caught_by": caught_by,
                             "seconds": time.monotonic() - began}
            print("%s: %s" % (name, caught_by or "survives"), flush=True)
        with open(record, "w", encoding="utf-8") as file:
            json.dump(known, file, indent=1)
    table(listed, results)
    survivors = [name for name, result in results.items() if not result["caught_by"]]
    if survivors:
        sys.exit("%d of %d survive" % (len(survivors), len(results)))


main()
