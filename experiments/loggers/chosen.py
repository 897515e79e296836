"""``--log``: which callbacks are told of runs."""

from collections.abc import Sequence
from pathlib import Path

from experiments.callbacks import Callback
from simulator.errors import InputError, OutsideError

MLFLOW = "mlflow"
_FOLDER = "mlruns"


def callbacks_of(texts: Sequence[str], config: Path) -> list[Callback]:
    """The callbacks that are named: ``mlflow``, ``mlflow:FOLDER``, or ``./file.py:Class`` beside the config or here.

    Raises:
        InputError: there is no such callback, or a package that it needs is not installed.
        OutsideError: a class of one's own cannot be made.
    """
    return [_callback_of(text, config) for text in texts]


def _callback_of(text: str, config: Path) -> Callback:
    from simulator.outside import find, is_reference

    name, _, folder = text.partition(":")
    if name == MLFLOW:
        if "://" in folder:
            raise InputError(f"--log {text}: expected mlflow:FOLDER; nothing is sent to a server or a database")
        from experiments.loggers.to_mlflow import MlflowCallback

        return MlflowCallback(Path(folder or _FOLDER))
    if not is_reference(text):
        raise InputError(f"--log {text}: expected mlflow, mlflow:FOLDER, or ./file.py:Class with a tierfetch.Callback")
    class_ = find(text, config.parent).object
    if not (isinstance(class_, type) and issubclass(class_, Callback)):
        raise InputError(f"--log {text}: {class_!r} is no tierfetch.Callback; expected a subclass of it")
    try:
        return class_()
    except (Exception, SystemExit) as error:
        raise OutsideError.of(f"--log {text}", error) from None
