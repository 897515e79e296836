"""Where prefetched blocks enter a tier, by name; the position is the number that compiled code branches on."""

from typing import Literal, get_args

EntersName = Literal["front", "middle", "back", "region"]
ENTERS_NAMES: tuple[str, ...] = get_args(EntersName)
FRONT, MIDDLE, BACK, REGION = range(len(ENTERS_NAMES))
