"""Sources are shown as they are, under an address that never changes."""

import linecache
import sys

import pytest

from labkit.workbench import frames
from labkit.workbench.frames import End, Frame, shorten
from labkit.workbench.sources import show


def test_function_shows_its_source_and_its_place():
    """The text is the source, the place is relative to the package."""
    source = show(shorten)
    assert str(source).startswith("def shorten(text: str, columns: int) -> str:")
    assert source.place == "labkit/workbench/frames.py · shorten"


def test_method_is_dedented():
    """A method is shown from the first column, properties too."""
    assert str(show(Frame.label)).startswith("@property\ndef label(self)")
    assert show(Frame.label).place.endswith("· Frame.label")


def test_class_and_module_are_shown_whole():
    """Classes and modules are sources too."""
    assert str(show(End)).startswith("class End(Enum)")
    assert show(frames).place == "labkit/workbench/frames.py"


def test_lines_choose_a_part():
    """Lines are counted from 1 within the source."""
    first_two = "\n".join(str(show(shorten)).splitlines()[:2])
    assert str(show(shorten, lines=(1, 2))) == first_two
    with pytest.raises(ValueError, match="is outside shorten, which has"):
        show(shorten, lines=(1, 999))


def test_markdown_is_highlighted_python():
    """JupyterLab colours the source in the theme of the reader."""
    bundle = show(shorten)._repr_mimebundle_()
    assert bundle["text/plain"] == str(show(shorten))
    assert bundle["text/markdown"].startswith(
        "`labkit/workbench/frames.py · shorten`\n\n```python\n"
    )


def test_source_with_a_fence_in_it_keeps_its_frame():
    """Three backticks in a docstring do not end the block."""
    source = type(show(shorten))("'''\n```\n'''", "x")
    assert source._repr_mimebundle_()["text/markdown"].count("````") == 2


def test_what_has_no_source_is_a_sentence():
    """A built-in says what to show instead."""
    with pytest.raises(TypeError, match="there is no Python source for len: show a function"):
        show(len)
    with pytest.raises(TypeError, match="no Python source for 'int'"):
        show(3)


def run_cell(text, number):
    """Run `text` as a kernel does: compiled under a name of its own, its lines kept."""
    name = f"/tmp/ipykernel_1/{number}.py"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), vars(sys.modules["__main__"]))


@pytest.fixture
def cells():
    before, main = dict(linecache.cache), dict(vars(sys.modules["__main__"]))
    yield run_cell
    linecache.cache.clear()
    linecache.cache.update(before)
    vars(sys.modules["__main__"]).clear()
    vars(sys.modules["__main__"]).update(main)


def test_class_and_function_of_a_cell_are_found(cells):
    """What a learner has just written is shown, decorators included."""
    cells(
        "import functools\n@functools.total_ordering\n"
        "class Room:\n    def __lt__(self, other):\n        ...\n\nX = 1\n",
        1,
    )
    cells("class Empty:\n    size = 1\n\ndef tell():\n    return 2\n", 2)
    main = sys.modules["__main__"]
    assert str(show(main.Room)).splitlines()[:2] == ["@functools.total_ordering", "class Room:"]
    assert "X = 1" not in str(show(main.Room))
    assert str(show(main.Empty)) == "class Empty:\n    size = 1"
    assert str(show(main.tell)) == "def tell():\n    return 2"
    assert show(main.Room).place == "this notebook · Room"
    assert show(main.tell).place == "this notebook · tell"


def test_newest_definition_of_a_class_wins(cells):
    """After a second run with changes, the class that lives is the one that is shown."""
    cells("class Twice:\n    def old(self): ...\n", 3)
    cells("class Twice:\n    def new(self): ...\n", 4)
    assert "def new" in str(show(sys.modules["__main__"].Twice))


def test_source_of_another_package_is_named_by_its_module():
    """No path of this machine gets into an output."""
    assert show(linecache.getlines).place == "linecache · getlines"
