# SPDX-License-Identifier: Apache-2.0
"""What libhalnorm.a defines and needs: the functions of halnorm.h, strong, and the C library.

Look at the same by hand with
  nm BUILD/runtime/libhalnorm.a
"""
import argparse
import os
import re

import checks

# What cannot fail, neither prints nor ends the process, and of what the compiler puts in. What can
# fail is in --failing-calls: tests/faults lets each of them do so.
HARMLESS = re.compile(
    r"_GLOBAL_OFFSET_TABLE_|__tls_get_addr|(__)?(mem(cpy|move|set|cmp)|v?snprintf)(_chk)?"
    r"|str(cmp|cspn|len|ncmp|spn|str|tol)|free|getenv|getauxval|sysconf|clock_gettime"
    r"|dl(error|open|sym)"
    r"|sched_getaffinity|__sched_cpucount|sig(del|fill)set|__stack_chk_(fail|guard)"
    r"|pthread_(cond_(broadcast|signal|wait)|mutex_(lock|unlock)|join|key_delete|once|sigmask)"
    r"|__aarch64_(cas|swp|ld(add|clr|eor|set))[0-9]_\w+")


def check_imports(nm, archive, failing_calls):
    """No other function of the C library is called: none that prints, ends the process or throws."""
    imported = {name for _, name, kind in checks.symbols(nm, [archive]) if kind == "U"}
    for name in sorted(imported):
        checks.expect(HARMLESS.fullmatch(name) or name in failing_calls,
                      "%s is imported, and is not known to be harmless" % name)
    for name in failing_calls:
        checks.expect(name in imported, "%s is in the list of failing calls and not used" % name)


def check_symbols(nm, archive, header):
    strong = set()
    for _, name, kind in checks.symbols(nm, [archive]):
        checks.expect(kind not in "wWvV" and kind not in "uiC",
                      "%s is weak, common or unique (%s)" % (name, kind))
        # Symbols of any other Halide in a process must not meet ours: not even local ones remain.
        checks.expect("halide" not in name.lower() or name.startswith("halnorm_"),
                      "%s is a symbol of Halide (%s)" % (name, kind))
        if kind.isupper() and kind != "U":
            strong.add(name)
    functions = checks.public_functions(header)
    checks.expect("halnorm_layer_norm" in functions, header + ": no functions were found in it")
    for name in functions:
        checks.expect(name in strong, "%s is in halnorm.h and not in the library" % name)
    for name in sorted(strong - set(functions))[:4]:
        checks.expect(False, "%s is global and not in halnorm.h" % name)
    return functions


def check_linking(options, functions):
    """A C99 program of every function, and a shared object of the whole library, by $CC alone."""
    os.makedirs(options.work, exist_ok=True)
    here = os.path.dirname(os.path.abspath(__file__))
    source = os.path.join(options.work, "every_function.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write('#include "halnorm.h"\n#include "works.h"\ntypedef void (*function)(void);\n'
                   "function volatile every_function[] = {\n%s};\n"
                   "int main(void) {\n  unsigned i;\n"
                   "  for (i = 0; i < sizeof(every_function) / sizeof(every_function[0]); ++i) {\n"
                   "    if (every_function[i] == 0) return 1;\n  }\n"
                   "  return halnorm_works() ? 0 : 1;\n}\n"
                   % "".join("  (function)%s,\n" % name for name in functions))
    compile_c = [options.cc, "-std=c99", "-fPIC", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic",
                 "-Werror", "-I", os.path.dirname(options.header), "-I", here]
    libraries = ["-lm", "-lpthread", "-ldl"]
    works = os.path.join(here, "works.c")

    def build(what, *arguments):
        status, output = checks.run(*compile_c, *arguments)
        return checks.expect(status == 0, "%s, by the C compiler alone:\n%s" % (what, output))

    def start(what, *command):
        status, output = checks.run(*options.emulator.split(), *command)
        checks.expect(status == 0, "%s ends with %d:\n%s" % (what, status, output))

    program = os.path.join(options.work, "every_function")
    if build("linking a program", source, works, options.archive, *libraries, "-o", program):
        start("the program", program)
    shared = os.path.join(options.work, "libwhole.so")
    loader = os.path.join(options.work, "dlopen_test")
    # -z text: no relocation of code when it is loaded.
    if build("linking a shared object", "-shared", "-Wl,--no-undefined", "-Wl,-z,text", works,
             "-Wl,--whole-archive", options.archive, "-Wl,--no-whole-archive", *libraries,
             "-o", shared) and \
       build("building dlopen_test.c", os.path.join(here, "dlopen_test.c"), "-ldl", "-o", loader):
        # More often than there are keys for the memory of threads. An emulator keeps what it
        # translates of each: a few rounds, in which memory is not looked at.
        start("dlopen", loader, shared, "20" if options.emulator else "2000")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("nm", "cc", "archive", "header", "work"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--failing-calls", required=True, nargs="+")
    parser.add_argument("--emulator", default="", help="what runs programs for another processor")
    options = parser.parse_args()
    functions = check_symbols(options.nm, options.archive, options.header)
    check_imports(options.nm, options.archive, options.failing_calls)
    check_linking(options, functions)
    checks.finish("%d public functions, all of them in the library" % len(functions))


main()
