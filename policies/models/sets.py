"""``target: set``: what is read within the next accesses, whichever comes first; each class is right or not by itself.

The access that comes next depends on how streams interleave, and an answer that comes late is of no use to it; of what
is needed soon both are true to a lesser degree. So the network learns for each class whether it is among what comes
(binary cross-entropy of a sigmoid each), and its confidences need not share a sum of 1.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import softplus

from policies.models.calibration import LOG_RANGE, Calibration, Scores, ece_of
from policies.models.codecs.base import IGNORE, UNKNOWN, Classes
from policies.models.controls import Right, Standing, beside, constant
from policies.models.lanes import Encoded
from policies.models.network import Network
from policies.models.schedule import Schedule
from policies.models.scoring import scored, tensor

BEST = 5
"""So many best classes of an access are judged: their precision, their calibration."""
Guesses = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


def loss_of(scores: Tensor, wanted: Tensor) -> Tensor:
    """Mean over accesses of the binary cross-entropies' sum: scores (..., C), classes of the set (..., W).

    UNKNOWN fills a set up and is no class of it. A row of IGNORE is left out.
    """
    kept = wanted[..., 0] != IGNORE
    scores, wanted = scores[kept], wanted[kept]
    # All as if none came, and then what that is wrong by: the same as with zeros and ones, which are never made.
    none = softplus(scores[:, 1:]).sum()
    came = (scores.gather(1, wanted) * (wanted != UNKNOWN)).sum()
    return (none - came) / max(len(scores), 1)


def entropy_of_sets(
    scores: Tensor, targets: Classes, heads: Sequence[tuple[int, int]]
) -> tuple[float, Tensor | None, tuple[int, int, float]]:
    """The mean of ``loss_of`` over heads, its gradients (N, C), and ``right_of`` the first: targets (N, heads, W).

    Scores that are only looked at (of ``torch.inference_mode``) have no gradients.
    """
    wanted = tensor(targets, scores.device)
    # By itself: who trains by hand made no graph, and who did goes on from these gradients.
    leaf = scores if scores.is_inference() else scores.detach().requires_grad_()
    with torch.set_grad_enabled(leaf.requires_grad):
        total = leaf.new_zeros(())
        for i, (first, end) in enumerate(heads):
            total = total + loss_of(leaf[:, first:end], wanted[:, i])
        loss = total / len(heads)
        slopes = torch.autograd.grad(loss, [leaf])[0] if leaf.requires_grad else None
    first, end = heads[0]
    return float(loss.detach()), slopes, right_of(leaf.detach()[:, first:end], wanted[:, 0])


def right_of(scores: Tensor, wanted: Tensor) -> tuple[int, int, float]:
    """Accesses with a set, how many of their best classes are in it, and the sum of the precisions of the best five."""
    kept = wanted[..., 0] != IGNORE
    scores, wanted = scores[kept][:, 1:], wanted[kept]
    if not len(scores) or not scores.shape[1]:
        return len(scores), 0, 0.0
    found = scores.topk(min(BEST, scores.shape[1]), dim=-1).indices + 1
    is_in = (found[:, :, None] == wanted[:, None, :]).any(dim=-1)
    return len(scores), int(is_in[:, 0].sum()), float(is_in.sum()) / BEST


def calibrate_set(scores: Scores, sets: Classes) -> Calibration:
    """As ``calibrate``: scores (n, C), sets (n, W). From the five best classes of each access: those are used."""
    kept = sets[:, 0] != IGNORE
    scores, sets = scores[kept], sets[kept]
    if len(sets) < 50 or scores.shape[1] < 2:
        return Calibration()
    best = _best_of(torch.from_numpy(np.ascontiguousarray(scores)))
    found = np.take_along_axis(scores, best, axis=1).astype(np.float64).reshape(-1)
    came = _is_in(best, sets).reshape(-1)

    def loss(log_temperature: float) -> float:
        scaled = found * np.exp(-log_temperature)
        return float((np.logaddexp(0, scaled) - scaled * came).mean())

    temperature = float(np.exp(minimize_scalar(loss, bounds=LOG_RANGE, method="bounded", options={"xatol": 1e-4}).x))
    before, after = (ece_of(1 / (1 + np.exp(-found / t)), came) for t in (1.0, temperature))
    return Calibration(temperature, before, after)


def _best_of(scores: Tensor) -> Guesses:
    """The five best known classes of each row (n, up to 5)."""
    known = scores[:, 1:]
    found: Guesses = known.topk(min(BEST, known.shape[1]), dim=-1).indices.cpu().numpy() + 1
    return found


def _is_in(classes: Guesses, sets: Classes) -> npt.NDArray[np.bool_]:
    """Of each guess (n, k) whether it is in the set (n, W) of its row."""
    found: npt.NDArray[np.bool_] = (classes[:, :, None] == sets[:, None, :]).any(axis=2)
    return found


def surest(classes: Guesses, sure: Shares, sets: Classes) -> float:
    """The share that comes of the surest guesses, as many as accesses: classes (n, 5), how sure (n, 5), sets (n, W).

    So who knows when nothing is to be known may keep quiet, and guess more often where much is.
    """
    n = len(sets)
    if not n:
        return 0.0
    chosen = np.argsort(np.where(classes == UNKNOWN, -1.0, sure).reshape(-1), kind="stable")[::-1][:n]
    return float((_is_in(classes, sets) & (classes != UNKNOWN)).reshape(-1)[chosen].mean())


def set_controls(fit: Sequence[Encoded], validation: Sequence[Encoded], head: int) -> tuple[Right, Right]:
    """Blind ones and a table: the classes that came most often, of all and after each class, and how often each did."""
    before, sets = _rows(fit, head)
    seen, wanted = _rows(validation, head)
    blind, tables = "the commonest set", "a Markov table of sets"
    if not len(wanted):
        return {blind: 0.0}, {}
    # Rows of classes as one number each: the same of the two parts.
    codes = np.unique(np.concatenate([before, seen]), axis=0, return_inverse=True)[1].reshape(-1)
    learned, asked = codes[: len(before)], codes[len(before) :]
    guesses: Guesses = np.zeros((len(asked), BEST), np.int64)
    sure: Shares = np.zeros((len(asked), BEST))
    for code in np.unique(asked).tolist():
        guesses[asked == code], sure[asked == code] = _commonest(sets[learned == code])
    most, share = _commonest(sets)
    shape = len(wanted), 1
    return {blind: surest(np.tile(most, shape), np.tile(share, shape), wanted)}, {tables: surest(guesses, sure, wanted)}


def _rows(streams: Sequence[Encoded], head: int) -> tuple[Classes, Classes]:
    """Inputs (n, fields) and the set after each (n, W)."""
    if not streams:
        return np.empty((0, 1), np.int64), np.empty((0, 1), np.int64)
    sets = np.concatenate([stream.targets[:, head] for stream in streams])
    kept = sets[:, 0] != IGNORE
    return np.concatenate([stream.inputs for stream in streams])[kept], sets[kept]


def _commonest(sets: Classes) -> tuple[Guesses, Shares]:
    """The five classes (5,) that are in most sets, of equals the smaller, UNKNOWN where there are less; their shares.

    Of one access more than there are, in whose set they are not: what came once of once is not sure.
    """
    classes, counts = np.unique(sets[sets != UNKNOWN], return_counts=True)
    best = np.lexsort((classes, -counts))[:BEST]
    found, shares = np.zeros(BEST, np.int64), np.zeros(BEST)
    found[: len(best)], shares[: len(best)] = classes[best], counts[best] / (len(sets) + 1)
    return found, shares


def set_standing_of(
    model: Network, encoded: tuple[Sequence[Encoded], Sequence[Encoded]], config: Schedule, head: int,
    device: torch.device,
) -> Standing | None:  # fmt: skip
    """As ``standing_of``, by the surest guesses, as many as accesses, of the five best classes of each."""
    ((first, end),) = model.spans[config.horizons[head]]
    best, sure, wanted = [], [], []
    for scores, targets in scored(model, encoded[1], config, device):
        sets = targets[:, head]
        kept = np.flatnonzero(sets[:, 0] != IGNORE)
        found = scores[torch.from_numpy(kept).to(scores.device), first:end]
        if found.shape[1] > 1:
            best.append(_best_of(found))
            sure.append(np.take_along_axis(torch.sigmoid(found).cpu().numpy(), best[-1], axis=1))
            wanted.append(sets[kept])
    if not sum(len(part) for part in wanted):
        return None
    guessed, confidences = np.concatenate(best), np.concatenate(sure)
    named = surest(guessed, confidences, np.concatenate(wanted))
    return beside(named, *set_controls(*encoded, head), is_constant=constant(guessed, confidences[:, 0]))
