"""``--cluster``: which one, without a look at it."""

import re
import socket
from typing import NamedTuple

from simulator.errors import InputError

LOCAL, AUTO = "ray", "auto"
_TIMEOUT_S = 5.0
_PLACE = re.compile(r"(ray://)?(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


class Address(NamedTuple):
    """Ray on this machine alone (``ray``), the one that runs here (``auto``), or one at a host and a port."""

    text: str
    host: str = ""
    port: int = 0

    @property
    def is_local(self) -> bool:
        """Whether it is started here, for this command."""
        return self.text == LOCAL

    @property
    def is_client(self) -> bool:
        """Whether this machine is none of the cluster's."""
        return self.text.startswith("ray://")

    def check(self) -> None:
        """Somebody listens there. Raises InputError if not: Ray would try again for minutes."""
        if not self.host:
            return
        try:
            socket.create_connection((self.host, self.port), _TIMEOUT_S).close()
        except OSError as error:
            raise InputError(
                f"--cluster {self.text}: cannot be reached ({error.strerror or error}); expected the address of a "
                "running Ray, as ray start --head prints it"
            ) from None


def parse(text: str) -> Address:
    """The address that is said. Raises InputError if it is none."""
    if text in (LOCAL, AUTO):
        return Address(text)
    found = _PLACE.fullmatch(text)
    if found is None or not 0 < int(found[3]) < 1 << 16:
        raise InputError(f"--cluster {text}: expected ray (on this machine), auto, ray://HOST:PORT or HOST:PORT")
    return Address(text, found[2].strip("[]"), int(found[3]))
