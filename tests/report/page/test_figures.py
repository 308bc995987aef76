from __future__ import annotations

import pytest

from vtbench.report.page.facts import Fact
from vtbench.report.page.figures import pareto, places
from vtbench.report.page.svg import Drawing, Point, settings


def test_equal_values_share_the_mean_of_their_places() -> None:
    assert places([90.0, 70.0, 90.0, 80.0]) == [1.5, 4.0, 1.5, 3.0]


def test_no_point_of_the_front_is_beaten_for_less() -> None:
    points = [(1.0, 50.0), (2.0, 49.0), (2.0, 60.0), (3.0, 60.0), (0.5, 10.0), (1.0, 55.0)]
    assert pareto(points) == [4, 5, 2]


def test_a_drawing_has_the_colours_of_the_page_and_no_others() -> None:
    with settings():
        drawing = Drawing("one", 200, 100)
        drawing.axes[0].plot([0, 1], [0, 1], color="#050505")
        drawing.axes[0].set_title("<b> & co")
        point = Point("msca/table2:vit", 'a "label" <', "printed 3", Fact("1", "spec(a; b)"), Fact("3"))
        drawing.point(point, (1, 3), color="#060606", markeredgecolor="#040404")
        svg = drawing.svg("a drawing")
    assert "#0" not in svg and "var(--accent)" in svg and "var(--muted)" in svg
    assert "&lt;b&gt; &amp; co" in svg and 'href="#msca/table2:vit"' in svg
    assert '<title>a "label" &lt;: printed 3</title>' in svg
    assert "DejaVu" not in svg and "xmlns" not in svg and "<style" not in svg and "<metadata" not in svg


def test_ids_of_two_drawings_differ() -> None:
    import re

    with settings():
        found = []
        for name in ("one", "two"):
            drawing = Drawing(name, 100, 100)
            drawing.axes[0].plot([0, 1], [0, 1], marker="o")
            found.append(set(re.findall(r'id="([^"]*)"', drawing.svg(name))))
    assert found[0] and not found[0] & found[1]


@pytest.mark.parametrize("size", [(640, 400), (200, 100)])
def test_a_drawing_has_its_size(size: tuple[int, int]) -> None:
    with settings():
        svg = Drawing("one", *size).svg("empty")
    assert f'width="{size[0]}" height="{size[1]}"' in svg
