"""Faults that take a process of its own, another store of models, or less memory."""

import os
import random
import resource
import shutil
from pathlib import Path

from benchmarks.campaign.case import DefectError, Place
from benchmarks.campaign.commands import call, expect, finish, start
from benchmarks.campaign.damage import spoil
from benchmarks.campaign.folders import asides, present
from benchmarks.campaign.kept import reference
from benchmarks.campaign.well import Command, commands
from tests.test_experiment import config, write


def in_a_process(draws: random.Random, place: Place) -> str:
    """What only a process of its own can have: an output that is gone or full, and processes beside it."""
    command = commands(place.case, place.shared)["run"]
    jobs = draws.choice([1, 2])
    what = draws.choice(["nobody reads", "output is full", "no room"])
    before, more = None, {}
    read, write_ = os.pipe()
    os.close(read)
    full = os.open("/dev/full", os.O_WRONLY)
    if what == "nobody reads":
        more = {"stdout": write_}
    elif what == "output is full":
        more = {"stdout": full}
    else:
        n_bytes = draws.randrange(300, 20_000)
        before = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))  # noqa: E731
    process = start(command.module, *command.arguments, "--jobs", jobs, before=before, **more)
    os.close(write_)
    os.close(full)
    ended = finish(process)
    try:
        outcome = expect(ended, 0, 2, names=("standard output", "No space", str(place.case)))
        if asides(place.case) or (place.case / "out" / ".shared").exists():
            raise DefectError(f"left half-written: {sorted(present(place.case))}\n{ended}")
        expect(command.run(), 0)
        if differ := command.differs():
            raise DefectError(f"once all was well again, other results: {differ}\n{ended}")
    except DefectError as error:
        raise DefectError(f"run with --jobs {jobs}, {what}: {error}") from None
    return f"process, {what}: {outcome}"


def of_the_model_store(draws: random.Random, place: Place) -> str:
    """Models that are kept are damaged, or cannot be kept."""
    path, whole = reference(place.shared, "plain")
    command = Command("experiments.run", (path, "--out", place.case / "out"), place.case / "out", whole)
    store, known = place.case / "models", os.environ["TIERFETCH_MODELS"]
    what = draws.choice(["damaged", "damaged", "damaged", "a file", "a folder for a model", "no folder can be made"])
    if what == "a file":
        store.touch()
    elif what == "no folder can be made":
        store = Path("/proc/nowhere")
    else:
        shutil.copytree(known, store)
        models = sorted(store.glob("*.safetensors"))
        model = draws.choice(models)
        if what == "damaged":
            what = f"damaged: {spoil(model, draws, lambda: draws.choice(models))}"
        else:
            model.unlink()
            model.mkdir()
    os.environ["TIERFETCH_MODELS"] = str(store)
    try:
        outcome = expect(command.run(), 0, 2, names=(str(store),))
        if outcome == "done" and (differ := command.differs()):
            raise DefectError(f"other results: {differ}")
    except DefectError as error:
        raise DefectError(f"the model store, {what}: {error}") from None
    finally:
        os.environ["TIERFETCH_MODELS"] = known
    expect(command.run(), 0)
    if differ := command.differs():
        raise DefectError(f"the model store, {what}: once all was well again, other results: {differ}")
    return f"model store: {outcome}"


def of_memory(place: Place) -> str:
    """Less memory than a workload takes."""
    content = config(arms=[{"name": "none", "policy": {"kind": "none"}}], seeds=[0])
    content["workload"]["source"]["n_keys"] = 50_000_000
    path, out = write(place.case, content), place.case / "out"
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (64 << 20), before[1]))
    try:
        ended = call("experiments.run", path, "--out", out)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    outcome = expect(ended, 2, names=("not enough memory",))
    if out.exists():
        raise DefectError(f"left {sorted(present(out))}\n{ended}")
    return f"memory: {outcome}"
