"""Holds this software against others: torch's modules, stable-baselines3's updates and runs, published scores.

It stands beside `claims`: it asks its questions through `study`, but they are about this software, not about the notes.
"""
