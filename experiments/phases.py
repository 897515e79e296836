"""What each arm did in each phase of a workload of ``phases``: the table ``by_phase``."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from experiments.config import Experiment
from experiments.plan import key_of, stem_of
from simulator.errors import InputError
from simulator.policy import Fate, Outcome
from simulator.trace import Workload

Row = dict[str, Any]
_HITS = (Outcome.HIT, Outcome.HIT_PREFETCHED)


def by_phase(experiment: Experiment, rows: list[Row], folder: Path) -> list[Row]:
    """A row for each run and phase, from the run's tables; none where the workload has no phases or rows are left out.

    A prefetch is of the phase of the access that asked for it.
    """
    if experiment.output.accesses is not True:
        return []
    found = []
    of_seed = {seed: phases_of(experiment.workload.source.build(seed)) for seed in {row["seed"] for row in rows}}
    for row in rows:
        phases, stem = of_seed[row["seed"]], stem_of(*key_of(row))
        if phases:
            found += _of_run(row, phases, folder, stem)
    return found


def check_phases(experiment: Experiment) -> None:
    """Raises InputError where arms cannot be told apart by phase."""
    if not phases_of(experiment.workload.source.build(experiment.seeds[0])):
        raise InputError(
            f"--by phase: the workload has no phases (source {experiment.workload.source.kind}); expected kind phases"
        )
    if experiment.output.accesses is not True:
        raise InputError("--by phase: needs a row of every access; expected output.accesses: true")


def phases_of(workload: Workload) -> list[tuple[int, str]]:
    """Where phases begin and what they are called, in order; empty if the workload has none."""
    phases: list[tuple[int, str]] = getattr(workload, "phases", list)()
    return phases


def _of_run(row: Row, phases: list[tuple[int, str]], folder: Path, stem: str) -> list[Row]:
    names = list(dict.fromkeys(name for _, name in phases))
    starts = np.array([first for first, _ in phases])
    codes = np.array([names.index(name) for _, name in phases])

    def phase(access: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        places: npt.NDArray[np.int64] = codes[np.searchsorted(starts, access, side="right") - 1]
        return places

    def columns(table: str, *names: str) -> list[Any]:
        path = folder / table / f"{stem}.parquet"
        found = pq.read_table(path, columns=list(names), page_checksum_verification=True)
        return [found[name] for name in names]

    access, latency, outcomes = columns("accesses", "access", "latency_ns", "outcome")
    of_access, outcome = phase(access.to_numpy()), np.array(outcomes.to_pylist(), object)
    n = np.bincount(of_access, minlength=len(names))
    latencies = np.bincount(of_access, latency.to_numpy(), len(names))
    has_prefetches = (folder / "prefetches" / f"{stem}.parquet").exists()
    if has_prefetches:
        asked, all_fates = columns("prefetches", "access", "fate")
        of_prefetch, fate = phase(asked.to_numpy()), np.array(all_fates.to_pylist(), object)
    rows = []
    for i, name in enumerate(names):
        if n[i] == 0:
            continue
        counts = {o.name.lower(): int(((of_access == i) & (outcome == o.name.lower())).sum()) for o in Outcome}
        found = {key: row[key] for key in ("arm", "seed", "repeat")}
        found |= {"phase": name, "n_accesses": int(n[i]), "mean_latency_ns": float(latencies[i] / n[i])}
        found |= {"hit_ratio": sum(counts[o.name.lower()] for o in _HITS) / int(n[i])}
        found |= {f"n_{o}": count for o, count in counts.items()}
        if has_prefetches:
            fates = {f.name.lower(): int(((of_prefetch == i) & (fate == f.name.lower())).sum()) for f in Fate}
            found |= {"n_issued": int((of_prefetch == i).sum())}
            found |= {f"n_prefetch_{f}": count for f, count in fates.items()}
        rows.append(found)
    return rows


def print_by_phase(console: Any, rows: list[Row]) -> None:
    """A row for each phase, a column for each arm: means over runs of latency and hit ratio, and prefetches."""
    from rich.table import Table

    from experiments.report import time_text

    arms = list(dict.fromkeys(row["arm"] for row in rows))
    table = Table(show_lines=True)
    table.add_column("phase")
    for arm in arms:
        table.add_column(arm, justify="right")
    for phase in dict.fromkeys(row["phase"] for row in rows):
        cells = []
        for arm in arms:
            mine = [row for row in rows if row["arm"] == arm and row["phase"] == phase]
            latency, hits = (np.mean([row[name] for row in mine]) for name in ("mean_latency_ns", "hit_ratio"))
            issued = [row.get("n_issued") or 0 for row in mine]
            used = [row.get("n_prefetch_timely", 0) + row.get("n_prefetch_late", 0) for row in mine]
            more = f"\n{np.mean(used):,.0f} of {np.mean(issued):,.0f} used" if any(issued) else ""
            cells.append(f"{time_text(float(latency))}, hit {hits:.3f}{more}")
        table.add_row(phase, *cells)
    console.print("Mean latency and hit ratio by phase, and prefetches asked for there", highlight=False)
    console.print(table)
