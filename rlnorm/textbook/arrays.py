"""The one type of the textbook: an array of real or (for exact numerical derivatives) complex numbers."""

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
