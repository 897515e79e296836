"""What is installed with an extra alone."""

from importlib.util import find_spec

from simulator.errors import InputError


def need(extra: str, *modules: str) -> None:
    """Raises InputError, which names the extra, if one of its modules is not there."""
    absent = [name for name in modules if find_spec(name) is None]
    if absent:
        raise InputError(f"{', '.join(absent)}: not installed; expected the extra: pip install 'tierfetch[{extra}]'")
