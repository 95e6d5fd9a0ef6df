"""The log capture files each record under the server that made it."""

from __future__ import annotations

import contextvars
import logging

import httpx

from labkit.testing.logs import LogCapture, current_log, new_log
from labkit.testing.server import LiveServer


def make_in(log, text):
    """Log `text` in the context of a server."""

    def run():
        current_log.set(log)
        logging.getLogger("uvicorn.error").info(text)

    contextvars.Context().run(run)


async def test_two_servers_do_not_mix_their_records(app):
    """A crash in one of two servers is in its log only."""
    async with LiveServer(app) as one, LiveServer(app) as two:
        async with httpx.AsyncClient(trust_env=False) as http:
            await http.get(one.url + "/crash")
        assert [r.levelname for r in one.log if r.levelno >= logging.ERROR] == ["ERROR"]
        assert [r for r in two.log if r.levelno >= logging.ERROR] == []


def test_a_record_without_a_server_goes_to_all():
    """What is logged outside every server is not lost."""
    capture, one, two = LogCapture(), new_log(), new_log()
    capture.attach(one)
    capture.attach(two)
    try:
        make_in(one, "mine")
        logging.getLogger("uvicorn").info("everybody's")
    finally:
        capture.detach(one)
        capture.detach(two)
    assert [r.getMessage() for r in one] == ["mine", "everybody's"]
    assert [r.getMessage() for r in two] == ["everybody's"]


def test_an_exception_is_kept_as_text():
    """A record keeps the traceback's text and lets go of its frames."""
    capture, log = LogCapture(), new_log()
    capture.attach(log)
    try:
        bug = RuntimeError("a bug")
        logging.getLogger("uvicorn.error").error("failed", exc_info=bug)
    finally:
        capture.detach(log)
    assert log[0].exc_info is None
    assert log[0].exc_text == "RuntimeError: a bug"


def test_records_do_not_reach_the_root_logger(caplog):
    """While the capture is attached the root logger's handlers see nothing."""
    capture, log = LogCapture(), new_log()
    capture.attach(log)
    logging.getLogger("uvicorn.error").error("quiet")
    capture.detach(log)
    logging.getLogger("uvicorn.error").error("loud")
    assert [record.getMessage() for record in caplog.records] == ["loud"]
