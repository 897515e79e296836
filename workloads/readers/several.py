"""Ids of one column, or of several together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workloads.readers.ranges import GROUP_BITS, Groups, Keys, mixed
from workloads.readers.raw import Piece, RowError
from workloads.readers.roles import Ids


class Several:
    """Ids of ``roles``, together.

    Columns of which the last is hashed are mixed; else the last is kept as a number, above which the others are
    numbered by first appearance, so that steps from one key to the next mean something.
    """

    def __init__(self, path: Path, name: str, roles: Sequence[Ids]) -> None:
        self._path = path
        self._name = name
        self.roles = roles
        self._groups = Groups()

    @property
    def hashed(self) -> bool:
        """Whether the last column is text."""
        return self.roles[-1].hashed

    def of(self, columns: Sequence[Keys], piece: Piece, rows: Sequence[int]) -> Keys:
        """One id of each row's. ``rows`` numbers them in the piece. Raises InputError where they do not fit."""
        last = columns[-1]
        if len(columns) == 1:
            return last
        if self.hashed:
            return mixed(columns)
        groups = self._groups.of(columns[:-1])
        wrong = (last >> np.uint64(GROUP_BITS) != 0) | (groups >> np.uint64(64 - GROUP_BITS) != 0)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            names = "+".join(role.want.column for role in self.roles)
            raise RowError(
                f"{self._path}: {piece.where(rows[row])}: {names} is number {last[row]} of group {groups[row]}; "
                f"expected numbers below 2**{GROUP_BITS} in at most 2**{64 - GROUP_BITS} groups ({self._name}); "
                "--keys hash takes any",
                int(rows[row]),
            )
        return groups << np.uint64(GROUP_BITS) | last
