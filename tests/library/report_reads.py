# SPDX-License-Identifier: Apache-2.0
"""What the report makes of the JSON of halnorm_bench and of the tuner's logs: the figures that it
draws, and how it refuses what it cannot read. Nothing is drawn."""
import argparse
import json
import os
import sys

import checks

LAYER = "layer_norm_forward:f32:64x768:gamma,beta,statistics"
RMS = "rms_norm_backward:bf16:2x17x64:gamma,layout=gaps"
PLAIN = "layer_norm_forward:f16:8x8:"

HEADER = {"halnorm_tune": 1, "target": "x86_avx2", "budget_s": 60}


def close(actual, expected):
    return abs(actual - expected) < 1e-9 * abs(expected)


def entries(problem, contender, label, *times, unit="ns", run_type="iteration"):
    """Google Benchmark's rounds of a contender."""
    return [{"run_name": "%s/%s/real_time" % (problem, contender), "run_type": run_type,
             "real_time": time, "time_unit": unit, "label": label} for time in times]


def failure(problem, contender, label, message):
    return [dict(entry, error_occurred=True, error_message=message)
            for entry in entries(problem, contender, label, 0.0)]


class Inputs:
    def __init__(self, directory):
        self.directory = directory

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def benchmark(self, name, *runs, **context):
        return self.write(name, json.dumps(
            {"context": dict({"cpu": "a CPU", "target": "x86_avx2", "threads": "1"}, **context),
             "benchmarks": [entry for run in runs for entry in run]}))

    def log(self, name, *records, end=""):
        return self.write(name, "".join(json.dumps(record) + "\n" for record in records) + end)


def expect_refused(read, what, *parts):
    """The message has all the parts."""
    from report_benchmarks import Malformed
    try:
        read()
    except Malformed as error:
        for part in parts:
            checks.expect(part in str(error), "%s: the message does not say '%s': %s"
                          % (what, part, error))
        return
    checks.expect(False, "%s: is taken" % what)


def check_benchmarks(benchmarks, inputs):
    path = inputs.benchmark(
        "one.json",
        entries(LAYER, "tuned rows", "tuned_rows: kernel", 100, 140, 120),
        entries(LAYER, "tuned rows", "tuned_rows: kernel", 7, run_type="aggregate"),
        entries(LAYER, "default rows", "default_rows: ", 0.2, 0.3, unit="us"),
        entries(LAYER, "Li2018, 1 core", "autoscheduler: free order", 300),
        entries(LAYER, "Adams2019, 1 core", "autoscheduler: free order", 250),
        failure(LAYER, "Mullapudi2016", "autoscheduler: free order", "failed: bounds"),
        entries(LAYER, "oneDNN", "peer: jit", 90, 180, 150),
        entries(LAYER, "copy", "limit: ", 60), entries(LAYER, "triad", "limit: ", 50),
        entries(LAYER, "row rows=1", "other_row: ", 10),
        entries(RMS + ",cache=cold", "tuned rows", "tuned_rows: ", 100),
        entries(RMS + ",cache=cold", "mine", "other_library: a: b", 400),
        entries(PLAIN + ",cache=cold", "tuned rows", "tuned_rows: ", 8),
        entries(PLAIN + ",cache=cold", "oneDNN", "peer: jit", 4),
        failure(RMS + ",cache=cold", "oneDNN", "peer: ", "absent: no such norm"))
    found = benchmarks.read_benchmarks([path])
    cases = {case.problem.text: case for case in found.cases.values()}
    if not checks.expect(set(cases) == {LAYER, RMS, PLAIN}, "the problems are %s" % set(cases)):
        return
    layer, rms = cases[LAYER], cases[RMS]
    checks.expect(layer.problem.bytes == 2 * 4 * 64 * 768, "bytes: %d" % layer.problem.bytes)
    checks.expect(rms.problem[1:] == ("rms_norm_backward", "bf16", "2x17x64", "gaps", 8704),
                  "the problem %s became %s" % (RMS, rms.problem))
    checks.expect([case.condition.cache for case in (layer, rms)] == ["warm", "cold"],
                  "warm and cold runs became %s and %s" % (layer.condition, rms.condition))
    series = layer.series()
    checks.expect(list(series) == ["tuned rows", "default rows", "best autoscheduler", "oneDNN"],
                  "the series are %s" % list(series))
    checks.expect(series["best autoscheduler"].name == "Adams2019, 1 core",
                  "the best autoscheduler is " + series["best autoscheduler"].name)
    checks.expect(layer.limit().name == "triad", "the limit is " + layer.limit().name)
    for name, expected in (("oneDNN", (0.9, 1.25)), ("default rows", (2, 250 / 120))):
        pair = layer.times_of_tuned(series[name])
        checks.expect(pair and all(map(close, pair, expected)),
                      "%s is at %s of the tuned rows, not %s" % (name, pair, expected))
    absent = rms.contenders["oneDNN"]
    checks.expect(absent.kind == "peer" and not absent.timed and rms.times_of_tuned(absent) is None,
                  "an absent peer became %s" % absent)
    checks.expect(rms.contenders["mine"].detail == "a: b", "the label is not cut at the first ': '")
    checks.expect(set(benchmarks.troubles(cases.values())) == {
        ("Mullapudi2016", "failed: bounds"), ("oneDNN", "absent: no such norm")},
                  "troubles: %s" % benchmarks.troubles(cases.values()))
    check_together(benchmarks, inputs, path)


def check_together(benchmarks, inputs, path):
    """Of several files."""
    again = inputs.benchmark("two.json", entries(LAYER, "tuned rows", "tuned_rows: ", 100),
                             entries(LAYER, "oneDNN", "peer: jit", 400))
    threads = inputs.benchmark("three.json", entries(PLAIN, "tuned rows", "tuned_rows: ", 10),
                               entries(PLAIN, "oneDNN", "peer: jit", 10),
                               entries(LAYER, "tuned rows", "tuned_rows: ", 10),
                               entries(LAYER, "oneDNN", "peer: jit", 90), threads="2")
    found = benchmarks.read_benchmarks([path, again, threads])
    checks.expect(len(found.notes) == 1 and "two.json" in found.notes[0],
                  "a problem of two files is not noted: %s" % found.notes)
    standings = [s for s in benchmarks.standings(list(found.cases.values()))
                 if s.series == "oneDNN"]
    figures = [(s.condition.threads, s.condition.cache, round(s.minima, 9), s.least,
                s.least_problem, s.count) for s in standings]
    expected = [(1, "warm", 4.0, 4.0, LAYER, 1), (1, "cold", 0.5, 0.5, PLAIN, 1),
                (2, "warm", 3.0, 1.0, PLAIN, 2)]
    checks.expect(figures == expected, "oneDNN stands at %s, not %s" % (figures, expected))
    conditions = [s.condition for s in standings]
    labels = [benchmarks.condition_label(condition, conditions) for condition in conditions]
    checks.expect(labels == ["1 thread, warm", "1 thread, cold", "2 threads, warm"],
                  "conditions are called %s" % labels)


def check_refused_benchmarks(benchmarks, inputs):
    def refused(what, path, *parts):
        expect_refused(lambda: benchmarks.read_benchmarks([path]), what, path, *parts)

    refused("an unknown kind", inputs.benchmark("bad.json", entries(LAYER, "x", "rival: y", 1)),
            "'rival: y'", "tuned_rows")
    for problem in ("layer_norm_forward:f32:64x768", "x:f64:8:", "x:f32:8xy:"):
        refused("the problem " + problem, inputs.benchmark(
            "bad.json", entries(problem, "x", "peer: ", 1)), "'%s'" % problem, "dtype")
    with open(inputs.benchmark("bad.json", entries(LAYER, "x", "peer: ", 1)), "rb+") as file:
        file.truncate(200)
    refused("half a file", os.path.join(inputs.directory, "bad.json"), "before its time")
    refused("another JSON", inputs.write("bad.json", "{\"context\": {}}"), "benchmarks")
    refused("no benchmark", inputs.benchmark("bad.json"), "no benchmark")


def candidate(at, status="timed", score=None, rung=0, kernel="any_norm row_apply f32", **more):
    record = {"at": at, "kernel": kernel, "rung": rung, "origin": "random", "knobs": "rows=8",
              "launch": "", "status": status, "bytes": 1234}
    return dict(record, **({} if score is None else {"score": score}), **more)


def check_log(tuning, inputs):
    row = {"at": 9.0, "kernel": "any_norm row_apply f32", "row": "* row_apply f32 : rows=8 :",
           "gain": 1.08, "bytes": 4096}
    path = inputs.log(
        "good.jsonl", HEADER, candidate(1, score=1.0), candidate(2, score=1.3),
        candidate(3, "crashed", message="signal 11"), candidate(4, score=1.1),
        candidate(5, score=0.9, rung=1), candidate(6, score=9.0), candidate(7, score=1.05, rung=1),
        {"profile": {"problem": "p", "shares": {}}, "key": "profile : p"},
        candidate(8, "duplicate", kernel="any_norm row_fold f32"), row, dict(HEADER, seed=2),
        candidate(1, score=1.0), end="{\"at\":100.0,\"kern")
    sessions = tuning.read_tuning(path)
    if not checks.expect(len(sessions) == 2, "two sessions became %d" % len(sessions)):
        return
    first, second = sessions
    checks.expect(second.header["seed"] == 2, "the second session has another header")
    checks.expect(not first.notes and len(second.notes) == 1, "the cut line is not noted")
    checks.expect(list(first.families) == ["any_norm row_apply f32", "any_norm row_fold f32"],
                  "the families are %s" % list(first.families))
    family = first.families["any_norm row_apply f32"]
    counts = family.counts()
    checks.expect(counts["timed"] == 6 and counts["crashed"] == 1 and sum(counts.values()) == 7,
                  "the candidates are counted as %s" % counts)
    best = [(1, 1.0), (2, 1.3), (4, 1.3), (5, 0.9), (7, 1.05)]
    checks.expect(family.best_so_far() == best, "the best so far is %s, not %s"
                  % (family.best_so_far(), best))
    checks.expect([row.gain for row in family.rows] == [1.08], "the rows are %s" % family.rows)
    checks.expect(family.candidates[2].message == "signal 11", "a message is lost")


def check_refused_logs(tuning, inputs):
    def refused(what, line, *parts, end="", records=(HEADER,)):
        path = inputs.log("bad.jsonl", *records, end=end)
        expect_refused(lambda: tuning.read_tuning(path), what, "%s:%d:" % (path, line), *parts)

    refused("another format", 1, "2", "1", records=[dict(HEADER, halnorm_tune=2)])
    refused("no header", 1, "halnorm_tune", records=[candidate(1, score=1.0)])
    refused("an unknown status", 2, "'fast'", "crashed", records=[HEADER, candidate(1, "fast")])
    refused("a candidate without a score", 2, "score", records=[HEADER, candidate(1)])
    refused("a broken line before the last", 2, "'{\"at\":1'", end="{\"at\":1\n{\"at\":2}\n")
    refused("half a header", 1, "{\"haln", records=[], end="{\"haln")
    path = inputs.log("bad.jsonl")
    expect_refused(lambda: tuning.read_tuning(path), "an empty log", path, "empty")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bench", "work"):
        parser.add_argument("--" + name, required=True, help="a directory")
    options = parser.parse_args()
    sys.path.insert(0, options.bench)
    import report_benchmarks as benchmarks
    import report_tuning as tuning
    checks.expect("matplotlib" not in sys.modules, "reading needs matplotlib")
    os.makedirs(options.work, exist_ok=True)
    inputs = Inputs(options.work)
    check_benchmarks(benchmarks, inputs)
    check_refused_benchmarks(benchmarks, inputs)
    check_log(tuning, inputs)
    check_refused_logs(tuning, inputs)
    checks.finish("results and logs are read, malformed ones refused")


main()
