# SPDX-License-Identifier: Apache-2.0
"""Usage: hash_requirements.py requirements.txt ...

Writes behind each pinned package of the files the hashes of its wheels, for the processors and the
versions of Python below, as pip finds them. Run it after changing a version; comments stay."""
import json
import re
import subprocess
import sys
import tempfile

ARCHITECTURES = ["x86_64", "aarch64"]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
# manylinux: the oldest C libraries that wheels are made for, up to that of Debian 12.
C_LIBRARIES = ["2_%d" % minor for minor in range(36, 4, -1)] + ["2014"]
PINNED = re.compile(r"^([\w.-]+==[\w.]+)([^\\#]*?)( *\\)?$")


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def wheels(packages, architecture, python):
    """By name, the hash of the wheel of each package that pip would install there, if there is one."""
    with tempfile.TemporaryDirectory() as nowhere:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--dry-run", "--report", "-", "--target", nowhere, "--no-deps", "--ignore-installed",
             "--only-binary", ":all:", "--python-version", python, *packages]
            + ["--platform=manylinux%s%s_%s" % ("_" if "_" in c_library else "", c_library,
                                                architecture) for c_library in C_LIBRARIES],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    if done.returncode == 0:
        return {canonical(wheel["metadata"]["name"]):
                wheel["download_info"]["archive_info"]["hashes"]["sha256"]
                for wheel in json.loads(done.stdout)["install"]}
    found = {}
    for package in packages if len(packages) > 1 else []:
        found.update(wheels([package], architecture, python))
    return found


def main():
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            lines = [line for line in file.read().splitlines()
                     if not line.startswith("    --hash=")]
        packages = [match.group(1) for match in map(PINNED.match, lines) if match]
        hashes = {package: [] for package in packages}
        for architecture in ARCHITECTURES:
            for python in PYTHONS:
                found = wheels(packages, architecture, python)
                for package in packages:
                    sha256 = found.get(canonical(package.split("==")[0]))
                    if sha256 and sha256 not in hashes[package]:
                        hashes[package].append(sha256)
        written = []
        for line in lines:
            match = PINNED.match(line)
            if match and not hashes[match.group(1)]:
                sys.exit("%s: no wheel of %s was found" % (path, match.group(1)))
            if match:
                line = " \\\n".join([match.group(1) + match.group(2)]
                                    + ["    --hash=sha256:" + h for h in hashes[match.group(1)]])
            written.append(line + "\n")
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(written))


main()
