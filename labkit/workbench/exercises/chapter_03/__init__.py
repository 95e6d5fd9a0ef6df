"""Exercises of chapter 3: Server-Sent Events."""
