"""The command line: thin wrappers, so that each command is also a plain function."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from labkit.workbench.testrun import RunError
from labkit.workbench.workcopy import WorkCopy, WorkcopyError, clone_root

app = typer.Typer(
    help="A workbook that teaches real-time web. Without a command, it opens in JupyterLab.",
    add_completion=False,
    rich_markup_mode=None,
)
notebooks = typer.Typer(help="Build or check the notebooks.", no_args_is_help=True)
app.add_typer(notebooks, name="notebooks")

Chapter = Annotated[int, typer.Argument(help="Number of a chapter, such as 03.")]
Paths = Annotated[list[Path] | None, typer.Argument(help="Notebooks; all when none is named.")]


@app.callback(invoke_without_command=True)
def start(context: typer.Context) -> None:
    """Open the workbook when there is no command."""
    if context.invoked_subcommand is None:
        lab()


@app.command(context_settings={"ignore_unknown_options": True})
def lab(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[CHAPTER] [JUPYTERLAB'S OPTIONS]...")
    ] = None,
) -> None:
    """Open a chapter in JupyterLab, the first if none is named."""
    from labkit.workbench.launch import open_lab

    first, options = (arguments or [])[:1], (arguments or [])[1:]
    if first and first[0].isdecimal():
        open_lab(int(first[0]), options)
    else:
        open_lab(options=first + options)


@app.command("test")
def run_tests(
    only: Annotated[
        list[str] | None, typer.Option(help="Run this step alone; may be repeated.")
    ] = None,
) -> None:
    """Check everything: style, types, rooms, tests, notebooks."""
    from labkit.workbench.testrun import run

    raise typer.Exit(run(clone_root(), only or [], typer.echo))


@app.command()
def doctor() -> None:
    """Look at this machine; say what is missing and its cure."""
    from labkit.workbench.doctor import examine

    raise typer.Exit(examine(typer.echo))


@app.command()
def reset(
    chapter: Annotated[int | None, typer.Argument(help="Number of a chapter, such as 03.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Reset all chapters.")] = False,
) -> None:
    """Bring back a pristine notebook; yours moves to the attic."""
    if (chapter is None) != every:
        raise WorkcopyError("name one chapter (labkit reset 03) or all of them (--all)")
    attic = WorkCopy(clone_root()).reset(None if chapter is None else [chapter])
    what = "all chapters are" if chapter is None else f"chapter {chapter:02} is"
    typer.echo(f"{what} pristine" + (f"; yours moved to {attic}" if attic else ""))


@app.command()
def solve(chapter: Chapter) -> None:
    """Write a solved copy of a chapter beside yours, to catch up."""
    from labkit.workbench.notebooks.solved import solve

    copy = WorkCopy(clone_root())
    copy.notebook(chapter)  # says which chapters there are
    typer.echo(solve(chapter, copy.folder))


@app.command()
def outline() -> None:
    """Print the minute plan of every chapter."""
    from labkit.workbench.outline import outline

    typer.echo(outline(clone_root() / "notebooks"))


@app.command()
def ledger() -> None:
    """Compare every claim with the cell and the test that prove it."""
    from labkit.workbench.ledger import audit

    raise typer.Exit(audit.main())


@app.command()
def exercises() -> None:
    """Prove every exercise: stub, wrong answers, solution."""
    from labkit.workbench.exercises import prove

    raise typer.Exit(prove.main())


@app.command()
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="Benchmarks, or `all`; lists them without.")
    ] = None,
) -> None:
    """Measure labkit beside the guide, its peers and the bare socket."""
    from labkit.workbench.bench import bench

    folder = clone_root() / "tests" / "benchmarks"
    raise typer.Exit(bench(folder, names or [], typer.echo))


@app.command("serve")
def run_service(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes.")] = None,
) -> None:
    """Run the reference application, with a broker of its own."""
    from labkit.production.serve import serve
    from labkit.production.settings import BadSettings, load

    given = {"host": host, "port": port, "workers": workers}
    try:
        settings = load(**{name: value for name, value in given.items() if value is not None})
        raise typer.Exit(serve(settings, typer.echo))
    except BadSettings as error:
        for line in error.lines:
            typer.echo(f"labkit: {line}", err=True)
        raise typer.Exit(2) from None


@app.command()
def readme() -> None:
    """Draw the README's tables and its picture anew."""
    from labkit.workbench import readme as page

    raise typer.Exit(page.main())


@notebooks.command()
def build(paths: Paths = None) -> None:
    """Execute notebooks and write them in their one normal form."""
    from labkit.workbench.notebooks.building import build

    raise typer.Exit(build(existing(paths)))


@notebooks.command()
def check(
    paths: Paths = None,
    *,
    repeat: Annotated[int, typer.Option(help="Times in a row.", min=1)] = 1,
    twice: Annotated[bool, typer.Option("--twice", help="Also run each cell twice.")] = False,
    load: Annotated[bool, typer.Option("--load", help="Keep every core busy meanwhile.")] = False,
) -> None:
    """Run notebooks and compare every output with the committed one."""
    from labkit.workbench.notebooks.checking import check

    raise typer.Exit(check(existing(paths), repeat, twice, load))


def existing(paths: list[Path] | None) -> list[Path]:
    """Return the paths; refuse one that is not a file."""
    for path in paths or []:
        if not path.is_file():
            raise WorkcopyError(f"{path} is not a file: name a notebook, or none for all")
    return paths or []


def main() -> None:
    """Run the command line; whatever is wrong is told in one sentence."""
    try:
        code = app(prog_name="labkit", standalone_mode=False)
    except typer.TyperException as error:
        sys.exit(f"labkit: {error.format_message().rstrip('.')}: see labkit --help")
    except (WorkcopyError, RunError) as error:
        sys.exit(f"labkit: {error}")
    sys.exit(code)


if __name__ == "__main__":
    main()
