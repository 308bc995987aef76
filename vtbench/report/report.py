"""Published and measured numbers side by side, from specs and results alone, as text in one of the formats."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vtbench.errors import UsageError
from vtbench.papers.load import load_paper, paper_names, read_paper
from vtbench.papers.override import changed_rows, split_title
from vtbench.papers.selector import Selector
from vtbench.papers.spec.schema import Row
from vtbench.report.claims.finding import Judged
from vtbench.report.claims.judge import judge_claims
from vtbench.report.columns import in_colour, screen_width
from vtbench.report.compare import Comparison, compare_rows, variants_measured
from vtbench.report.counted import counted_cells, is_stale, recorded_costs
from vtbench.report.differences import Hits, difference, leading_metric, order, others_in_band
from vtbench.report.formats.latex import as_latex
from vtbench.report.formats.machine import as_csv, as_json
from vtbench.report.formats.text import as_markdown, draw
from vtbench.report.printing import write
from vtbench.report.ratios import Ratios, compare_speeds
from vtbench.report.statistics import TOLERANCE
from vtbench.results.costs import CostBook
from vtbench.results.record import Record, SpeedRecord
from vtbench.results.store import SpeedStore, Store
from vtbench.scales import Scale, smallest_first


def report(
    rows: Sequence[Row],
    results: Path | Store,
    scale: Scale | None = None,
    form: str = "table",
    *,
    outside: bool = False,
    variants: bool = False,
    tolerance: float = TOLERANCE,
    width: int | None = 100,
    colour: bool = False,
) -> str:
    """Rows against the results folder as text. `form` is `table`, `md`, `latex`, `csv` or `json`. `outside` adds, below
    each table, the rows of other folders that are `like` one of its rows; `variants`, below each row, what was measured
    of it with `--variant` or `--set`.

    Without a `scale`, `json` and `csv` have every scale, the others those with results (mini if there are none;
    of speed and memory those measured, else the printed ratios). `width` (None: every column) and `colour` are of
    `table`.
    Raises ResultsError when results.csv or speed.csv is not in order.
    """
    comparisons, ratios = compared(
        rows, results, scale, every=form in ("json", "csv"), outside=outside, variants=variants, tolerance=tolerance
    )
    if form == "json":
        return as_json(comparisons, ratios)
    if form == "csv":
        return as_csv(comparisons, ratios)
    if form == "md":
        return as_markdown(comparisons, ratios, tolerance=tolerance)
    if form == "latex":
        return as_latex(comparisons, ratios, tolerance=tolerance)
    return draw(comparisons, ratios, tolerance=tolerance, width=width, colour=colour)


def compared(
    rows: Sequence[Row],
    results: Path | Store,
    scale: Scale | None = None,
    *,
    every: bool = False,
    outside: bool = False,
    variants: bool = False,
    tolerance: float = TOLERANCE,
    claims_at: Sequence[Scale] = (),
) -> tuple[dict[Scale, list[Comparison]], dict[Scale, list[Ratios]]]:
    """What `report` draws, by scale: rows against results.csv, and against speed.csv. `every`: every scale and each row
    once, else the scales with results and each row below its table. Claims are judged at these scales and at
    `claims_at`."""
    store = results if isinstance(results, Store) else Store(results)
    speed_store = SpeedStore(store.folder)
    if variants:
        rows = with_variants(rows, store)
    placed = _placed(rows, rows_outside(rows) if outside else [])
    if every:  # an array of rows, not of tables: each once
        placed = list({(row.id, row.variant): (row, under) for row, under in reversed(placed)}.values())[::-1]
    rows = [row for row, _ in placed]
    book = recorded_costs(store.folder)

    def present(records: Iterable[Record | SpeedRecord], otherwise: Scale) -> tuple[Scale, ...]:
        if scale is not None:
            return (scale,)
        if every:
            return smallest_first()
        ids = {row.id for row in rows}
        there = {record.scale for record in records if record.id in ids}
        return tuple(scale for scale in smallest_first() if scale in there) or (otherwise,)

    hits: Hits = {}
    comparisons = {
        scale: _against_each_other(
            [
                replace(comparison, under=under)
                for comparison, (_, under) in zip(compare_rows(rows, store, scale, tolerance), placed, strict=True)
            ],
            store,
            scale,
            tolerance,
            hits,
            book,
        )
        for scale in present(store.read(), "mini")
    }
    judged_at = list(dict.fromkeys([*comparisons, *claims_at]))
    comparisons = _with_claims(comparisons, judged_at, store, tolerance, hits)
    own = rows if every else [row for row in rows if row.variant is None]
    ratios = {scale: compare_speeds(own, speed_store, scale) for scale in present(speed_store.read(), "paper")}
    return comparisons, ratios


def _against_each_other(
    comparisons: Sequence[Comparison], store: Store, scale: Scale, tolerance: float, hits: Hits, book: CostBook
) -> list[Comparison]:
    """The comparisons with what is known of a row only beside others of its printed table, and with recorded costs."""
    tables: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        tables.setdefault(comparison.table, []).append(comparison)
    found: dict[int, Comparison] = {}
    for name, members in tables.items():
        paper, _, table_name = name.partition("/")
        table = next(table for table in load_paper(paper).tables if table.name == table_name)
        printed = next((row for row in table.rows if row.name == table.reference), None)
        reference = next((c for c in members if printed and c.row.id == printed.id and c.row.variant is None), None)
        if reference is None and printed is not None:
            (reference,) = compare_rows([printed], store, scale, tolerance)
        metric = leading_metric(reference.row, reference.measured) if reference else None
        ranks = order(members, metric) if metric else None
        for one in members:
            found[id(one)] = replace(
                one,
                difference=difference(one, reference, store.folder, hits) if reference else None,
                in_band=others_in_band(table.rows, one.row, metric, tolerance) if metric else None,
                order=ranks,
                counted_costs=counted_cells(one.row, book),
                costs_stale=is_stale(one.row, book),
            )
    return [found[id(one)] for one in comparisons]


def _with_claims(
    comparisons: Mapping[Scale, list[Comparison]], scales: Sequence[Scale], store: Store, tolerance: float, hits: Hits
) -> dict[Scale, list[Comparison]]:
    """The comparisons with the claims that their papers make about the rows."""
    papers = list(dict.fromkeys(one.row.paper for members in comparisons.values() for one in members))
    by_row: dict[str, list[Judged]] = {}
    for judged in judge_claims(papers, store, scales, tolerance, known=comparisons, hits=hits):
        for row in judged.claim.rows:
            by_row.setdefault(row.id, []).append(judged)
    return {
        scale: [replace(one, claims=() if one.row.variant else tuple(by_row.get(one.row.id, ()))) for one in members]
        for scale, members in comparisons.items()
    }


def with_variants(rows: Sequence[Row], store: Store) -> list[Row]:
    """The rows, each with the variants of it below that results.csv has lines of. What was changed by hand is put
    together from its name; a name that no longer fits the row (a variant that is gone) is passed over."""
    measured = variants_measured(rows, store)
    found = []
    for row in rows:
        found.append(row)
        for title in measured[row.id] if row.variant is None else ():
            parts = split_title(title)
            with contextlib.suppress(UsageError):
                found += changed_rows([row], [p for p in parts if "=" not in p], [p for p in parts if "=" in p])
    return found


def rows_outside(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """The rows of any folder that are `like` one of these, maybe by way of others, each with the table (paper/table)
    that it belongs under. Papers with a problem are passed over."""
    read = [(paper, problems) for paper, problems in map(read_paper, paper_names()) if paper is not None]
    every = {row.id: row for paper, _ in read for row in paper.rows}
    asked = {row.id for row in rows}
    found = []
    for row in (row for paper, problems in read if not problems for row in paper.rows):
        printed = row
        while printed.like:
            place = Selector.parse(printed.like)
            printed = every[f"{place.paper}/{place.table}:{place.row}"]
        if printed is not row and printed.id in asked:
            found.append((row, f"{printed.paper}/{printed.table}"))
    return found


def _placed(rows: Sequence[Row], under: Sequence[tuple[Row, str]]) -> list[tuple[Row, str | None]]:
    """The rows, and behind the last one of each table those that are shown under it."""
    placed: list[tuple[Row, str | None]] = [(row, None) for row in rows]
    for row, table in under:
        tables = [shown_under or f"{other.paper}/{other.table}" for other, shown_under in placed]
        placed.insert(len(tables) - tables[::-1].index(table), (row, table))
    return placed


def print_report(
    rows: Sequence[Row],
    results: Path | Store,
    scale: Scale | None = None,
    form: str = "table",
    *,
    outside: bool = False,
    variants: bool = False,
) -> int:
    """`report`, printed for the terminal at hand; gives the exit code."""
    write(
        report(rows, results, scale, form, outside=outside, variants=variants, width=screen_width(), colour=in_colour())
    )
    return 0
