"""How a stored film is brought to face the reader. Pure."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8] | NDArray[np.uint16]
"""Grey values (H, W), bright = dense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Transposed, then mirrored: the eight ways in which a rectangle can lie."""

    transposed: bool = False
    upside_down: bool = False
    left_right: bool = False

    @property
    def is_none(self) -> bool:
        """True when the film is stored as it is to be seen."""
        return not (self.transposed or self.upside_down or self.left_right)

    @property
    def is_mirrored(self) -> bool:
        """True when no rotation alone does the same."""
        return self.transposed ^ self.upside_down ^ self.left_right

    def apply(self, stored_HW: Grey) -> Grey:
        """The film as it is to be seen."""
        if self.is_none:
            return stored_HW
        turned: NDArray[Any] = stored_HW.T if self.transposed else stored_HW
        return self._mirrored(turned).copy()

    def undo(self, turned_HW: Grey) -> Grey:
        """The film as it was stored."""
        mirrored = self._mirrored(turned_HW)
        return mirrored.T.copy() if self.transposed else mirrored.copy()

    def box(self, left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        """Where a rectangle of the stored film (parts of its sides, from the upper left) comes to lie."""
        if self.transposed:
            left, top, width, height = top, left, height, width
        return (
            1 - left - width if self.left_right else left,
            1 - top - height if self.upside_down else top,
            width,
            height,
        )

    def _mirrored(self, pixels_HW: NDArray[Any]) -> NDArray[Any]:
        rows = pixels_HW[::-1] if self.upside_down else pixels_HW
        return rows[:, ::-1] if self.left_right else rows


UPRIGHT: Final = Turn()
"""Of a film that is stored as it is to be seen."""
