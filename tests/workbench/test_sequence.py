"""The renderer draws frames as SVG and as text."""

import base64
import re
from xml.etree import ElementTree as ET

import pytest

from labkit.workbench.frames import GAP, End, Frame
from labkit.workbench.sequence import WIDTH, Diagram

SVG = "{http://www.w3.org/2000/svg}"


def diagram(*frames, actors=("ada", "eve", "server")):
    return Diagram(frames, actors)


def texts(picture):
    return [node.text for node in ET.fromstring(picture.svg()).iter(f"{SVG}text")]


def group_of(picture, number=0):
    """Return the drawing of one frame."""
    groups = [node for node in ET.fromstring(picture.svg()) if node.tag == f"{SVG}g"]
    return groups[number]


def test_text_twin_aligns_names_and_kinds():
    """One line a frame, names and kinds in columns."""
    picture = diagram(
        Frame("ada", "server", "connect", "/ws"),
        Frame("server", "ada", "text", '{"n": 1}'),
        GAP,
        Frame("server", "eve", "text", '{"n": 2}', 65536, End.WAITING),
        Frame("eve", "server", "lost", "without a close frame", end=End.CUT),
    )
    assert str(picture).splitlines() == [
        "ada    → server  connect /ws",
        'server → ada     text    {"n": 1}',
        "⋮",
        'server ⇢ eve     text    {"n": 2} · 64 KiB  (no end yet: the send still waits)',
        "eve    \N{MULTIPLICATION SIGN} server  lost    without a close frame",
    ]


def test_nothing_is_said_to_be_nothing():
    """An empty picture has words and is still valid."""
    assert str(diagram(actors=())) == "nothing crossed the wire"
    assert ET.fromstring(diagram(actors=()).svg()).get("width") == str(WIDTH)


def test_same_frames_give_the_same_bytes():
    """A picture depends on its frames only."""
    frames = [Frame("ada", "server", "text", "x"), Frame("server", "ada", "text", "y")]
    assert diagram(*frames).html() == diagram(*frames).html()


def test_clients_stand_left_and_servers_right():
    """Every actor has its place, in the order that was given."""
    root = ET.fromstring(diagram().svg())
    heads = {n.text: float(n.get("x")) for n in root.iter(f"{SVG}text") if "name" in n.get("class")}
    assert heads["ada"] < heads["eve"] < heads["server"] < WIDTH


def test_arrow_to_the_server_is_filled_and_to_the_client_is_open():
    """Direction is told by the head's form, not by colour alone."""
    picture = diagram(Frame("ada", "server", "text", "x"), Frame("server", "ada", "text", "x"))
    up, down = (group_of(picture, number).find(f".//{SVG}path") for number in (0, 1))
    assert up.get("class") == "fill"
    assert down.get("class") == "line"


def test_waiting_send_has_no_head_and_asks():
    """A send without an end is dashed, ends before its target, and carries a question mark."""
    picture = diagram(Frame("server", "eve", "text", "x", end=End.WAITING))
    row = group_of(picture)
    line = row.find(f".//{SVG}line[@class='line']")
    goal = float(
        next(n.get("x") for n in ET.fromstring(picture.svg()).iter(f"{SVG}text") if n.text == "eve")
    )
    assert row.find(f".//{SVG}path") is None
    assert line.get("stroke-dasharray")
    assert float(line.get("x2")) > goal + 20
    assert "?" in texts(picture)
    assert "no end yet: the send still waits" in texts(picture)


def test_cut_ends_in_a_cross_near_its_target():
    """A failed send is drawn with two strokes, just before the actor that it did not reach."""
    picture = diagram(Frame("server", "ada", "text", "x", end=End.CUT))
    cross = group_of(picture).find(f".//{SVG}path").get("d")
    assert cross.count("l") == 2
    assert "?" not in texts(picture)


def test_labels_are_escaped():
    """Markup in a message is text in the picture and in the page around it."""
    hostile = '<script>alert("x")</script>&\x00\x1b'
    picture = diagram(Frame("<b>", "server", "text", hostile), actors=("<b>", "server"))
    assert any(text.startswith('<script>alert("x")') for text in texts(picture))
    assert "<script" not in picture.html()


def test_long_labels_stay_inside_the_picture():
    """A label of any length is cut before the left edge, its size kept."""
    long = Frame("server", "ada", "text", "x" * 5000, 5000)
    label = next(text for text in texts(diagram(long)) if text.startswith("xxx"))
    assert len(label) * 7.6 < WIDTH
    assert label.endswith("… · 5 KiB")


def test_close_is_plain_when_normal_and_loud_when_not():
    """1000 is an ordinary end; 1013 takes something away."""
    tones = [
        group_of(diagram(Frame("server", "ada", "close", code))).find(f"{SVG}g").get("class")
        for code in ("1000", '1013 "too slow"')
    ]
    assert tones == ["plain", "bad"]


def test_html_is_an_image_with_words():
    """The picture needs no trust: an image of its own, an alt text, the twin folded below."""
    html = diagram(Frame("ada", "server", "text", 'say "hi"')).html()
    assert html.startswith(
        '<img alt="ada → server  text    say &quot;hi&quot;" src="data:image/svg'
    )
    data = re.search(r"base64,([^\"]+)", html)[1]
    assert ET.fromstring(base64.b64decode(data)).tag == f"{SVG}svg"
    assert "<pre>ada → server" in html
    assert "<style" not in html


def test_mimebundle_has_both_forms():
    """A notebook gets the picture and its twin."""
    picture = diagram(Frame("ada", "server", "text", "x"))
    bundle = picture._repr_mimebundle_()
    assert bundle == {"text/plain": str(picture), "text/html": picture.html()}


@pytest.mark.parametrize("count", [1, 2, 9])
def test_any_number_of_clients_fits(count):
    """One client or nine: every column lies inside the picture."""
    actors = (*(f"client {n}" for n in range(1, count + 1)), "server")
    root = ET.fromstring(diagram(actors=actors).svg())
    places = [float(n.get("x")) for n in root.iter(f"{SVG}text")]
    assert places == sorted(places)
    assert 0 < places[0] < places[-1] < WIDTH
