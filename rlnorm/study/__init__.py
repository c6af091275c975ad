"""A study: a question becomes units of work, the units become rows, the rows become verdicts and pages.

Data flows one way through the rooms: `claim` (what is declared), `plan` (what has to be run), `run` (running and
storing it), `judge` (from rows to verdicts), `report` (from verdicts to pages). `study.py` alone knows all five.
Nothing is imported here: `rlnorm list` needs one room, not all.
"""
