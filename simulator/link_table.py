"""What a call over a link takes where that was measured (rule R46)."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator

from simulator.quantities import Bytes, Count, Nanoseconds, Strict

Row = Annotated[tuple[Nanoseconds, ...], Field(strict=False)]
Rows = Annotated[tuple[Row, ...], Field(min_length=1, strict=False)]
_MOST = 2**62


class LinkTable(Strict):
    """Measured durations of a call, by its bytes and by how many calls are on the link: in place of R4's sum.

    ``read`` and ``write`` have a row for each of ``at_once``, with a duration for each of ``sizes``. They are of the
    whole hop, latencies included.
    """

    sizes: Annotated[tuple[Bytes, ...], Field(min_length=2, strict=False)]
    """Bytes of a call, from the smallest; times between them lie on a line, and beyond on that of the last two."""
    at_once: Annotated[tuple[Count, ...], Field(min_length=1, strict=False)] = (1,)
    """Calls on the link, the one that begins among them: from 1; between them times lie on a line."""
    read: Rows
    """Towards tier 0: for each of `at_once` a list with a duration for each of `sizes`."""
    write: Rows | None = None
    """Away from tier 0; null: by the link's and the tiers' latencies and bandwidths."""

    @model_validator(mode="after")
    def _fits(self) -> "LinkTable":
        for name in ("sizes", "at_once"):
            said = getattr(self, name)
            if any(one >= other for one, other in pairwise(said)):
                raise ValueError(f"{name}: expected each to be larger than the one before, got {list(said)}")
        if self.at_once[0] != 1:
            raise ValueError(f"at_once: expected 1 first, a call alone; got {list(self.at_once)}")
        # With more calls at once times may fall: a device may do better under load.
        for name, rows in (("read", self.read), ("write", self.write or ())):
            if rows and len(rows) != len(self.at_once):
                raise ValueError(f"{name}: expected {len(self.at_once)} rows, one for each of at_once, got {len(rows)}")
            for i, row in enumerate(rows):
                self._check_row(f"{name}.{i}", row)
        return self

    def _check_row(self, where: str, row: tuple[int, ...]) -> None:
        if len(row) != len(self.sizes):
            raise ValueError(f"{where}: expected {len(self.sizes)} durations, one for each of sizes, got {len(row)}")
        if row[0] == 0:
            raise ValueError(f"{where}: {self.sizes[0]} B take no time; expected 1 ns or more")
        for (size, more), (ns, longer) in zip(pairwise(self.sizes), pairwise(row), strict=True):
            if longer < ns:
                raise ValueError(
                    f"{where}: {more} B take {longer} ns, less than {size} B with {ns} ns; expected no less"
                )
            if (more - size) * (longer - ns) >= _MOST:
                raise ValueError(f"{where}: from {size} B to {more} B it is too far; expected a size between them")
