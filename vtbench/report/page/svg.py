"""matplotlib's drawings as parts of the page: SVG whose text takes the page's font and whose colours are the page's, so
that both themes draw alike; points have a title, their numbers and a link.

The bytes depend on the drawing and on matplotlib's version alone: ids are hashed with a fixed salt, and no date is
written.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vtbench.report.page.facts import Fact

COLOURS = {
    "ink": "#010101",
    "muted": "#020202",
    "grid": "#030303",
    "paper": "#040404",
    "accent": "#050505",
    "second": "#060606",
    "soft": "#070707",
    "third": "#080808",
    "fourth": "#090909",
}
"""Colour of the page (its CSS variable) -> what stands for it while matplotlib draws."""

RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "vtbench",
    "font.family": "DejaVu Sans",
    "font.size": 11.0,
    "axes.edgecolor": COLOURS["muted"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "text.color": COLOURS["ink"],
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
}


@contextmanager
def settings() -> Iterator[None]:
    """matplotlib's own defaults with those above, whatever its user has set; around all drawing."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


@dataclass(frozen=True)
class Point:
    """What a marker of a drawing stands for. `x` and `y`: the numbers that it is drawn at, each with its origin."""

    row_id: str
    label: str
    said: str
    """What its title says behind the label."""
    x: Fact
    y: Fact


@dataclass(frozen=True)
class Figure:
    """A drawing and its caption, in pieces."""

    name: str
    svg: str
    caption: Sequence[str | Fact]


class Drawing:
    """One matplotlib figure of `width` x `height` CSS pixels, with points that can be named. Made within `settings`."""

    def __init__(self, name: str, width: int, height: int, *, rows: int = 1, columns: int = 1) -> None:
        from matplotlib.figure import Figure as Canvas

        self.name, self.points = name, dict[str, Point]()
        self.figure = Canvas(figsize=(width / 72, height / 72))
        self.axes: list[Any] = list(self.figure.subplots(rows, columns, squeeze=False).flat)

    def point(self, point: Point, at: tuple[float, float], axes: int = 0, **marker: Any) -> None:
        """A marker that says what it is and leads to its row."""
        gid = f"point{len(self.points)}"
        self.points[gid] = point
        self.axes[axes].plot([at[0]], [at[1]], gid=gid, **{"marker": "o", "markersize": 6, "linestyle": "", **marker})

    def svg(self, label: str, across: str = "linear") -> str:
        """The drawing as an element of a page; `label` names it for a screen reader, `across` is the scale of x."""
        out = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self.figure.savefig(out, format="svg", metadata=nothing, transparent=True)
        return _inline(out.getvalue(), self.name, label, across, self.points)


_HREF = "{http://www.w3.org/1999/xlink}href"
_STAND_INS = {stand_in: f"var(--{name})" for name, stand_in in COLOURS.items()}


def _inline(text: str, name: str, label: str, across: str, points: dict[str, Point]) -> str:
    """matplotlib's file as an element: no ids but those that are referred to, colours and font of the page."""
    root = ET.fromstring(text)
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    referred = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'xlink:href="#([^"]+)"', text))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        if _HREF in element.attrib:
            element.set("href", f"#{name}-{element.attrib.pop(_HREF)[1:]}")
        if "clip-path" in element.attrib:
            element.set("clip-path", element.attrib["clip-path"].replace("url(#", f"url(#{name}-"))
        if "style" in element.attrib:
            element.set("style", _restyled(element.attrib["style"]))
        gid = element.get("id", "")
        if gid in points:
            _name_point(element, points[gid])
        elif gid.startswith(("xtick", "ytick")):
            element.set("class", "tick")
        if gid in referred:
            element.set("id", f"{name}-{gid}")
        else:
            element.attrib.pop("id", None)
    root.attrib.pop("version", None)
    width, height = (float(root.attrib.pop(side).removesuffix("pt")) for side in ("width", "height"))
    root.attrib |= {"width": f"{width:g}", "height": f"{height:g}", "role": "group"}
    root.attrib |= {"aria-label": label, "data-across": across}
    return ET.tostring(root, encoding="unicode")


def _restyled(style: str) -> str:
    style = re.sub(r"#0\d0\d0\d", lambda found: _STAND_INS.get(found[0], found[0]), style)
    style = re.sub(r"font: (?:bold )?([\d.]+)px [^;]*", lambda found: f"font-size: {found[1]}px", style)
    return re.sub(r"font-family: [^;]*(; )?", "", style)


def _name_point(element: ET.Element, point: Point) -> None:
    """A group of matplotlib's as a link to a row."""
    children = list(element)
    for child in children:
        element.remove(child)
    element.tag = "a"
    element.attrib |= {
        "href": f"#{point.row_id}",
        "class": "point",
        "tabindex": "-1",
        "data-label": point.label,
        "data-x": point.x.text,
        "data-y": point.y.text,
        "data-origin": f"{point.x.origin} {point.y.origin}",
    }
    title = ET.SubElement(element, "title")
    title.text = f"{point.label}: {point.said}"
    element.extend(children)
