"""Are arms told apart as often as is promised? ``python -m benchmarks.told_apart``: the tests' with more experiments.

Prints a Markdown table: how often two arms of the same policy are told apart, which should be in 5 % of the cases, and
how often 2 % more latency is found.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scipy import stats

from experiments.compare.verdict import ALPHA, WORSE
from tests import noisy_host, test_judged_alike

Made = Callable[[int], Any]


def _rate(made: Made, n: int, is_counted: Callable[[Any], bool]) -> str:
    count = sum(is_counted(made(number)) for number in range(n))
    low, high = stats.binomtest(count, n).proportion_ci(0.99)
    return f"{count} of {n} ({count / n:.1%}, {low:.1%} to {high:.1%})"


def _say(what: str, same: str, planted: str, power: float | None) -> None:
    print(f"| {what} | {same} | {planted} | {'' if power is None else f'{power:.0%}'} |", flush=True)


def _is_rejected(row: Any) -> bool:
    return bool(row["p_holm"] < ALPHA)


def _is_found(row: Any) -> bool:
    return bool(row["verdict"] == WORSE)


def main() -> None:
    """Measured arms on noisy machines, then table policies under each start and cut."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=200)
    n = parser.parse_args().experiments
    print("| | told apart, the same policy twice (99 % interval) | 2 % found | power |\n|---|---|---|---|", flush=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["TIERFETCH_MODELS"] = str(folder / "models")
        _measured(folder, n)
        _tables(folder, n)


def _measured(folder: Path, n: int) -> None:
    def made(number: int, noise: noisy_host.Noise, n_seeds: int, call: str = "7 us") -> Any:
        return noisy_host.experiment(folder, number, noise, n_seeds, 3, call)[1].loc[noisy_host.MEAN]

    for label, noise in (("shifting", noisy_host.SHIFTING), ("bursts", noisy_host.BURSTS)):
        for n_seeds in (3, 5):
            same = _rate(partial(made, noise=noise, n_seeds=n_seeds), n, _is_rejected)
            _say(f"measured, {label}, {n_seeds} seeds, 3 repeats", same, "", None)
    call, power = noisy_host.planted(folder, 3, 3)
    slower = _rate(partial(made, noise=noisy_host.QUIET, n_seeds=3, call=call), n, _is_found)
    _say("measured, quiet, 3 seeds, 3 repeats", "", slower, power)


def _tables(folder: Path, n: int) -> None:
    charge = test_judged_alike.recorded(folder)

    def made(number: int, form: dict[str, Any], call: str = "10 us") -> Any:
        content = test_judged_alike.content(test_judged_alike.seeds_of(number), charge, call, **form)
        return test_judged_alike.ran(folder, content)[1].loc[test_judged_alike.MEAN]

    for start, warm_up in test_judged_alike.FORMS:
        form = {"start": start, "warm_up": warm_up}
        call, power = test_judged_alike.planted(folder, charge, form)
        same = _rate(partial(made, form=form), n, _is_rejected)
        slower = _rate(partial(made, form=form, call=call), n, _is_found)
        _say(f"start: {start}, warm_up: {warm_up}, 5 seeds", same, slower, power)


if __name__ == "__main__":
    main()
