"""Model code and a workbench for real-time web in Python."""

# No imports here, and nothing that only a new Python can read: every ``python -m labkit`` passes
# through this file before there is an environment, and before the version has been looked at.

__version__ = "0.1.0"
