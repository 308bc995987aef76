"""`vtbench claims`, and the claims in `show` and `check`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.cli import main
from vtbench.cli.claims import VERDICTS
from vtbench.papers import paper_names
from vtbench.papers.claims import load_claims
from vtbench.report.claims import finding

REPOSITORY = Path(__file__).resolve().parent.parent.parent
Capture = pytest.CaptureFixture[str]
Edit = Callable[[str, str, str], int]


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def answer(capsys: Capture, *arguments: str) -> str:
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def refusal(capsys: Capture, *arguments: str) -> str:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_all_claims_of_all_papers_are_judged(capsys: Capture) -> None:
    entries = json.loads(answer(capsys, "claims", "--format", "json"))
    assert [entry["id"] for entry in entries] == [claim.id for name in paper_names() for claim in load_claims(name)]
    assert {next(iter(entry["measured"])) for entry in entries} == {"smoke"}
    text = answer(capsys, "claims")
    assert all(f"\n{name}: {len(load_claims(name))} claims; printed: " in text for name in paper_names())


def test_the_readme_counts_the_claims_and_those_that_the_papers_contradict(capsys: Capture) -> None:
    entries = json.loads(answer(capsys, "claims", "--format", "json"))
    contradicted = sum(entry["printed"]["verdict"] == "contradicted" for entry in entries)
    readme = " ".join((REPOSITORY / "README.md").read_text().split())
    assert f"about their numbers, {len(entries)} sentences as expressions" in readme
    assert f"{contradicted} are not true of the numbers that their own paper prints" in readme


def test_a_paper_a_scale_and_a_verdict_choose(capsys: Capture) -> None:
    entries = json.loads(answer(capsys, "claims", "msca", "pst", "--verdict", "contradicted", "--format", "json"))
    assert {entry["paper"] for entry in entries} == {"msca", "pst"}
    assert all("contradicted" in {entry["printed"]["verdict"], *(m["verdict"] for m in entry["measured"].values())}
               for entry in entries)  # fmt: skip
    assert "msca/kv-over-vit" in [entry["id"] for entry in entries]
    lines = list(csv.DictReader(io.StringIO(answer(capsys, "claims", "laps", "--scale", "mini", "--format", "csv"))))
    assert {line["at"].partition(" ")[0] for line in lines} == {"printed", "mini"}


def test_one_claim_is_shown_in_full(capsys: Capture) -> None:
    text = answer(capsys, "claims", "msca/kv-over-vit")
    assert text.startswith("msca/kv-over-vit\n  quote ") and "\n  printed  contradicted; kv - vit = 0.82\n" in text
    assert "\n  kv       msca/table2:msca-kv.top1\n" in text
    assert len(json.loads(answer(capsys, "claims", "msca/kv-over-vit", "pst/memory-76-less", "--format", "json"))) == 2


@pytest.mark.parametrize("name", ["msca/table2", "msca/table2:vit"])
def test_a_table_or_a_row_chooses_the_claims_about_it(capsys: Capture, name: str) -> None:
    entries = json.loads(answer(capsys, "claims", name, "--format", "json"))
    about = {one.id for one in load_claims("msca") if any(f"{row.id}:".startswith(f"{name}:") for row in one.rows)}
    assert {entry["id"] for entry in entries} == about
    assert 0 < len(about) < len(load_claims("msca"))


def test_claims_of_a_table_and_by_name_are_shown_together_once(capsys: Capture) -> None:
    entries = json.loads(answer(capsys, "claims", "msca/table2", "msca/kv-over-vit", "pst/v1-gain", "--format", "json"))
    ids = [entry["id"] for entry in entries]
    assert len(set(ids)) == len(ids) and {"msca/kv-over-vit", "msca/kv-margin", "pst/v1-gain"} <= set(ids)
    assert [name for name in ids if name.startswith("pst")] == ["pst/v1-gain"]


def test_a_cell_that_is_not_read_off_the_print_is_said(capsys: Capture) -> None:
    origin = "table1:vit.top1 reconstructed: blank in the text at hand; Table 2, row ViT"
    assert origin in " ".join(answer(capsys, "claims", "msca/two-heads-best").split())
    (entry,) = json.loads(answer(capsys, "claims", "msca/two-heads-best", "--format", "json"))
    assert entry["printed"]["why"] == origin


def test_the_page_shows_what_is_printed(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    page = (Path(__file__).parents[2] / "docs" / "claims.md").read_text()
    assert f"$ vtbench claims msca/kv-over-vit\n{answer(capsys, 'claims', 'msca/kv-over-vit').rstrip()}\n```" in page


def test_wrong_names_are_one_line_with_the_nearest(capsys: Capture) -> None:
    assert refusal(capsys, "claims", "mcsa") == "vtbench: no paper 'mcsa'; did you mean 'msca'?"
    for given, said in (
        ("msca/kv-over-vti", "no claim or table 'msca/kv-over-vti'; did you mean 'msca/kv-over-vit'?"),
        ("msca/tabel2", "no claim or table 'msca/tabel2'; did you mean 'msca/table2'?"),
        ("msca/table2:vti", "no row 'msca/table2:vti'; did you mean 'msca/table2:vit'?"),
        ("mcsa/table2", "no paper 'mcsa'; did you mean 'msca'? (in 'mcsa/table2')"),
        ("msca/table2@main", "claims are about rows; leave out '@main' of 'msca/table2@main'"),
    ):
        assert refusal(capsys, "claims", given) == f"vtbench: {said}"
    assert "no verdict 'suported'; did you mean 'supported'?" in refusal(capsys, "claims", "--verdict", "suported")


def test_a_broken_file_is_one_line_with_its_place(capsys: Capture, edit: Edit) -> None:
    line = edit("msca/claims.yaml", "table2:msca-kv.top1", "table2:msca-kvv.top1")
    said = refusal(capsys, "claims", "msca")
    assert f"benchmarks/msca/claims.yaml:{line}: claim " in said and "did you mean 'table2:msca-kv'?" in said


def test_a_paper_without_claims_says_so(capsys: Capture, benchmarks: Path) -> None:
    (benchmarks / "laps" / "claims.yaml").unlink()
    assert answer(capsys, "claims", "laps") == "no claims\n"


def test_a_row_names_its_claims(capsys: Capture) -> None:
    (entry,) = json.loads(answer(capsys, "show", "msca/table2:msca-kv", "--format", "json"))
    assert "msca/kv-over-vit" in entry["claims"]
    assert "\n    msca/kv-over-vit: " in answer(capsys, "show", "msca/table2:msca-kv")


def test_check_counts_the_claims(capsys: Capture) -> None:
    (entry,) = json.loads(answer(capsys, "check", "msca", "--format", "json"))
    assert entry["claims"] == len(load_claims("msca"))


def test_the_verdicts_of_the_option_are_all_there_are() -> None:
    assert VERDICTS == finding.VERDICTS
