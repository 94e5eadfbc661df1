# SPDX-License-Identifier: Apache-2.0
"""The figures of the report, of what report_benchmarks.py and report_tuning.py read."""
import math
import re
from statistics import geometric_mean

from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from report_benchmarks import (ELEMENT_BYTES, SERIES_OF_KIND, TUNED, condition_label,
                               conditions_of)

# The palette of Okabe and Ito, "Color Universal Design" (2008), which the colour-blind can tell
# apart; markers differ too.
OWN_STYLES = {
    TUNED: dict(color="#0072B2", marker="o", markersize=6, linewidth=2, zorder=4),
    SERIES_OF_KIND["default_rows"]: dict(color="#56B4E9", marker="s"),
    SERIES_OF_KIND["halide_default"]: dict(color="#777777", marker="v"),
    SERIES_OF_KIND["autoscheduler"]: dict(color="#E69F00", marker="D"),
}
OTHER_COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#000000")
OTHER_MARKERS = ("^", "P", "X", "*", "<", ">", "h")
UNTIMED_STYLES = {"wrong": ("x", "#D55E00"), "crashed": ("^", "#CC79A7"),
                  "timeout": ("s", "#E69F00"), "illegal": ("|", "#777777")}
DTYPES = tuple(ELEMENT_BYTES)
LEAST_SHARE = 1.0  # per cent
SLOWEST_SHOWN = 0.5
FARTHEST_COLOUR = 4.0

FONT = {"font.size": 9, "axes.titlesize": 9.5, "axes.labelsize": 9, "legend.fontsize": 9}


def series_styles(names):
    styles = dict(OWN_STYLES)
    others = [name for name in names if name not in styles]
    for i, name in enumerate(others):
        styles[name] = dict(color=OTHER_COLOURS[i % len(OTHER_COLOURS)],
                            marker=OTHER_MARKERS[i % len(OTHER_MARKERS)])
    return {name: dict(dict(linewidth=1, markersize=4.5, zorder=3), **styles[name])
            for name in names}


def bytes_text(size, _=None):
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return "%.3g %s" % (size / unit, name)
    return "%.3g B" % size


def operation_order(operation):
    """Norms by name, backward last."""
    return operation.partition("_norm")[0], "backward" in operation, operation


def _tensor(problem):
    """What a panel is of; its order is that of the panels."""
    return DTYPES.index(problem.dtype), problem.layout != "dense", problem.layout


def problem_order(problem):
    return operation_order(problem.operation), _tensor(problem), problem.bytes, problem.text


def _tensor_text(tensor):
    return "%s, %s" % (DTYPES[tensor[0]], tensor[2])


def _grid(rows, columns, width, height):
    figure = Figure(figsize=(width * columns + 0.6, height * rows + 1.1), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _label_edges(axes, x_label, y_label):
    for panel in axes[-1]:
        panel.set_xlabel(x_label)
    for panel in axes[:, 0]:
        panel.set_ylabel(y_label)


def _legend(figure, axes, columns):
    """One for all panels, in the order in which they first draw something."""
    handles = {}
    for panel in axes.flat:
        for handle, label in zip(*panel.get_legend_handles_labels()):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns,
                  frameon=False)


def _shares(cases, name, place):
    """(place of the problem, per cent of the limit) wherever the series was timed."""
    found = []
    for case in cases:
        contender, limit = case.series().get(name), case.limit()
        if contender and contender.timed and limit and limit.timed:
            share = 100 * limit.least / contender.least
            found.append((place(case.problem), max(share, LEAST_SHARE)))
    return found


def _draw_shares(panel, cases, styles, place, joined):
    found = {name: _shares(cases, name, place) for name in styles}
    if not any(found.values()):
        panel.text(0.5, 0.5, "no limit timed" if cases else "not measured",
                   transform=panel.transAxes, ha="center")
    for name, points in found.items():
        if not points:
            continue
        style = styles[name]
        panel.plot(*zip(*points), **dict(style, linestyle="", label=name, clip_on=False))
        if joined:
            places = sorted({x for x, _ in points})
            means = [geometric_mean([y for x, y in points if x == at]) for at in places]
            panel.plot(places, means, alpha=0.5, **dict(style, marker=""))
    panel.axhline(100, color="black", linestyle="--", linewidth=1)
    panel.grid(color="#DDDDDD", linewidth=0.6)


def _size_axis(panel, sizes, last_level_cache):
    panel.set(xscale="log", xlim=(min(sizes) / 2, max(sizes) * 2))
    panel.xaxis.set_major_locator(LogLocator(base=2, numticks=6))
    panel.xaxis.set_major_formatter(FuncFormatter(bytes_text))
    panel.xaxis.set_minor_locator(NullLocator())
    if last_level_cache:
        panel.axvline(last_level_cache, color="black", linestyle=":", linewidth=1)


def _share_axis(panel, most):
    panel.set(yscale="log", ylim=(LEAST_SHARE, most * 1.4))
    panel.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5), numticks=12))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: "%g %%" % y))
    panel.yaxis.set_minor_locator(NullLocator())


def ratio_figure(operation, cases, names, last_level_cache):
    """Share of the limit: a column for each condition, a row over the size for each dtype and
    layout, and a last one for those that have a single size."""
    styles = series_styles(names)
    conditions = conditions_of(cases)
    sizes = {}
    for case in cases:
        sizes.setdefault(_tensor(case.problem), set()).add(case.problem.bytes)
    rows = [[tensor] for tensor in sorted(sizes) if len(sizes[tensor]) > 1]
    single = [tensor for tensor in sorted(sizes) if len(sizes[tensor]) == 1]
    rows += [single] if single else []
    figure, axes = _grid(len(rows), len(conditions), max(3.3, 7 / len(conditions)), 2.7)
    figure.suptitle("%s: speed as a share of the limit's" % operation, fontsize=12)
    most = max([100] + [share for name in names for _, share in _shares(cases, name, id)])
    for row, tensors in zip(axes, rows):
        for panel, condition in zip(row, conditions):
            here = [case for case in cases
                    if case.condition == condition and _tensor(case.problem) in tensors]
            what = condition_label(condition, conditions)
            if tensors is single:
                _draw_shares(panel, here, styles, lambda p: single.index(_tensor(p)), False)
                panel.set_xticks(range(len(single)), [
                    re.sub(", |_", "\n", _tensor_text(tensor)) + "\n"
                    + bytes_text(max(sizes[tensor])) for tensor in single], fontsize=8)
                panel.set_xlim(-0.6, len(single) - 0.4)
                panel.set_title("one size only; " + what)
            else:
                _draw_shares(panel, here, styles, lambda p: p.bytes, True)
                _size_axis(panel, sizes[tensors[0]], last_level_cache)
                panel.set_title("%s; %s" % (_tensor_text(tensors[0]), what))
            _share_axis(panel, most)
    _label_edges(axes, "x and y together%s" % (" (x and dx)" if "backward" in operation else ""),
                 "limit's time / contender's")
    _legend(figure, axes, 5)
    return figure


def _heat_cell(case, peer):
    """The ratio of a cell, or what to write in its place."""
    contender = case.contenders.get(peer) if case else None
    if contender is None:
        return None, ""
    pair = case.times_of_tuned(contender)
    if pair:
        minima, medians = pair
        digits = 2 if minima < 10 else 1 if minima < 100 else 0
        return minima, "%s%.*f" % ("~" if (minima - 1) * (medians - 1) < 0 else "", digits, minima)
    return None, (contender.trouble or "halnorm failed").partition(":")[0]


def heat_figure(norm, cases, peers):
    """Problems by peers: their time over that of the tuned rows."""
    conditions = conditions_of(cases)
    problems = sorted({case.problem for case in cases}, key=problem_order)
    by_key = {(case.problem, case.condition): case for case in cases}
    columns = [(condition, peer) for condition in conditions for peer in peers]
    figure = Figure(figsize=(6.4 + 0.8 * len(columns), 2.2 + 0.24 * len(problems)),
                    layout="constrained")
    axes = figure.subplots()
    cells = [[_heat_cell(by_key.get((problem, condition)), peer) for condition, peer in columns]
             for problem in problems]
    image = axes.imshow([[math.nan if ratio is None else ratio for ratio, _ in row]
                         for row in cells], cmap="RdBu", aspect="auto",
                        norm=LogNorm(1 / FARTHEST_COLOUR, FARTHEST_COLOUR))
    axes.set_facecolor("#CCCCCC")
    for y, row in enumerate(cells):
        for x, (ratio, text) in enumerate(row):
            far = ratio is not None and abs(math.log(ratio)) > 0.65 * math.log(FARTHEST_COLOUR)
            axes.text(x, y, text, ha="center", va="center", fontsize=8,
                      color="white" if far else "black")
    axes.set_xticks(range(len(columns)), [peer for _, peer in columns], rotation=30, ha="right")
    axes.set_yticks(range(len(problems)), [p.text for p in problems], family="monospace",
                    fontsize=8)
    axes.tick_params(length=0)
    for i, condition in enumerate(conditions):
        axes.text((i + 0.5) * len(peers) - 0.5, -0.7,
                  condition_label(condition, conditions).replace(", ", "\n"),
                  ha="center", va="bottom")
        if i > 0:
            axes.axvline(i * len(peers) - 0.5, color="white", linewidth=4)
    for y in range(1, len(problems)):
        if problems[y].operation != problems[y - 1].operation:
            axes.axhline(y - 0.5, color="white", linewidth=4)
    figure.suptitle("%s norm: time of the peer / time of halnorm's tuned rows" % norm, fontsize=12)
    bar = figure.colorbar(image, ax=axes, extend="both", fraction=0.05, aspect=30)
    bar.ax.yaxis.set_major_locator(FixedLocator((0.25, 0.5, 1, 2, 4)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: "%g" % y))
    bar.set_label("red: peer quicker, blue: halnorm")
    return figure


def _draw_family(panel, family):
    timed = [c for c in family.candidates if c.status == "timed"]
    top = max([1.2] + [1.08 * c.score for c in timed] + [1.08 * row.gain for row in family.rows])
    # Below the slowest score shown there is a strip for what has none.
    strip = 0.22 * (top - SLOWEST_SHOWN)
    panel.set_ylim(SLOWEST_SHOWN - strip, top)
    panel.axhline(1, color="black", linestyle="--", linewidth=1)
    panel.axhline(SLOWEST_SHOWN, color="#999999", linewidth=0.6)
    shown = [c for c in timed if c.score >= SLOWEST_SHOWN]
    panel.scatter([c.at for c in shown], [c.score for c in shown],
                  s=[8 + 14 * c.rung for c in shown], color="#0072B2", alpha=0.55, linewidths=0,
                  label="timed (larger: higher rung)")
    slower = [c.at for c in timed if c.score < SLOWEST_SHOWN]
    panel.scatter(slower, [SLOWEST_SHOWN] * len(slower), s=16, marker="v", color="#0072B2",
                  alpha=0.55, linewidths=0, label="timed, below %g" % SLOWEST_SHOWN)
    for i, (status, (marker, colour)) in enumerate(UNTIMED_STYLES.items()):
        at = [c.at for c in family.candidates if c.status == status]
        panel.scatter(at, [SLOWEST_SHOWN - strip * (i + 0.6) / len(UNTIMED_STYLES)] * len(at),
                      s=14, marker=marker, color=colour, linewidths=1, label=status)
    best = family.best_so_far()
    if best:
        panel.plot(*zip(*best), drawstyle="steps-post", color="black", linewidth=1.3,
                   label="best so far, of the highest rung")
    panel.scatter([row.at for row in family.rows], [row.gain for row in family.rows], marker="*",
                  s=90, color="#009E73", edgecolors="black", linewidths=0.5, zorder=5,
                  label="row found: its gain")
    gains = ", ".join("%.3f" % row.gain for row in family.rows)
    panel.set_title("%s\n%d candidates, %s" % (family.kernel, len(family.candidates),
                                               "gain " + gains if gains else "no row found"))
    panel.grid(color="#EEEEEE", linewidth=0.6)
    panel.yaxis.set_major_formatter(FuncFormatter(
        lambda y, _: "" if y < SLOWEST_SHOWN - 1e-9 else "%g" % round(y, 3)))


def tuning_figure(title, families):
    columns = min(3, len(families))
    rows = math.ceil(len(families) / columns)
    figure, axes = _grid(rows, columns, max(4.1, 7 / columns), 2.6)
    figure.suptitle(title, fontsize=12)
    for panel, family in zip(axes.flat, families):
        _draw_family(panel, family)
    for panel in axes.flat[len(families):]:
        panel.set_axis_off()
    _label_edges(axes, "seconds since the tuner began", "incumbent's time / candidate's")
    _legend(figure, axes, 4)
    return figure
