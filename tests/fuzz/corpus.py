# SPDX-License-Identifier: Apache-2.0
"""The corpus of the fuzzer between one file of text, an input a line in hexadecimal, and the folder of files that
libFuzzer wants.

  corpus.py unpack corpus.txt FOLDER
  corpus.py pack corpus.txt FOLDER
"""
import os
import sys


def unpack(text, folder):
    os.makedirs(folder, exist_ok=True)
    with open(text, encoding="ascii") as file:
        for number, line in enumerate(file):
            with open(os.path.join(folder, "%05d" % number), "wb") as out:
                out.write(bytes.fromhex(line))


def pack(text, folder):
    lines = set()
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            # What is not there reads as 0.
            lines.add(file.read().rstrip(b"\0").hex() + "\n")
    with open(text, "w", encoding="ascii") as file:
        file.writelines(sorted(lines))
    print("%s: %d inputs" % (text, len(lines)))


if __name__ == "__main__":
    {"unpack": unpack, "pack": pack}[sys.argv[1]](sys.argv[2], sys.argv[3])
