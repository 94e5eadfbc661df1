# SPDX-License-Identifier: Apache-2.0
"""Reads the JSON of halnorm_bench and groups what is in it, with Python's own library alone."""
import json
import math
from collections import namedtuple
from dataclasses import dataclass, field
from statistics import geometric_mean, median

KINDS = ("halide_default", "autoscheduler", "default_rows", "tuned_rows", "other_library",
         "other_version", "other_row", "peer", "limit")
# Of these kinds the quickest contender of a problem stands for all; the others go by their names.
SERIES_OF_KIND = {"tuned_rows": "tuned rows", "default_rows": "default rows",
                  "halide_default": "Halide's default", "autoscheduler": "best autoscheduler"}
TUNED = SERIES_OF_KIND["tuned_rows"]

SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
ELEMENT_BYTES = {"f32": 4, "f16": 2, "bf16": 2}

Problem = namedtuple("Problem", "text operation dtype shape layout bytes")
Condition = namedtuple("Condition", "cpu target threads cache")


class Malformed(Exception):
    """An input is not what it should be; the message names the file."""


@dataclass
class Contender:
    name: str
    kind: str
    detail: str
    trouble: str = ""  # why it is not timed
    seconds: list = field(default_factory=list)  # of a call, one for each round

    @property
    def timed(self):
        return bool(self.seconds) and not self.trouble

    @property
    def least(self):
        return min(self.seconds) if self.timed else math.inf

    @property
    def median(self):
        return median(self.seconds)


@dataclass
class Case:
    """A problem under a condition: all contenders of one run, interleaved."""
    condition: Condition
    problem: Problem
    contenders: dict = field(default_factory=dict)

    def quickest(self, kind):
        """Of a kind; one that was not timed if there is no other, None if there is none at all."""
        return min((c for c in self.contenders.values() if c.kind == kind),
                   key=lambda c: c.least, default=None)

    def limit(self):
        return self.quickest("limit")

    def series(self):
        """The contender of each series that a reader compares: the limits and the single rows are
        not among them."""
        found = {name: self.quickest(kind) for kind, name in SERIES_OF_KIND.items()}
        found.update((c.name, c) for c in self.contenders.values()
                     if c.kind in ("other_library", "other_version", "peer"))
        return {name: contender for name, contender in found.items() if contender is not None}

    def times_of_tuned(self, contender):
        """The times of the contender over those of the tuned rows, by minima and by medians; None
        where one was not timed."""
        tuned = self.quickest("tuned_rows")
        if tuned is None or not (tuned.timed and contender.timed):
            return None
        return contender.least / tuned.least, contender.median / tuned.median


@dataclass
class Benchmarks:
    """What all files of halnorm_bench say together."""
    contexts: list = field(default_factory=list)  # (path, context)
    cases: dict = field(default_factory=dict)  # (Condition, Problem): Case
    notes: list = field(default_factory=list)


def parse_problem(text):
    """The problem and the conditions that are written behind its options."""
    parts = text.split(":")
    try:
        operation, dtype, shape, options = parts
        elements = math.prod(int(extent) for extent in shape.split("x"))
        size = ELEMENT_BYTES[dtype]
    except (ValueError, KeyError):
        raise Malformed("'%s' is no problem operation:dtype:shape:options" % text) from None
    settings, kept, layout = {}, [], "dense"
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        if name in ("cache", "threads"):
            settings[name] = value
            continue
        layout = value if name == "layout" else layout
        kept.append(option)
    canonical = ":".join((operation, dtype, shape, ",".join(kept)))
    # x and y, or x and dx.
    return Problem(canonical, operation, dtype, shape, layout, 2 * elements * size), settings


def _read_entry(entry, context, cases):
    problem_text, _, name = entry["run_name"].partition("/")
    name = name[:-len("/real_time")] if name.endswith("/real_time") else name
    problem, settings = parse_problem(problem_text)
    condition = Condition(context.get("cpu", "unknown CPU"), context.get("target", ""),
                          int(settings.get("threads", context.get("threads", "1"))),
                          settings.get("cache", "warm"))
    case = cases.setdefault((condition, problem), Case(condition, problem))
    kind, _, detail = entry["label"].partition(": ")
    if kind not in KINDS:
        raise Malformed("the label '%s' of %s does not begin with a kind of contender: %s"
                        % (entry["label"], entry["run_name"], ", ".join(KINDS)))
    contender = case.contenders.setdefault(name, Contender(name, kind, detail))
    if entry.get("error_occurred"):
        contender.trouble = entry["error_message"]
    else:
        contender.seconds.append(entry["real_time"] * SECONDS[entry["time_unit"]])


def read_benchmarks(paths):
    found = Benchmarks()
    for path in paths:
        cases = {}
        try:
            with open(path, encoding="utf-8") as file:
                content = json.load(file)
            context = content["context"]
            for entry in content["benchmarks"]:
                if entry["run_type"] == "iteration":
                    _read_entry(entry, context, cases)
        except Malformed as error:
            raise Malformed("%s: %s" % (path, error)) from None
        except json.JSONDecodeError as error:
            raise Malformed("%s: no whole JSON (%s); did the benchmark end before its time?"
                            % (path, error)) from None
        except (KeyError, TypeError) as error:
            raise Malformed("%s: not as Google Benchmark writes it: %r" % (path, error)) from None
        if not cases:
            raise Malformed("%s: no benchmark is in it" % path)
        again = len(found.cases.keys() & cases.keys())
        if again:
            found.notes.append("%d problems that earlier files have too are taken from %s: rounds "
                               "of different runs are not interleaved." % (again, path))
        found.contexts.append((path, context))
        found.cases.update(cases)
    return found


def series_names(cases):
    """Of all cases: those of SERIES_OF_KIND first, then libraries and peers by name."""
    names = {name for case in cases for name in case.series()}
    own = [name for name in SERIES_OF_KIND.values() if name in names]
    return own + sorted(names - set(own), key=str.lower)


def peer_names(cases):
    return sorted({c.name for case in cases for c in case.contenders.values()
                   if c.kind == "peer"}, key=str.lower)


def conditions_of(cases):
    """Few threads first, warm before cold."""
    return sorted({case.condition for case in cases},
                  key=lambda c: (c.cpu, c.target, c.threads, c.cache != "warm"))


def condition_label(condition, conditions):
    """The threads and the cache, and of the rest what differs between the conditions."""
    parts = [getattr(condition, name) for name in ("cpu", "target")
             if len({getattr(other, name) for other in conditions}) > 1]
    threads = "1 thread" if condition.threads == 1 else "%d threads" % condition.threads
    return ", ".join(parts + [threads, condition.cache])


Standing = namedtuple("Standing", "series condition minima medians least least_problem count")


def standings(cases):
    """How the tuned rows stand against each series and the limit under each condition."""
    ratios = {}
    for case in cases:
        rivals = dict(case.series(), limit=case.limit())
        rivals.pop(TUNED, None)
        for name, contender in rivals.items():
            pair = contender and case.times_of_tuned(contender)
            if pair:
                ratios.setdefault((name, case.condition), []).append((*pair, case.problem.text))
    order, conditions = series_names(cases) + ["limit"], conditions_of(cases)
    found = []
    for (name, condition), rows in ratios.items():
        least, _, problem = min(rows)
        found.append(Standing(name, condition, geometric_mean([row[0] for row in rows]),
                              geometric_mean([row[1] for row in rows]), least, problem, len(rows)))
    return sorted(found, key=lambda s: (conditions.index(s.condition), order.index(s.series)))


def troubles(cases):
    """(contender, message): the cases that it is said of."""
    found = {}
    for case in cases:
        for contender in case.contenders.values():
            if contender.trouble:
                found.setdefault((contender.name, contender.trouble), []).append(case)
    return found
