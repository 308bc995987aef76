"""Judged claims drawn: as a table, in Markdown, JSON and CSV, one claim in full, and as notes below other tables."""

from __future__ import annotations

import csv
import io
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

from vtbench.report.claims.finding import DECIDED, VERDICTS, Finding, Judged
from vtbench.report.columns import Column, drawing, fitted, hidden_note
from vtbench.report.printing import plural
from vtbench.scales import SCALES, Scale, smallest_first

UNLIMITED = 10_000
"""Characters in a line of a drawing without a width."""
STYLES = {"supported": "green", "contradicted": "red", "inconclusive": "yellow"}
QUOTE = 120
"""Characters of a quote on a terminal."""

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
    parts = [f"{paper}: {plural(len(judged), 'claim')}"]
    for name, found in columns.items():
        counts = Counter(one.verdict for one in found)
        if name == "paper" and counts.keys() & set(DECIDED) and not any(one.keys for one in found):
            name = "paper (costs and speeds; nothing is trained yet)"
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
            lines.append(f"{name}: small networks on synthetic videos; no verdict on the paper itself")
        found = [one.measured[name] for one in judged if name in one.measured]
        why = Counter(one.why.partition(" (")[0] for one in found if one.verdict == "cannot be tested" and one.why)
        lines += [f"{name}: {count} cannot be tested: {reason}" for reason, count in why.most_common()]
    return lines


# ---- terminal --------------------------------------------------------------------------------------------------------


def draw(judged: Sequence[Judged], scale: Scale | None, width: int | None = 100, *, colour: bool = False) -> str:
    """A table for each paper that fits into `width`, with lines that sum it up. Without a width every quote is there in
    full, and what is said is in lines of any length."""
    from rich.text import Text

    console, out = drawing(width or UNLIMITED, colour=colour)
    for paper, members in by_paper(judged).items():
        names = shown_at(members, scale)
        table, hidden = fitted(_columns(members, names, in_full=width is None), width or UNLIMITED, style_of=_style)
        console.print(table)
        if hidden:
            console.print(Text(hidden_note(hidden, "--format csv"), style="dim"))
        console.print()
        console.print(Text(summary(paper, members, names)))
        for line in reasons(members, names):
            console.print(Text(line, style="dim"))
        console.print()
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines()) + "\n" if judged else ""


def _columns(judged: Sequence[Judged], names: Sequence[str], *, in_full: bool) -> list[Column]:
    """Names, quotes, verdicts and their numbers. Where the width does not suffice, quotes are hidden first, then the
    numbers of the print, those measured, and verdicts on what was measured."""
    quotes = [
        one.claim.quote if in_full else textwrap.shorten(one.claim.quote, QUOTE, placeholder=" ...") for one in judged
    ]
    made = [
        Column(("", "claim"), 0, right=False, cells=[one.claim.name for one in judged]),
        Column(("", "quote"), 4, right=False, wraps=True, cells=quotes),
    ]
    for name in ("printed", *names):
        found = [one.printed if name == "printed" else one.measured.get(name) for one in judged]
        verdicts = [one.verdict if one else "" for one in found]
        numbers = [one.short if one else "" for one in found]
        made.append(Column((name, "verdict"), 0 if name == "printed" else 1, right=False, cells=verdicts))
        if any(numbers):
            made.append(Column((name, "numbers"), 3 if name == "printed" else 2, right=False, cells=numbers))
    return made


def _style(_: int, text: str) -> str:
    return STYLES.get(text, "dim" if text in VERDICTS else "")


def draw_one(one: Judged) -> list[tuple[str, str]]:
    """A claim in full: names of what is said, and the texts."""
    claim = one.claim
    lines = [("quote", f'"{claim.quote}" ({claim.source})'), ("holds", claim.expression.text)]
    lines += [(name, f"{cell.row.paper}/{cell.id}") for name, cell in claim.cells.items()]
    lines += [("note", claim.note)] if claim.note else []
    return [*lines, *((name, _in_full(found)) for name, found in {"printed": one.printed, **one.measured}.items())]


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
