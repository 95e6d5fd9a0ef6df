"""What a lesson's code logs is kept for the lesson, and printed nowhere."""

import logging

from labkit.workbench.logbook import LogBook

logger = logging.getLogger("lesson")


def test_a_warning_becomes_one_line():
    """Level and message, and nothing below a warning."""
    book = LogBook()
    book.open()
    try:
        logger.info("not this")
        logger.warning("seen %s", "twice")
        assert book.lines == ["WARNING seen twice"]
        book.clear()
        assert book.lines == []
    finally:
        book.close()
    logger.warning("after close")
    assert book.lines == []


def test_an_exception_is_named_and_groups_are_opened():
    """The first exception inside a group is the one that tells something."""
    book = LogBook()
    book.open()
    try:
        raise ExceptionGroup("group", [KeyError("card")])
    except ExceptionGroup:
        logger.exception("charge failed")
    finally:
        book.close()
    assert book.lines == ["ERROR charge failed (KeyError: 'card')"]
