"""The exponential function of many numbers at once, compiled."""

import numpy as np
import numpy.typing as npt

from policies.models.codecs.base import Floats
from simulator.compiled import vectorised

_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_LIMIT = np.float32(87.0)


@vectorised
def exps(x: Floats, powers: npt.NDArray[np.int32]) -> None:
    """exp(x) in place, to about 2e-7, of x cut off at -87 and 87; ``powers`` is scratch space of the same length.

    Cephes' expf (2**k times a polynomial), written in two loops that become vector instructions; the mathematical
    library's would be called for each element. What is no number stays none.
    """
    n = len(x)
    for i in range(n):
        y = min(max(x[i], -_LIMIT), _LIMIT)
        k = np.floor(y * _LOG2_E + np.float32(0.5))
        r = y - k * _LN2_HIGH - k * _LN2_LOW
        p = np.float32(1.9875691500e-4)
        p = p * r + np.float32(1.3981999507e-3)
        p = p * r + np.float32(8.3334519073e-3)
        p = p * r + np.float32(4.1665795894e-2)
        p = p * r + np.float32(1.6666665459e-1)
        p = p * r + np.float32(5.0000001201e-1)
        x[i] = p * r * r + r + np.float32(1) if x[i] == x[i] else np.float32(np.nan)
        powers[i] = (np.int32(k) + np.int32(127)) << np.int32(23)
    two_to_k = powers.view(np.float32)
    for i in range(n):
        x[i] *= two_to_k[i]
