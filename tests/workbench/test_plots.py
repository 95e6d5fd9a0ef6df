"""Plots are PNG with words, and touch nothing else."""

import subprocess
import sys
import warnings

import pytest

from labkit.workbench.plots import curves, latency_histogram, timeline

PNG = b"\x89PNG"


def test_histogram_takes_zero_and_says_the_verdict():
    """A clock that says zero is drawn, and the words are the caller's."""
    plot = latency_histogram({"poll": [0.0, 250.0], "queue": [0.3]}, verdict="a queue is faster")
    assert plot.png.startswith(PNG)
    assert str(plot) == "Latency: a queue is faster"


def test_histogram_of_nothing_is_refused():
    """The message names the series that is empty."""
    with pytest.raises(ValueError, match="nothing was measured for queue"):
        latency_histogram({"poll": [1.0], "queue": []}, verdict="")


def test_timeline_draws_clients_that_got_nothing():
    """No message at all is a result, not an error."""
    assert timeline(
        {"ada": [0.1, 0.2], "eve": []}, marks={"freeze": 0.1}, verdict="v"
    ).png.startswith(PNG)


def test_curves_draw_a_line_for_each_name_on_either_kind_of_axis():
    """The words are the caller's; the axes say what lies along them."""
    series = {"one": [(1, 2), (2, 3)], "two": [(1, 1)]}
    for log in (False, True):
        plot = curves(series, verdict="one above two", title="Title", x="s", y="MiB", log=log)
        assert str(plot) == "Title: one above two"


def test_name_without_a_font_draws_without_a_warning():
    """A client may be called anything; stderr stays empty."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        timeline({"日本": [0.1]}, verdict="v")


def test_bundle_has_the_picture_and_its_words():
    """What is not compared comes with what is."""
    bundle = latency_histogram({"ada": [1.0]}, verdict="all")._repr_mimebundle_()
    assert bundle["text/plain"] == "Latency: all"
    assert bundle["image/png"].startswith("iVBOR")


def test_displaying_a_plot_prints_its_words(capsys, monkeypatch):
    """The words are seen beside the picture, not only where pictures are missing."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: shown.append(data))
    latency_histogram({"ada": [1.0]}, verdict="all")._ipython_display_()
    assert len(shown) == 1
    assert capsys.readouterr().out == "Latency: all\n"


def test_matplotlib_is_loaded_only_when_something_is_drawn():
    """Importing the module costs nothing, drawing needs no pyplot."""
    code = (
        "import sys; from labkit.workbench import plots; assert 'matplotlib' not in sys.modules;"
        "plots.latency_histogram({'ada': [1.0]}, verdict='v');"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
