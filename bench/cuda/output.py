# SPDX-License-Identifier: Apache-2.0
"""The table of a problem, the summary, and JSON with the fields that halnorm_bench writes."""
import json
from statistics import geometric_mean, median


def _time(seconds):
    return "%.2f us" % (seconds * 1e6) if seconds < 1e-3 else "%.3f ms" % (seconds * 1e3)


def _quickest(contenders, kind):
    timed = [min(c.seconds) for c in contenders if c.kind == kind and c.seconds]
    return min(timed, default=None)


def table(problem, contenders, timed):
    """`timed`: whether contenders are timed at all."""
    limit, tuned = _quickest(contenders, "limit"), _quickest(contenders, "tuned_rows")
    lines = [problem.text]
    if limit:
        lines[0] += "   limit: %s, %.0f GB/s" % (_time(limit), problem.traffic / limit * 1e-9)
    width = max(len(c.name) for c in contenders)
    lines.append("  %-*s %11s %11s %9s %9s" % (width, "", "min", "median", "of limit", "of tuned"))
    for c in contenders:
        if c.trouble or not c.seconds:
            lines.append("  %-*s   %s" % (width, c.name, c.trouble or ("not timed" if timed else "right")))
            continue
        own = min(c.seconds)
        of_limit, of_tuned = ("%.0f %%" % (100 * other / own) if other and own else ""
                              for other in (limit, tuned))
        lines.append("  %-*s %11s %11s %9s %9s  %s" % (
            width, c.name, _time(own), _time(median(c.seconds)), of_limit, of_tuned, c.detail))
    return "\n".join(lines)


def summary(cases):
    """`cases`: (problem, contenders). Times of each rival over those of the tuned rows."""
    ratios = {}
    for problem, contenders in cases:
        tuned = next((c for c in contenders if c.kind == "tuned_rows" and c.seconds), None)
        for c in contenders:
            if tuned is None or c is tuned or not c.seconds or c.kind == "other_row":
                continue
            if min(c.seconds) > 0 and min(tuned.seconds) > 0:
                ratios.setdefault(c.name, []).append(
                    (min(c.seconds) / min(tuned.seconds),
                     median(c.seconds) / median(tuned.seconds), problem.text))
    lines = ["Time over that of the tuned rows, by minima / by medians (geometric means)"]
    for name, rows in ratios.items():
        least, _, text = min(rows)
        lines.append("  %-24s %6.3f / %.3f over %d problems, least %.3f: %s" % (
            name, geometric_mean([r[0] for r in rows]), geometric_mean([r[1] for r in rows]),
            len(rows), least, text))
    return "\n".join(lines)


def _entries(problem, contender):
    # The cache is cold before each call.
    name = "%s%s/%s" % (problem.text, ("" if problem.text.endswith(":") else ",") + "cache=cold",
                        contender.name)
    entry = {"name": name, "run_name": name, "run_type": "iteration",
             "label": "%s: %s" % (contender.kind, contender.detail)}
    if contender.trouble:
        return [dict(entry, error_occurred=True, error_message=contender.trouble)]
    return [dict(entry, repetitions=len(contender.seconds), repetition_index=index, threads=1,
                 iterations=1, real_time=seconds * 1e6, cpu_time=seconds * 1e6, time_unit="us")
            for index, seconds in enumerate(contender.seconds)]


def write_json(path, context, cases):
    entries = [entry for problem, contenders in cases for contender in contenders
               for entry in _entries(problem, contender)]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"context": context, "benchmarks": entries}, file, indent=1)
