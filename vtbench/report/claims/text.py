"""Judged claims drawn: as a table, in Markdown, JSON and CSV, one claim in full, and as notes below other tables."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vtbench.report.claims.finding import DECIDED, VERDICTS, Finding, Judged
from vtbench.scales import SCALES, Scale, smallest_first

STYLES = {"supported": "green", "contradicted": "red", "inconclusive": "yellow"}
BETWEEN = 3
"""Blanks between two columns."""
LEAST = 72
NARROW = 24
"""The least width of quotes."""

CSV_COLUMNS = (
    *("id", "quote", "section", "page", "holds", "at", "verdict", "values", "what", "value", "low", "high"),
    *("p", "p_holm", "why", "method"),
)


def by_paper(judged: Iterable[Judged]) -> dict[str, list[Judged]]:
    """Paper -> its claims."""
    found: dict[str, list[Judged]] = {}
    for one in judged:
        found.setdefault(one.claim.paper, []).append(one)
    return found


def shown_at(judged: Sequence[Judged], scale: Scale | None) -> list[str]:
    """The scales and tasks that a table has columns of, smallest scale first: those asked for, else those at which
    numbers gave a verdict."""
    names = dict.fromkeys(name for one in judged for name in one.measured)
    ordered = sorted(names, key=lambda name: smallest_first().index(name.partition(" ")[0]))
    if scale is not None:
        return ordered
    return [n for n in ordered if any(n in one.measured and one.measured[n].verdict in DECIDED for one in judged)]


def summary(paper: str, judged: Sequence[Judged], names: Sequence[str]) -> str:
    """ "msca: 14 claims; printed: 12 supported, 2 contradicted; mini: 5 supported, ..."."""
    columns = {"printed": [one.printed for one in judged]}
    columns |= {name: [one.measured[name] for one in judged if name in one.measured] for name in names}
    parts = [f"{paper}: {len(judged)} claim{'' if len(judged) == 1 else 's'}"]
    for name, found in columns.items():
        counts = Counter(one.verdict for one in found)
        parts.append(f"{name}: {', '.join(f'{counts[v]} {v}' for v in VERDICTS if counts[v])}")
    return "; ".join(parts)


def _cell(one: Judged, name: str) -> str:
    """What was found at a scale and task; nothing of a claim without it."""
    return one.measured[name].text if name in one.measured else ""


def reasons(judged: Sequence[Judged], names: Sequence[str]) -> list[str]:
    """What has to be said of the verdicts of a table: how they are corrected, and why claims cannot be tested at a
    scale, each reason once with how many claims it is of."""
    lines = []
    if any(found.p_holm is not None for one in judged for name, found in one.measured.items() if name in names):
        lines.append(
            "[low, high]: 95 % of one claim alone; a verdict is after Holm's correction over the tested claims of the "
            "paper at its scale and task"
        )
    for name in names:
        if not SCALES[name.partition(" ")[0]].real:
            lines.append(f"{name}: small networks on synthetic videos; whether the paper is right is not tested")
        found = [one.measured[name] for one in judged if name in one.measured]
        why = Counter(one.why.partition(" (")[0] for one in found if one.verdict == "cannot be tested" and one.why)
        lines += [f"{name}: {count} cannot be tested: {reason}" for reason, count in why.most_common()]
    return lines


# ---- terminal --------------------------------------------------------------------------------------------------------


def draw(judged: Sequence[Judged], scale: Scale | None, width: int | None, colour: bool = False) -> str:
    """A table for each paper, with a line that sums it up. At a `width`, quotes are shortened to three lines, and where
    little is left for them the verdicts stand without numbers. No table is narrower than `LEAST` columns."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    wide = max(width, LEAST) if width else 10_000
    console = Console(
        file=out,
        width=wide,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        legacy_windows=False,
    )
    for paper, members in by_paper(judged).items():
        names = shown_at(members, scale)
        headings = ["claim", "quote", "printed", *names]
        cells = [[one.printed.text, *(_cell(one, name) for name in names)] for one in members]
        layout = _layout(wide, headings[2:], cells, max(len(one.claim.name) for one in members))
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        table.add_column(headings[0], overflow="fold", max_width=layout.name)
        if layout.quote:
            table.add_column(headings[1], overflow="fold", max_width=layout.quote)
        for heading, needed in zip(headings[2:], layout.verdicts, strict=True):
            table.add_column(heading, overflow="fold", width=needed)
        for one, texts in zip(members, layout.cells, strict=True):
            verdicts = [Text(text, style=STYLES.get(text.partition("\n")[0], "dim")) for text in texts]
            quote = one.claim.quote
            if width:
                quote = textwrap.shorten(quote, max(8, 3 * layout.quote - 10), placeholder=" ...")
            table.add_row(one.claim.name, *([quote] if layout.quote else []), *verdicts)
        console.print(table)
        console.print()
        console.print(Text(summary(paper, members, names)))
        for line in [*layout.left_out, *reasons(members, names)]:
            console.print(Text(line, style="dim"))
        console.print()
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines()) + "\n" if judged else ""


@dataclass(frozen=True)
class _Layout:
    """What a table shows at a width: the widths of its columns, 0 for no quotes, and the cells of its verdicts."""

    name: int
    quote: int
    verdicts: Sequence[int]
    cells: Sequence[Sequence[str]]
    left_out: tuple[str, ...] = ()


def _layout(width: int, headings: Sequence[str], cells: Sequence[Sequence[str]], name: int) -> _Layout:
    """With numbers below the verdicts if `NARROW` columns are left for quotes, else without; at last without quotes.
    `name`: the width of the longest name."""
    below = [[text.replace(": ", "\n", 1) for text in texts] for texts in cells]
    bare = [[text.partition(": ")[0] for text in texts] for texts in cells]
    for shown, at_blanks in ((below, False), (bare, False), (bare, True)):
        columns = ["\n".join([heading, *column]) for heading, *column in zip(headings, *shown, strict=True)]
        widths = [max(map(len, column.split(None if at_blanks else "\n"))) for column in columns]
        of_name = name if shown is below else min(name, 24)
        left = width - sum(widths) - BETWEEN * (len(headings) + 1)
        if left - of_name >= NARROW:
            numbers = () if shown is below else ("numbers left out at this width; --format csv has them",)
            return _Layout(of_name, left - of_name, widths, shown, numbers)
    left_out = ("numbers and quotes left out at this width; --format csv has them",)
    return _Layout(max(8, min(name, left + BETWEEN)), 0, widths, bare, left_out)


def draw_one(one: Judged, width: int) -> str:
    """A claim in full."""
    claim = one.claim
    lines = {
        "quote": f'"{claim.quote}" ({claim.source})',
        "holds": claim.expression.text,
        **{name: f"{cell.row.paper}/{cell.id}" for name, cell in claim.cells.items()},
    }
    if claim.note:
        lines["note"] = claim.note
    lines["printed"] = _in_full(one.printed)
    lines |= {name: _in_full(found) for name, found in one.measured.items()}
    wide = max(map(len, lines))
    drawn = [claim.id]
    for name, text in lines.items():
        first, below = f"  {name:<{wide}}  ", " " * (wide + 4)
        drawn.append(textwrap.fill(text, max(width, wide + 30), initial_indent=first, subsequent_indent=below))
    return "\n".join(drawn) + "\n"


def _in_full(found: Finding) -> str:
    parts: list[str] = [found.verdict]
    if found.interval is not None:
        parts.append(f"{found.what} = {found.numbers}")
    if found.interval is None or list(found.sides) != [found.what]:
        parts.append(found.values)
    if found.p is not None and found.p_holm is not None:
        parts.append(f"p {found.p:.2g}, after Holm {found.p_holm:.2g}")
    return "; ".join(text for text in (*parts, found.method, found.why) if text)


# ---- for programs ----------------------------------------------------------------------------------------------------


def as_json(judged: Sequence[Judged]) -> str:
    """An array with one entry per claim."""
    return json.dumps([one.entry() for one in judged], indent=2, ensure_ascii=False) + "\n"


def as_csv(judged: Sequence[Judged]) -> str:
    """One line per claim for the printed numbers, and one for each scale and task."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for one in judged:
        entry = one.entry()
        for at, found in {"printed": one.printed, **one.measured}.items():
            low, high = found.interval or (None, None)
            flat = {**entry, **found.entry(), "at": at, "values": found.values, "low": low, "high": high}
            writer.writerow(flat)
    return out.getvalue()


def as_markdown(judged: Sequence[Judged], scale: Scale | None) -> str:
    """A table for each paper, with every quote in full."""
    lines: list[str] = []
    for paper, members in by_paper(judged).items():
        names = shown_at(members, scale)
        rows = [["claim", "quote", "place", "holds", "printed", *names]]
        rows.append(["---"] * len(rows[0]))
        for one in members:
            said = [one.claim.name, one.claim.quote, str(one.claim.source), f"`{one.claim.expression.text}`"]
            rows.append([*said, one.printed.text, *(_cell(one, name) for name in names)])
        lines += [f"### Claims of {paper}", ""]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        lines += ["", f"- {summary(paper, members, names)}", *(f"- {line}" for line in reasons(members, names)), ""]
    return "\n".join(lines).rstrip() + "\n" if lines else ""
