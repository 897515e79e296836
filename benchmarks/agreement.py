"""Many more random runs of model and engine than the tests have, compared: ``python -m benchmarks.agreement``."""

import argparse
import time
from collections import Counter

from hypothesis import HealthCheck, given, seed, settings

from simulator.engine import Engine
from simulator.model.model import Model
from tests.cases import Case, cases
from tests.differential import assert_same, everything_of


def main() -> None:
    """Stops at the first difference, shrunk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given_arguments = parser.parse_args()
    n_of: Counter[str] = Counter()
    started = time.monotonic()

    @seed(given_arguments.seed)
    @settings(
        max_examples=given_arguments.examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(cases())
    def agree(case: Case) -> None:
        found = everything_of(Engine, case)
        assert_same(found, everything_of(Model, case))
        n_of["runs"] += 1
        n_of["accesses"] += len(case.batch)
        n_of["prefetches"] += found["n_issued"]
        n_of["questions"] += found["questions"][0]
        if n_of["runs"] % 1000 == 0:
            print(f"{dict(n_of)}, {time.monotonic() - started:.0f} s", flush=True)

    agree()
    print(f"equal: {dict(n_of)}, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
