# SPDX-License-Identifier: Apache-2.0
"""Builds the library twice from the last commit, with generators of its own each time, in folders whose
names differ in length, and compares libhalnorm.a byte for byte."""
import argparse
import filecmp
import hashlib
import os
import shutil
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = "x86_sse41"


def build(commit, folder, generators):
    """The build folder of the commit's library. What is there already is kept: it is of the commit."""
    source, built = os.path.join(folder, "source"), os.path.join(folder, "build")
    if not os.path.isdir(source):
        subprocess.run(["git", "clone", "--quiet", "--no-checkout", SOURCE, source], check=True)
        subprocess.run(["git", "-C", source, "checkout", "--quiet", commit], check=True)
        venv = os.path.join(SOURCE, ".venv")
        if os.path.isdir(venv):
            os.symlink(os.path.realpath(venv), os.path.join(source, ".venv"))
    options = ["-DHALNORM_TARGETS=" + TARGET, "-DHALNORM_EXAMPLES=OFF", "-DCMAKE_BUILD_TYPE=Release"]
    if generators:
        options.append("-DHALNORM_GENERATORS=" + generators)
    subprocess.run(["cmake", "-S", source, "-B", built, "-G", "Ninja", *options],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", built, "--target", "halnorm"], check=True)
    return os.path.join(built, "runtime")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", required=True)
    parser.add_argument("--generators", default="", help="halnorm_generators of another build, for both")
    options = parser.parse_args()
    commit = subprocess.run(["git", "-C", SOURCE, "rev-parse", "HEAD"], check=True,
                            stdout=subprocess.PIPE, text=True).stdout.strip()
    work = os.path.join(os.path.abspath(options.work), commit)
    first, second = (build(commit, os.path.join(work, name), options.generators)
                     for name in ("once", "and_once_more"))
    for directory in ("kernels", "."):
        names = sorted(name for name in os.listdir(os.path.join(first, directory))
                       if name.endswith((".o", ".a")))
        for name in names:
            a, b = (os.path.join(root, directory, name) for root in (first, second))
            if not filecmp.cmp(a, b, shallow=False):
                sys.exit("%s differs from %s" % (a, b))
    with open(os.path.join(first, "libhalnorm.a"), "rb") as file:
        print("commit %s for %s: libhalnorm.a, sha256 %s, twice"
              % (commit, TARGET, hashlib.sha256(file.read()).hexdigest()))
    shutil.rmtree(work)


main()
