"""Exercises of chapter 2: WebSocket."""
