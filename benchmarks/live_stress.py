"""Many threads on live caches that are drawn, over files that fail: a wrong byte, a lost block, a hang is an error."""

import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from live import FileStore, LiveError, Recorder, TieredCache
from live.errors import MissingBlockError
from live.faults import FaultyCalls, every, slow
from tests.live_blocks import check_books
from tests.live_content import BLOCK, content, version_of

HANGS_S = 120


def stressed(seed: int, n: int, path: Path) -> str:
    """Make ``n`` operations of some threads on a cache that is drawn; what was made. Raises where anything is wrong."""
    rng = np.random.default_rng(seed)
    n_threads, n_tiers = int(rng.choice([2, 4, 8, 16])), int(rng.integers(1, 4))
    n_keys = int(rng.choice([24, 64, 160]))
    spare = int(rng.choice([4, 8, 32]))
    kinds = rng.choice(["lru", "fifo", "s3fifo", "arc", "slru", "sieve", "wtinylfu", "lirs"], n_tiers)
    made = [
        {
            "name": f"t{i}", "capacity": f"{int(rng.integers(2, 12)) * (i + 1) * BLOCK} B", "eviction": str(kind),
            "channels": int(rng.integers(1, 4)), "spare": spare,
        }
        for i, kind in enumerate(kinds)
    ]  # fmt: skip
    placement, clean = [("inclusive", "drop"), ("exclusive", "drop"), ("exclusive", "demote")][seed % 3]
    faults = [every(int(rng.integers(3, 30)), "read"), every(int(rng.integers(3, 30)), "write")]
    if rng.random() < 0.3:
        faults.append(slow(float(rng.choice([0.0001, 0.002])), "write", "read"))
    calls = FaultyCalls(*(faults if rng.random() < 0.7 else []), short=None if rng.random() < 0.5 else 2 * 4096)
    is_direct = bool(rng.random() < 0.5)
    prefetch = {"in_flight": int(rng.choice([2, 64])), "max_wait": None if rng.random() < 0.5 else "100 us"}
    recorder = Recorder() if rng.random() < 0.5 else None
    path.unlink(missing_ok=True)
    cache = TieredCache(
        made, FileStore(path, BLOCK, calls=calls, direct=is_direct), placement=placement, clean_evictions=clean,
        prefetch=prefetch, retries={"times": int(rng.integers(3)), "pause": "0 ns", "again_after": "1 ms"},
        recorder=recorder, seed=seed,
    )  # fmt: skip
    versions, wrong = np.zeros(n_keys, np.int64), list[str]()

    n_refused = [0] * n_threads

    def check(key: int, found: Any, least: int) -> None:
        version = version_of(found)
        if (found != content(key, version)).any() or version < least:
            wrong.append(f"seed {seed}, key {key}: version {version}, after {least} was put")

    def client(number: int) -> None:
        draw = np.random.default_rng([seed, number])
        mine = np.arange(number, n_keys, n_threads)
        for i in range(n // n_threads):
            what = draw.random()
            key = int(draw.choice(mine)) if len(mine) and what < 0.5 else int(draw.integers(n_keys))
            is_mine, least = key % n_threads == number, versions[key]
            try:
                if what < 0.3 and is_mine:
                    cache.put(key, content(key, i + 1))
                    versions[key] = i + 1
                elif what < 0.7:
                    check(key, cache.get(key), least)
                elif what < 0.8:
                    others = [other for other in draw.integers(n_keys, size=20).tolist() if versions[other]]
                    keys = [key, *others]
                    oldest = [least, *(versions[other] for other in others)]
                    for found in zip(keys, cache.get_many(keys), oldest, strict=True):
                        check(*found)
                elif what < 0.85:
                    with cache.lease(key) as lent:
                        check(key, lent, least)
                elif what < 0.99:
                    cache.prefetch_async(draw.integers(n_keys, size=3).tolist())
                elif what < 0.995:
                    cache.flush()
                else:
                    cache.stats()
            except MissingBlockError:
                if least:
                    wrong.append(f"seed {seed}, key {key}: missing, after {least} was put")
            except LiveError:
                n_refused[number] += 1
            if wrong:
                return

    def run(number: int) -> None:
        try:
            client(number)
        except BaseException as error:
            wrong.append(f"seed {seed}: {error!r}")
            raise

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(n_threads)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + HANGS_S
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0))
    what = f"seed {seed}: {n_threads} threads, {n_keys} keys, {placement}, {made}, {calls.short}, {len(calls.faults)}"
    if any(thread.is_alive() for thread in threads):
        raise AssertionError(f"hangs: {what}: {cache.stats()}")
    if wrong:
        raise AssertionError(f"{wrong[0]}: {what}")
    calls.faults.clear()
    check_books(cache)
    stats = cache.stats()
    for key in np.flatnonzero(versions).tolist():
        if (cache.get(key) != content(key, versions[key])).any():
            raise AssertionError(f"key {key} was lost: {what}")
    cache.close()
    found = FileStore(path, BLOCK)
    into = np.empty(BLOCK, np.uint8)
    for key in np.flatnonzero(versions).tolist():
        found.read(key, into)
        if (into != content(key, versions[key])).any():
            raise AssertionError(f"key {key} was lost in the file: {what}")
    found.close()
    return (
        f"{n_threads:2} threads, {n_tiers} tiers, {placement}: {stats.n_accesses:,} accesses, "
        f"hits {stats.hit_ratio:.2f}, {stats.n_issued:,} prefetches, {stats.n_retries:,} retries, "
        f"{stats.n_failed_reads + stats.n_failed_writes:,} failures, "
        f"{sum(n_refused):,} errors"
    )


def stress(n: int, first_seed: int) -> None:
    """As many caches as it takes."""
    interval = sys.getswitchinterval()
    done, seed, each = 0, first_seed, 8000
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        while done < n:
            # As often as can be, every other time.
            sys.setswitchinterval(1e-6 if seed % 2 else interval)
            said = stressed(seed, each, Path(folder) / "blocks")
            done, seed = done + each, seed + 1
            print(f"{done:,} operations; {said}", flush=True)
