"""The workbench: what a lesson needs and production does not.

lab        servers in the notebook's kernel, and the proof that nothing is left
wire       what really crossed between clients and server, as a picture
scenes     what several clients saw, in one line
exercises  check, hint, solution, progress
ledger     verdicts that are compared with what the cell found
notebooks  build, check, solve
cli        the command line
"""

from labkit.workbench.display import expect, table
from labkit.workbench.exercises import answer, check, hint, progress, solution
from labkit.workbench.kernel import sh
from labkit.workbench.lab import Lab
from labkit.workbench.ledger import fact, verdict
from labkit.workbench.scenes import dial, flood, knock, received, until
from labkit.workbench.show import show

__all__ = [
    "Lab",
    "answer",
    "check",
    "dial",
    "expect",
    "fact",
    "flood",
    "hint",
    "knock",
    "progress",
    "received",
    "sh",
    "show",
    "solution",
    "table",
    "until",
    "verdict",
]
