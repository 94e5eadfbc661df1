# SPDX-License-Identifier: Apache-2.0
"""docs/getting-started.md as a reader follows it: every block that begins with a file's name is
that file, the blocks of shell run in their order, and print what the block of text after them
says."""
import argparse
import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "library"))
import checks  # noqa: E402

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"(?:/\*|//|#) ([\w.]+)(?: \*/)?\n")
MARK = "---- block %d"


def stand_ins(options):
    """What would build everything anew, and what stands for it here."""
    install = "cmake --install '%s' >/dev/null --prefix $HOME/" % options.build
    stands_for = {"make install PREFIX=$HOME/halnorm\n": install + "halnorm\n"}
    if options.python:
        stands_for["pip install .\n"] = install + "python --component python\n"
    return stands_for


def parse(options, text):
    """Writes the files; the scripts, and what each should print or None."""
    scripts, stands_for = [], stand_ins(options)
    for language, block in BLOCK.findall(text):
        if language == "sh":
            scripts.append([stands_for.pop(block, block), None])
        elif language == "text":
            if checks.expect(scripts, "the first block of text follows no shell"):
                scripts[-1][1] = block
        else:
            name = FILE_NAME.match(block)
            if checks.expect(name, "a block of %s does not name its file: %s" % (language, block)):
                with open(os.path.join(options.work, name.group(1)), "w", encoding="utf-8") as file:
                    file.write(block)
    checks.expect(not stands_for, "there is no block %s" % sorted(stands_for))
    return scripts


def wrapper(options, name, *command):
    path = os.path.join(options.work, "bin", name)
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nexec %s \"$@\"\n" % " ".join("'%s'" % word for word in command))
    os.chmod(path, 0o755)


def lines_of(text):
    return [line.rstrip() for line in text.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("document", "cmake", "generator", "make-program", "cc", "cxx", "build", "work"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--pkg-config", default="")
    parser.add_argument("--python", default="", help="where the build has the Python package")
    options = parser.parse_args()
    checks.need(options.pkg_config, "pkg-config", "pkg-config")
    shutil.rmtree(options.work, ignore_errors=True)
    os.makedirs(os.path.join(options.work, "bin"))
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    wrapper(options, "cc", options.cc, "-std=c99", *strict)
    wrapper(options, "c++", options.cxx, "-std=c++17", *strict)
    wrapper(options, "cmake", options.cmake)
    text = checks.read(options.document)
    if options.python:
        wrapper(options, "python", options.python)
    else:
        print("without the section on Python: this build has no HALNORM_PYTHON")
        text = re.sub(r"^## Python\n.*?(?=^## )", "", text, flags=re.MULTILINE | re.DOTALL)
    scripts = parse(options, text)
    lines = ["set -e", "exec 2>&1"]
    for number, (script, _) in enumerate(scripts):
        lines += ["echo '%s'" % (MARK % number), script]
    environment = dict(os.environ, HOME=options.work, CMAKE_GENERATOR=options.generator,
                       CC=options.cc, CXX=options.cxx,
                       PYTHONPATH=os.path.join(options.work, "python"),
                       PATH=os.pathsep.join([os.path.join(options.work, "bin"),
                                             os.path.dirname(options.make_program),
                                             os.environ["PATH"]]))
    environment.pop("HALNORM_TARGET", None)
    status, output = checks.run("sh", "-c", "\n".join(lines), cwd=options.work, env=environment)
    checks.expect(status == 0, "the shell ends with %d:\n%s" % (status, output))
    printed = re.split("^" + MARK.replace("%d", r"\d+") + "\n", output, flags=re.MULTILINE)[1:]
    for (script, expected), found in zip(scripts, printed):
        if expected is not None:
            checks.expect(lines_of(expected) == lines_of(found),
                          "%s prints\n%s, not\n%s" % (script, found, expected))
    checks.finish("%d blocks of shell run" % len(printed))


main()
