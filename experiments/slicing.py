"""One long trace as slices in time, each a variant that is run for itself, behind a stretch that is not judged."""

from collections.abc import Mapping

from experiments.config import Experiment
from experiments.loading import Loaded
from experiments.prepared import split
from experiments.settling import cut_of
from simulator.errors import InputError
from workloads.combine import SliceConfig

MOST = 10_000


def sliced(loaded: Loaded, n: int, ahead: float) -> Loaded:
    """Each experiment as ``n`` of them, slices of equal length of what it judges.

    Args:
        loaded: What is to be sliced.
        n: How many slices, 2 or more.
        ahead: What is run ahead of each and not judged, in slices: less where the trace has no more before it. Ahead
            of the first is the config's own ``warm_up``.

    Raises:
        InputError: the numbers make no sense, the trace is too short or its length is not the same for all seeds, or
            what it is about cannot be cut.
    """
    if not 2 <= n <= MOST:
        raise InputError(f"--slices {n}: expected 2 to {MOST:,}")
    if not 0 <= ahead <= n:
        raise InputError(f"--ahead {ahead:g}: expected a number of slices, 0 to {n}")
    made: dict[str, Experiment] = {}
    for name, experiment in loaded.experiments.items():
        for part, one in _slices(experiment, n, ahead).items():
            made["_".join(filter(None, [name, part]))] = one
    return Loaded(made, loaded.name, is_swept=True, is_sliced=True)


def _slices(experiment: Experiment, n: int, ahead: float) -> Mapping[str, Experiment]:
    if experiment.workload.train_ratio:
        raise InputError(
            f"--slices: workload.train_ratio is {experiment.workload.train_ratio:g}, and each slice would learn from "
            "its own beginning; expected 0"
        )
    if experiment.warm_up == "mser5":
        raise InputError("--slices: warm_up is mser5, which is of a whole run; expected none, accesses or a share")
    lengths = {experiment.workload.source.build(seed).length() for seed in experiment.seeds}
    if len(lengths) > 1:
        raise InputError(f"--slices: traces of the seeds differ in length, {min(lengths):,} to {max(lengths):,}")
    length = lengths.pop()
    workload = experiment.workload.source.build(experiment.seeds[0])
    n_ahead = cut_of(experiment, experiment.seeds[0], workload=workload).n_accesses
    first = split(experiment, workload, n_ahead).judged
    if length - first < n:
        raise InputError(f"--slices {n}: there are {length - first:,} accesses to judge; expected no more slices")
    edges = [first + (length - first) * i // n for i in range(n + 1)]
    found = {}
    for i in range(n):
        begin = 0 if i == 0 else max(edges[i] - round(ahead * (edges[i + 1] - edges[i])), 0)
        piece = SliceConfig.model_construct(
            kind="slice", source=experiment.workload.source, first=begin, accesses=edges[i + 1] - begin
        )
        part = f"slice-{i + 1:0{len(str(n))}}"
        found[part] = experiment.model_copy(
            update={
                "name": f"{experiment.name}-{part}",
                "workload": experiment.workload.model_copy(update={"source": piece}),
                "warm_up": edges[i] - begin or "none",
            }
        )
    return found
