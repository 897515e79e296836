"""What was read of a file, and how: for people."""

from dataclasses import dataclass, field


@dataclass
class Reading:
    """Counts of one pass over a file, as far as it has come."""

    n_rows: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """How many rows were left out, by the reason."""
    words: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Of each operation word: what it was taken for, and how many rows have it."""
    hashed: dict[str, str] = field(default_factory=dict)
    """Of each column whose text was hashed: what it is for."""
    ended: str = ""
    """Why the file was not read to its end, where that was asked for."""

    def skip(self, why: str, n: int) -> None:
        """Some rows were left out."""
        if n:
            self.skipped[why] = self.skipped.get(why, 0) + n

    def of_ids(self) -> list[str]:
        """What was hashed, a line each."""
        lines = []
        for column, name in self.hashed.items():
            line = f"column {column!r} is taken for text: each {name} is its 64-bit hash"
            if name == "key":
                line += ", in which no policy sees strides"
            elif name.startswith("part of"):
                line = f"column {column!r} is text: {name}, where each is numbered by first appearance"
            lines.append(line)
        return lines

    def of_rows(self) -> list[str]:
        """What was left out, a line each."""
        lines = []
        if self.skipped:
            of_each = ", ".join(f"{n:,} {why}" for why, n in self.skipped.items())
            lines.append(f"{sum(self.skipped.values()):,} of {self.n_rows:,} rows skipped: {of_each}")
        if self.ended:
            lines.append(f"read to the last good row: {self.ended}")
        return lines
