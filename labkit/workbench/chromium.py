"""What a real browser shows to the script of a page: less than any program sees.

Chromium is driven by Playwright, headless, with a profile of its own that ends with the question.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


class NoBrowser(RuntimeError):  # noqa: N818 - it names what is missing
    """Chromium or Playwright is not installed; the message says which, and the cure."""


async def in_chromium(
    url: str,
    script: str,
    argument: object = None,
    *,
    after: Sequence[str] = (),
    any_certificate: bool = False,
    timeout_s: float = 20.0,
) -> Any:  # noqa: ANN401 - JSON
    """Open a page in Chromium, run a script in it, and return the script's result.

    Args:
        url: the page; its origin is the script's.
        script: a JavaScript expression; a function is called, a promise is awaited.
        argument: of the function; anything that JSON can hold.
        after: pages that are opened before, in the same browser: to log in somewhere.
        any_certificate: believe whatever certificate a server shows; for a proxy of your own.
        timeout_s: for opening the page.

    Raises:
        NoBrowser: there is none here.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise NoBrowser("Chromium is not installed: install it, or read on without it")
    try:
        from playwright.async_api import async_playwright  # noqa: PLC0415 - it may be missing
    except ImportError:
        raise NoBrowser("Playwright is not installed: pip install 'labkit[test]'") from None
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            page = await browser.new_page(ignore_https_errors=any_certificate)
            for each in (*after, url):
                await page.goto(each, timeout=timeout_s * 1000)
            return await page.evaluate(script, argument)
        finally:
            await browser.close()
