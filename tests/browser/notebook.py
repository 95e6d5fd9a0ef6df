"""Drives one notebook in JupyterLab as a person does, and reads its state from the model."""

import json
import string
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat

WAIT_MS = 60_000
STATE = """() => window.jupyterapp.shell.currentWidget.content.widgets.map(cell => ({
    id: cell.model.id, type: cell.model.type, source: cell.model.sharedModel.getSource(),
    count: cell.model.executionCount ?? null, trusted: cell.model.trusted,
    prompt: cell.node.querySelector('.jp-InputArea-prompt')?.innerText ?? '',
    outputs: cell.model.outputs?.toJSON() ?? []}))"""
SESSION = "window.jupyterapp.shell.currentWidget.sessionContext"
KERNEL = f"{SESSION}.session?.kernel?.status"


@dataclass
class JupyterLab:
    """A running JupyterLab: its folder, its learner's progress, its address and its token."""

    root: Path
    progress: Path
    where: tuple[str, str]

    def write(self, name, *sources, outputs=()):
        """Write cells named `a`, `b`, … into the folder; `outputs` are those of the last cell."""
        named = zip(string.ascii_lowercase, sources, strict=False)
        cells = [nbformat.v4.new_code_cell(source, id=name) for name, source in named]
        cells[-1].outputs = list(outputs)
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        book = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
        nbformat.write(book, self.root / name)
        return name

    @asynccontextmanager
    async def open(self, browser, name, *, theme="JupyterLab Light"):
        """Open a notebook in a page of its own, its kernel idle."""
        url, token = self.where
        scheme = "dark" if "Dark" in theme else "light"
        size = {"width": 1280, "height": 1000}
        context = await browser.new_context(viewport=size, color_scheme=scheme)
        try:
            page = await context.new_page()
            await page.goto(f"{url}lab/tree/{name}?token={token}&reset")
            await page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=WAIT_MS)
            notebook = Notebook(page)
            await notebook.command("apputils:change-theme", {"theme": theme})
            await page.wait_for_function(f"{KERNEL} === 'idle'", timeout=WAIT_MS)
            try:
                yield notebook
            finally:
                await page.evaluate(f"{SESSION}.shutdown()")
        finally:
            await context.close()


class Notebook:
    """The notebook that is open in a page."""

    def __init__(self, page):
        self.page = page

    async def command(self, name, options=None):
        """Start one of JupyterLab's commands, as its menus do; nothing waits for its end."""
        call = f"{json.dumps(name)}, {json.dumps(options or {})}"
        await self.page.evaluate(f"void window.jupyterapp.commands.execute({call})")

    async def cells(self):
        """Return type, source, count, prompt, trust and outputs of every cell."""
        return await self.page.evaluate(STATE)

    async def clear(self):
        """Take away the numbers and outputs of an earlier run, so that new ones are told apart."""
        await self.command("notebook:clear-all-cell-outputs")
        await self.page.wait_for_function(f"({STATE})().every(cell => cell.count === null)")

    async def run_all(self):
        """Start Run All Cells; `finished` waits for its end."""
        await self.command("notebook:run-all-cells")

    async def finished(self, *, timeout_s=60.0):
        """Wait until every code cell has its number; return the cells."""
        await self.page.wait_for_function(
            f"({STATE})().every(c => c.type !== 'code' || /^\\[\\d+\\]:$/.test(c.prompt.trim()))",
            timeout=timeout_s * 1000,
        )
        return await self.cells()

    async def cell(self, name):
        """Return the cell with this id, and where it is drawn."""
        cells = await self.cells()
        number = [cell["id"] for cell in cells].index(name)
        return cells[number], self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    async def rewrite(self, name, source):
        """Type `source` into a cell instead of what stands there, and run it."""
        _, place = await self.cell(name)
        await place.locator(".cm-content").click()
        await self.page.keyboard.press("Control+a")
        await self.page.keyboard.insert_text(source)
        return await self.run(name)

    async def begin(self, name):
        """Click into a cell and press Shift+Enter; return the number that it had."""
        cell, place = await self.cell(name)
        await place.locator(".cm-content").click()
        await self.page.keyboard.press("Shift+Enter")
        return cell["count"]

    async def run(self, name):
        """Run a cell as it stands, and return it when it has its new number."""
        return await self.counted(name, await self.begin(name))

    async def counted(self, name, before):
        """Wait until a cell has another number than `before`; return the cell."""
        await self.page.wait_for_function(
            f"([name, before]) => {{ const cell = ({STATE})().find(cell => cell.id === name);"
            "return cell.count !== null && cell.count !== before && /\\d/.test(cell.prompt); }",
            arg=[name, before],
            timeout=WAIT_MS,
        )
        return (await self.cell(name))[0]


def words(cell):
    """Return what a cell said: its streams and the text twins of its displays."""
    parts = []
    for output in cell["outputs"]:
        parts.append(output.get("text", ""))
        parts.append(output.get("data", {}).get("text/plain", ""))
        parts.append(": ".join(filter(None, [output.get("ename"), output.get("evalue")])))
    return "".join("".join(part) for part in parts)


def errors(cells):
    """Return the failures in the outputs of some cells."""
    return [
        f"{output['ename']}: {output['evalue']}"
        for cell in cells
        for output in cell["outputs"]
        if output["output_type"] == "error"
    ]
