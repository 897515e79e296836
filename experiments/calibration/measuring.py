"""One calibration from what was asked to what is written, with the machine's facts around it."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from experiments.calibration.asked import Asked
from experiments.calibration.facts import busy, facts_of
from experiments.calibration.outcome import Outcome, outcome_of
from experiments.calibration.rounds import cells_of, measured
from experiments.calibration.timing import Timer
from experiments.calibration.ways import Wanted, machine_of

_SEED = 0


def measure(
    asked: Asked, told: Callable[[str], None], *, with_predictor: bool
) -> tuple[Outcome, list[str], dict[str, Any]]:
    """The outcome, what stands above the preset, and the facts that go with its figures.

    Nothing that was opened is open any more then, and no scratch file is left, however this ends.
    """
    import numpy as np

    rng = np.random.default_rng(_SEED)
    # As it is before this command makes it busy.
    load_average = os.getloadavg()
    facts = facts_of(asked.levels, asked.device)
    warnings = [text for text in [busy(load_average, facts["n_cpus"])] if text is not None]
    for text in warnings:
        told(f"warning: {text}; its times are those of a busy machine")
    wanted = Wanted(asked.region_bytes, asked.scratch_bytes, asked.sizes[-1], asked.pageable, asked.device)
    started = time.monotonic()
    with machine_of(asked.levels, wanted, told) as machine:
        timer = Timer(asked.sizes[-1], asked.loads[-1], rng, asked.pace_ns)
        cells = cells_of(machine.ways, asked.sizes, asked.loads)
        found = measured(cells, timer, asked.n_rounds, asked.seconds, rng, told)
    took_s = time.monotonic() - started
    outcome = outcome_of(asked.levels, machine.capacities, found, asked.statistic, asked.table, spreads=asked.spreads)
    rows: list[list[Any]] = []
    if with_predictor:
        from experiments.calibration.predictor import predictor_rows

        rows = predictor_rows(asked.device, asked.n_predictions, told)
    return outcome, *_words(asked, facts, warnings, machine.notes, rows, took_s)


def _words(
    asked: Asked,
    machine: dict[str, Any],
    warnings: list[str],
    notes: list[str],
    predictor: list[list[Any]],
    took_s: float,
) -> tuple[list[str], dict[str, Any]]:
    from experiments.calibration.predictor import COLUMNS
    from experiments.report import time_text
    from experiments.single import versions

    now = datetime.now(UTC).replace(microsecond=0)
    memory = machine["memory_bytes"]
    head = [
        f"Measured by tierfetch calibrate on {now:%Y-%m-%d at %H:%M} UTC: {machine['cpu'] or 'an unknown CPU'}, "
        f"{machine['n_cpus']} cores" + (f", {memory / 1e9:.1f} GB" if memory else "") + f", Linux {machine['kernel']}.",
        "A machine for `system: {preset: THIS FILE}`; docs/calibrate.md says how it is measured, and what is left out.",
        *([f"Calls, and bursts of them, came {time_text(asked.pace_ns)} apart (--pace)."] if asked.pace_ns else []),
        *(f"WARNING: {text}" for text in warnings),
        *(f"Note: {text}" for text in notes),
    ]
    if predictor:
        backend, device, p50_ns, *_ = min(predictor, key=lambda row: row[2])
        head.append(
            f"The fastest backend of the LSTM here: {backend} on {device}, {time_text(p50_ns)} a question; a charge of "
            f"it is fixed(latency={p50_ns} ns)."
        )
    return head, {
        "at": now.isoformat(),
        "took_s": round(took_s, 1),
        "rounds": asked.n_rounds,
        "seed": _SEED,
        "pace_ns": asked.pace_ns,
        "region_bytes": asked.region_bytes,
        "scratch_bytes": asked.scratch_bytes,
        "versions": dict(versions()),
        "machine": machine,
        "warnings": warnings,
        "notes": notes,
        **({"predictor_columns": list(COLUMNS), "predictor": predictor} if predictor else {}),
    }
