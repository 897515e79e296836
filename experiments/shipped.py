"""The configs and hardware presets that come with the package, in a checkout as in an installed wheel."""

from pathlib import Path

CONFIGS = Path(__file__).parent.parent / "tierfetch" / "configs"
"""In a checkout a link to ``configs/``, which a wheel has a copy of."""
HARDWARE = CONFIGS / "hardware"


def config_named(given: Path) -> Path:
    """The config that a command line names: a file, or without a suffix the shipped one of that name.

    What is there goes before what is shipped; a name that neither is comes back as it is.
    """
    if given.suffix or given.exists() or len(given.parts) > 1:
        return given
    shipped = CONFIGS / f"{given}.yaml"
    return shipped if shipped.is_file() else given


def config_names() -> list[str]:
    """What configs are shipped."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def preset_names() -> list[str]:
    """What hardware there is a preset of."""
    return sorted(path.stem for path in HARDWARE.glob("*.yaml"))
