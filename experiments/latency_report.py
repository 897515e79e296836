"""What ``tierfetch latency`` shows of its times: pictures, and tables on the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.latency_timing import Times

if TYPE_CHECKING:
    from rich.console import Console


def draw(times: Times, out: Path, pace: str) -> None:
    """A histogram for each contender, a panel for each window: latency.png and .svg, after pauses latency-paused."""
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
        name = "latency" if pace == "back_to_back" else f"latency-{pace}"
        aside = out / f"{name}.part.{ending}"
        figure.savefig(aside, dpi=150)
        aside.replace(out / f"{name}.{ending}")
    plt.close(figure)


def _kind_of(device: str) -> str:
    """``cuda`` or ``cuda:1`` of a device's full name, which stands above the tables: it would be a third of a row."""
    return device.partition(": ")[0]


def print_times(console: "Console", rows: list[dict[str, Any]]) -> None:
    """Every contender, the fastest first."""
    from rich.table import Table

    from experiments.report import time_text

    for device in sorted({row["device"] for row in rows if row["device"] != _kind_of(row["device"])}):
        console.print(device, highlight=False)
    table = Table(title="One prediction, batch 1", title_justify="left")
    for name in ("backend", "device", "runs", "pace"):
        table.add_column(name)
    for name in ("p50", "p99", "p99.9", "device p50", "first call", "eager's window / this"):
        table.add_column(name, justify="right")
    for row in sorted(rows, key=lambda row: (row["window"] or 0, row["p50_ns"])):
        table.add_row(
            row["backend"],
            _kind_of(row["device"]),
            f"window of {row['window']}" if row["window"] else "one access, stateful",
            row["pace"].replace("_", " "),
            *(time_text(row[name]) for name in ("p50_ns", "p99_ns", "p999_ns")),
            time_text(row["p50_device_ns"]) if row["p50_device_ns"] else "-",
            time_text(row["first_ns"]),
            f"{row['speedup_ratio']:.1f}",
        )
    console.print(table)


def print_parts(console: "Console", rows: list[dict[str, Any]]) -> None:
    """What a question is made of."""
    from rich.table import Table

    from experiments.report import time_text

    table = Table(title="A question, one access: medians of its parts, which add up", title_justify="left")
    columns = {
        "python_ns": "Python", "empty_launch_ns": "empty launch and wait", "network_ns": "network", "rest_ns": "rest",
        "total_ns": "total",
    }  # fmt: skip
    table.add_column("backend")
    table.add_column("device")
    for title in columns.values():
        table.add_column(title, justify="right")
    for row in rows:
        times = (f"{'-' if row[name] < 0 else ''}{time_text(abs(row[name]))}" for name in columns)
        table.add_row(row["backend"], _kind_of(row["device"]), *times)
    console.print(table)
