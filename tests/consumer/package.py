# SPDX-License-Identifier: Apache-2.0
"""The package as its users get it: installed and moved elsewhere, as sources of a project around it
(then as a shared library), through pkg-config, out of a .deb and a .tar.gz; and the generator."""
import argparse
import filecmp
import glob
import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "library"))
import checks  # noqa: E402


def must(what, *command, **options):
    status, output = checks.run(*command, **options)
    if not checks.expect(status == 0, "%s ends with %d:\n%s" % (what, status, output)):
        checks.finish("")
    return output


def fresh(options, name):
    path = os.path.join(options.work, name)
    shutil.rmtree(path, ignore_errors=True)
    return path


def start(options, program):
    must(program, *options.emulator.split(), program)


def consume(options, what, *defines):
    """Builds the project of this folder and runs its programs."""
    build = fresh(options, what.replace(" ", "_"))
    must("configuring " + what, options.cmake, "-S", HERE, "-B", build, "-G", options.generator,
         "-DCMAKE_MAKE_PROGRAM=" + options.make_program, "-DCMAKE_C_COMPILER=" + options.cc,
         "-DCMAKE_CXX_COMPILER=" + options.cxx, "-DCMAKE_TOOLCHAIN_FILE=" + options.toolchain,
         *defines)
    must("building " + what, options.cmake, "--build", build)
    for program in ("consumer", "consumer_in_cxx"):
        start(options, os.path.join(build, program))
    libraries = checks.run(options.readelf, "-d", os.path.join(build, "consumer"))[1]
    for name in ("libstdc++", "libHalide", "libLLVM"):
        checks.expect(name not in libraries, "%s: the program in C needs %s" % (what, name))
    return build


def install(options, build, name):
    """An install tree that was moved after it was written."""
    first, prefix = fresh(options, name + "_first"), fresh(options, name)
    must("installing", options.cmake, "--install", build, "--prefix", first)
    os.rename(first, prefix)
    for directory, _, files in os.walk(os.path.join(prefix, "lib")):
        for file in files:
            if not file.endswith((".cmake", ".pc")):
                continue
            text = checks.read(os.path.join(directory, file))
            for place in (first, build, options.source):
                checks.expect(place not in text, "%s of the install tree names %s" % (file, place))
    return prefix


def check_pkg_config(options, prefix):
    if not options.pkg_config or options.pkg_config.endswith("NOTFOUND"):
        print("without pkg-config: there is none on this machine (Debian: pkg-config)")
        return
    where = dict(os.environ, PKG_CONFIG_PATH=os.path.join(prefix, "lib", "pkgconfig"))
    flags = must("pkg-config", options.pkg_config, "--cflags", "--libs", "halnorm", env=where)
    for compiler, source in ((options.cc, "consumer.c"), (options.cxx, "consumer_in_cxx.cpp")):
        program = os.path.join(options.work, "with_pkg_config")
        must("building with pkg-config", compiler, os.path.join(HERE, source), "-o", program,
             *flags.split(), "-lm", "-Wl,-rpath," + os.path.join(prefix, "lib"))
        start(options, program)


def check_shared(options, prefix):
    """Its version is in its name, and it exports the functions of halnorm.h alone."""
    library = os.path.join(prefix, "lib", "libhalnorm.so")
    if not checks.expect(os.path.islink(library), "there is no link " + library):
        return
    dynamic = must("readelf", options.readelf, "-d", library)
    checks.expect("[libhalnorm.so.0.1]" in dynamic, "libhalnorm.so has no name: " + dynamic)
    checks.expect("libstdc++" not in dynamic, "libhalnorm.so needs libstdc++: " + dynamic)
    exported = {line.split()[0] for line in
                must("nm", options.nm, "-D", "-P", "--defined-only", library).splitlines()}
    public = set(checks.public_functions(os.path.join(prefix, "include", "halnorm.h")))
    checks.expect(exported == public, "libhalnorm.so exports %s, and not %s of halnorm.h"
                  % (sorted(exported - public)[:4], sorted(public - exported)))
    # Full RELRO: what the loader fills in is read-only from then on, and it fills in all at once.
    checks.expect("BIND_NOW" in dynamic, "libhalnorm.so binds its imports when they are called")
    segments = must("readelf", options.readelf, "-lW", library)
    checks.expect("GNU_RELRO" in segments, "libhalnorm.so has no RELRO: " + segments)
    flags = re.findall(r"^ +(\w+) +(?:0x[0-9a-f]+ +){5}([RWE ]{3})", segments, flags=re.MULTILINE)
    checks.expect("GNU_STACK" in dict(flags), "libhalnorm.so asks for no stack: " + segments)
    for segment, flag in flags:
        checks.expect(not {"W", "E"} <= set(flag),
                      "%s of libhalnorm.so is writable code: %s" % (segment, segments))
    imports = must("nm", options.nm, "-D", "-u", library)
    checks.expect("__stack_chk_fail" in imports, "libhalnorm.so has no stack protector")
    checks.expect(re.search(r"__\w+printf_chk", imports), "libhalnorm.so is without _FORTIFY_SOURCE")


def check_same_kernels(options, build):
    """Kernels that were made in another folder have the same bytes."""
    made, here = (os.path.join(root, "runtime", "kernels")
                  for root in (os.path.join(build, "_deps", "halnorm-build"), options.build))
    names = sorted(os.listdir(made))
    checks.expect(names, "there are no kernels in " + made)
    for name in names:
        same = filecmp.cmp(os.path.join(made, name), os.path.join(here, name), shallow=False)
        checks.expect(same, name + " has other bytes where it is made in another folder")


# What halnorm-generate refuses: options, and words that its message must have.
GOOD = {"--op": "rms_norm", "--n": "96", "--dtype": "bf16", "--target": "x86_avx2,arm_neon"}
REFUSED = [
    ({"--op": "softmax"}, ["op 'softmax'", "layer_norm", "rms_norm"]),
    ({"--n": "0"}, ["n '0'", "1048576"]),
    ({"--n": "4k"}, ["n '4k'", "1048576"]),
    ({"--n": "1048577"}, ["n '1048577'", "1048576"]),
    ({"--dtype": "f32,f64"}, ["dtype 'f64'", "f32, f16, bf16"]),
    ({"--target": "x86_avx2,vax"}, ["target 'vax'", "x86_sse41", "arm_neon"]),
    ({"--rows": "-1"}, ["rows '-1'"]),
    ({"--dtype": "f32,bf16,f32"}, ["dtype 'f32' is there twice"]),
    ({"-o": __file__ + "/out"}, ["cannot write to '%s/out'" % __file__]),
    ({"--fast": "1"}, ["option '--fast'", "--all-schedules"]),
]


def check_generator(options, prefix):
    program = os.path.join(prefix, "bin", "halnorm-generate")
    where = dict(os.environ, HALNORM_HALIDE_DIR=options.halide,
                 PATH=os.path.dirname(options.cmake) + os.pathsep + os.environ["PATH"])
    out = fresh(options, "out")

    def generate(environment=where, **changed):
        words = {**GOOD, "-o": out, **changed}
        return checks.run(program, *[word for pair in words.items() for word in pair],
                          env=environment)

    def refused(what, names, status, output):
        checks.expect(status != 0, what + " is taken")
        checks.expect(output.count("\n") == 1 and output.startswith("halnorm-generate: "),
                      "%s: the message is not one line of halnorm-generate: %s" % (what, output))
        for name in names:
            checks.expect(name in output, "%s: the message does not say %s: %s"
                          % (what, name, output))
        checks.expect(not os.path.exists(out), what + ": something was written")

    for changed, names in REFUSED:
        refused(" ".join(*changed.items()), names, *generate(**changed))
    refused("a folder without Halide", ["pip install", "halide==21", "HALNORM_HALIDE_DIR"],
            *generate(dict(where, HALNORM_HALIDE_DIR=options.work)))
    status, output = generate()
    checks.expect(status == 0, "halnorm-generate: " + output)
    files = sorted(os.listdir(out))
    libraries = ["librms_norm_n96_arm_neon.a", "librms_norm_n96_x86_avx2.a"]
    checks.expect(files == ["halnorm_kernels.h"] + libraries + ["rms_norm_n96.h"],
                  "halnorm-generate wrote %s" % files)
    for library, machine in zip(libraries, ("AArch64", "X86-64")):
        library = os.path.join(out, library)
        headers = must("readelf", options.readelf, "-h", library)
        checks.expect(machine in headers, "%s is for %s" % (library, headers))
        imported = must("nm", options.nm, "-u", library)
        checks.expect(" U " not in imported, "%s imports %s" % (library, imported))


def check_packages(options):
    packages = fresh(options, "packages")
    must("cpack", options.cpack, "--config", os.path.join(options.build, "CPackConfig.cmake"),
         "-B", packages)
    components = ["library"] if options.toolchain else ["generator", "library"]
    for kind, names, prefix in ((".deb", {"library": "libhalnorm-dev_*"}, "usr"),
                                (".tar.gz", {}, "")):
        root = fresh(options, "root")
        os.makedirs(root)
        for component in components:
            pattern = names.get(component, "*-" + component + "*") + kind
            found = glob.glob(os.path.join(packages, pattern))
            if not checks.expect(len(found) == 1, "cpack wrote %s: %s" % (pattern, found)):
                return
            if kind == ".deb":
                must("dpkg-deb", "dpkg-deb", "-x", found[0], root)
            else:
                must("tar", "tar", "-C", root, "-xf", found[0])
            if kind == ".deb" and component == "library":
                fields = must("dpkg-deb", "dpkg-deb", "-f", found[0], "Depends")
                checks.expect(fields == "libc6\n", "the library's .deb depends on " + fields)
        prefix = os.path.join(root, prefix)
        consume(options, "a " + kind[1:], "-DCMAKE_PREFIX_PATH=" + prefix)
        generator = os.path.join(prefix, "bin", "halnorm-generate")
        checks.expect(os.access(generator, os.X_OK) == ("generator" in components),
                      kind + ": the program halnorm-generate is %s" % generator)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["installed", "source", "packages", "generator"])
    for name in ("cmake", "cpack", "generator", "make-program", "cc", "cxx", "nm", "readelf",
                 "build", "source", "work"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--toolchain", default="")
    parser.add_argument("--emulator", default="")
    parser.add_argument("--pkg-config", default="")
    parser.add_argument("--target", help="of the library that is built from its sources")
    parser.add_argument("--generators", help="what its kernels are made by")
    parser.add_argument("--halide-helpers", help="HalideHelpers_DIR")
    parser.add_argument("--halide", help="the folder of a Halide, for an installed generator")
    options = parser.parse_args()
    options.work = os.path.join(options.work, options.what)
    os.makedirs(options.work, exist_ok=True)
    if options.what == "installed":
        prefix = install(options, options.build, "prefix")
        consume(options, "the install tree", "-DCMAKE_PREFIX_PATH=" + prefix)
        check_pkg_config(options, prefix)
    elif options.what == "generator":
        prefix = install(options, options.build, "prefix")
        build = consume(options, "the generator", "-DCMAKE_PREFIX_PATH=" + prefix,
                        "-DHALNORM_TARGET=" + options.target,
                        "-DHALNORM_HALIDE_DIR=" + options.halide)
        start(options, os.path.join(build, "generated"))
        check_generator(options, prefix)
    elif options.what == "source":
        build = consume(options, "the sources", "-DHALNORM_SOURCE=" + options.source,
                        "-DBUILD_SHARED_LIBS=ON", "-DCMAKE_BUILD_TYPE=Release",
                        "-DHALNORM_TARGETS=" + options.target,
                        "-DHALNORM_GENERATORS=" + options.generators,
                        "-DHalideHelpers_DIR=" + options.halide_helpers)
        prefix = install(options, build, "prefix")
        check_shared(options, prefix)
        check_same_kernels(options, build)
        consume(options, "the shared library", "-DCMAKE_PREFIX_PATH=" + prefix)
        check_pkg_config(options, prefix)
    else:
        check_packages(options)
    checks.finish("the programs run")


main()
