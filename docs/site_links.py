# SPDX-License-Identifier: Apache-2.0
"""Prints a document for the site, whose pages are README.md, the documents of this folder and the
API: a link to halnorm.h leads there, and one to any other file of the repository becomes its
text."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def main():
    document = sys.argv[1]

    def link_or_text(match):
        text, target = match.groups()
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            return match.group()
        path = os.path.join(os.path.dirname(document), target.partition("#")[0])
        path = os.path.relpath(path, ROOT)
        if path == "runtime/halnorm.h":
            return "[%s](@ref halnorm.h)" % text
        return match.group() if re.fullmatch(r"README\.md|docs/[\w-]+\.md", path) else text

    with open(document, encoding="utf-8") as file:
        sys.stdout.write(LINK.sub(link_or_text, file.read()))


main()
