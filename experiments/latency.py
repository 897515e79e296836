"""``tierfetch latency``: how long one prediction takes, by backend, device and window."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes
from experiments.latency_timing import Pauses, Times, by_round, made, network_of, summarize, timed

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.gpu_watch import GpuWatch
    from simulator.paced import OtherWork

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_COLD_CALLS, _LONGEST_WINDOW = 200, 4096
"""Other work takes longer than any call."""


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder for latency.parquet and the pictures.")] = Path("results/latency"),
    device: Annotated[str, typer.Option(help="auto (all there are), cpu, cuda, cuda:1 or a UUID.")] = "auto",
    windows: Annotated[str, typer.Option(metavar="N,...", help="Lengths of windows, beside stateful.")] = "8,16,32,64",
    calls: Annotated[int, typer.Option(min=100, help="Timed calls of each.")] = 2000,
    classes: Annotated[int, typer.Option(min=2, help="Classes that are predicted.")] = 1000,
    pauses: Annotated[
        str, typer.Option(metavar="LEAST,MOST", help="Time them once more, after pauses such as '1 ms,2 ms'.")
    ] = "",
    touched: Annotated[
        str, typer.Option(metavar="SIZE", help="And once more, after other work on so many bytes, such as '64 MiB'.")
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Time single questions (batch 1, two layers of 64) on the host's clock, copies in and out included.

    The contenders take turns, so that a busy moment of the machine hits all of them. `stateful` runs one access through
    the network; a window runs all of its accesses. What a whole question is made of is told, too, and the state of the
    GPU before, during and after (the extra cuda). Exit codes: 0 done, 2 bad input, 130 interrupted, 1 a bug.
    """
    with exit_codes("nothing was written"):
        from experiments.gpu_watch import GpuWatch
        from experiments.latency_parts import parts_of
        from experiments.latency_report import draw, print_parts, print_times
        from experiments.progress import make_console
        from experiments.provenance import provenance
        from experiments.tables import make_folder
        from policies.models.device import pick_device
        from policies.models.provenance import of_device

        console = make_console()
        lengths, gaps, work = _lengths(windows), _pauses(pauses), _work(touched)
        where = provenance(of_device(pick_device(device)))
        watch = GpuWatch(where.get("gpu_uuid"), where.get("gpu", ""))
        make_folder(out)
        watch.take("before")
        network, told = network_of(classes), None if quiet else console
        backends = made(device, lengths, network, told)
        tables: dict[str, list[dict[str, Any]]] = {"latency": [], "latency_rounds": []}
        of_paces: dict[str, Times] = {}
        for pace in ("back_to_back", *["paused"] * (gaps is not None), *["cold"] * (work is not None)):
            gap, before = gaps if pace == "paused" else None, work if pace == "cold" else None
            n_calls = calls if before is None else min(calls, _COLD_CALLS)
            times = timed(backends, lengths, n_calls, network, told, gap, watch, before)
            tables["latency"] += summarize(times, backends, pace)
            tables["latency_rounds"] += by_round(times, pace)
            of_paces[pace] = times
        tables["latency_parts"] = parts_of([one.backend for one in backends], network.codec, network.weights, calls)
        watch.take("after")
        if watch.samples:
            tables["latency_gpu"] = watch.samples
        facts = {
            "n_classes": classes, "pauses": pauses, "touched": touched, "provenance": where,
            "gpu_is_quiet": watch.is_quiet, "other_processes": sorted(watch.others), "gpu_not_watched": watch.missing,
        }  # fmt: skip
        # Nothing is written before all is measured: who interrupts is told so.
        for pace, times in of_paces.items():
            draw(times, out, pace)
        _write(out, tables, facts)
        if not quiet:
            print_times(console, tables["latency"])
            print_parts(console, tables["latency_parts"])
            for line in _about(watch):
                console.print(line, highlight=False)
            console.print(f"Tables and pictures: {out}", highlight=False)


def _write(out: Path, tables: dict[str, list[dict[str, Any]]], facts: dict[str, Any]) -> None:
    """Each with what was found out about the machine, and a checksum over both."""
    from experiments.single import versions
    from experiments.tables import write_sealed

    for name, rows in tables.items():
        write_sealed(out / f"{name}.parquet", rows, {"versions": dict(versions()), **facts})


def _about(watch: "GpuWatch") -> list[str]:
    """Whether the figures of the GPU may be trusted."""
    from experiments.gpu_watch import NO_GPU

    if watch.is_quiet is None:
        return [f"The GPU was not watched: {watch.missing}"] if watch.missing != NO_GPU else []
    if watch.others:
        return [f"The GPU was NOT quiet; others computed on it: {', '.join(sorted(watch.others))}"]
    held = sorted({str(sample["throttle_reasons"]) for sample in watch.samples} - {"none", "None"})
    return [
        "The GPU was quiet: no other process computed on it",
        *([f"Held back by: {'; '.join(held)}"] if held else []),
    ]


def _pauses(text: str) -> Pauses | None:
    from simulator.errors import InputError
    from simulator.units import parse_ns

    if not text:
        return None
    try:
        least, most = (parse_ns(part.strip()) for part in text.split(","))
    except ValueError:
        least, most = 1, 0
    if not 0 < least <= most:
        raise InputError(f"--pauses {text}: expected two times in rising order, such as '1 ms,2 ms'")
    return Pauses(least, most)


def _work(text: str) -> "OtherWork | None":
    from simulator.errors import InputError
    from simulator.paced import OtherWork
    from simulator.units import parse_bytes

    if not text:
        return None
    try:
        n_bytes = parse_bytes(text)
    except ValueError:
        n_bytes = 0
    if n_bytes < 1:
        raise InputError(f"--touched {text}: expected a size such as '64 MiB'")
    return OtherWork(n_bytes)


def _lengths(windows: str) -> list[int]:
    from simulator.errors import InputError

    try:
        lengths = sorted({int(part) for part in windows.split(",")})
    except ValueError:
        lengths = [0]
    if lengths[0] < 1 or lengths[-1] > _LONGEST_WINDOW:
        raise InputError(f"--windows {windows}: expected whole numbers from 1 to {_LONGEST_WINDOW}, such as 8,16,32")
    return lengths


def measure(device: str, windows: list[int], n_calls: int, n_classes: int, console: "Console | None") -> Times:
    """The times of every contender, back to back. Raises InputError if the device is unknown or not there."""
    network = network_of(n_classes)
    return timed(made(device, windows, network, console), windows, n_calls, network, console)


if __name__ == "__main__":
    app()
