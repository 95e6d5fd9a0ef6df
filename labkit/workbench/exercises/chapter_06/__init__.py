"""Exercises of chapter 6: resilience."""
