"""claims.yaml: what it says, and one line for each mistake in it."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.errors import SpecError
from vtbench.papers import load_paper, paper_names
from vtbench.papers.check import check
from vtbench.papers.claims import Claim, load_claims
from vtbench.papers.claims.document import check_claims, read_claims
from vtbench.papers.roots import Root

GOOD = """\
- id: kv-over-vit
  quote: "is better than TokenShift by 0.1% and then ViT by 1.2%"
  source: {section: abstract, page: 1}
  cells: {kv: table2:msca-kv.top1, vit: table2:vit.top1}
  holds: about(kv - vit, 1.2)
"""


class Claims:
    """A claims.yaml of its own for a real paper, beside which nothing else is read."""

    def __init__(self, folder: Path) -> None:
        self.paper = dataclasses.replace(load_paper("msca"), root=Root(folder))
        self.path = folder / "benchmarks" / "msca" / "claims.yaml"
        self.path.parent.mkdir(parents=True)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def problems(self) -> list[str]:
        found = check_claims(self.paper)
        assert all("\n" not in line and line.startswith(f"{self.path}:") for line in found)
        return [line.removeprefix(f"{self.path}:") for line in found]

    def read(self) -> list[Claim]:
        claims, problems = read_claims(self.paper)
        assert problems == []
        return claims


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path)


def test_a_claim_knows_its_cells_and_where_it_stands(claims: Claims) -> None:
    claims.write(GOOD + '  note: Tables give 0.82.\n  untestable: {mini: "why"}\n')
    assert claims.problems() == []
    (claim,) = claims.read()
    assert (claim.id, claim.place) == ("msca/kv-over-vit", f"{claims.path}:1")
    assert str(claim.source) == "abstract, page 1" and claim.untestable == {"mini": "why"}
    kv = claim.cells["kv"]
    assert (kv.id, kv.metric, kv.row.id) == ("table2:msca-kv.top1", "top1", "msca/table2:msca-kv")
    assert kv.printed is not None and kv.printed.text == "76.47"
    assert [row.name for row in claim.rows] == ["msca-kv", "vit"] and claim.tables == ["table2"]


def test_a_cell_may_be_of_what_is_measured_and_not_printed(claims: Claims) -> None:
    claims.write(GOOD.replace("msca-kv.top1", "msca-kv.params_m").replace("vit.top1", "vit.params_m"))
    assert claims.problems() == []
    assert claims.read()[0].cells["kv"].printed is None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("table2:vit", "tabel2:vit", "4: claim kv-over-vit: cells.vit: no table 'msca/tabel2'; did you mean"),
        ("table2:vit", "table2:vti", "4: claim kv-over-vit: cells.vit: no row 'table2:vti'; did you mean 'table2:vi"),
        ("vit.top1", "vit.top2", "cells.vit: row table2:vit has no number 'top2'; did you mean 'top5'?"),
        ("vit.top1", "vit.events_top1", "cells.vit: row table2:vit has no number 'events_top1'; known: top1,"),
        ("table2:vit.top1", "vit", "cells.vit: must be TABLE:ROW.KEY, as table2:ours.top1, not 'vit', which is text"),
        ("table2:vit.top1", "7", "cells.vit: must be TABLE:ROW.KEY, as table2:ours.top1, not 7"),
        ("table2:vit.top1", "table2:msca-kv.top1", "cells.vit: is the cell that 'kv' is; a cell is not compared with"),
        ("{kv: table2:msca-kv.top1, vit: table2:vit.top1}", "[]", "cells: must be short names with TABLE:ROW.KEY, not"),
        ("about(kv - vit, 1.2)", "kv > vti", "5: claim kv-over-vit: holds: no cell is called 'vti'; did you mean 'vi"),
        ("about(kv - vit, 1.2)", "abuot(kv - vit, 1.2)", "holds: no function 'abuot'; did you mean 'about'?"),
        ("about(kv - vit, 1.2)", "kv > 70", "cells.vit: is not used in `holds`; remove it"),
        ("about(kv - vit, 1.2)", "3", "holds: must be an expression, as a - b > 0.5, not 3, which is a whole number"),
        ("about(kv - vit, 1.2)", "3 > 2", "holds: names no cell"),
        ("about(kv - vit, 1.2)", "kv + vit >= 0", "holds: is always true, whatever the cells hold"),
        ("about(kv - vit, 1.2)", "kv - vit > 100", "1: claim kv-over-vit: holds: is always false, whatever the cells"),
        ("about(kv - vit, 1.2)", "kv > kv and vit > 1", "holds: is always false"),
        ("about(kv - vit, 1.2)", "kv + vit > vit", "holds: 'vit' cannot change whether kv + vit > vit is"),
        ("vit.top1}\n  holds: about(kv - vit, 1.2)", "vit.gflops}\n  holds: kv > vit",
         "5: claim kv-over-vit: holds: puts accuracy and gflops into one number (kv - vit); compare each with its"),
        ("msca-kv.top1, vit: table2:vit.top1}\n  holds: about(kv - vit, 1.2)",
         "msca-kv.params_m, vit: table2:vit.gflops}\n  holds: about(kv / vit, 1.2)",
         "holds: puts params_m and gflops into one number (kv / vit)"),
        ("about(kv - vit, 1.2)", '"' + 600 * "-" + 'kv > vit"', "5: claim kv-over-vit: holds: has numbers within each"),
        ("quote:", "qoute:", "2: claim kv-over-vit: qoute: no key 'qoute'; did you mean 'quote'?"),
        ('"is better than TokenShift by 0.1% and then ViT by 1.2%"', '""', "2: claim kv-over-vit: quote: is empty;"),
        ("section: abstract", "section: 4.3", "3: claim kv-over-vit: source.section: must be text, not 4.3"),
        ("section: abstract, ", "", "3: claim kv-over-vit: source.section: missing; it is the section"),
        ("page: 1", "page: 0", "source.page: is 0, must be at least 1"),
        ("kv-over-vit", "KV over", "1: claim KV over: id: is 'KV over'; use small letters, digits and '-'"),
        ("- id: kv-over-vit\n  quote", "- quote", "1: [0].id: missing; it is its name within the paper"),
        (")\n", ")\n  untestable: {mni: because}\n", "6: claim kv-over-vit: untestable.mni: no scale 'mni'; did you"),
        (")\n", ")\n  untestable: {mini: }\n", "untestable.mini: must say why"),
        (GOOD, "claims: []\n", "1: must hold a list at the top"),
        (GOOD, "- a\n", "1: [0]: must be keys and values, not 'a', which is text"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line_with_its_place(claims: Claims, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    claims.write(GOOD.replace(old, new))
    (line,) = claims.problems()
    assert expected in line


@pytest.mark.parametrize("name", ["max", "k-v", "is", "2nd"])
def test_a_cell_has_a_name_that_can_stand_in_an_expression(claims: Claims, name: str) -> None:
    claims.write(GOOD.replace("kv: table2", f"'{name}': table2"))
    assert (
        f"4: claim kv-over-vit: cells.{name}: '{name}' cannot name a cell in an expression; use" in claims.problems()[0]
    )


def test_two_claims_with_one_id_are_refused(claims: Claims) -> None:
    claims.write(GOOD + GOOD)
    assert claims.problems() == [f"6: claim kv-over-vit: id: is already the id of the claim at {claims.path}:1"]


def test_everything_that_is_wrong_is_said_at_once(claims: Claims) -> None:
    claims.write(GOOD.replace("table2:vit", "table2:vti").replace("1.2)", "x)") + GOOD.replace("kv - vit", "kv - tiv"))
    assert [line.partition(":")[0] for line in claims.problems()] == ["4", "5", "10"]


def test_check_reports_them_and_nothing_else_reads_a_broken_file(benchmarks: Path) -> None:
    (benchmarks / "msca" / "claims.yaml").write_text(
        GOOD.replace("table2:vit", "table2:vti") + GOOD.replace("1.2)", "x)")
    )
    lines = check("msca")[1]
    places = ["benchmarks/msca/claims.yaml:4: claim kv-over-vit", "benchmarks/msca/claims.yaml:10: claim kv-over-vit"]
    assert [line.partition(": cells")[0].partition(": holds")[0] for line in lines] == places
    with pytest.raises(SpecError) as error:
        load_claims("msca")
    assert error.value.problems == tuple(lines)


def test_the_same_printed_number_may_stand_in_two_tables(claims: Claims) -> None:
    claims.write(
        GOOD.replace("about(kv - vit, 1.2)", "same(kv, vit)").replace("table2:vit.top1", "table1:msca-kv-2.top1")
    )
    assert claims.problems() == []


def test_an_expression_may_take_several_lines(claims: Claims) -> None:
    claims.write(GOOD.replace("about(kv - vit, 1.2)", ">-\n    kv > vit and\n    kv - vit < 1"))
    assert claims.problems() == []
    assert claims.read()[0].expression.text == "kv > vit and kv - vit < 1"


def test_numbers_of_two_kinds_may_stand_beside_each_other(claims: Claims) -> None:
    more = "vit: table2:vit.top1, kv_cost: table2:msca-kv.gflops, vit_cost: table2:vit.gflops}"
    text = GOOD.replace("vit: table2:vit.top1}", more)
    claims.write(text.replace("about(kv - vit, 1.2)", "kv > vit and same(kv_cost, vit_cost)"))
    assert claims.problems() == []
    claims.write(text.replace("about(kv - vit, 1.2)", "kv > vit and kv_cost > vit_cost and vit > vit_cost"))
    assert "puts accuracy and gflops into one number (vit - vit_cost)" in claims.problems()[0]


def test_a_place_that_cannot_be_read_is_a_problem_and_not_a_paper_without_claims(claims: Claims) -> None:
    claims.path.mkdir()
    assert said(claims) == "is a folder, a YAML file is wanted; rename or remove it"
    claims.path.rmdir()
    os.mkfifo(claims.path)
    assert said(claims) == "is a named pipe, a YAML file is wanted; rename or remove it"
    claims.path.unlink()
    claims.path.symlink_to("nowhere.yaml")
    assert said(claims).startswith("is a link to a file that is not there, a YAML file is wanted; ")
    claims.path.unlink()
    claims.write(GOOD)
    claims.path.chmod(0)
    if not os.access(claims.path, os.R_OK):  # root reads everything
        assert said(claims) == "cannot be read: Permission denied; check its permissions"


def said(claims: Claims) -> str:
    """The one problem that `check` and whatever else reads the claims have with the file."""
    (line,) = check_claims(claims.paper)
    assert read_claims(claims.paper) == ([], [line])
    return line.removeprefix(f"{claims.path}: ")


def test_a_paper_without_claims_has_none(benchmarks: Path) -> None:
    (benchmarks / "msca" / "claims.yaml").unlink()
    assert load_claims("msca") == () and check("msca")[1] == []


def test_a_paper_of_the_users_has_claims_too(own_paper: Callable[..., Path]) -> None:
    rows = (
        '  - {id: one, label: One, published: {top1: "50.0"}}\n  - {id: two, label: Two, published: {top1: "60.0"}}\n'
    )
    folder = own_paper(rows)
    path = folder / "benchmarks" / "lab" / "claims.yaml"
    claim = GOOD.replace("table2:msca-kv", "table1:two").replace("table2:vit", "table1:one")
    path.write_text(claim.replace("1.2", "10"))
    (found,) = load_claims("lab")
    assert found.id == "lab/kv-over-vit" and found.cells["vit"].row.name == "one"
    path.write_text(claim.replace("table1:one", "table1:oen"))
    assert any(f"{path}:4: claim kv-over-vit: cells.vit: no row 'table1:oen'" in line for line in check("lab")[1])


# ---- the papers' own -------------------------------------------------------------------------------------------------


def test_every_paper_has_ten_claims_and_all_together_sixty() -> None:
    counts = {name: len(load_claims(name)) for name in paper_names()}
    assert min(counts.values()) >= 10 and sum(counts.values()) >= 60, counts


@pytest.mark.parametrize("name", paper_names())
def test_the_claims_of_every_paper_are_clean(name: str) -> None:
    assert check_claims(load_paper(name)) == []
    claims = load_claims(name)
    assert len({claim.name for claim in claims}) == len(claims)
    said = {(claim.quote, claim.expression.text, tuple(cell.id for cell in claim.cells.values())) for claim in claims}
    assert len(said) == len(claims), "a claim stands there twice"


@pytest.mark.parametrize("name", paper_names())
def test_no_claim_is_about_being_near_a_row_that_sees_nothing_of_a_small_scales_label(name: str) -> None:
    """Near a row that is at chance by construction is near chance: `abs(blind - a) < ...` would praise what fails."""
    for claim in load_claims(name):
        blind = [short for short, cell in claim.cells.items() if cell.row.blind and cell.kind == "accuracy"]
        near = [
            side for side in re.findall(r"abs\(([^()]*)\)", claim.expression.text) if set(blind) & set(side.split())
        ]
        assert not near or "mini" in claim.untestable, claim.id


@pytest.mark.parametrize("name", paper_names())
def test_a_note_names_only_decisions_that_exist(name: str) -> None:
    known = {*load_paper(name).about.decisions, *(row.name for row in load_paper(name).rows)}
    known |= {claim.name for claim in load_claims(name)}
    for claim in load_claims(name):
        named = [word.rstrip(".-") for word in re.findall(rf"(?<![/\w-]){name}-[a-z0-9.-]+", claim.note or "")]
        assert [word for word in named if word not in known] == [], claim.id
