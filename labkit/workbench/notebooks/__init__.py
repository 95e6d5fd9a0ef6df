"""Notebook tools: build, check, guards, and solved copies."""

from __future__ import annotations

import sys

# Reading a notebook imports jsonschema, which compiles a grammar for internationalised addresses:
# more than a second in every process, and no notebook holds one. Without the module, which is
# an extra of jsonschema, it goes on without that format.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # typeshed knows modules

from labkit.workbench.notebooks.building import build  # noqa: E402 - after the line above
from labkit.workbench.notebooks.checking import check  # noqa: E402
from labkit.workbench.notebooks.guards import findings  # noqa: E402
from labkit.workbench.notebooks.solved import solve, solved  # noqa: E402

__all__ = ["build", "check", "findings", "solve", "solved"]
