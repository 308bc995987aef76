"""Debian's Chromium for tests of the page, driven by selenium; nothing is downloaded.

`python tests/browser.py PAGE PICTURE` takes the picture at the head of the README.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "needs chromium and chromedriver: apt-get install chromium chromium-driver"


@contextmanager
def browser(*, javascript: bool = True) -> Iterator[Chrome]:
    """A headless Chromium that keeps what the page says on its console and what it asks the network for."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    assert CHROMIUM is not None and DRIVER is not None, MISSING
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if not javascript:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def show(driver: Chrome, page: Path, width: int = 1600, height: int = 1000, theme: str = "light") -> None:
    """Open a page from disk in a window of so many CSS pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    driver.get("about:blank")  # a page that is there already would only be scrolled
    driver.get(page.resolve().as_uri())


def requests(driver: Any) -> list[str]:
    """What pages asked for since the last call, by address."""
    import json

    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if url != "about:blank"]


def picture(page: Path, target: Path) -> None:
    """The top of a page, as the README shows it: 1600 x 1000, at most 256 colours."""
    import io

    from PIL import Image

    with browser() as driver:
        show(driver, page, 1600, 1000)
        shot = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    shot.quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    if CHROMIUM is None or DRIVER is None:
        sys.exit(f"browser.py {MISSING}")
    picture(Path(sys.argv[1]), Path(sys.argv[2]))
