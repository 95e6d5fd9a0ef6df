"""Exercises that answer back: what the notebooks call, and what exercises are made of."""

from __future__ import annotations

from labkit.workbench.exercises.lesson import answer, check, hint, progress, solution

__all__ = ["answer", "check", "hint", "progress", "solution"]
