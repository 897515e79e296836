"""Files that a command is to write, checked before it begins: not found out after minutes of measuring."""

from pathlib import Path

from simulator.errors import InputError

_PICTURES = (".png", ".svg", ".pdf")


def check_picture(path: Path | None, option: str = "--plot") -> None:
    """Raises InputError if a picture cannot be drawn, or not under that name."""
    if path is None:
        return
    from experiments.extras import need

    need("report", "altair", "vl_convert")
    if path.suffix.lower() not in _PICTURES:
        raise InputError(f"{option} {path}: expected a name that ends in .png, .svg or .pdf")


def check_free(option: str, path: Path | None, *, is_forced: bool) -> None:
    """Raises InputError if there is no folder for a file, or a file, or a folder, of that name already."""
    if path is None:
        return
    if not path.absolute().parent.is_dir():
        raise InputError(f"{option} {path}: no such folder; expected one that is there")
    if path.is_dir():
        raise InputError(f"{option} {path}: is a folder; expected a name for a file")
    if path.exists() and not is_forced:
        raise InputError(f"{option} {path}: is there already; expected another name, or --force")
