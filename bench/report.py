# SPDX-License-Identifier: Apache-2.0
"""Turns the JSON of halnorm_bench and the logs of the tuner into a page, report.html, with its
figures inside and as PNGs beside it."""
import argparse
import base64
import html
import io
import os
import re
import sys

import matplotlib

import report_benchmarks as benchmarks
import report_figures as figures
import report_tuning as tuning
from report_benchmarks import Malformed, condition_label

STYLE = """
body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em; }
h2 { border-bottom: 1px solid #999; margin-top: 2em; }
figure { margin: 1.5em 0; } figure img { max-width: 100%; }
figcaption, .note { color: #444; max-width: 60em; }
table { border-collapse: collapse; font-size: 13px; }
.wide { max-height: 40em; overflow: auto; }
th, td { padding: 0.2em 0.6em; text-align: right; border-bottom: 1px solid #ddd; }
td { white-space: nowrap; }
th { background: #eee; position: sticky; top: 0; }
td.text, th.text { text-align: left; } td.trouble { background: #ddd; } code { font-size: 12px; }
.message { max-width: 50em; white-space: normal; }
"""
CONTENTS = "<p>" + " | ".join("<a href='#%s'>%s</a>" % item for item in (
    ("machine", "machine"), ("summary", "summary"), ("ratios", "share of the limit"),
    ("peers", "peers"), ("tuning", "tuning"), ("times", "times"), ("marks", "marks"))) + "</p>"
MOST_FAMILIES = 12  # of a figure

RATIO_CAPTION = """Higher is quicker: 100 % (dashed) is the limit, a copy of the same bytes, or for
a backward a triad. Each marker is a problem, by the least time of its rounds; where problems have
the same size the line, a guide for the eye, goes through their geometric mean. Right of the dotted
line x and y exceed the last-level cache. The last row has each dtype and layout of which only one
size was measured. Of the autoschedulers the quickest of each problem is shown. A marker on the
lower edge is at 1 % or below; a series without a marker was absent or failed: see <a
href="#marks">the marks</a>."""
HEAT_CAPTION = """How many times as long the peer takes as the tuned rows, by least times: above 1
(blue) halnorm is quicker, below 1 (red) the peer. A ~ marks where the medians say the opposite. The
colours end at 4 and 1/4, the figures do not. Grey: nothing to compare, for the reason that is
written there; empty where the problem was not measured or the benchmark had no such peer."""
TUNING_CAPTION = """Each dot is a candidate on the problems of its rung; above 1 (dashed) it is
quicker than the row in use. Larger dots are of higher rungs, which are timed longer. The black line
is the best of the highest rung reached: it falls where a higher rung takes back what noise gave. A
triangle at the grey line is slower than shown; below the line stand the candidates that have no
time. Duplicates are left out."""


def text(value):
    return html.escape(str(value))


def time_text(seconds):
    for unit, name in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= unit:
            return "%.3g&nbsp;%s" % (seconds / unit, name)
    return "%.3g&nbsp;ns" % (seconds * 1e9)


def table(head, rows, words=1):
    """Cells are HTML; the first columns hold words. A cell that is a tuple is what went wrong: a
    word and the whole message."""
    def cell(i, value):
        if isinstance(value, tuple):
            return "<td class=trouble title='%s'>%s</td>" % (text(value[1]), text(value[0]))
        return "<td%s>%s</td>" % (" class=text" if i < words else "", value)

    lines = ["<div class=wide><table><tr>" + "".join(
        "<th%s>%s</th>" % (" class=text" if i < words else "", value)
        for i, value in enumerate(head)) + "</tr>"]
    lines += ["<tr>" + "".join(cell(i, value) for i, value in enumerate(row)) + "</tr>"
              for row in rows]
    return "\n".join(lines + ["</table></div>"])


class Page:
    def __init__(self, directory):
        self.directory = directory
        self.parts = []

    def add(self, *parts):
        self.parts += parts

    def figure(self, name, drawn, caption):
        file = io.BytesIO()
        drawn.savefig(file, format="png", dpi=110)
        with open(os.path.join(self.directory, name + ".png"), "wb") as png:
            png.write(file.getvalue())
        self.add("<figure><img alt='%s' src='data:image/png;base64,%s'><figcaption>%s</figcaption>"
                 "</figure>" % (text(name), base64.b64encode(file.getvalue()).decode(), caption))

    def write(self):
        path = os.path.join(self.directory, "report.html")
        with open(path, "w", encoding="utf-8") as file:
            file.write("<!doctype html><html lang=en><meta charset=utf-8><title>halnorm: report"
                       "</title><style>%s</style><h1>halnorm: report</h1>\n%s</html>\n"
                       % (STYLE, "\n".join(self.parts)))
        return path


def last_level_cache(contexts):
    """In bytes; 0 where files differ in it."""
    sizes = {max((cache["size"] for cache in context.get("caches", [])), default=0)
             for _, context in contexts}
    return sizes.pop() if len(sizes) == 1 else 0


def too_busy(context):
    """As halnorm_bench decides it."""
    threads = max(int(n) for n in re.findall(r"\d+", context.get("threads", "1")))
    return context["load_avg"][0] + threads > context["num_cpus"] + 0.5


def add_machine(page, found):
    page.add("<h2 id=machine>The machine</h2>")
    shown = {path: {key: value for key, value in context.items()
                    if key not in ("executable", "host_name", "library_build_type")}
             for path, context in found.contexts}
    for context in shown.values():
        context["load_avg"] = ", ".join("%.1f" % load for load in context.get("load_avg", []))
        context["caches"] = ", ".join("L%d %s %s" % (c["level"], c["type"].lower(),
                                                     figures.bytes_text(c["size"]))
                                      for c in context.get("caches", []))
    keys = list(dict.fromkeys(key for context in shown.values() for key in context))
    page.add(table([""] + [text(path) for path in shown],
                   [[text(key)] + [text(context.get(key, "")) for context in shown.values()]
                    for key in keys]))
    for path, context in found.contexts:
        if context.get("load_avg") and too_busy(context):
            page.add("<p><b>%s: the machine was too busy before the run (load %.1f, %d CPUs) for "
                     "times that can be relied on.</b></p>"
                     % (text(path), context["load_avg"][0], context["num_cpus"]))
    page.add(*("<p class=note>%s</p>" % text(note) for note in found.notes))


def add_standings(page, cases, conditions):
    rows = [[text(s.series), text(condition_label(s.condition, conditions)), "%.2f" % s.minima,
             "%.2f" % s.medians, "%.2f" % s.least, text(s.least_problem), s.count]
            for s in benchmarks.standings(cases)]
    page.add("<h2 id=summary>Summary</h2>", "<p class=note>Times of each over those of the tuned "
             "rows: above 1 halnorm is quicker. Means are geometric, over the problems that both "
             "ran.</p>",
             table(["", "condition", "mean, by minima", "mean, by medians", "least",
                    "least in", "problems"], rows, words=2))


def add_figures_of_times(page, found, cases):
    page.add("<h2 id=ratios>Share of the limit</h2>")
    names = benchmarks.series_names(cases)
    for operation in sorted({case.problem.operation for case in cases},
                            key=figures.operation_order):
        here = [case for case in cases if case.problem.operation == operation]
        page.figure("ratio_" + operation, figures.ratio_figure(
            operation, here, names, last_level_cache(found.contexts)), RATIO_CAPTION)
    page.add("<h2 id=peers>Where each peer stands</h2>")
    peers = benchmarks.peer_names(cases)
    if not peers:
        page.add("<p>No peer ran in these benchmarks.</p>")
        return
    norms = sorted({case.problem.operation.partition("_norm")[0] for case in cases})
    for norm in norms:
        here = [case for case in cases if case.problem.operation.startswith(norm)]
        page.figure("peers_" + norm, figures.heat_figure(norm, here, peers), HEAT_CAPTION)


def add_times(page, cases, conditions):
    names = benchmarks.series_names(cases)
    rows = []
    for case in sorted(cases, key=lambda c: (figures.problem_order(c.problem),
                                             conditions.index(c.condition))):
        limit = case.limit()
        row = [text(case.problem.text), text(condition_label(case.condition, conditions)),
               time_text(limit.least) if limit and limit.timed else "none"]
        series = case.series()
        for name in names:
            contender = series.get(name)
            pair = contender and case.times_of_tuned(contender)
            if contender is None:
                row.append("")
            elif contender.trouble:
                row.append((contender.trouble.partition(":")[0], contender.trouble))
            elif name == benchmarks.TUNED or not pair:
                row.append(time_text(contender.least) + " / " + time_text(contender.median))
            else:
                row.append("<span title='%s'>%.2f / %.2f</span>"
                           % (text(contender.name + ": " + contender.detail), *pair))
        rows.append(row)
    page.add("<h2 id=times>Times</h2>", "<p class=note>Least / median of the rounds: of the tuned "
             "rows the time of a call, of the others that many times as long. The limit is the "
             "least time. Empty: the run had no such contender.</p>",
             table(["problem", "condition", "limit"] + [text(name) for name in names], rows, 2))


def add_marks(page, cases, conditions):
    found = benchmarks.troubles(cases)
    page.add("<h2 id=marks>Marks: what is absent, failed or wrong</h2>")
    if not found:
        page.add("<p>Nothing.</p>")
        return
    rows = []
    for (name, message), where in sorted(found.items(), key=lambda item: item[0]):
        places = "<br>".join("%s (%s)" % (text(case.problem.text), text(
            condition_label(case.condition, conditions))) for case in where)
        rows.append([text(name), "<div class=message>%s</div>" % text(message),
                     "<details><summary>%d</summary>%s</details>" % (len(where), places)])
    page.add(table(["contender", "what it said", "problems"], rows, words=3))


def add_tuning(page, sessions):
    page.add("<h2 id=tuning>Tuning</h2>")
    for i, session in enumerate(sessions):
        page.add("<h3>%s</h3>" % text(session.path), "<p>%s</p>" % text(", ".join(
            "%s: %s" % item for item in session.header.items()
            if item[0] != "halnorm_tune" and item[1] != "")))
        page.add(*("<p><b>%s</b></p>" % text(note) for note in session.notes))
        families = list(session.families.values())
        if not families:
            page.add("<p>No candidate is in this log.</p>")
            continue
        for first in range(0, len(families), MOST_FAMILIES):
            page.figure("tuning_%d_%d" % (i + 1, first // MOST_FAMILIES + 1),
                        figures.tuning_figure("Tuning of %s" % session.header.get("target", ""),
                                              families[first:first + MOST_FAMILIES]),
                        TUNING_CAPTION)
        found = [[text(row.kernel), "<code>%s</code>" % text(row.row), "%.3f" % row.gain, row.bytes,
                  "%.0f" % row.at] for family in families for row in family.rows]
        head = ["kernel", "row", "gain", "bytes of code", "at, seconds"]
        page.add("<h4>Rows found</h4>", table(head, found, words=2) if found else "<p>None.</p>")
        page.add("<h4>Candidates</h4>", table(
            ["kernel"] + list(tuning.STATUSES) + ["best score"],
            [[text(family.kernel)] + list(family.counts().values())
             + ["%.3f" % family.best_so_far()[-1][1] if family.best_so_far() else "none"]
             for family in families]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", nargs="*", default=[], metavar="FILE",
                        help="JSON of halnorm_bench")
    parser.add_argument("--tune", nargs="*", default=[], metavar="FILE", help="logs of the tuner")
    parser.add_argument("--output", required=True, metavar="DIRECTORY")
    options = parser.parse_args()
    if not options.bench and not options.tune:
        sys.exit("There is nothing to report: neither results of 'make bench' nor a log of "
                 "'make tune'. Make them first, or name files in BENCH= and TUNE=.")
    try:
        found = benchmarks.read_benchmarks(options.bench)
        sessions = [session for path in options.tune for session in tuning.read_tuning(path)]
    except (Malformed, OSError) as error:
        sys.exit("report: %s" % error)
    os.makedirs(options.output, exist_ok=True)
    matplotlib.rcParams.update(figures.FONT)
    page = Page(options.output)
    page.add(CONTENTS)
    cases = list(found.cases.values())
    if cases:
        conditions = benchmarks.conditions_of(cases)
        add_machine(page, found)
        add_standings(page, cases, conditions)
        add_figures_of_times(page, found, cases)
    else:
        page.add("<p>No results of <code>make bench</code> were given.</p>")
    if sessions:
        add_tuning(page, sessions)
    else:
        page.add("<h2 id=tuning>Tuning</h2><p>No log of <code>make tune</code> was given.</p>")
    if cases:
        add_times(page, cases, conditions)
        add_marks(page, cases, conditions)
    print(page.write())


main()
