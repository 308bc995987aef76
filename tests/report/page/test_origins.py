"""Every number of the page of the committed results is computed again from specs and results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from page_origins import CALL, ROOT, Element, Origins, Page, names, numbers_without_origin

from vtbench.report.page.tables import RECORD_COLUMNS

PAGE = ROOT / "results" / "report.html"


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(PAGE.read_text())


def with_origin(page: Page) -> Iterator[Element]:
    return (element for element in page.root.all() if "data-origin" in element.attributes)


def text_of(element: Element) -> str:
    """What an element shows; of a point of a drawing, what its title says behind the label."""
    if element.tag != "a" or "data-label" not in element.attributes:
        return element.text
    (title,) = (child for child in element.all() if child.tag == "title")
    return title.text.removeprefix(f"{element.attributes['data-label']}: ")


def test_no_number_is_without_an_origin(page: Page) -> None:
    assert numbers_without_origin(page) == []


def test_what_stands_as_a_name_is_one(page: Page) -> None:
    origins = Origins(ROOT / "results")
    known = {*origins.rows, *(row.partition(":")[2] for row in origins.rows), *origins.tables, *origins.papers}
    known |= {name for paper in origins.papers.values() for name in paper["decisions"]} | {*origins.claim_files}
    known |= {name for row in origins.rows.values() for name in row.get("published", {})} | {*RECORD_COLUMNS}
    assert {name for name in names(page) if any(c.isdigit() for c in name)} - known == set()


def test_all_numbers_are_what_their_origins_give(page: Page) -> None:
    origins = Origins(ROOT / "results")
    elements = list(with_origin(page))
    assert len(elements) > 5000
    wrong = [origins.wrong(text_of(one), one.attributes["data-origin"]) for one in elements]
    assert [one for one in wrong if one] == []


def test_lines_of_provenance_are_lines_of_the_store(page: Page) -> None:
    origins = Origins(ROOT / "results")
    seen = 0
    for element in page.root.all():
        if "data-line" not in element.attributes:
            continue
        ((name, inside),) = CALL.findall(element.attributes["data-line"])
        assert name == "line"
        line = origins.line(*inside.split("; "))
        scale, *cells = (child for child in element.children if isinstance(child, Element))
        assert scale.text == line["scale"]
        for column, cell in zip(RECORD_COLUMNS, cells, strict=True):
            shown, value = cell.attributes.get("title", cell.text), line[column]
            if column in ("top1", "top5"):
                assert not value or abs(float(shown) - float(value)) <= 0.005000001
            else:
                assert shown == {"true": "yes", "false": "no"}.get(value, value), column
        seen += 1
    assert seen > 600


def test_points_stand_where_their_numbers_say(page: Page) -> None:
    """Along each axis of a drawing places are an affine function of the numbers (of their logarithms, on one axis)."""
    import numpy as np

    drawings = [element for element in page.root.all() if element.tag == "svg"]
    assert len(drawings) > 20
    points = 0
    for drawing in drawings:
        panels: dict[int, list[tuple[float, ...]]] = {}
        for element in drawing.all():
            if "data-label" not in element.attributes:
                continue
            (use,) = (child for child in element.all() if child.tag == "use")
            panel = id(element.parent)
            at = (element.attributes["data-x"], element.attributes["data-y"])
            panels.setdefault(panel, []).append(
                (*map(float, at), float(use.attributes["x"]), float(use.attributes["y"]))
            )
        for found in panels.values():
            x, y, across, down = np.array(found).T
            points += len(found)
            for numbers, places in (
                (np.log(x) if drawing.attributes["data-across"] == "log" else x, across),
                (y, down),
            ):
                if np.ptp(numbers) == 0:
                    continue
                fit = np.polynomial.Polynomial.fit(numbers, places, 1)
                assert np.abs(fit(numbers) - places).max() < 1.5, drawing.attributes["aria-label"]
    assert points > 200


def test_the_page_names_each_function_of_an_origin_in_the_docs(page: Page) -> None:
    named = {name for one in with_origin(page) for name, _ in CALL.findall(one.attributes["data-origin"])}
    said = (ROOT / "docs" / "page.md").read_text()
    assert {name for name in named if f"`{name}(" not in said} == set()


def test_a_wrong_number_is_found(tmp_path: Path) -> None:
    origins = Origins(ROOT / "results")
    assert origins.wrong("76.47", "spec(msca/table2:msca-kv; top1)") is None
    assert origins.wrong("76.48", "spec(msca/table2:msca-kv; top1)") is not None
    assert origins.wrong("34 rows", "rows(msca)") is not None
    assert numbers_without_origin(Page("<p>of 33 rows</p>")) == ["of 33 rows"]
