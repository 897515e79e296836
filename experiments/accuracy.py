"""``tierfetch accuracy``: the LSTM's accuracy by pattern and encoding, beside what is possible."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

ENCODINGS = ("key", "delta", "page_offset")
COLUMNS = (
    "pattern", "encoding", "top1_ratio", "ceiling_ratio", "next1_ratio", "train_s", "inference_p50_ns",
    "inference_p99_ns", "device",
)  # fmt: skip
EARLIER = "The earlier predictor was expected to train in 5 to 10 minutes (10 epochs) and to predict in less than 1 ms."


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder for accuracy.parquet.")] = Path("results/accuracy"),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    patterns: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Some of the patterns.", show_default="all")
    ] = None,
    encodings: Annotated[str, typer.Option(metavar="NAME,...", help="Some of the encodings.")] = ",".join(ENCODINGS),
    accesses: Annotated[int, typer.Option(min=1000, help="Accesses of a pattern; the first half trains.")] = 20_000,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training half.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of trace and training.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Train and measure on every pattern with every encoding.

    Each access of the second half asks a real, timed question; top-1 is the share whose best guess was the next access
    of its stream. Exit codes: 0 done, 2 bad input, 130 interrupted, 1 a bug.
    """
    with exit_codes("nothing was written"):
        from experiments.progress import make_console
        from experiments.single import versions
        from experiments.tables import make_folder, write_rows

        console = make_console()
        make_folder(out)
        found = []
        for row in _rows(patterns, encodings, device, accesses, epochs, seed):
            found.append(row)
            if not quiet:
                console.print(
                    f"{row['pattern']}, {row['encoding']}: top-1 {row['top1_ratio']:.3f} of at most "
                    f"{row['ceiling_ratio']:.3f}, trained in {row['train_s']:.1f} s",
                    highlight=False,
                )
        metadata = {"versions": versions(), "seed": seed, "accesses": accesses, "epochs": epochs, "earlier": EARLIER}
        write_rows(out / "accuracy.parquet", found, metadata)
        if not quiet:
            _print(console, found, accesses)
            console.print(f"Table: {out / 'accuracy.parquet'}", highlight=False)


def _rows(
    patterns: str | None, encodings: str, device: str, accesses: int, epochs: int, seed: int
) -> Iterator[dict[str, Any]]:
    """A row for each pattern and encoding; everything that can be wrong with the request is found before the first."""
    from experiments.patterns import PATTERNS, pattern_of
    from policies.models.device import pick_device
    from simulator.errors import InputError

    wanted = list(PATTERNS) if patterns is None else [pattern_of(name.strip()) for name in patterns.split(",")]
    names = [name.strip() for name in encodings.split(",")]
    for name in names:
        if name not in ENCODINGS:
            raise InputError(f"--encodings: unknown {name!r}; expected some of {', '.join(ENCODINGS)}")
    pick_device(device)
    for pattern in wanted:
        for encoding in names:
            yield measure(pattern, encoding, device=device, accesses=accesses, epochs=epochs, seed=seed)


def measure(pattern: Any, encoding: str, *, device: str, accesses: int, epochs: int, seed: int) -> dict[str, Any]:
    """Train on the first half of a pattern, ask at each access of the second: a row of the table."""
    import numpy as np

    from experiments.patterns import ceiling
    from experiments.prepared import Learned
    from policies.given import Given
    from policies.lstm.config import LstmConfig
    from simulator.policy import AccessRun
    from simulator.trace import concatenate, part

    source = pattern.source(accesses)
    workload = source.build(seed)
    n_train = workload.length() // 2
    learned = Learned(workload, n_train, n_train)
    config = LstmConfig.model_validate(
        {"kind": "lstm", "encoding": encoding, "epochs": epochs, "device": device, "per_stream": True}
    )
    built = config.build(Given(learned.sequences, seed, n_streams=workload.n_streams, is_measured=True))
    judged = concatenate(list(part(workload.batches(), n_train)))
    guesses: dict[int, int | None] = {}
    previous: dict[int, int] = {}
    n_asked = n_right = n_next = 0
    times = []
    for i, (key, stream) in enumerate(zip(judged.key.tolist(), judged.stream.tolist(), strict=True)):
        if stream in previous:
            n_asked += 1
            n_right += guesses[stream] == key
            n_next += previous[stream] + 1 == key
        run = AccessRun(judged.key[i : i + 1], judged.stream[i : i + 1], np.zeros(1, np.uint8))
        decision = built.policy.decide([run])
        times.append(decision.host_ns)
        guesses[stream], previous[stream] = decision.answers[0].predicted_key, key
    p50, p99 = np.quantile(times, [0.5, 0.99], method="inverted_cdf")
    row = {
        "pattern": pattern.name,
        "encoding": encoding,
        "top1_ratio": n_right / n_asked,
        "ceiling_ratio": ceiling(source),
        "next1_ratio": n_next / n_asked,
        "train_s": float(built.details["train_s"]),
        "inference_p50_ns": int(p50),
        "inference_p99_ns": int(p99),
        "device": f"{built.details['device']}, {built.details['backend']}",
    }
    assert tuple(row) == COLUMNS
    return row


def _print(console: "Console", rows: list[dict[str, Any]], accesses: int) -> None:
    from rich.table import Table

    from experiments.patterns import PATTERNS
    from experiments.report import time_text

    earlier = {pattern.name: pattern.earlier for pattern in PATTERNS}
    best = {row["pattern"]: max(r["top1_ratio"] for r in rows if r["pattern"] == row["pattern"]) for row in rows}
    table = Table(title=f"Top-1 accuracy on the unseen half of {accesses:,} accesses", title_justify="left")
    for name in ("pattern", "encoding"):
        table.add_column(name)
    for name in ("top-1", "ceiling", "of ceiling", "next-1", "earlier", "training", "p50", "p99"):
        table.add_column(name, justify="right")
    before = None
    for row in rows:
        if before not in (None, row["pattern"]):
            table.add_section()
        top1 = f"{row['top1_ratio']:.4f}"
        table.add_row(
            row["pattern"] if row["pattern"] != before else "",
            row["encoding"],
            f"[bold]{top1}[/bold]" if row["top1_ratio"] == best[row["pattern"]] else top1,
            f"{row['ceiling_ratio']:.4f}",
            f"{row['top1_ratio'] / row['ceiling_ratio']:.3f}",
            f"{row['next1_ratio']:.4f}",
            earlier[row["pattern"]] if row["pattern"] != before else "",
            f"{row['train_s']:.1f} s",
            time_text(row["inference_p50_ns"]),
            time_text(row["inference_p99_ns"]),
        )
        before = row["pattern"]
    console.print(table)
    console.print(f"Predicted on {', '.join(dict.fromkeys(row['device'] for row in rows))}. {EARLIER}")


if __name__ == "__main__":
    app()
