"""results/REPORT.md and results/report.html are those of the committed results."""

from __future__ import annotations

import itertools
import re
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from page_origins import ROOT, Page

from vtbench.report.page.__main__ import build

REMEDY = "out of date: make report"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    folder = tmp_path_factory.mktemp("built")
    before = time.process_time()
    build(ROOT / "results", folder)
    return folder, time.process_time() - before


def test_both_files_are_up_to_date(built: tuple[Path, float]) -> None:
    folder, _ = built
    assert (folder / "REPORT.md").read_text() == (ROOT / "results" / "REPORT.md").read_text(), REMEDY
    made, there = ((at / "report.html").read_text() for at in (folder, ROOT / "results"))
    (pinned,) = re.findall(r"^matplotlib==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    if version("matplotlib") != pinned:  # another version may draw other paths of the same numbers
        made, there = (re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL) for text in (made, there))
    assert made == there, REMEDY


def test_the_page_is_made_quickly_and_is_small(built: tuple[Path, float]) -> None:
    folder, seconds = built
    assert (folder / "report.html").stat().st_size < 3_000_000
    assert seconds < 20  # about 5 on an idle core, with REPORT.md; this one may be shared


def test_it_needs_nothing_from_elsewhere() -> None:
    page = Page((ROOT / "results" / "report.html").read_text())
    for element in page.root.all():
        assert element.tag not in ("link", "iframe", "img", "object", "embed"), element.tag
        for name in ("src", "srcset", "xlink:href", "data", "action"):
            assert name not in element.attributes, (element.tag, name)
        if element.tag in ("script", "style"):
            assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttpRequest", element.text)


def test_ids_are_of_one_element_each() -> None:
    page = Page((ROOT / "results" / "report.html").read_text())
    ids = [element.attributes["id"] for element in page.root.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids)) > 500
    referred = {
        element.attributes["href"].removeprefix("#")
        for element in page.root.all()
        if element.attributes.get("href", "")[:1] == "#"
    }
    assert referred - {*ids} == set()


def test_headings_and_tables_are_in_order() -> None:
    """One h1, no level left out, a caption and headings with a scope in every table."""
    page = Page((ROOT / "results" / "report.html").read_text())
    levels = [int(element.tag[1]) for element in page.root.all() if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    tables = [element for element in page.root.all() if element.tag == "table"]
    for table in tables:
        first = next(child for child in table.children if not isinstance(child, str))
        assert first.tag == "caption"
        assert all("scope" in element.attributes for element in table.all() if element.tag == "th")


def test_each_link_of_the_markdown_leads_to_a_heading() -> None:
    text = (ROOT / "results" / "REPORT.md").read_text()
    anchors = re.findall(r"\]\(#([^)]*)\)", text)
    slugs: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        slug = "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")
        slugs.append(f"{slug}-{slugs.count(slug)}" if slug in slugs else slug)
    assert len(anchors) == len(slugs) - 1 > 25 and set(anchors) < set(slugs)
