"""What Python does beside a run by itself, kept from what is timed."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SWITCH_EVERY_S = 200e-6


@contextmanager
def quietly() -> Iterator[None]:
    """Threads take turns often, and what lives before is not looked through for garbage meanwhile.

    One look through all of it keeps every thread waiting: a tenth of a second with the packages of a run alone.
    """
    gc.collect()
    gc.freeze()
    try:
        with _switching_often():
            yield
    finally:
        gc.unfreeze()


@contextmanager
def _switching_often() -> Iterator[None]:
    """A thread that wants Python's lock gets it soon, but not so soon that who reads loses it before the read begins.

    By default one that computes keeps it for 5 ms, and a client that has its block would wait so long for the policy,
    or for who shows progress. To hand it over wakes a thread, 50 to 90 us on a virtual machine.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_EVERY_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
