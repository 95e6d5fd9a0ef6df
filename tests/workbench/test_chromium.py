"""Where there is no browser, a lesson says so; where there is one, see tests/browser."""

import sys

import pytest

from labkit.workbench.chromium import NoBrowser, in_chromium


async def test_a_missing_chromium_is_one_sentence(monkeypatch):
    """It names what is missing."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(NoBrowser, match="Chromium is not installed"):
        await in_chromium("http://localhost", "1")


async def test_a_missing_playwright_is_one_sentence(monkeypatch):
    """It names the cure."""
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/chromium")
    monkeypatch.setitem(sys.modules, "playwright.async_api", None)
    with pytest.raises(NoBrowser, match=r"pip install 'labkit\[test\]'"):
        await in_chromium("http://localhost", "1")
