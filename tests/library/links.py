# SPDX-License-Identifier: Apache-2.0
"""Links in the documents that lead nowhere: to files that the repository does not have, or to
headings that a document does not have. And documents of docs/ to which README.md does not lead."""
import argparse
import os
import re

import checks

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)


def anchors(text):
    """As GitHub makes them of headings: lower case, no punctuation, hyphens for blanks."""
    headings = re.findall(r"^#+ +(.*)$", FENCED.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
            for heading in headings}


def documents(source):
    skipped = {"build", ".venv", ".git", "node_modules"}
    for directory, folders, files in os.walk(source):
        folders[:] = sorted(set(folders) - skipped)
        for file in sorted(files):
            if file.endswith(".md"):
                yield os.path.join(directory, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    options = parser.parse_args()
    count = 0
    linked = set()
    for document in documents(options.source):
        name = os.path.relpath(document, options.source)
        for link in LINK.findall(FENCED.sub("", checks.read(document))):
            if re.match(r"^[a-z]+:", link):
                continue
            count += 1
            path, _, anchor = link.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(document), path)) if path \
                else document
            if not checks.expect(os.path.exists(target), "%s: there is no %s" % (name, link)):
                continue
            if anchor:
                checks.expect(anchor in anchors(checks.read(target)),
                              "%s: no heading of %s is #%s" % (name, path or name, anchor))
            if name == "README.md":
                linked.add(os.path.relpath(target, options.source))
    for name in sorted(os.listdir(os.path.join(options.source, "docs"))):
        checks.expect(not name.endswith(".md") or "docs/" + name in linked,
                      "README.md does not lead to docs/" + name)
    checks.expect(count, "no links were found")
    checks.finish("%d links" % count)


main()
