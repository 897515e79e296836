"""What files lie on, and what reading past the kernel's cache (O_DIRECT) asks of who reads."""

from pathlib import Path

ALIGNMENT = 4096
"""Bytes: addresses, lengths and places in a file are multiples of this, which suits any disk of today."""
IN_MEMORY = ("tmpfs", "ramfs", "hugetlbfs")
"""Kinds of file systems that are no disk. Newer kernels' take O_DIRECT, and ignore it."""
_MOUNTS = Path("/proc/self/mountinfo")


def file_system_of(path: Path) -> str | None:
    """The kind of file system that a path lies in, or would: of the innermost mount. None where Linux does not say."""
    place = path if path.exists() else path.parent
    try:
        place, lines = place.resolve(), _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return None
    mounts = []
    for line in lines:
        before, _, after = line.partition(" - ")
        where = Path(before.split()[4].encode().decode("unicode_escape"))
        if place == where or where in place.parents:
            mounts.append((where, after.split()[0]))
    # Of several at one place the last one is seen.
    mount = max(reversed(mounts), key=lambda mount: len(mount[0].parts), default=None)
    return mount[1] if mount else None
