# SPDX-License-Identifier: Apache-2.0
"""Every requirements file of the repository: each package has one version, the same in all of them, and
the hashes of its wheels, so that pip takes nothing else."""
import argparse
import os
import re
import tomllib

import checks

SKIPPED_FOLDERS = {"build", ".venv", ".git"}


def requirements_files(source):
    for directory, folders, files in os.walk(source):
        folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
        for file in sorted(files):
            if re.fullmatch(r".*requirements.*\.txt", file):
                yield os.path.join(directory, file)


def requirements(text):
    """What is required, a line each: pip joins lines that end in a backslash."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    options = parser.parse_args()
    found = {}  # (version, the file that says so) by name

    def expect_same(name, version, file):
        known = found.setdefault(name.lower(), (version, file))
        checks.expect(known[0] == version, "%s is %s in %s and %s in %s"
                      % (name, known[0], known[1], version, file))

    for path in requirements_files(options.source):
        file = os.path.relpath(path, options.source)
        for line in requirements(checks.read(path)):
            match = re.match(r"([\w.-]+)==([\w.]+)(\s*;[^\\]*?)?(\s+--hash=sha256:[0-9a-f]{64})+$", line)
            if checks.expect(match, "%s: '%s' is no package==version with hashes" % (file, line[:60])):
                expect_same(match.group(1), match.group(2), file)
    with open(os.path.join(options.source, "pyproject.toml"), "rb") as file:
        required = tomllib.load(file)["build-system"]["requires"]
    for line in required:  # to which pip lets nobody add hashes
        match = re.fullmatch(r"([\w.-]+)==([\w.]+)", line)
        if checks.expect(match, "pyproject.toml: '%s' is no package==version" % line):
            expect_same(match.group(1), match.group(2), "pyproject.toml")
    checks.expect("halide" in found, "no requirements were found")
    checks.finish("%d packages" % len(found))


main()
