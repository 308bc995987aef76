"""The page of the committed results in a real browser."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, DRIVER, MISSING, browser, requests, show

from vtbench.papers import select

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=MISSING),
    pytest.mark.skipif(importlib.util.find_spec("selenium") is None, reason="needs selenium, of vtbench[dev]"),
]
ROOT = Path(__file__).parents[3]
PAGE = ROOT / "results" / "report.html"
AXE = (ROOT / "tests" / "axe" / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with browser() as found:
        yield found


REACH = """const [ids, done] = arguments, wrong = [];
(async () => {
  for (const id of ids) {
    location.hash = id;
    await new Promise((next) => setTimeout(next, 15));
    const box = document.getElementById(id)?.getBoundingClientRect();
    if (!box || box.height === 0 || box.top < 0 || box.bottom > innerHeight) wrong.push(id);
  }
  done(wrong);
})();"""


def column(driver: Any, table: str, heading: str) -> list[str]:
    """The cells of a column in the order in which they stand."""
    return driver.execute_script(
        """const table = document.getElementById(arguments[0]), heads = table.tHead.rows[table.tHead.rows.length - 1];
        const at = [...heads.cells].findIndex((head) => head.textContent.trim() === arguments[1]);
        const shown = [...table.tBodies[0].rows].filter((row) => !row.hidden);
        return shown.map((row) => row.cells[at].textContent.trim());""",
        table,
        heading,
    )


def click(driver: Any, table: str, heading: str) -> str:
    """Click a heading; gives what its aria-sort is then."""
    return driver.execute_script(
        """const table = document.getElementById(arguments[0]), heads = table.tHead.rows[table.tHead.rows.length - 1];
        const head = [...heads.cells].find((head) => head.textContent.trim() === arguments[1]);
        head.querySelector("button").click();
        return head.getAttribute("aria-sort");""",
        table,
        heading,
    )


def test_it_opens_from_disk_and_asks_for_nothing(driver: Any) -> None:
    show(driver, PAGE)
    assert driver.get_log("browser") == []
    assert requests(driver) == [PAGE.resolve().as_uri()]
    assert driver.title == "vtbench: what was claimed, what was measured"


def test_a_heading_sorts_its_table_and_says_so(driver: Any) -> None:
    show(driver, PAGE)
    table, printed = "msca/table2@mini", column(driver, "msca/table2@mini", "top-1")
    assert click(driver, table, "top-1") == "descending"
    found = [float(cell.split()[0]) for cell in column(driver, table, "top-1")]
    assert found == sorted(map(float, printed), reverse=True) and found != list(map(float, printed))
    assert click(driver, table, "top-1") == "ascending"
    assert [float(cell.split()[0]) for cell in column(driver, table, "top-1")] == found[::-1]
    assert click(driver, table, "top-1") == "none"
    assert column(driver, table, "top-1") == printed
    assert click(driver, table, "row") == "ascending"
    rows = column(driver, table, "row")
    assert rows == sorted(rows, key=str.casefold)


def test_filters_and_search_choose_among_all_rows(driver: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    show(driver, PAGE)
    every = column(driver, "index", "row")
    assert len(every) == len(select([]))
    form = driver.find_element(By.CSS_SELECTOR, "form.filters[data-of=index]")
    Select(form.find_element(By.NAME, "paper")).select_by_visible_text("msca")
    assert len(column(driver, "index", "row")) == len(select(["msca"]))
    assert form.find_element(By.TAG_NAME, "output").text == f"{len(select(['msca']))} of {len(every)}"
    Select(form.find_element(By.NAME, "kind")).select_by_visible_text("quoted")
    Select(form.find_element(By.NAME, "paper")).select_by_visible_text("pst")
    assert len(column(driver, "index", "row")) == sum(not row.own for row in select(["pst"]))
    for name in ("paper", "kind"):
        Select(form.find_element(By.NAME, name)).select_by_visible_text("all")
    search = driver.find_element(By.ID, "search")
    search.send_keys("pkv 48")
    assert [row.splitlines()[0][:19] for row in column(driver, "index", "row")] == ["MSCA-pKV, 48 patche"]
    search.clear()
    search.send_keys("no such row")
    assert column(driver, "index", "row") == []
    said = driver.find_element(By.ID, "search-said")
    assert said.text == "No row fits these words and filters."
    assert abs(said.location["y"] - search.location["y"]) < 60
    search.clear()
    search.send_keys("pkv")
    assert said.text == ""


def test_claims_are_filtered_by_verdict(driver: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    show(driver, PAGE)
    form = driver.find_element(By.CSS_SELECTOR, "form.filters[data-of=claim-list]")
    Select(form.find_element(By.NAME, "of0")).select_by_visible_text("contradicted")
    found = column(driver, "claim-list", "printed")
    assert 0 < len(found) < 60 and all(cell.startswith("contradicted") for cell in found)


def test_every_row_is_reached_by_its_link(driver: Any) -> None:
    ids, hidden = [row.id for row in select([])], []
    for first in range(0, len(ids), 80):  # Chromium follows 200 links in ten seconds, and no more
        show(driver, PAGE)
        hidden += driver.execute_async_script(REACH, ids[first : first + 80])
    assert hidden == []
    links = driver.execute_script(
        "return [...document.querySelectorAll('a[href^=\"#\"]')]"
        ".map((a) => decodeURIComponent(a.getAttribute('href').slice(1))).filter((id) => !document.getElementById(id))"
    )
    assert links == []


def test_a_link_opens_what_is_folded(driver: Any) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    show(driver, PAGE)
    place = "msca/table2:msca-kv/provenance"
    is_seen = "return document.getElementById(arguments[0]).checkVisibility()"
    assert not driver.execute_script(is_seen, place)
    driver.execute_script("location.hash = arguments[0]", place)
    WebDriverWait(driver, 5).until(lambda _: driver.execute_script(is_seen, place))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1600])
def test_axe_finds_no_serious_fault(driver: Any, theme: str, width: int) -> None:
    show(driver, PAGE, width, theme=theme)
    driver.set_script_timeout(180)
    driver.execute_script(
        "for (const fold of document.querySelectorAll('details')) fold.open = fold.matches('.claims')"
    )
    driver.execute_script(AXE)
    found = driver.execute_async_script(
        "const done = arguments[0]; axe.run({resultTypes: ['violations']}).then((all) => done(all.violations.map("
        "(v) => [v.id, v.impact, v.nodes.length, v.nodes[0].html.slice(0, 200), v.nodes[0].failureSummary])))"
    )
    assert [fault for fault in found if fault[1] in ("serious", "critical")] == []


def test_the_button_changes_the_theme(driver: Any) -> None:
    from selenium.webdriver.common.by import By

    show(driver, PAGE)
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = driver.execute_script(ground)
    driver.find_element(By.ID, "theme").click()
    dark = driver.execute_script(ground)
    assert dark != light
    driver.find_element(By.ID, "theme").click()
    assert driver.execute_script(ground) == light
    show(driver, PAGE, theme="dark")
    driver.execute_script("localStorage.clear(); delete document.documentElement.dataset.theme")
    assert driver.execute_script(ground) == dark


def test_the_keyboard_comes_first_to_the_content(driver: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(driver, PAGE)
    driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    skip = driver.switch_to.active_element
    assert skip.text == "Skip to the content" and skip.location["x"] >= 0
    skip.send_keys(Keys.ENTER)
    assert driver.switch_to.active_element.get_attribute("id") == "main"


def test_the_origin_of_a_number_is_shown(driver: Any) -> None:
    from selenium.webdriver.common.by import By

    show(driver, PAGE)
    driver.find_element(By.ID, "origins").click()
    driver.execute_script("document.querySelector('#index tbody td[data-origin]').click()")
    assert "spec(laps/table1:base2d; top1)" in driver.find_element(By.ID, "origin").text


def test_without_javascript_tables_are_there() -> None:
    from selenium.webdriver.common.by import By

    with browser(javascript=False) as driver:
        show(driver, PAGE)
        assert "Without JavaScript" in driver.find_element(By.CSS_SELECTOR, "noscript").text
        assert not driver.find_element(By.ID, "search").is_displayed()
        assert not driver.find_element(By.CSS_SELECTOR, ".filters").is_displayed()
        table = driver.find_element(By.ID, "msca/table2@mini")
        assert table.is_displayed() and "76.47" in table.text and "92.88" in table.text
        assert len(driver.find_elements(By.CSS_SELECTOR, "#index tbody tr")) == len(select([]))
        assert driver.find_elements(By.CSS_SELECTOR, "thead button") == []


@pytest.mark.parametrize("width", [390, 1024, 1600])
def test_it_fits_its_window(driver: Any, width: int) -> None:
    import numpy as np
    from PIL import Image

    show(driver, PAGE, width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    for place in ("overview", "claims", "figures", "msca/table1", "pst/table6", "costs", "about"):
        driver.execute_script("document.getElementById(arguments[0]).scrollIntoView()", place)
        shot = np.asarray(Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("L"))
        assert shot.shape[1] == width
        assert shot.std() > 5 and len(np.unique(shot)) > 30, f"{place} is empty at {width}"


def test_drawings_are_read_at_the_width_of_a_phone(driver: Any) -> None:
    show(driver, PAGE, 390)
    widths = driver.execute_script(
        "const box = document.querySelector('#figures .drawing');"
        "return [box.querySelector('svg').clientWidth, box.clientWidth, box.scrollWidth]"
    )
    assert widths[0] >= 36 * 16 - 2 and widths[1] < 390 <= widths[2]


def test_nothing_is_cut_or_folded_on_paper(driver: Any) -> None:
    show(driver, PAGE, 1030)  # the width of an A4 page on its side, without margins, in CSS pixels
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    driver.execute_script("dispatchEvent(new Event('beforeprint'))")
    found = driver.execute_script(
        "const wide = (table) => table.getBoundingClientRect().right > innerWidth + 1;"
        "return [[...document.querySelectorAll('table')].filter(wide)"
        ".map((t) => t.id || t.caption.textContent), document.querySelectorAll('details:not([open])').length]"
    )
    driver.execute_script("dispatchEvent(new Event('afterprint'))")
    folded = driver.execute_script("return document.querySelectorAll('details[open]').length")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert found == [[], 0] and folded == 0


def test_print_shows_whole_tables(driver: Any) -> None:
    show(driver, PAGE)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    sizes = driver.execute_script(
        "const box = document.querySelector('#index').closest('.scroll'); return [box.clientHeight, box.scrollHeight]"
    )
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert sizes[0] == sizes[1]
