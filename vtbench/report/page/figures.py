"""What the page draws. Numbers of a small scale never stand on the axes of printed ones: there only the orders of a
table are drawn beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vtbench.metrics import always_measured
from vtbench.papers.load import load_paper
from vtbench.papers.spec.schema import Row, Table
from vtbench.report.compare import Comparison
from vtbench.report.differences import ranked
from vtbench.report.page.facts import Fact, call, datasets_of, mean_of, network_key
from vtbench.report.page.svg import COLOURS, Drawing, Figure, Point
from vtbench.report.predictions.curves import SeedCurve
from vtbench.report.statistics import TOLERANCE
from vtbench.results.costs import CostBook
from vtbench.scales import Scale

WIDTH = 640
"""Of a drawing, in CSS pixels."""

KINDS = (("accent", "o"), ("second", "s"), ("third", "^"), ("fourth", "D"))
"""Colour and marker of the first, second, ... kind of points in a drawing."""


_RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 9,
    "markerfacecolor": COLOURS["paper"],
    "markeredgecolor": COLOURS["accent"],
    "markeredgewidth": 1.8,
}
"""A marker that leaves room for another one in it."""

_MUTED: dict[str, Any] = {"color": COLOURS["muted"]}

# ---- the order of a table --------------------------------------------------------------------------------------------


def places(values: Sequence[float]) -> list[float]:
    """The place of each value, 1 for the highest; equal values share the mean of theirs."""
    return [
        sum(other > value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values
    ]


def order_figure(table: str, members: Sequence[Comparison]) -> Figure | None:
    """The place of each row in its table by print and by measurement; None where Kendall's tau has no value."""
    found = next((c.order for c in members if c.order is not None), None)
    if found is None:
        return None
    name, scale = found.metric, members[0].scale
    in_order = sorted(ranked(members, name), key=lambda one: -one.printed)
    both = [one.comparison for one in in_order]
    printed = places([one.printed for one in in_order])
    measured = places([one.measured for one in in_order])
    height = 24 * len(both) + 72
    drawing = Drawing(f"order-{_id(table)}-{scale}", WIDTH, height)
    left = min(0.5, (24 + 6.4 * max(len(c.row.label) for c in both)) / WIDTH)
    drawing.figure.subplots_adjust(left=left, right=0.97, top=1 - 32 / height, bottom=40 / height)
    axes = drawing.axes[0]
    axes.set(xlim=(0.6, len(both) + 0.4), ylim=(len(both) - 0.4, -0.6))
    axes.axis("off")  # ticks are what takes matplotlib longest, and a page has many of these
    count = range(len(both))
    axes.hlines(count, 0.6, len(both) + 0.4, color=COLOURS["grid"], linewidth=0.7)
    axes.vlines([line + 1 for line in count], -0.6, len(both) - 0.4, color=COLOURS["grid"], linewidth=0.7)
    axes.hlines(count, printed, measured, color=COLOURS["soft"], linewidth=2)
    for line, comparison in enumerate(both):
        axes.annotate(
            comparison.row.label, (0.6, line), (-6, 0), "data", "offset points", ha="right", va="center", **_MUTED
        )
        axes.annotate(
            str(line + 1), (line + 1, len(both) - 0.4), (0, -14), "data", "offset points", ha="center", **_MUTED
        )
    drawing.figure.text((left + 0.97) / 2, 6 / height, "place in the table", ha="center", **_MUTED)
    for line, comparison in enumerate(both):
        ours, theirs = measured[line], printed[line]
        spots = (
            (theirs, "by print", "printed_place", _RING),
            (ours, f"at {scale} scale", "measured_place", _kind(1, 6)),
        )
        for x, said, which, marker in spots:
            fact = Fact(f"{x:g}", call(which, comparison.row.id, scale, name))
            point = Point(comparison.row.id, comparison.row.label, f"place {x:g} {said}", fact, Fact(str(line)))
            drawing.point(point, (x, line), **marker)
    _key(drawing, {"printed": _RING, f"{scale} scale": _kind(1)})
    tau = Fact(f"{found.tau:+.2f}", call("tau", table, scale))
    caption = (
        f"Places of the rows by {name}: printed and at {scale} scale. Orders alone: the numbers of the two are not "
        "comparable. Rows with equal numbers share a place, and so do those at chance. Kendall’s tau ",
        tau,
        ".",
    )
    return Figure(drawing.name, drawing.svg(f"Order of the rows of {table}"), caption)


# ---- published against measured --------------------------------------------------------------------------------------


def published_figure(paper: str, members: Sequence[Comparison], kind: int) -> Figure | None:
    """Printed against measured top-1 at paper scale, of one paper; None where nothing was measured. `kind`: its number
    among KINDS."""
    top = always_measured()[0]
    found = [
        (c, name)
        for c in members
        for name in c.measured
        if c.scale == "paper" and c.row.variant is None and name.endswith(top) and name in c.row.published
    ]
    if not found:
        return None
    drawing = Drawing(f"published-{paper}", WIDTH, 420)
    drawing.figure.subplots_adjust(left=0.11, right=0.97, top=0.95, bottom=0.13)
    axes = drawing.axes[0]
    values = [number for c, name in found for number in (c.row.published[name].value, c.measured[name].mean)]
    low, high = min(values) - 1.5, max(values) + 1.5
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="printed top-1 (%)", ylabel="measured top-1 (%)")
    axes.fill_between(
        [low, high],
        [low - TOLERANCE, high - TOLERANCE],
        [low + TOLERANCE, high + TOLERANCE],
        color=COLOURS["soft"],
        lw=0,
    )
    axes.plot([low, high], [low, high], color=COLOURS["muted"], linewidth=0.8)
    for comparison, name in found:
        cell, ours = comparison.row.published[name], comparison.measured[name]
        if ours.interval:
            axes.plot([cell.value] * 2, ours.interval, color=COLOURS[KINDS[kind % len(KINDS)][0]], linewidth=1)
        said = f"printed {cell.text}, measured {ours.mean:.2f}"
        x = Fact(cell.text, call("spec", comparison.row.id, name))
        point = Point(
            comparison.row.id, comparison.row.label, said, x, Fact(f"{ours.mean:.2f}", mean_of(comparison, name))
        )
        drawing.point(point, (cell.value, ours.mean), **_kind(kind))
    tolerance = Fact(f"{TOLERANCE:g}", call("tolerance"))
    said = f"{paper}: printed and measured top-1 at paper scale, with intervals. The band is ± "
    caption = (said, tolerance, " point.")
    return Figure(drawing.name, drawing.svg(f"Printed and measured top-1 of {paper}"), caption)


# ---- accuracy against cost -------------------------------------------------------------------------------------------


def cost_figures(rows: Sequence[Row], book: CostBook) -> list[Figure]:
    """Printed top-1 against counted multiply-adds of a view, with the Pareto front: one for each data set with five or
    more such rows."""
    by_dataset: dict[str, list[tuple[Row, str, float, str]]] = {}
    seen = set[tuple[str, str | None, str]]()
    for row in rows:
        network = network_key(row.id) if row.status == "runnable" and row.own else None
        cost = book.find(network) if network else None
        if cost is None:
            continue
        convention = load_paper(row.paper).about.counted.gflops
        for name, dataset in datasets_of(row).items():
            key = row.metric(name, always_measured()[0])
            again = (dataset, network, row.published[key].text) if key in row.published else None
            if again is not None and again not in seen and convention in cost.macs:
                seen.add(again)
                origin = call("macs", network, convention)
                by_dataset.setdefault(dataset, []).append((row, key, cost.macs[convention] / 1e9, origin))
    papers = list(dict.fromkeys(row.paper for row in rows))  # each has its marker in all drawings
    return [_cost_figure(name, found, papers) for name, found in sorted(by_dataset.items()) if len(found) >= 5]


def _cost_figure(dataset: str, found: Sequence[tuple[Row, str, float, str]], papers: Sequence[str]) -> Figure:
    drawing = Drawing(f"cost-{_id(dataset)}", WIDTH, 400)
    drawing.figure.subplots_adjust(left=0.09, right=0.97, top=0.91, bottom=0.13)
    axes = drawing.axes[0]
    axes.set_xscale("log")
    axes.set(xlabel="multiply-adds of a view, counted (10⁹)", ylabel="printed top-1 (%)")
    front = pareto([(macs, row.published[key].value) for row, key, macs, _ in found])
    steps = [(found[i][2], found[i][0].published[found[i][1]].value) for i in front]
    axes.step(*zip(*steps, strict=True), where="post", color=COLOURS["muted"], linewidth=1, zorder=1)
    for row, key, macs, origin in found:
        cell = row.published[key]
        said = f"{macs:.1f} billion multiply-adds, printed top-1 {cell.text}"
        point = Point(row.id, row.label, said, Fact(f"{macs:.1f}", origin), Fact(cell.text, call("spec", row.id, key)))
        drawing.point(point, (macs, cell.value), zorder=3, **_kind(papers.index(row.paper)))
    _ticks(axes, [macs for _, _, macs, _ in found])
    axes.margins(y=0.09)
    _bare(axes)
    _label(axes, [(found[i][0].label, found[i][2], found[i][0].published[found[i][1]].value) for i in reversed(front)])
    here = {row.paper for row, *_ in found}
    _key(drawing, {paper: _kind(number) for number, paper in enumerate(papers) if paper in here})
    caption = (
        "Printed top-1 on ",
        Fact(dataset, call("dataset", dataset)),
        " against the multiply-adds of one view as they were counted, of ",
        Fact(str(len(found)), call("cost_points", dataset)),
        " rows. The line is the Pareto front: no row is as good for less. Rows of one network and one number are drawn "
        "once.",
    )
    return Figure(drawing.name, drawing.svg(f"Printed top-1 on {dataset} against multiply-adds", "log"), caption)


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """The points (cost, accuracy) that no other one beats at the same cost or less, cheapest first."""
    best, front = float("-inf"), []
    for number in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[number][1] > best:
            best = points[number][1]
            front.append(number)
    return front


def _label(axes: Any, points: Sequence[tuple[str, float, float]]) -> None:
    """Labels left of points, of those that do not cover one before."""
    axes.autoscale_view()
    taken: list[tuple[float, float, float]] = []
    for label, x, y in points:
        right, height = axes.transData.transform((x, y))
        left = right - 5.6 * len(label) - 10
        if left < axes.bbox.x0 or any(abs(height - h) < 13 and left < end and right > start for start, end, h in taken):
            continue
        taken.append((left, right, height))
        axes.annotate(label, (x, y), (-7, 3), "data", "offset points", ha="right", fontsize=9.5, color=COLOURS["ink"])


def _ticks(axes: Any, values: Sequence[float]) -> None:
    """Round numbers on a logarithmic axis."""
    low, high = min(values) / 1.5, max(values) * 1.25
    axes.set_xlim(low, high)
    round_numbers = [step * 10**power for power in range(-2, 6) for step in (1, 2, 5)]
    shown = [number for number in round_numbers if low <= number <= high]
    axes.set_xticks(shown, [f"{number:g}" for number in shown])
    axes.set_xticks([], minor=True)


# ---- curves of a table -----------------------------------------------------------------------------------------------


def curve_figure(table: Table, name: str, at: Mapping[Scale, Sequence[Comparison]]) -> Figure | None:
    """Top-1 over what the rows of a table vary: printed, and each scale on axes of its own."""
    if table.curve is None:
        return None
    top = always_measured()[0]
    numeric = table.curve != "label"
    panels: list[tuple[str, list[tuple[Row, float, Fact]]]] = []
    printed = [
        (row, row.published[top].value, Fact(row.published[top].text, call("spec", row.id, top)))
        for row in table.rows
        if top in row.published
    ]
    panels.append(("printed", printed))
    for scale, members in at.items():
        measured = [
            (c.row, c.measured[top].mean, Fact(f"{c.measured[top].mean:.2f}", mean_of(c, top)))
            for c in members
            if top in c.measured and c.row.variant is None and not c.under
        ]
        if measured:
            panels.append((f"{scale} scale", measured))
    drawing = Drawing(f"curve-{_id(name)}", WIDTH, 270, columns=len(panels))
    drawing.figure.subplots_adjust(left=0.1, right=0.98, top=0.88, bottom=0.2 if numeric else 0.3, wspace=0.32)
    order = [row.name for row in table.rows]
    for number, (title, found) in enumerate(panels):
        axes = drawing.axes[number]
        spots = [float(row.printed[table.curve]) if numeric else float(order.index(row.name)) for row, _, _ in found]
        axes.plot(spots, [value for _, value, _ in found], color=COLOURS["soft"], linewidth=2, zorder=1)
        for (row, value, y), spot in zip(found, spots, strict=True):
            x = Fact(f"{spot:g}", call("printed", row.id, table.curve) if numeric else "")
            over = f"{table.curve} {spot:g}, " if numeric else ""
            said = f"{over}{title} top-1 {y.text}"
            drawing.point(Point(row.id, row.label, said, x, y), (spot, value), number, **_kind(min(number, 1)))
        if numeric:
            axes.set_xticks(spots, [f"{spot:g}" for spot in spots])
        else:
            axes.set_xticks(spots, [row.label for row, _, _ in found], rotation=25, ha="right", fontsize=9)
        axes.set(xlabel=table.curve if numeric else "", ylabel="top-1 (%)" if number == 0 else "")
        axes.set_title(
            title if number == 0 else f"{title}, not comparable" if "paper" not in title else title, fontsize=11
        )
        axes.margins(x=0.08, y=0.15)
        _bare(axes)
    over = table.curve if numeric else "the rows in printed order"
    caption = (f"Top-1 over {over}: printed, and as measured on axes of its own.",)
    return Figure(drawing.name, drawing.svg(f"Top-1 of {name} over {over}"), caption)


# ---- learning curves -------------------------------------------------------------------------------------------------


def learning_figure(table: str, scale: Scale, by_row: Sequence[tuple[Row, Sequence[SeedCurve]]]) -> Figure | None:
    """Training accuracy after each epoch, a panel for each row of a table and a line for each seed."""
    drawn = [
        (
            row,
            [
                (found.record.seed, found.curve)
                for found in curves
                if found.curve and "train_top1" in found.curve.values
            ],
        )
        for row, curves in by_row
    ]
    drawn = [(row, curves) for row, curves in drawn if curves]
    if not drawn:
        return None
    columns = min(3, len(drawn))
    lines = -(-len(drawn) // columns)
    height = 150 * lines + 40
    drawing = Drawing(f"learning-{_id(table)}-{scale}", WIDTH, height, rows=lines, columns=columns)
    drawing.figure.subplots_adjust(
        left=0.08, right=0.98, top=1 - 24 / height, bottom=44 / height, hspace=0.5, wspace=0.2
    )
    for number, axes in enumerate(drawing.axes):
        if number >= len(drawn):
            axes.axis("off")
            continue
        row, curves = drawn[number]
        for line, (_, curve) in enumerate(curves):
            assert curve is not None
            values = [float("nan") if value is None else value for value in curve.values["train_top1"]]
            colour = COLOURS[KINDS[line % len(KINDS)][0]]
            axes.plot(curve.epochs, values, color=colour, linewidth=1.4, marker=".", markersize=5)
        axes.set_ylim(-4, 104)
        axes.set_yticks([0, 50, 100])
        axes.set_title(row.label, fontsize=10, loc="left")
        axes.set_xlabel("epoch" if number + columns >= len(drawn) else "")
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=4)
        _bare(axes)
    names = [f"seed {seed}" for seed in dict.fromkeys(seed for _, curves in drawn for seed, _ in curves)]
    caption = (
        f"Accuracy on the training clips (%) after each epoch at {scale} scale, a line for each seed (",
        Fact(", ".join(names), call("curve_seeds", table, scale)),
        ").",
    )
    return Figure(drawing.name, drawing.svg(f"Learning curves of {table} at {scale} scale"), caption)


# ---- common to all ---------------------------------------------------------------------------------------------------


def _kind(number: int, size: float = 7) -> dict[str, Any]:
    colour, marker = KINDS[number % len(KINDS)]
    return {
        "marker": marker,
        "markersize": size,
        "markerfacecolor": COLOURS[colour],
        "markeredgecolor": COLOURS["paper"],
        "markeredgewidth": 0.8,
    }


def _key(drawing: Drawing, names: Mapping[str, Mapping[str, Any]]) -> None:
    """What colours and markers stand for, above the drawing."""
    axes = drawing.axes[0]
    for name, marker in names.items():
        axes.plot([], [], linestyle="", label=name, **marker)
    drawing.figure.legend(
        loc="upper right", ncols=len(names), frameon=False, fontsize=10, borderpad=0.4,
        handletextpad=0.1, labelcolor=COLOURS["muted"],
    )  # fmt: skip


def _bare(axes: Any) -> None:
    axes.grid(color=COLOURS["grid"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(COLOURS["grid"])


def _id(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name)
