"""Compute the numbers and draw the figures of docs/textbook.md: python scripts/textbook_figures.py"""

from pathlib import Path

from rlnorm.study.walkthrough import write

if __name__ == "__main__":
    write(Path(__file__).parents[1] / "docs")
