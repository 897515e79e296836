"""Sequences of any length as lanes of one length, so that long pieces train side by side with carried state."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from policies.given import Accesses
from policies.models.codecs.base import IGNORE, UNKNOWN, Classes, Codec, Keys
from policies.models.schedule import Schedule
from policies.models.wanted import sets_of

_STEPS_AN_EPOCH = 32


@dataclass(frozen=True)
class Encoded:
    """One stream: inputs (n, fields) and targets (n, horizons, fields); of sets (n, horizons, as many as may come)."""

    inputs: Classes
    targets: Classes


def accesses_of(sequence: Keys | Accesses) -> Accesses:
    """Bare keys are reads."""
    return sequence if isinstance(sequence, Accesses) else Accesses(sequence, np.zeros(len(sequence), bool))


def encode(sequences: Sequence[Accesses], codec: Codec, config: Schedule) -> list[Encoded]:
    """Every stream that has something to predict, in classes.

    A written block needs no fetch, and one that is fetched all the same makes its writer wait. So with ``targets:
    reads`` what is to be predicted ahead of a write is the unknown: the confidence of a block is that of a read.
    """
    found = []
    for sequence in sequences:
        if len(sequence.keys) < 2:
            continue
        if config.target == "set":
            width, reads_alone = max(config.horizons), config.targets == "reads"
            sets = [sets_of(sequence, codec, h, width, reads_alone=reads_alone) for h in config.horizons]
            found.append(Encoded(codec.encode_all(sequence), np.stack(sets, axis=1)))
            continue
        targets = np.stack([codec.targets_of(sequence, h) for h in config.horizons], axis=1)  # (n, horizons, fields)
        if config.targets == "reads":
            for i, h in enumerate(config.horizons):
                # The first field alone: fields are multiplied, and two would count the chance of a write twice.
                targets[:-h, i, 0][sequence.writes[h:]] = UNKNOWN
        found.append(Encoded(codec.encode_all(sequence), targets))
    return found


def chunks(
    streams: Sequence[Encoded], config: Schedule, rng: np.random.Generator
) -> Iterator[tuple[Classes, Classes, bool]]:
    """An epoch of truncated back-propagation: inputs (B, T, fields), targets (B, T, horizons, fields), and whether the
    state of the chunk before goes on into this one.

    Each stream is cut into consecutive lanes at places that differ from epoch to epoch; as many lanes as ``batch_size``
    allows while an epoch still has a few dozen steps. For windowed inference the state never goes on, and the chunks
    come in any order.
    """  # noqa: D205
    total = sum(len(stream.inputs) for stream in streams)
    n_lanes = max(1, min(config.batch_size, total // (config.window * _STEPS_AN_EPOCH)))
    length = -(-total // n_lanes)
    length = -(-length // config.window) * config.window
    if not config.is_carried:
        length = config.window
    lanes: list[Encoded] = []
    for stream in streams:
        shift = int(rng.integers(config.window)) if len(stream.inputs) > 2 * config.window else 0
        for start in range(-shift, len(stream.inputs), length):
            piece = slice(max(start, 0), start + length)
            if (stream.targets[piece] != IGNORE).any():
                lanes.append(Encoded(stream.inputs[piece], stream.targets[piece]))
    # Lanes of like length together, so that little is padded; else in any order.
    order = sorted(rng.permutation(len(lanes)).tolist(), key=lambda i: -(-len(lanes[i].inputs) // config.window))
    groups = [order[at : at + config.batch_size] for at in range(0, len(order), config.batch_size)]
    for group in (groups[i] for i in rng.permutation(len(groups)).tolist()):
        longest = max(len(lanes[i].inputs) for i in group)
        longest = -(-longest // config.window) * config.window
        x = np.full((len(group), longest, *streams[0].inputs.shape[1:]), UNKNOWN, np.int64)
        y = np.full((len(group), longest, *streams[0].targets.shape[1:]), IGNORE, np.int64)
        for row, i in enumerate(group):
            x[row, : len(lanes[i].inputs)], y[row, : len(lanes[i].inputs)] = lanes[i].inputs, lanes[i].targets
        for at in range(0, longest, config.window):
            part = y[:, at : at + config.window]
            if (part != IGNORE).any():
                yield x[:, at : at + config.window], part, at > 0


def windows_before(inputs: Classes, window: int) -> Classes:
    """For each access (n, fields) the window (n, window, fields) that ends with it, unknown before the first."""
    before = np.full((window - 1, inputs.shape[1]), UNKNOWN, np.int64)
    padded = np.concatenate([before, inputs])
    return np.lib.stride_tricks.sliding_window_view(padded, window, axis=0).swapaxes(1, 2)


def last_chunks(
    streams: Sequence[Encoded], config: Schedule, rng: np.random.Generator
) -> Iterator[tuple[Classes, Classes, bool]]:
    """An epoch for a network that scores what follows the last access alone: as ``chunks``, targets (B, 1, ...).

    Windows come in any order, ``batch_size * window`` side by side: as many targets as there are in a chunk.
    """
    places = np.array(
        [(i, at) for i, stream in enumerate(streams) for at in np.flatnonzero((stream.targets != IGNORE).any((1, 2)))],
        np.int64,
    ).reshape(-1, 2)
    windows = [windows_before(stream.inputs, config.window) for stream in streams]
    rows = config.batch_size * config.window
    order = rng.permutation(len(places))
    for at in range(0, len(order), rows):
        chosen = [(int(i), int(j)) for i, j in places[order[at : at + rows]]]
        inputs = np.stack([windows[i][j] for i, j in chosen])
        yield inputs, np.stack([streams[i].targets[j] for i, j in chosen])[:, None], False
