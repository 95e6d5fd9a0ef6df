"""A real Chromium and a real JupyterLab for the tests of this folder."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.browser.notebook import JupyterLab

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # tests read cells out of sight
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 15


def pytest_ignore_collect(collection_path):
    """Leave the tests of a chapter out until the chapter is there."""
    if not collection_path.name.startswith("test_chapter_"):
        return None
    number = collection_path.stem.removeprefix("test_chapter_")
    return not list((ROOT / "notebooks").glob(f"{number}_*.ipynb")) or None


def missing(what):
    """Skip aloud, or fail where nothing may be skipped."""
    words = f"{what} is missing: install it, or run without tests/browser"
    if os.environ.get("LABKIT_REQUIRE_CHROMIUM") == "1":
        pytest.fail(words)
    pytest.skip(words)


@pytest.fixture
async def chromium():
    """A headless Chromium; ends with the test."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        missing("chromium")
    try:
        from playwright.async_api import async_playwright  # noqa: PLC0415 - it may be missing
    except ImportError:
        missing("playwright")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory):
    """A real JupyterLab with a token and a home of its own; all its processes end with it."""
    home = tmp_path_factory.mktemp("jupyterlab")
    root = home / "work"
    root.mkdir()
    log = home / "log"
    process = start(home, root, log)
    try:
        yield JupyterLab(root, home / "progress.json", address(process, home / "runtime", log))
    finally:
        stop(process)


def start(home, root, log):
    for name, settings in SETTINGS.items():
        file = home / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(settings), encoding="utf-8")
    own = {
        "HOME": home,
        "IPYTHONDIR": home / "ipython",
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "LABKIT_PROGRESS": home / "progress.json",
        "MPLCONFIGDIR": Path(os.environ.get("MPLCONFIGDIR", Path.home() / ".cache/matplotlib")),
    }
    environment = {key: value for key, value in os.environ.items() if key != "LABKIT_CI"}
    options = [
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--port=0",
        f"--ServerApp.root_dir={root}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        "--LabApp.news_url=None",
    ]
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=environment | {key: str(value) for key, value in own.items()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def address(process, runtime, log):
    """Wait until the server has written where it listens; return the address with its token."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                server = json.loads(file.read_text(encoding="utf-8"))
            except ValueError:  # half written
                continue
            return server["url"], server["token"]
        time.sleep(0.05)
    stop(process)
    pytest.fail("JupyterLab did not start:\n" + log.read_text(encoding="utf-8")[-2000:])


def stop(process):
    """End the server, and every process that it has started."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                continue
    for child in family:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)


@pytest.fixture
async def shots():
    """Where pictures are kept when `LABKIT_SHOTS` names a folder; else nothing is taken."""
    folder = os.environ.get("LABKIT_SHOTS")

    async def take(page, name):
        if folder:
            await asyncio.to_thread(Path(folder).mkdir, parents=True, exist_ok=True)
            await page.screenshot(path=f"{folder}/{name}.png")

    return take
