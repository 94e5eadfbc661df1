# SPDX-License-Identifier: Apache-2.0
"""What the scripts of this directory share: a list of what is wrong, and the kernels of a build."""
import re
import subprocess
import sys
from collections import namedtuple

SKIPPED = 77  # the SKIP_RETURN_CODE of every test here

# As in runtime/dispatch.h; target is a name, rows the most rows of a call.
Kernel = namedtuple("Kernel", "symbol operation part dtype target rows")

_problems = []


def expect(condition, what):
    """Notes what is wrong unless the condition holds; True if it does."""
    if not condition:
        _problems.append(what)
        print("FAILED: " + what)
    return bool(condition)


def finish(summary):
    """Ends the test: 0 and the summary, or 1 and how much was wrong."""
    if _problems:
        print("%d problem(s)" % len(_problems))
        sys.exit(1)
    print(summary)
    sys.exit(0)


def need(tool, name, package):
    """Ends the test as skipped if CMake did not find the tool."""
    if not tool or tool.endswith("NOTFOUND"):
        print("skipped: no %s on this machine (Debian: %s)" % (name, package))
        sys.exit(SKIPPED)


def run(*command, **options):
    """Runs a command: its exit status, and its output and errors together."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, check=False, **options)
    return done.returncode, done.stdout


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def kernels(table):
    """The rows of the generated runtime/kernel_table.inc."""
    found = []
    for line in read(table).splitlines():
        match = re.match(r"HALNORM_KERNEL\((.*)\)$", line)
        if not expect(match, "%s: '%s' is not HALNORM_KERNEL(...)" % (table, line)):
            continue
        fields = [field.strip() for field in match.group(1).split(",")]
        target = re.search(r"__([a-z0-9_]+?)(__|$)", fields[0])
        if not expect(target, fields[0] + ": the symbol names no target"):
            continue
        found.append(Kernel(*fields[:4], target.group(1), int(fields[7])))
    expect(found, table + ": there is no kernel in it")
    return found


def public_functions(header):
    """The functions that halnorm.h declares."""
    text = re.sub(r"/\*.*?\*/", "", read(header), flags=re.DOTALL)
    text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    # A typedef of a function type has its name in parentheses, not before them.
    return re.findall(r"\b(halnorm_[a-z0-9_]+)\s*\((?!\*)", re.sub(r"typedef[^;{]*;", "", text))


def symbols(nm, paths):
    """(file, name, type) of every symbol in objects or archives, types as in `nm -P`."""
    status, output = run(nm, "-A", "-P", *paths)
    if not expect(status == 0, "%s failed: %s" % (nm, output)):
        return []
    found = []
    for line in output.splitlines():
        match = re.match(r"^(.*): (\S+) (\S)( |$)", line)
        if expect(match, "%s: '%s' is no symbol" % (nm, line)):
            found.append(match.group(1, 2, 3))
    return found
