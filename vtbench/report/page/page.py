"""Specs and results to one page that needs nothing but itself: no network, no script from elsewhere."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from vtbench.errors import ResultsError
from vtbench.papers.load import load_paper
from vtbench.papers.spec.schema import Row
from vtbench.report.compare import Comparison
from vtbench.report.counted import recorded_costs
from vtbench.report.page.claims import claims_of, kinds_of, shares, verdicts_of
from vtbench.report.page.confusion import confusions
from vtbench.report.page.facts import Fact, call
from vtbench.report.page.figures import cost_figures, curve_figure, learning_figure, order_figure, published_figure
from vtbench.report.page.lacking import Curves, curves_of, lacking, scored_of
from vtbench.report.page.overview import PaperPart, index_of, ledger_of, paper_part, scale_in_words, set_aside
from vtbench.report.page.svg import Figure, settings
from vtbench.report.page.tables import RECORD_COLUMNS, shared_rows, tables_of
from vtbench.report.report import compared
from vtbench.report.sheets import summary
from vtbench.results.store import Store
from vtbench.scales import Scale

TEMPLATES = "templates"


def page(rows: Sequence[Row], results: Path, scale: Scale | None = None) -> str:
    """The page of some rows as HTML. Without a `scale`, of those that have results (mini if none has).

    The same rows and results give the same bytes. Raises ResultsError when a file of the store is not in order.
    """
    collecting = gc.isenabled()
    gc.disable()  # of many small objects nearly all live until the end; to look for others takes a seventh of the time
    try:
        return _page(rows, results, scale)
    finally:
        if collecting:
            gc.enable()


def _page(rows: Sequence[Row], results: Path, scale: Scale | None) -> str:
    # Costs are of paper scale, whatever was measured.
    store = Store(results)
    comparisons, ratios = compared(rows, store, scale, claims_at=() if scale else ("paper",))
    records = store.read()
    names = list(dict.fromkeys(row.paper for row in rows))
    papers = [paper_part(name, comparisons, tables_of(load_paper(name), comparisons, ratios)) for name in names]
    shared = shared_rows([c for members in comparisons.values() for c in members])
    claims = claims_of(names, [c for members in comparisons.values() for c in members])
    scored, curves = scored_of(comparisons, results), curves_of(comparisons, results)
    index = index_of(comparisons)
    ledger = ledger_of(next(iter(comparisons.values())))
    with settings():
        drawings = {
            "order": {name: _orders(name, comparisons) for name in _tables(papers)},
            "curves": {name: figure for name in _tables(papers) if (figure := _curve(name, comparisons))},
            "published": _published(names, comparisons.get("paper", ())),
            "costs": cost_figures(rows, recorded_costs(results)),
            "learning": _learning(curves),
        }
    return _render(
        **drawings,
        papers=papers,
        claims=claims,
        claims_at={
            of: {name: shares([c for c in claims if c.paper == name], of) for name in names} for of in kinds_of(claims)
        },
        verdicts={of: verdicts_of(claims, of) for of in kinds_of(claims)},
        index=index,
        ledger=ledger,
        shared=shared,
        confused={at: confusions(by_table) for at, by_table in scored.items()},
        set_aside=set_aside(records, comparisons),
        lacking=lacking(scored, curves, results),
        summaries={at: summary(members) for at, members in comparisons.items() if members},
        scales={at: scale_in_words(at) for at in comparisons},
        empty=not any(c.measured for members in comparisons.values() for c in members),
        record_columns=RECORD_COLUMNS,
        whole=len(rows) == sum(len(load_paper(name).rows) for name in names),
        counts={
            "rows": Fact(str(len(rows)), call("rows")),
            "agree": Fact(str(sum(line.agrees == "yes" for line in ledger)), call("costs", "yes")),
            "counted": Fact(str(sum(line.agrees in ("yes", "no") for line in ledger)), call("costs", "yes", "no")),
        },
    )


def write_page(rows: Sequence[Row], results: Path, file: Path, scale: Scale | None = None) -> int:
    """`page` into a file; gives its size in bytes. Raises ResultsError, also for a file that cannot be written."""
    made = page(rows, results, scale).encode()
    try:
        file.write_bytes(made)
    except OSError as error:
        raise ResultsError(f"{file}: cannot be written: {error.strerror}; name another file with --html") from error
    return len(made)


def _tables(papers: Sequence[PaperPart]) -> list[str]:
    return [table.id for paper in papers for table in paper.tables]


def _published(papers: Sequence[str], members: Sequence[Comparison]) -> list[Figure]:
    found = [published_figure(name, [c for c in members if c.row.paper == name], n) for n, name in enumerate(papers)]
    return [figure for figure in found if figure is not None]


def _orders(name: str, comparisons: Mapping[Scale, Sequence[Comparison]]) -> list[Figure]:
    found = [order_figure(name, [c for c in members if c.table == name]) for members in comparisons.values()]
    return [figure for figure in found if figure is not None]


def _curve(name: str, comparisons: Mapping[Scale, Sequence[Comparison]]) -> Figure | None:
    paper, _, table_name = name.partition("/")
    table = next(table for table in load_paper(paper).tables if table.name == table_name)
    return curve_figure(table, name, {at: [c for c in cs if c.table == name] for at, cs in comparisons.items()})


def _learning(curves: Curves) -> dict[str, list[Figure]]:
    made: dict[str, list[Figure]] = {}
    for scale, by_table in curves.items():
        for table, by_row in by_table.items():
            figure = learning_figure(table, scale, by_row)
            if figure is not None:
                made.setdefault(table, []).append(figure)
    return made


def in_words(count: int) -> str:
    """A small count as a word."""
    small = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return small[count] if count < len(small) else "many"


# ---- drawing ---------------------------------------------------------------------------------------------------------


def _render(**content: object) -> str:
    """The template with this content, style and script in place."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    folder = files(__package__) / TEMPLATES

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = in_words
    environment.tests["contains"] = lambda many, one: one in many
    text = environment.get_template("page.html.j2").render(
        style=Markup(read("style.css")), script=Markup(read("script.js")), markup=Markup, **content
    )
    return "\n".join(line for line in (line.strip() for line in text.splitlines()) if line) + "\n"
