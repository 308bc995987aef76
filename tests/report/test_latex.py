"""Tables in LaTeX: both columns, what must be said, and nothing that LaTeX would stumble over."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.papers import select
from vtbench.report.formats.latex import escape
from vtbench.report.report import report
from vtbench.results.store import Store

Measure = Callable[..., None]
KV = "msca/table2:msca-kv"


def latex(store: Store, *selectors: str, scale: str = "paper") -> str:
    return report(select(selectors), store.folder, scale, "latex")


def rows_of(text: str) -> dict[str, list[str]]:
    lines = (line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if line.endswith(r" \\"))
    return {cells[0]: cells for cells in lines}


def test_printed_and_measured_stand_side_by_side(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4, 76.5, 76.6)
    text = latex(store, "msca/table2")
    cells = rows_of(text)["msca-kv"]
    assert cells[2:4] == ["76.47", "92.88"] and cells[4] == r"76.50 $\pm$ 0.10\textsuperscript{a}"
    assert r"\textsuperscript{a} within" in text and "within: the 95 \\% interval lies inside" in text
    assert r"\caption{msca/table2 at paper scale: " in text and r"\label{tab:msca-table2-paper}" in text
    assert "% commits: 277b510" in text and "NOT COMPARABLE" not in text


def test_each_verdict_has_a_footnote_of_its_own(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 60.0, 60.1, 60.2)
    measure("msca/table2:vit", "paper", 75.6, 75.7, 75.6)
    text = latex(store, "msca/table2")
    marks = {name: cells[4][-2] for name, cells in rows_of(text).items() if "superscript" in cells[4]}
    assert marks == {"vit": "a", "msca-kv": "b"}
    assert r"\textsuperscript{a} within, \textsuperscript{b} outside" in text


def test_small_scales_say_that_they_are_not_comparable(store: Store, measure: Measure) -> None:
    measure(KV, "mini", 90.0)
    text = latex(store, "msca/table2", scale="mini")
    assert r"\textbf{NOT COMPARABLE with the printed numbers: small networks on cycle" in text
    assert "superscript" not in text
    assert rows_of(text)["chance"][4] == "25.00"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50% & more_of #1 {x} $", r"50\% \& more\_of \#1 \{x\} \$"),
        ("8x224^2 ~ a\\b", r"8x224\textasciicircum{}2 \textasciitilde{} a\textbackslash{}b"),
        ("-0.5 [-1.0, +2.0] msca-kv 3-4", "$-$0.5 {[}$-$1.0, +2.0] msca-kv 3-4"),
        ("90.0 ± 1.4 ✓ ✗ T ⇒ S", r"90.0 $\pm$ 1.4 $\checkmark$ $\times$ T $\Rightarrow$ S"),
    ],
)
def test_what_latex_reads_as_a_command_is_escaped(text: str, expected: str) -> None:
    assert escape(text) == expected


@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_every_table_is_well_formed(store: Store, scale: str) -> None:
    """Each line has as many cells as the table has columns, braces are balanced, and all is ASCII or accented."""
    text = report(select(), store.folder, scale, "latex")
    tables = re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, re.DOTALL)
    assert len(tables) >= len({(row.paper, row.table) for row in select()})
    assert len(set(re.findall(r"\\label\{.*?\}", text))) == len(tables)
    for table in tables:
        columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", table)
        assert columns is not None
        body = table.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
        for line in (line for line in body.splitlines() if line.endswith(r"\\")):
            cells = re.split(r"(?<!\\)&", line)
            spans = [int(number) for cell in cells for number in re.findall(r"\\multicolumn\{(\d+)\}", cell)]
            assert len(cells) + sum(spans) - len(spans) == len(columns[1]), line
        bare = re.sub(r"\\[{}]", "", table)
        assert bare.count("{") == bare.count("}")
        assert not re.search(r"(?<!\\)[#]|[^\x00-\xff]", bare)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_every_table_compiles(store: Store, measure: Measure, tmp_path: Path) -> None:
    measure(KV, "paper", 76.4, 76.5, 76.6)
    tables = report(select(), store.folder, "paper", "latex").replace(r"\end{table}", r"\end{table}\clearpage")
    packages = r"\usepackage[margin=2cm]{geometry}\usepackage{amssymb,booktabs,graphicx}"
    document = f"\\documentclass{{article}}{packages}\\begin{{document}}\n{tables}\\end{{document}}\n"
    (tmp_path / "all.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "multiply defined" not in done.stdout
