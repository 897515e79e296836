"""What a command runs: one experiment, some variants, the thousands of a sweep, or a shard of them."""

import time
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.config import Experiment
from experiments.exits import RunsDiedError, RunsFailedError
from experiments.jobs import n_cores
from experiments.loading import Loaded
from experiments.making import folder_of, out_of
from experiments.plan import planned
from experiments.progress import make_console
from experiments.shards import Shard, Share, shares
from simulator.errors import InputError

if TYPE_CHECKING:
    from experiments.clusters.joined import Cluster
    from experiments.run import How
    from experiments.stores.staging import Stage
    from experiments.until.looks import Look

Failure = RunsDiedError | RunsFailedError
_MOST_TABLES = 8
"""Of more variants there is one table at the end, not one each."""
_LINE_EVERY_S = 10.0


def run_many(
    loaded: Loaded, out: Path | None, how: "How", shard: Shard | None, config: str, *, dry_run: bool = False
) -> None:
    """Run all experiments of a config into folders below ``out``, or a shard of them; or say what would run.

    Raises:
        InputError: an experiment, its folder or the shard is wrong.
        RunsDiedError: processes died; all other runs are kept.
        RunsFailedError: code from outside failed; all other runs are kept.
    """
    from experiments.clusters.joined import joined
    from experiments.stores.chosen import staged

    out = out_of(loaded) if out is None else out
    share_of = None if shard is None else shares(loaded.experiments, shard, config)
    if share_of is not None:
        _check_shard(how)
    if how.until is not None:
        for experiment in loaded.experiments.values():
            how.until.check(experiment)
    if (stage := staged(out, loaded.experiments)) is not None:
        for option, is_said in (("--report", how.report), ("--until", how.until is not None)):
            if is_said:
                raise InputError(f"{option}: {out} is no folder; expected one for --out")
        out = stage.folder
    chosen = {name: one for name, one in loaded.experiments.items() if share_of is None or name in share_of}
    folders = {name: _below(folder_of(one, name, out), name, shard) for name, one in chosen.items()}
    console = make_console()
    if dry_run:
        if stage is not None and not how.force:
            for name, one in chosen.items():
                stage.pull(one, folders[name])
        _say_all(loaded, folders, console, how, share_of)
        return
    are_many = len(chosen) > _MOST_TABLES or loaded.is_sliced
    if are_many and how.report:
        raise InputError("--report: there are many results; tierfetch report makes a page of those that are named")
    progress = _Line(console, len(chosen), is_shown=are_many and not how.quiet)
    looks: dict[str, Look | None] = {}
    told = how._replace(quiet=how.quiet or are_many)
    with joined(how.cluster, how.jobs) as cluster:
        failed = _Failed()
        if stage is None and _go_together(chosen, how, cluster):
            from experiments.sweeping.making import make_together

            ended = make_together(chosen, folders, told, share_of, cluster, console)
        else:
            ended = _one_by_one(chosen, folders, told, share_of, cluster, stage, looks)
        with closing(ended):
            for name, error in ended:
                failed.note(name, error)
                progress.step(name)
    failed.tell()
    if how.quiet:
        return
    if share_of is not None:
        n = sum(len(share.keys) for share in share_of.values())
        console.print(
            f"Shard {shard}: {n:,} runs, to be put together by tierfetch merge: {_parent(folders, shard)}",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    elif are_many and out is not None:
        _close(console, out, len(chosen), is_sliced=loaded.is_sliced)
        _say_capped(console, looks)


def _go_together(chosen: Mapping[str, Experiment], how: "How", cluster: "Cluster | None") -> bool:
    """Whether runs of several experiments go side by side. Callbacks, a view of one, and looks want one by one."""
    n_at_once = (how.n_jobs or n_cores()) if cluster is None else cluster.n_at_once
    is_told = bool(how.callbacks) or how.live or how.until is not None
    return len(chosen) > 1 and not is_told and (cluster is not None or n_at_once > 1)


def _one_by_one(
    chosen: Mapping[str, Experiment], folders: Mapping[str, Path], how: "How",
    share_of: Mapping[str, Share] | None, cluster: "Cluster | None", stage: "Stage | None",
    looks: "dict[str, Look | None]",
) -> Generator[tuple[str, Failure | None]]:  # fmt: skip
    from experiments.run import run_experiment
    from experiments.stores.chosen import making

    for name, experiment in chosen.items():
        share = None if share_of is None else share_of[name]
        try:
            with making(stage, experiment, folders[name], share, how) as callbacks:
                if callbacks is not None:
                    of_one = how._replace(callbacks=[*how.callbacks, *callbacks])
                    looks[name] = run_experiment(experiment, folders[name], of_one, share, cluster)
        except (RunsDiedError, RunsFailedError) as error:
            yield name, error
        else:
            yield name, None


class _Failed:
    """What went wrong in experiments while the others went on."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._have_died = False

    def note(self, name: str, error: Failure | None) -> None:
        """How one has ended."""
        if error is None:
            return
        self._have_died |= isinstance(error, RunsDiedError)
        for i, line in enumerate(map(str, error.args)):
            # Lines that go on with the one before are indented.
            of_one = f"{name}: " if name and not line.startswith(" ") else ""
            begins = i == 0 or line.startswith("error: ")
            self._lines.append("error: " * begins + of_one + line.removeprefix("error: "))

    def tell(self) -> None:
        """Raises RunsDiedError or RunsFailedError if anything went wrong."""
        if self._lines:
            first, *others = self._lines
            if self._have_died:
                raise RunsDiedError(first.removeprefix("error: "), *others)
            raise RunsFailedError(first, *others)


def _below(folder: Path, name: str, shard: Shard | None) -> Path:
    """The folder of a shard lies beside those of others, which may be told the same --out."""
    if shard is None:
        return folder
    return folder.parent / shard.folder / name if name else folder / shard.folder


def _parent(folders: dict[str, Path], shard: Shard | None) -> Path:
    name, folder = next(iter(folders.items()))
    return folder.parents[1] if name else folder.parent


def _check_shard(how: "How") -> None:
    for what, is_said in (("--by", how.by is not None), ("--report", how.report), ("--full", how.full)):
        if is_said:
            raise InputError(f"--shard with {what}: says something of all runs; expected one of them")
    if how.until is not None:
        raise InputError("--shard with --until: which runs there are shows only as they are made; expected one of them")


class _Line:
    """How far many experiments have come, in a line now and then."""

    def __init__(self, console: Any, n: int, *, is_shown: bool) -> None:
        self._console, self._n, self._done, self._is_shown = console, n, 0, is_shown
        self._began = self._last = time.monotonic()

    def step(self, name: str) -> None:
        """One more is over."""
        self._done += 1
        now = time.monotonic()
        if self._is_shown and (now - self._last >= _LINE_EVERY_S or self._done in (1, self._n)):
            self._last = now
            left = (now - self._began) / self._done * (self._n - self._done)
            more = f", about {left:.0f} s left" if self._done < self._n else ""
            self._console.print(
                f"{self._done:,} of {self._n:,}: {name}{more}", highlight=False, markup=False, soft_wrap=True
            )


def _close(console: Any, out: Path, n: int, *, is_sliced: bool) -> None:
    from experiments.pooled import print_pooled
    from experiments.variant_tables import print_variants
    from experiments.variants import KeptVariants

    if is_sliced:
        print_pooled(console, KeptVariants.open(out))
    elif n <= 40:
        print_variants(console, KeptVariants.open(out))
    console.print(f"Tables of {n:,} variants: {out}", highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"tierfetch show, export and compare take it as one, and so does Results.open({str(out)!r}).",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip


def _say_capped(console: Any, looks: "dict[str, Look | None]") -> None:
    """Of many experiments, which ones --until ended before their intervals were narrow enough."""
    known = {name: look for name, look in looks.items() if look is not None}
    capped = [name for name, look in known.items() if look.is_capped]
    if not known:
        return
    text = f"--until: {len(known) - len(capped):,} of {len(known):,} experiments need no more seeds"
    if capped:
        text += f"; ended by --most-seeds: {', '.join(capped[:_MOST_TABLES])}" + ", ..." * (len(capped) > _MOST_TABLES)
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _say_all(loaded: Loaded, folders: dict[str, Path], console: Any, how: "How", share_of: Any) -> None:
    """What would run; of many experiments what they have together, with times of the first one's arms."""
    from experiments.dry_run import dry_run

    if how.until is not None:
        from experiments.until.looks import with_seeds
        from experiments.until.targets import LEAST_SEEDS

        most = how.until.most_seeds
        made = {name: with_seeds(one, LEAST_SEEDS) for name, one in loaded.experiments.items()}
        n = sum(len(planned(with_seeds(one, most))) for one in made.values())
        console.print(
            f"--until: {LEAST_SEEDS} seeds or more, at most {most} (--most-seeds): at most {n:,} runs; with the first "
            "ones:",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
        loaded = loaded._replace(experiments=made)
    if share_of is not None or len(folders) > _MOST_TABLES:
        from experiments.dry_sweep import dry_sweep

        problems = dry_sweep(loaded, folders, console, force=how.force, jobs=how.n_jobs, share_of=share_of)
    else:
        problems = []
        for name, folder in folders.items():
            problems += dry_run(loaded.experiments[name], folder, console, force=how.force, jobs=how.n_jobs)
    if problems:
        raise InputError(*dict.fromkeys(problems))
