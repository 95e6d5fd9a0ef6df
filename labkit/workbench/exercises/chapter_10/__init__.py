"""Exercises of chapter 10: monitoring."""
