"""Exercises of chapter 8: security."""
