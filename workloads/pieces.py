"""Traces read in pieces of any length, and the features that several of them have in common."""

from collections.abc import Iterable, Iterator

from simulator.trace import Batch, concatenate


def common_features(features: Iterable[Iterable[str] | None]) -> set[str]:
    """The features that all have; a trace without accesses does not count."""
    found: set[str] | None = None
    for names in features:
        if names is not None:
            found = set(names) if found is None else found & set(names)
            if not found:
                break
    return found or set()


class Pieces:
    """Reads a trace in pieces of any length."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._rest: Batch | None = None
        self.n_read = 0

    def features(self) -> Iterable[str] | None:
        """The features of the trace; None if it has no access. To be asked before anything is read."""
        self._rest = next((batch for batch in self._batches if len(batch)), None)
        return None if self._rest is None else self._rest.features

    def read(self, n: int) -> Batch:
        """The next ``n`` accesses, or as many as there are."""
        pieces: list[Batch] = []
        missing = n
        while missing:
            batch = self._rest if self._rest is not None else next(self._batches, None)
            if batch is None:
                break
            pieces.append(batch[:missing])
            self._rest = batch[missing:] if len(batch) > missing else None
            missing -= len(pieces[-1])
        self.n_read += n - missing
        return concatenate(pieces)
