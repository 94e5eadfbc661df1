# SPDX-License-Identifier: Apache-2.0
"""`pip install .` in a clean virtual environment, as a user runs it: the package works without any
other, and holds nothing but Python files and the extension."""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv

PROGRAM = """
import array, importlib.metadata, halnorm
assert halnorm.__version__ == importlib.metadata.version("halnorm")
assert all("extra ==" in needed for needed in importlib.metadata.requires("halnorm"))
x = memoryview(array.array("f", [1, 2, 3, 5, 5, 5])).cast("B").cast("f", (2, 3))
out = memoryview(halnorm.layer_norm(x, 3)).tolist()
assert out[1] == [0, 0, 0] and abs(out[0][0] + 1.2247) < 1e-3, out
for file in importlib.metadata.files("halnorm"):
    print(file)
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--work", required=True)
    options = parser.parse_args()
    shutil.rmtree(options.work, ignore_errors=True)
    venv.create(options.work, with_pip=True)
    python = os.path.join(options.work, "bin", "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with open(os.path.join(options.source, "pyproject.toml"), "rb") as file:
        required = tomllib.load(file)["build-system"]["requires"]
    reached = subprocess.run([*pip, "download", "--quiet", "--no-deps", "--dest", options.work,
                              required[0]], env=environment, capture_output=True, text=True)
    if reached.returncode != 0:
        print("skipped: pip reaches no package index:\n" + reached.stderr)
        return 77
    subprocess.run([*pip, "install", "--quiet", options.source,
                    "-C", "cmake.define.HALNORM_TARGETS=" + options.target],
                   env=environment, check=True)
    listed = subprocess.run([python, "-c", PROGRAM], env=environment, cwd=options.work,
                            check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    expected = re.compile(r"halnorm-[^/]*\.dist-info/|halnorm/(py\.typed|.*\.(py|pyc|pyi|so))$")
    unexpected = [name for name in listed if not expected.match(name)]
    if unexpected or "halnorm/torch/__init__.py" not in listed:
        print("FAILED: the package has not the files it should have; it has:", *listed, sep="\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
