"""``tierfetch latency``: how long one prediction takes, by backend, device and window."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_ROUNDS, _WARM_UP_CALLS = 20, 100


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder for latency.parquet and the pictures.")] = Path("results/latency"),
    device: Annotated[str, typer.Option(help="auto (all there are), cpu or cuda.")] = "auto",
    windows: Annotated[str, typer.Option(metavar="N,...", help="Lengths of windows, beside stateful.")] = "8,16,32,64",
    calls: Annotated[int, typer.Option(min=100, help="Timed calls of each.")] = 2000,
    classes: Annotated[int, typer.Option(min=2, help="Classes that are predicted.")] = 1000,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Time single questions (batch 1, two layers of 64) on the host's clock, copies in and out included.

    The contenders take turns, so that a busy moment of the machine hits all of them. `stateful` runs one access through
    the network; a window runs all of its accesses. Exit codes: 0 done, 2 bad input, 130 interrupted, 1 a bug.
    """
    with exit_codes("nothing was written"):
        from experiments.progress import make_console
        from experiments.single import versions
        from experiments.tables import make_folder, write_rows

        console = make_console()
        lengths = _lengths(windows)
        make_folder(out)
        times = measure(device, lengths, calls, classes, None if quiet else console)
        rows = summarize(times)
        write_rows(out / "latency.parquet", rows, {"versions": versions(), "n_classes": classes})
        draw(times, out)
        if not quiet:
            _print(console, rows)
            console.print(f"Table and pictures: {out}", highlight=False)


def _lengths(windows: str) -> list[int]:
    from simulator.errors import InputError

    try:
        lengths = sorted({int(part) for part in windows.split(",")})
    except ValueError:
        lengths = [0]
    if lengths[0] < 1:
        raise InputError(f"--windows {windows}: expected positive whole numbers such as 8,16,32")
    return lengths


Contender = tuple[str, str, int]
"""Backend, device, window; 0: stateful."""
Times = dict[Contender, tuple[list[int], list[int]]]
"""Host and device times of every call, in ns."""


def measure(device: str, windows: list[int], n_calls: int, n_classes: int, console: "Console | None") -> Times:
    """The times of every contender.

    Raises:
        InputError: the device is unknown or not there.
    """
    import numpy as np

    from policies.lstm.backends.registry import BACKENDS
    from policies.lstm.config import LstmConfig
    from policies.lstm.model import LstmModel, weights_of
    from policies.models.codecs.key import KeyCodec
    from policies.models.device import device_name, pick_device

    place = pick_device(device)
    codec = KeyCodec({"key": np.arange(n_classes - 1, dtype=np.uint64)})
    weights = weights_of(LstmModel(codec, LstmConfig(kind="lstm")).eval(), 1)
    contenders = []
    for kind in BACKENDS:
        if device != "auto" and kind.device != place.type:
            continue
        reason = kind.missing()
        if reason is None:
            backend = kind(weights, place if place.type == kind.device else None)
            for window in windows:
                backend.expect(window)
            contenders += [(backend, device_name(backend.place), window) for window in (0, *windows)]
        elif console is not None:
            console.print(f"{kind.name} on {kind.device} is left out: {reason}", highlight=False)
    rng = np.random.default_rng(0)
    times: Times = {(backend.name, where, window): ([], []) for backend, where, window in contenders}
    for turn in range(_ROUNDS + 1):
        if console is not None and turn % 5 == 0:
            console.print(f"round {turn} of {_ROUNDS}", highlight=False)
        for backend, where, window in contenders:
            host, on_device = times[backend.name, where, window]
            state = backend.new_state()
            questions = rng.integers(0, n_classes, (max(n_calls // _ROUNDS, 1), 1, max(window, 1), 1))
            # The first round warms up clocks and caches.
            for classes in questions if turn else questions[:_WARM_UP_CALLS]:
                start = time.perf_counter_ns()
                if window:
                    state = backend.new_state()
                backend.advance(classes, [state])
                took = time.perf_counter_ns() - start
                device_ns = backend.take_device_time().device_ns
                if turn:
                    host.append(took)
                    on_device.append(device_ns)
    return times


def summarize(times: Times) -> list[dict[str, Any]]:
    """A row for each contender. ``speedup_ratio``: eager's median over the same window (the shortest, for stateful)."""
    import numpy as np

    def quantile(values: list[int], q: float) -> int:
        return int(np.quantile(values, q, method="inverted_cdf"))

    shortest = min((window for _, _, window in times if window), default=0)
    rows = []
    for (backend, device, window), (host, on_device) in times.items():
        yardstick = next(
            host for (name, where, w), (host, _) in times.items()
            if name == "eager" and where == device and w == (window or shortest)
        )  # fmt: skip
        rows.append(
            {
                "backend": backend,
                "device": device,
                "inference": "window" if window else "stateful",
                "window": window or None,
                "n_calls": len(host),
                "p50_ns": quantile(host, 0.5),
                "p99_ns": quantile(host, 0.99),
                "p999_ns": quantile(host, 0.999),
                "mean_ns": float(np.mean(host)),
                "p50_device_ns": quantile(on_device, 0.5),
                "speedup_ratio": quantile(yardstick, 0.5) / quantile(host, 0.5),
            }
        )
    return rows


def draw(times: Times, out: Path) -> None:
    """A histogram for each contender, a panel for each window: latency.png and latency.svg."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    windows = sorted({window for _, _, window in times})
    figure, panels = plt.subplots(len(windows), 1, figsize=(8, 1.8 * len(windows)), sharex=True, squeeze=False)
    everything = np.concatenate([host for host, _ in times.values()]) / 1000
    bins = np.geomspace(everything.min(), np.quantile(everything, 0.9995), 80)
    for window, panel in zip(windows, panels[:, 0], strict=True):
        for (backend, device, w), (host, _) in times.items():
            if w == window:
                panel.hist(np.array(host) / 1000, bins=bins, histtype="step", label=f"{backend}, {device}")
        panel.set_xscale("log")
        panel.set_ylabel("calls")
        panel.set_title(f"window of {window}" if window else "stateful: one access", fontsize=9, loc="left")
    panels[0, 0].legend(fontsize=8)
    panels[-1, 0].set_xlabel("host time of one prediction, us")
    figure.tight_layout()
    for ending in ("png", "svg"):
        aside = out / f"latency.part.{ending}"
        figure.savefig(aside, dpi=150)
        aside.replace(out / f"latency.{ending}")
    plt.close(figure)


def _print(console: "Console", rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from experiments.report import time_text

    table = Table(title="One prediction, batch 1", title_justify="left")
    for name in ("backend", "device", "runs"):
        table.add_column(name)
    for name in ("p50", "p99", "p99.9", "device p50", "eager's window / this"):
        table.add_column(name, justify="right")
    for row in sorted(rows, key=lambda row: (row["window"] or 0, row["p50_ns"])):
        table.add_row(
            row["backend"],
            row["device"],
            f"window of {row['window']}" if row["window"] else "one access, stateful",
            *(time_text(row[name]) for name in ("p50_ns", "p99_ns", "p999_ns")),
            time_text(row["p50_device_ns"]) if row["p50_device_ns"] else "-",
            f"{row['speedup_ratio']:.1f}",
        )
    console.print(table)


if __name__ == "__main__":
    app()
