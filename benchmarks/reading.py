"""How fast traces are read, one thread, in accesses a second: tables of text, JSON lines, and the compact form.

``python -m benchmarks.reading [FOLDER]`` writes the files there, 3 M accesses each; ``--large GB`` also converts a CSV
of so many gigabytes, and says how much memory that took at most.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.reading_options import ReadingOptions
from experiments.trace import convert
from experiments.trace_input import trace_input

N = 3_000_000
_AT_ONCE = 100_000
_ROUNDS = 4
_COLUMNS = "key=key,time_ns=time,size_bytes=size,op=op"
Columns = tuple[list[int], ...]


def rows(n: int) -> Iterator[Columns]:
    """Times in us, keys, sizes, and whether it is a write, some at once."""
    rng, start = np.random.default_rng(0), 0
    for first in range(0, n, _AT_ONCE):
        m = min(_AT_ONCE, n - first)
        times = start + np.cumsum(rng.integers(0, 1000, m))
        start = int(times[-1])
        columns = times, rng.integers(0, 10**6, m), rng.integers(1, 65536, m), rng.integers(0, 2, m)
        yield tuple(column.tolist() for column in columns)


def write_csv(path: Path, n: int) -> None:
    """With a line of names."""
    with path.open("w") as file:
        file.write("time,key,size,op\n")
        for times, keys, sizes, ops in rows(n):
            words = ("read", "write")
            lines = (f"{t},{k},{s},{words[o]}\n" for t, k, s, o in zip(times, keys, sizes, ops, strict=True))
            file.write("".join(lines))


def write_json(path: Path, n: int) -> None:
    """Ten ids a line."""
    with path.open("w") as file:
        for times, keys, _, _ in rows(n):
            for i in range(0, len(keys), 10):
                ids = ", ".join(map(str, keys[i : i + 10]))
                file.write(f'{{"timestamp": {times[i]}, "input_length": 5120, "hash_ids": [{ids}]}}\n')


def rate(path: Path, reading: ReadingOptions) -> float:
    """Accesses a second, the best of some rounds; the decoding itself, without the thread that it runs on."""
    workload, best = trace_input(path, reading).workload, 0.0
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        n = sum(len(batch) for batch in workload._read())
        best = max(best, n / (time.perf_counter() - start))
    return best


def convert_large(folder: Path, n_bytes: int) -> None:
    """A CSV of at least so many bytes to the compact form, and the memory that the process had at most."""
    source, out = folder / "large.csv", folder / "large.parquet"
    piece = folder / "piece.csv"
    write_csv(piece, N)
    header, _, body = piece.read_bytes().partition(b"\n")
    with source.open("wb") as file:
        file.write(header + b"\n")
        while file.tell() < n_bytes:
            file.write(body)
    del body
    start = time.perf_counter()
    # Times begin again with each piece: nothing but a run in an open loop minds.
    options = ["--columns", _COLUMNS, "--time-unit", "us", "--quiet"]
    subprocess.run([sys.executable, "-m", "experiments.trace", "convert", source, out, *options], check=True)
    took, most = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"{source.stat().st_size / 1e9:.1f} GB of CSV to {out.stat().st_size / 1e9:.1f} GB in {took:,.0f} s")
    print(f"memory at most {most / 1024:,.0f} MiB")
    for path in (source, out, piece):
        path.unlink()


def main() -> None:
    """Print a line a format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--large", type=float, default=0.0, metavar="GB")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        write_csv(folder / "t.csv", N)
        write_json(folder / "t.jsonl", N)
        of_table = ReadingOptions(columns=_COLUMNS, time_unit="us")
        print(f"{'CSV, four columns':24} {rate(folder / 't.csv', of_table) / 1e6:6.1f} M/s")
        print(f"{'CSV, one column':24} {rate(folder / 't.csv', ReadingOptions(columns='key=key')) / 1e6:6.1f} M/s")
        print(f"{'JSON lines, ten ids each':24} {rate(folder / 't.jsonl', ReadingOptions()) / 1e6:6.1f} M/s")
        made: Callable[..., Any] = convert
        made(trace=folder / "t.csv", out=folder / "c.parquet", force=True, quiet=True, columns=_COLUMNS, time_unit="us")
        print(f"{'compact':24} {rate(folder / 'c.parquet', ReadingOptions()) / 1e6:6.1f} M/s")
        if given.large:
            convert_large(folder, int(given.large * 1e9))


if __name__ == "__main__":
    main()
