"""What can be wrong with any run's input, found out before the first run starts: an arm's turn may come hours later."""

from experiments.config import Arm, Experiment
from experiments.decisions import recorded_answers
from experiments.plan import Run
from experiments.prepared import who_asks
from experiments.recording import make_charge
from simulator.needs import check_needs, features_among


def check_charge(experiment: Experiment, run: Run) -> None:
    """A run's recording is there, fits, and has the decisions that it is to take. Raises InputError if not."""
    charge, (_, recording) = run.arm.charged, make_charge(experiment, run.arm, run.seed)
    if charge.kind == "replay" and charge.decisions == "recorded" and recording is not None:
        recorded_answers(recording)


def check_columns(experiment: Experiment, arm: Arm) -> None:
    """The trace has the columns that an arm's settings name. Raises InputError if one is missing, as a bad trace is."""
    wanted = arm.policy.asks_for
    if features_among(wanted):
        for batch in experiment.workload.source.build(experiment.seeds[0]).batches():
            check_needs(who_asks(arm), wanted, batch)
            return
