# SPDX-License-Identifier: Apache-2.0
"""The site of the documents and of halnorm.h: it is built without a warning, its links lead
somewhere, everything has a page, and what halnorm.h does not describe is an error."""
import argparse
import os
import re
import subprocess
from html.parser import HTMLParser
from urllib.parse import unquote

import checks

# Put into a copy of halnorm.h after the text beside it; its name, of which the error must speak.
UNDESCRIBED = {
    "halnorm_undescribed": ("halnorm_version(void);", "\nint halnorm_undescribed(void);"),
    "undescribed_parameter": ("halnorm_context_destroy(halnorm_context *ctx",
                              ", int undescribed_parameter"),
    "undescribed_member": ("typedef struct halnorm_tensor {", "\n  int undescribed_member;"),
}


class Page(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(checks.read(path))

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def check_links(directory):
    names = [name for name in sorted(os.listdir(directory)) if name.endswith(".html")]
    pages = {name: Page(os.path.join(directory, name)) for name in names}
    for name, page in pages.items():
        for link in sorted(page.links):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = unquote(link).partition("#")
            path = os.path.normpath(path) if path else name
            if checks.expect(os.path.exists(os.path.join(directory, path)),
                             "%s: there is no %s" % (name, link)) and anchor and path in pages:
                checks.expect(anchor in pages[path].anchors,
                              "%s: %s has no #%s" % (name, path, anchor))
    checks.expect(pages, "there are no pages in " + directory)
    return len(pages)


def check_complete(options, directory):
    listed = checks.read(os.path.join(directory, "globals_func.html"))
    for function in checks.public_functions(options.header):
        checks.expect(function + "()" in listed, "%s has no place in the site" % function)
    for name in sorted(os.listdir(options.documents)):
        if name.endswith(".md"):
            page = "md_docs_%s.html" % name[:-len(".md")].replace("-", "_")
            checks.expect(os.path.exists(os.path.join(directory, page)), "%s: there is no %s"
                          % (name, page))


def check_enumerators(options, directory):
    """Those without a description, of which Doxygen 1.9.4 does not warn."""
    text = "".join(checks.read(os.path.join(directory, name))
                   for name in sorted(os.listdir(directory)) if name.endswith(".html"))
    described = re.findall(r'</a>(\w+)&#160;</td><td class="fielddoc"><p ?>\w', text)
    header = re.sub(r"/\*.*?\*/", "", checks.read(options.header), flags=re.DOTALL)
    enumerators = re.findall(r"^ +(HALNORM_\w+) = \d", header, flags=re.MULTILINE)
    checks.expect(enumerators, "halnorm.h has no enumerators")
    for name in enumerators:
        checks.expect(name in described, name + " is not described")


def check_undescribed(options):
    os.makedirs(options.work, exist_ok=True)
    copy = os.path.join(options.work, "halnorm.h")
    # Of the site's settings, which only the input differs from.
    settings = "@INCLUDE = %s\nINPUT = %s\nUSE_MDFILE_AS_MAINPAGE =\nOUTPUT_DIRECTORY = %s\n" % (
        options.doxyfile, copy, options.work)

    def doxygen(text):
        with open(copy, "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run([options.doxygen, "-"], input=settings, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True, check=False)
        return done.returncode, done.stdout

    header = checks.read(options.header)
    status, output = doxygen(header)
    checks.expect(status == 0, "doxygen refuses halnorm.h alone: " + output)
    for name, (place, addition) in UNDESCRIBED.items():
        checks.expect(header.count(place) == 1, "'%s' is not once in halnorm.h" % place)
        status, output = doxygen(header.replace(place, place + addition))
        checks.expect(status != 0 and name in output,
                      "%s is not described and passes (%d): %s" % (name, status, output))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("cmake", "build", "doxygen", "doxyfile", "header", "documents", "work"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    checks.need(options.doxygen, "doxygen", "doxygen")
    status, output = checks.run(options.cmake, "--build", options.build, "--target", "halnorm_docs")
    checks.expect(status == 0, "building the site ends with %d: %s" % (status, output))
    directory = os.path.join(options.build, "docs", "html")
    count = check_links(directory)
    check_complete(options, directory)
    check_enumerators(options, directory)
    check_undescribed(options)
    checks.finish("%d pages" % count)


main()
