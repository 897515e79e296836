"""Where training starts from: scores that say at once how frequent each class is.

From zero biases the first epochs go into that alone, at a learning rate that is rising meanwhile; on traces of a few
thousand accesses they were most of the training, and what follows on what was hardly learned (docs/log.md).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from policies.models.codecs.base import IGNORE
from policies.models.lanes import Encoded
from policies.models.network import Network
from policies.models.schedule import Schedule
from policies.models.wanted import shares_of

_OURS = "policies."


def start_at_frequencies(model: Network, fit: Sequence[Encoded], config: Schedule) -> None:
    """Set the biases of the last layer, of a network that comes with it, to the logarithms of the classes' shares.

    Anybody's own network starts as it was made.
    """
    head = getattr(model.bare, "head", None)
    if not isinstance(head, nn.Linear) or not type(model.bare).__module__.startswith(_OURS):
        return
    targets = np.concatenate([stream.targets for stream in fit])
    with torch.no_grad():
        for i, horizon in enumerate(config.horizons):
            for j, (first, end) in enumerate(model.spans[horizon]):
                if config.target == "set":
                    shares = shares_of(targets[:, i], end - first)
                    head.bias[first:end] = torch.from_numpy(np.log(shares / (1 - shares))).to(head.bias)
                    continue
                wanted = targets[:, i, j]
                # Half a target more of each: what never was is not impossible.
                counts = np.bincount(wanted[wanted != IGNORE], minlength=end - first) + 0.5
                head.bias[first:end] = torch.from_numpy(np.log(counts / counts.sum())).to(head.bias)
