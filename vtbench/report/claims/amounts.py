"""Conditions of what networks cost: counted parameters and multiply-adds, and measured ratios of speed and memory. Both
are of the papers' own networks, whatever was trained.

A count is exact. It is rounded to the printed digits, as a paper says nothing of those behind them, and all rows of a
claim are counted by one convention. A speed is a ratio to the baseline of the rows, on one device at one precision; its
quartiles over the rounds decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vtbench.papers.claims import Cell
from vtbench.papers.claims.expression import Condition, evaluate
from vtbench.papers.claims.fillings import only_ratios
from vtbench.papers.load import load_paper
from vtbench.papers.resolve import network_of
from vtbench.report.claims.finding import NotRun, Untestable
from vtbench.report.claims.printed import extremes, printed_holds
from vtbench.report.claims.statistics import Outcome, certain
from vtbench.report.counted import agrees, is_stale
from vtbench.report.ratios import Ratios
from vtbench.results.costs import Cost, CostBook

Place = tuple[str, str]
"""Device and precision."""

MACHINES = 0.1
"""Share of a ratio by which two machines may differ for `about` and `same`: the paper's and ours."""


@dataclass(frozen=True)
class Amounts:
    """Costs of one kind of metric, by short name, each with the range that it can stand for."""

    values: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    method: str
    decimals: Mapping[str, int]
    """In which to show them."""
    remarks: tuple[str, ...] = ()
    """What has to be known of them, in words."""

    def test(self, condition: Condition) -> Outcome:
        """One condition of counts."""
        halves = {name: self.high[name] - self.values[name] for name in condition.names}
        holds = printed_holds(condition, self.values, halves)
        return certain(condition.text, evaluate(condition.shown, self.values), holds)

    def test_ratio(self, condition: Condition) -> Outcome:
        """One condition of ratios, by their quartiles."""
        shown = evaluate(condition.shown, self.values)
        reach = MACHINES * abs(shown) if condition.kind in ("about", "same") else 0.0
        low, high = (end + reach for end in extremes(condition.number, self.low, self.high))
        holds = low > 0 or (low == 0 and not condition.strict)
        fails = high < 0 or (high == 0 and condition.strict)
        quartiles = extremes(condition.shown, self.low, self.high)
        return Outcome(condition.text, shown, quartiles, 0.0 if holds else 1.0, 0.0 if fails else 1.0)


def counted(cells: Mapping[str, Cell], book: CostBook) -> Amounts:
    """What was counted of the networks of the cells' rows, all of one metric. Raises NotRun, Untestable."""
    costs: dict[str, Cost] = {}
    for name, cell in cells.items():
        if not cell.row.recipes:
            if cell.printed is None:
                raise Untestable(f"quoted rows are never run, and these numbers are not printed ({cell.id})")
            continue
        network = network_of(cell.row, "paper")
        if network is None:
            raise Untestable(f"{cell.row.id} does not exist at paper scale")
        found = book.find(network.key)
        if found is None:
            what = "was counted with another network" if is_stale(cell.row, book) else "was not counted"
            raise NotRun(f"{cell.row.id} {what}: vtbench cost --record")
        costs[name] = found
    if not costs:
        raise Untestable("all rows are quoted, and never run")
    convention, values = _by_one_convention(cells, costs)
    remarks = []
    if other := [cells[n].id for n, value in values.items() if (c := cells[n].printed) and not agrees(value, c)]:
        remarks.append(f"no counting convention gives all printed numbers; this one not {', '.join(other)}")
    if printed := {name: cell.printed.value for name, cell in cells.items() if name not in costs and cell.printed}:
        values |= printed
        remarks.append(f"printed, as never run: {', '.join(cells[name].id for name in printed)}")
    halves, decimals = dict.fromkeys(cells, 0.0), dict.fromkeys(cells, 2)
    for name, cell in cells.items():
        if cell.printed is not None:
            decimals[name] = cell.printed.decimals
            halves[name] = 0.5 * 10.0 ** -decimals[name]
            values[name] = round(values[name], decimals[name])
    return Amounts(
        values,
        {name: value - halves[name] for name, value in values.items()},
        {name: value + halves[name] for name, value in values.items()},
        f"counted at paper scale ({convention})",
        decimals,
        tuple(remarks),
    )


def _by_one_convention(cells: Mapping[str, Cell], costs: Mapping[str, Cost]) -> tuple[str, dict[str, float]]:
    """The counts under the first convention, the paper's own before others, that gives the printed number of every
    row; under the paper's own where none does."""
    first = next(iter(cells.values()))
    about = load_paper(first.row.paper).about.counted
    own = about.params_m if first.metric == "params_m" else about.gflops
    found: dict[str, dict[str, float]] = {}
    for convention in dict.fromkeys([own, *(c for cost in costs.values() for c in _counts(cost, first.metric))]):
        counts = {name: _counts(cost, first.metric) for name, cost in costs.items()}
        if all(convention in one for one in counts.values()):
            found[convention] = {name: one[convention] for name, one in counts.items()}
    if not found:
        raise NotRun("no convention counts all rows: vtbench cost --record")
    agreeing = [
        convention
        for convention, values in found.items()
        if all((cell := cells[name].printed) is None or agrees(value, cell) for name, value in values.items())
    ]
    chosen = next(iter([*agreeing, *found]))
    return chosen, found[chosen]


def _counts(cost: Cost, metric: str) -> dict[str, float]:
    if metric == "params_m":
        return {name: count / 1e6 for name, count in cost.params.items()}
    return {name: count / (1e12 if metric == "tflops" else 1e9) for name, count in cost.macs.items()}


def places_of(ratios: Mapping[str, Ratios]) -> list[Place]:
    """Where something was measured of some rows, in the order in which it came."""
    return list(dict.fromkeys(place for one in ratios.values() for place in one.measured))


def measured_ratios(cells: Mapping[str, Cell], ratios: Mapping[str, Ratios], place: Place | None) -> Amounts:
    """The cells as ratios to their rows' baseline, all of one metric, on one device at one precision; without a `place`
    nothing was measured. Raises NotRun, Untestable."""
    baselines = {cell.row.baseline_id or cell.row.id for cell in cells.values()}
    if len(baselines) > 1:
        raise Untestable(f"rows are measured against different baselines ({', '.join(sorted(baselines))})")
    values, low, high = {}, {}, {}
    for name, cell in cells.items():
        if not cell.row.recipes:
            raise Untestable(f"compares with quoted rows, which are never run ({cell.row.id})")
        if cell.row.baseline is None:
            values[name] = low[name] = high[name] = 1.0
            continue
        line = ratios[cell.row.id].measured.get(place, {}).get(cell.metric) if place else None
        if line is None or line.ratio is None:
            raise NotRun(f"{cell.metric} of {cell.row.id} was not measured: vtbench speed {cell.row.id} --scale paper")
        values[name] = line.ratio
        low[name] = line.ratio if line.ratio_q1 is None else line.ratio_q1
        high[name] = line.ratio if line.ratio_q3 is None else line.ratio_q3
    if place is None:
        raise Untestable("compares a baseline with itself")
    method = f"ratios to {baselines.pop()} on {', '.join(place)}; quartiles decide"
    where = "the print is of the paper's own machine"
    return Amounts(values, low, high, method, dict.fromkeys(values, 2), (where,))


def refuse_absolute(conditions: Sequence[Condition]) -> None:
    """Raise Untestable for a condition on milliseconds, clips a second or gigabytes themselves: those are of the
    paper's machine."""
    for condition in conditions:
        if not only_ratios(condition):
            raise Untestable(
                "an absolute time or amount of memory is of the paper's own machine; only ratios are compared"
            )
