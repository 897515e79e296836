"""Configs and command lines that are wrong somewhere: they run and the books close, or a line says what is wrong."""

import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from benchmarks.campaign import valid
from benchmarks.campaign.case import Case, DefectError, Place
from benchmarks.campaign.commands import Ended, call, expect
from benchmarks.campaign.folders import check_books, present
from benchmarks.campaign.valid import experiment
from benchmarks.campaign.values import TEXTS, change, places, value
from experiments.config import Experiment
from experiments.loading import load
from experiments.plan import planned
from simulator.errors import InputError

MOST_ACCESSES = 3000
"""Of all runs of a config together: what is valid and larger is not run here, as it may take as long as it takes."""
_TAKES_LONG = {"epochs": 8, "hidden": 256, "embedding": 256, "layers": 4, "n": 300, "degree": 300, "depth": 300}


def files(shared: Path) -> Path:
    """A folder of what could be named in place of a file."""
    folder = shared / "files"
    if not folder.exists():
        folder.mkdir()
        (folder / "folder").mkdir()
        (folder / "empty").touch()
        (folder / "noise.bin").write_bytes(random.Random(0).randbytes(3000))
        (folder / "text.txt").write_text("a\nb\n")
        (folder / "mixed.csv").write_text("k,t\n1,2\nx,\n")
        os.mkfifo(folder / "pipe")
        (folder / "dangling").symlink_to("/nowhere")
        (folder / "loop").symlink_to(folder / "loop")
        (folder / "é\n.txt").write_text("1\n2\n")
    return folder


def prepare(shared: Path) -> None:
    """Compile and import what cases use, so that none of them waits for it."""
    files(shared)
    draws, path = random.Random(0), shared / "warm.yaml"
    for number in range(6):
        content = experiment(draws, shared)
        if number == 0:
            content["arms"].append(valid.LSTM_ARM)
        path.write_bytes(_dumped(content))
        expect(call("experiments.run", path, "--out", shared / f"warm-{number}"), 0)


def run(case: Case, place: Place) -> str:
    """One config, changed in one place or some, and one call."""
    draws = case.draws()
    near = files(place.shared)
    content = experiment(draws, place.shared)
    changes: list[str] = []
    path, out = place.case / "config.yaml", place.case / "out"
    arguments: list[str] = []
    way = draws.randrange(20)
    if way < 10:
        changes += [change(content, draws, near) for _ in range(draws.choice([1, 1, 1, 2, 4]))]
    elif 11 <= way < 14:
        arguments = _overrides(content, draws, near)
    arguments += ["--quiet"] if draws.random() < 0.6 else []
    text = _dumped(content)
    if 14 <= way < 19:
        for _ in range(draws.choice([1, 1, 2])):
            spoilt = draws.choice(TEXTS)
            text = spoilt(text, draws) or b"\n"
        changes.append("its text")
    path.write_bytes(text)
    if way == 19:
        path, out, arguments = _elsewhere(path, out, draws, near)
    before = _content(out)
    try:
        return _judge(path, out, arguments, before, is_wrong=bool(changes or set(arguments) - {"--quiet"}))
    except DefectError as error:
        raise DefectError(f"{'; '.join(changes)} {arguments}: {error}") from None


class _TooLongError(BaseException):
    """A config is right, and asks for more than is run here; no error that a command could meet."""


def _judge(path: Path, out: Path, arguments: list[str], before: Any, *, is_wrong: bool) -> str:
    names = (
        "config.yaml", "--set", "--seeds", "--variant", str(path), str(out)[:200], "arms.", "policy ", "source",
        "memory", ": line ", "no such file", ".csv", ".parquet", ".txt", "/dev/", "/proc/", "/files/",
        *Experiment.model_fields,
    )  # fmt: skip
    loaded: dict[str, Experiment] = {}

    def load_short(*given: Any) -> dict[str, Experiment]:
        loaded.update(load(*given))
        if _is_long(loaded):
            raise _TooLongError
        return loaded

    try:
        with patch("experiments.loading.load", load_short):
            ended = call("experiments.run", path, "--out", out, *arguments)
    except _TooLongError:
        return "too long to run here"
    outcome = expect(ended, 0, 2, names=names)
    if outcome == "refused":
        after = _content(out)
        if after != before and not _kept_some(ended, after):
            left, there = (None if files is None else sorted(files) for files in (after, before))
            raise DefectError(f"refused, and left {left}; before it was {there}\n{ended}")
        return outcome
    for variant, found in loaded.items():
        check_books(out / variant, len(planned(found)))
    return "done" if is_wrong else "done, as it was"


def _content(out: Path) -> dict[str, bytes] | None:
    """The files of a folder; None if there is no such folder, or can be none."""
    try:
        return present(out) if out.is_dir() else None
    except OSError:
        return None


def _kept_some(ended: Ended, after: dict[str, bytes] | None) -> bool:
    """Whether runs were over before one was refused: they are kept, with a manifest that says so."""
    return after is not None and any(name.endswith("manifest.json") for name in after) and ": done in" in ended.out


def _is_long(experiments: dict[str, Experiment]) -> bool:
    n = 0
    for one in experiments.values():
        raw = one.model_dump(mode="json")
        for at in places(raw["arms"]):
            found: Any = raw["arms"]
            for key in at:
                found = found[key]
            if at[-1] in _TAKES_LONG and isinstance(found, int) and found > _TAKES_LONG[at[-1]]:
                return True
        try:
            n += one.workload.source.build(0).length() * len(planned(one))
        except (InputError, MemoryError, OSError):
            continue
    return n > MOST_ACCESSES


def _dumped(content: Any) -> bytes:
    """As YAML; what it has no way to say is said as Python would."""
    # The fast one knows no half characters.
    for dumper in (getattr(yaml, "CSafeDumper", yaml.SafeDumper), yaml.SafeDumper):
        with suppress(yaml.YAMLError, UnicodeError):
            return str(yaml.dump(content, Dumper=dumper, sort_keys=False)).encode(errors="surrogatepass")
    return repr(content).encode(errors="surrogatepass")


def _overrides(content: dict[str, Any], draws: random.Random, near: Path) -> list[str]:
    arguments = []
    for _ in range(draws.choice([1, 1, 2])):
        at = ".".join(map(str, draws.choice(places(content))))
        key = draws.choice([at, at, at, at, f"{at}.x", f"{at}.0", at.upper(), "", ".", "arms.other.policy.n",
        "system.tiers.9", f" {at}",
                            "a" * 2000, "arms.-1.name", "variants", "a\nb", "x" + ".x" * 1500])  # fmt: skip
        found = value(draws, near)
        said = (
            found
            if isinstance(found, str) and draws.random() < 0.7
            else _dumped(found).decode(errors="replace").strip()
        )
        # A command line has no NUL.
        arguments += ["--set", f"{key}{draws.choice(['=', '=', '=', '=', '', '==', ': '])}{said}".replace("\0", "0")]
    if draws.random() < 0.2:
        seeds = draws.choice(
            ["", "0", "0,0", "-1", "1.5", "a", "9" * 5000, "9223372036854775808", "0 1", "\u0661", ",", "\n", "1_0"]
        )
        arguments += ["--seeds", seeds]
    if draws.random() < 0.1:
        arguments += ["--variant", draws.choice(["", "a", "b", "a,a", "nobody", "\n", ",", "a, b"])]
    return arguments


def _elsewhere(path: Path, out: Path, draws: random.Random, near: Path) -> tuple[Path, Path, list[str]]:
    """Paths that are no configs, and folders that are none."""
    if draws.random() < 0.5:
        names = [*sorted(near.iterdir()), Path("/dev/zero"), Path("/dev/null"), Path("/proc/self/mem"),
        Path("x" * 300),
                 Path("/proc/self/fd/99"), path / "below", Path("a\nb"), Path(), Path("/dev/full")]  # fmt: skip
        return draws.choice(names), out, ["--quiet"]
    outs = [near / "empty", near / "pipe", near / "loop", near / "dangling", Path("/dev/null"), Path("/dev/null/x"),
    path,
            path / "x", Path("/proc/nowhere"), out.with_name("x" * 300), out / ("y/" * 2100), near,
            near / "text.txt" / "x"]  # fmt: skip
    return path, draws.choice(outs), ["--quiet"]
