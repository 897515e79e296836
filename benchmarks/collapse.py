"""``python -m benchmarks.collapse FOLDER``: how often training comes out blind on recorded traces, seed by seed."""

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from pydantic import TypeAdapter

from policies.given import Accesses
from policies.lstm.config import LstmConfig
from policies.lstm.recipe import LstmRecipe
from policies.models.train import train
from simulator.trace import WRITE
from workloads.registry import Source

N_ACCESSES = 20_000
TRACES: dict[str, dict[str, Any]] = {
    "lirs_multi1": {"kind": "ids", "path": "lirs_multi1.trace.gz", "block": "64 KiB"},
    "orm": {"kind": "binary_ids", "path": "cache2k_orm-busy.trace.xz", "block": "16 KiB"},
    "cloudphysics": {"kind": "vscsi", "path": "cloudPhysicsIO.vscsi"},
    "gcc": {"kind": "addresses", "path": "address_gcc.trace.gz", "block": "64 B"},
    "mooncake": {"kind": "mooncake", "path": "mooncake_conversation.jsonl", "block": "64 MiB"},
}


def training_half(folder: Path, name: str) -> Accesses:
    """Of the first accesses, those that are learned from."""
    content = TRACES[name] | {"path": str(folder / TRACES[name]["path"])}
    source = TypeAdapter(Source).validate_python({"kind": "slice", "accesses": N_ACCESSES, "source": content})
    batches = list(source.build(0, name).batches())
    keys = np.concatenate([batch.key for batch in batches])
    writes = np.concatenate([batch.op == WRITE for batch in batches])
    return Accesses(keys[: len(keys) // 2], writes[: len(keys) // 2])


def main(
    folder: Annotated[Path, typer.Argument(help="Where the traces are.")],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings on each trace.")] = 20,
    traces: Annotated[str, typer.Option(help="Some of them.")] = ",".join(TRACES),
    encoding: Annotated[str, typer.Option(help="Of the LSTM, which is otherwise as by default.")] = "delta",
) -> None:
    """Train, a line a seed, then the shares: blind, one guess at one confidence, no better than its best control."""
    config = LstmConfig.model_validate({"kind": "lstm", "encoding": encoding, "device": "cpu"})
    for name in traces.split(","):
        accesses = training_half(folder, name)
        found = []
        for seed in range(seeds):
            start = time.process_time()
            trained = train([accesses], LstmRecipe(config), seed, torch.device("cpu"))
            standing = trained.standings[1]
            assert standing is not None
            found.append(standing)
            typer.echo(
                f"{name} {seed}: named {standing.named_ratio:.3f}, {standing.control} {standing.control_ratio:.3f}, "
                f"blind ones {standing.blind_ratio:.3f}{', one guess' if standing.is_constant else ''}, "
                f"{trained.n_restarts} restarts, {time.process_time() - start:.1f} s of CPU"
            )
        n_blind, n_one = sum(one.is_blind for one in found), sum(one.is_constant for one in found)
        n_beaten = sum(not one.beats_control for one in found)
        typer.echo(f"{name}: of {seeds} blind {n_blind}, one guess {n_one}, no better than a control {n_beaten}")


if __name__ == "__main__":
    typer.run(main)
