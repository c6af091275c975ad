"""Holds our DQN and our policies against others: stable-baselines3's updates and runs, published scores.

It stands beside `claims`: it asks its questions through `study`, but they are about this software, not about the notes.
"""
