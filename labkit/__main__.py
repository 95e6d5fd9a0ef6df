"""Start labkit with ``python -m labkit``.

Every Python 3 can read this file, so that an old one gets a sentence and no traceback.
"""

import sys

OLDEST = (3, 11)
UNUSABLE = 78  # EX_CONFIG of sysexits.h


def main() -> None:
    """Refuse what cannot work, then hand over to the bootstrap."""
    if sys.version_info < OLDEST:
        found = "%d.%d.%d" % sys.version_info[:3]  # noqa: UP031 - an old Python reads this line
        refuse(
            "labkit needs Python 3.11 or newer, and this is Python " + found + ": start it with a"
            " newer one (python3.13 -m labkit), or install uv and type: uv run labkit"
        )
    if sys.platform == "win32":
        refuse(
            "labkit runs on Linux and macOS: on Windows, open it inside WSL"
            " (wsl --install, then the same command there)"
        )
    from labkit import bootstrap  # noqa: PLC0415 - only a new Python can read it

    bootstrap.main(sys.argv[1:])


def refuse(sentence: str) -> None:
    """Leave with one sentence."""
    sys.stderr.write(sentence + "\n")
    sys.exit(UNUSABLE)


if __name__ == "__main__":
    main()
