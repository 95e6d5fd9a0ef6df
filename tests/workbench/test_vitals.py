"""The picture of a process's vital signs."""

import pytest

from labkit.workbench.apart import Sample
from labkit.workbench.vitals import vital_signs


def test_it_is_a_picture_with_words():
    """A PNG, and a summary that the caller has chosen."""
    calm = [Sample(n, 0.0, n / 100, 0) for n in range(5)]
    stuck = [Sample(n, float(n), float(n), 100 * n) for n in range(5)]
    plot = vital_signs({"calm": calm, "stuck": stuck}, verdict="one never comes back")
    assert plot.png.startswith(b"\x89PNG")
    assert str(plot) == "Vital signs: one never comes back"


@pytest.mark.parametrize(("samples", "who"), [({}, "anyone"), ({"ada": []}, "ada")])
def test_nothing_to_draw_is_an_error(samples, who):
    """The message names who was silent."""
    with pytest.raises(ValueError, match=f"reported by {who}"):
        vital_signs(samples, verdict="")
