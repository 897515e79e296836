"""What processes do that tests of forking start: apart, as they import it."""

import os
import time
from multiprocessing.connection import Connection
from pathlib import Path


def tell(pipe: Connection, name: str) -> None:
    """Says who started it and what it has of the environment, and ends as it is told."""
    n_files = len(list(Path("/proc/self/fd").iterdir()))
    pipe.send((os.getppid(), os.environ.get(name), str(Path.cwd()), n_files))
    try:
        raise SystemExit(pipe.recv())
    except EOFError:
        pass


def sleep(pipe: Connection) -> None:
    """Says who it is and who started it, and does not look whether anybody is there."""
    pipe.send((os.getpid(), os.getppid()))
    time.sleep(60)
