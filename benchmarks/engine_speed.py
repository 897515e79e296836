"""Engine speed beside a plain SimPy model, on the same keys in one run: ``python -m benchmarks.engine_speed``."""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks import plain_simpy
from policies.none import NonePolicy
from simulator.accounting import Books
from simulator.charge import fixed
from simulator.config import Closed, System
from simulator.engine import Engine
from simulator.policy import Outcome
from simulator.trace import Batch, concatenate
from tests.strategies import ListWorkload
from workloads.combine import Interleave
from workloads.random import Zipf

N_KEYS, N_ACCESSES, ROUNDS = 100_000, 2_000_000, 3
CAPACITIES = (80_000, 11_500)  # blocks of 1 B: about 5 % and 25 % misses
CALL_NS, THINK_NS = 7_000, 1_000


def system(capacity: int, eviction: str = "lru") -> System:
    fast = {"read_bandwidth": "2 TB/s", "write_bandwidth": "2 TB/s"}
    link = {"call": f"{CALL_NS} ns", "read_bandwidth": "25 GB/s", "write_bandwidth": "25 GB/s", "channels": 4}
    return System.model_validate(
        {
            "tiers": [{"name": "hbm", "capacity": f"{capacity} B", "latency": "350 ns", "eviction": eviction, **fast}],
            "links": [link],
            "origin": {"kind": "store"},
        }
    )


def zipf(accesses: int, name: str = "source") -> Zipf:
    return Zipf(n_keys=N_KEYS, exponent=1.0, accesses=accesses, block_bytes=1, seed=0, name=name)


def keep(workload: Zipf | Interleave) -> ListWorkload:
    """The accesses made beforehand: the engine is measured, not the generator."""
    batches: list[Batch] = list(workload.batches())
    return ListWorkload(concatenate(batches))


def run(workload: ListWorkload, capacity: int, eviction: str = "lru") -> float:
    """The ratio of misses."""
    books = Books(None, 1000)
    think = Closed.model_validate({"kind": "closed", "think": f"{THINK_NS} ns"})
    Engine(system(capacity, eviction), think, workload, NonePolicy(), fixed(0), books).run()
    return 1 - books.n_outcomes[Outcome.HIT] / books.n_accesses


def run_plain(keys: list[int], capacity: int) -> int:
    return plain_simpy.run(keys, capacity, fetch_ns=CALL_NS + 1, service_ns=351, think_ns=THINK_NS, channels=4)


def rate(n: int, call: Callable[[], object]) -> float:
    """Accesses per second of process time, in millions: less noisy than the wall where cores are shared."""
    start = time.process_time()
    call()
    return n / (time.process_time() - start) / 1e6


def main() -> None:
    one = keep(zipf(N_ACCESSES))
    sixteen = keep(Interleave([zipf(N_ACCESSES // 16, f"s{i}") for i in range(16)]))
    keys = one.batch.key.tolist()
    print("Zipf(1.0) over 100,000 keys, LRU, closed loop, policy none; millions of accesses per second of CPU time")
    print("capacity  misses     engine  16 streams  plain SimPy  engine/plain  one stream/16")
    for capacity in CAPACITIES:
        misses = run(one, capacity)  # also compiles
        ours, many, plain = [], [], []
        for _ in range(ROUNDS):
            ours.append(rate(N_ACCESSES, partial(run, one, capacity)))
            many.append(rate(N_ACCESSES, partial(run, sixteen, capacity)))
            plain.append(rate(len(keys), partial(run_plain, keys, capacity)))
        a, b, c = (statistics.median(x) for x in (ours, many, plain))
        print(f"{capacity:8}  {misses:6.1%}  {a:9.3f}  {b:10.3f}  {c:11.3f}  {a / c:12.2f}  {a / b:13.2f}")


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
