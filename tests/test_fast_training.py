"""What training does by hand on a CPU is what PyTorch would do, and the same on any number of threads."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from policies.lstm.config import LstmConfig
from policies.lstm.recipe import LstmRecipe
from policies.models import optimizer, threads
from policies.models.codecs.base import IGNORE
from policies.models.entropy import entropy
from policies.models.fast_lstm import FastLstm
from policies.models.kernels import HAS_KERNELS
from policies.models.nets.lstm import Lstm
from policies.models.optimizer import one_cycle, optimizer_for
from policies.models.train import train

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not HAS_KERNELS, reason="as plain Python there are no kernels")


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize(
    ("fields", "layers", "lanes", "hidden", "dropout"),
    [((5,), 1, 1, 4, 0.0), ((5,), 2, 3, 6, 0.0), ((5, 3), 3, 4, 6, 0.0), ((5, 3), 2, 3, 6, 0.5)],
)
def test_scores_and_gradients_are_pytorchs(
    fields: tuple[int, ...], layers: int, lanes: int, hidden: int, dropout: float
) -> None:
    """Over two pieces, the second from where the first ended; dropout with the masks that were drawn."""
    torch.manual_seed(0)
    net = Lstm(fields, 7, embedding=6, hidden=hidden, layers=layers, dropout=dropout)
    fast = FastLstm(net, seed=3)
    rng = np.random.default_rng(1)
    state: Any = [None] * layers
    for piece in range(2):
        classes = np.stack([rng.integers(0, n, (lanes, 5)) for n in fields], axis=2)
        scores = fast.forwards(classes, goes_on=piece > 0).clone()
        x = net.embeddings(torch.from_numpy(classes)).transpose(0, 1)
        after = []
        assert fast._now is not None
        for i in range(layers):
            single = nn.LSTM(x.shape[2], hidden)
            with torch.no_grad():
                for (_, mine), theirs in zip(single.named_parameters(), net.lstm.all_weights[i], strict=True):
                    mine.copy_(theirs)
            for name, weights in zip(list(single._parameters), net.lstm.all_weights[i], strict=True):
                # The same parameters, so that gradients come to them.
                single._parameters[name] = weights
            single._flat_weights = list(net.lstm.all_weights[i])
            x, ended = single(x, state[i])
            after.append(tuple(part.detach() for part in ended))
            if dropout:
                x = x * fast._now.layers[i].mask.view(x.shape)
        state = after
        expected = net.head(x)
        torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)
        slopes = drawn(piece, *expected.shape)
        wanted = torch.autograd.grad(expected, list(net.parameters()), slopes)
        fast.backwards(slopes.reshape(-1, 7))
        for (name, _), gradient in zip(net.named_parameters(), wanted, strict=True):
            torch.testing.assert_close(fast.slopes[name], gradient, atol=2e-5, rtol=1e-4, msg=name)


def test_dropout_draws_its_share_anew() -> None:
    """Of a tenth a tenth; what is left makes up for it; the next draw is another one."""
    net = Lstm((5,), 7, embedding=64, hidden=64, layers=1, dropout=0.1)
    fast = FastLstm(net, seed=3)
    masks = []
    for _ in range(2):
        fast.forwards(np.zeros((8, 16, 1), np.int64), goes_on=False)
        assert fast._now is not None
        masks.append(fast._now.layers[0].mask.clone())
        assert (masks[-1] == 0).double().mean() == pytest.approx(0.1, abs=0.02)
        assert masks[-1].max() == pytest.approx(1 / 0.9)
    assert not torch.equal(*masks)
    # No column and no row is all there or all gone: draws do not repeat.
    assert ((masks[0] == 0).sum(dim=0) > 0).all()
    assert (masks[0] != masks[0][0]).any(dim=1)[1:].all()


@pytest.mark.parametrize("kernels", [True, False])
def test_entropy_and_ranks(monkeypatch: pytest.MonkeyPatch, kernels: bool) -> None:
    """Of two horizons of two fields each, with ties, and with targets that are none."""
    monkeypatch.setattr("policies.models.entropy.HAS_KERNELS", kernels)
    rng = np.random.default_rng(4)
    ends = [0, 5, 9, 14, 18]
    spans = {1: list(pairwise(ends))[:2], 3: list(pairwise(ends))[2:]}
    scores = torch.from_numpy(rng.integers(-3, 4, (40, 18)).astype(np.float32)).requires_grad_()
    targets = np.stack([rng.integers(0, 4, (40, 2)) for _ in range(2)], axis=1)
    targets[30:, 1], targets[35:] = IGNORE, IGNORE
    found = entropy(scores, targets, spans, (1, 3))
    heads = [(0, 0, 0, 5), (0, 1, 5, 9), (1, 0, 9, 14), (1, 1, 14, 18)]
    losses = [cross_entropy(scores[:, a:b], torch.from_numpy(targets[:, i, j].copy())) for i, j, a, b in heads]
    expected = sum(losses) / 4
    assert isinstance(expected, Tensor)
    assert found.loss == pytest.approx(float(expected.detach()), rel=1e-5)
    assert found.slopes is not None
    torch.testing.assert_close(found.slopes, torch.autograd.grad(expected, [scores])[0], atol=1e-6, rtol=1e-5)
    for n, row in enumerate(scores.detach().numpy()):
        for j, (a, b) in enumerate(spans[1]):
            right = targets[n, 0, j]
            order = sorted(range(b - a), key=lambda c: (-row[a + c], c))
            assert found.ranks[n, j] == (-1 if right == IGNORE else order.index(right))


def test_the_cycle_is_pytorchs() -> None:
    """And it stays at its end."""
    weights = nn.Parameter(torch.zeros(1))
    theirs = torch.optim.AdamW([weights], lr=1.0, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(theirs, 0.02, total_steps=37)
    for step in range(37):
        rate, momentum = one_cycle(step, 37, 0.02)
        group = theirs.param_groups[0]
        assert (rate, momentum) == pytest.approx((group["lr"], group["betas"][0]), rel=1e-9)
        theirs.step()
        if step < 36:
            schedule.step()
    assert one_cycle(50, 37, 0.02) == one_cycle(36, 37, 0.02)


def test_the_optimizer_is_pytorchs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some gradients are longer than the norm allows, one parameter has none for a while."""
    config = LstmConfig.model_validate({"kind": "lstm", "weight_decay": 0.1, "clip_norm": 2.0})
    nets = []
    for kernels in (True, False):
        monkeypatch.setattr(optimizer, "HAS_KERNELS", kernels)
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        moves = optimizer_for(net, config)
        for step in range(6):
            slopes: list[Tensor | None] = [
                drawn(10 * step + i, *weights.shape) * 2**step / 8 for i, weights in enumerate(net.parameters())
            ]
            if step < 3:
                slopes[2] = None
            moves.step(slopes, *one_cycle(step, 6, 0.1))
        nets.append(net)
    for one, two in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-5)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One, two or three: the same weights to the bit; batches that are not divided evenly among them."""
    keys = np.random.default_rng(2).integers(0, 50, 33 * 20 * 8).astype(np.uint64)
    settings = LstmConfig.model_validate(
        {"kind": "lstm", "hidden": 16, "embedding": 16, "epochs": 1, "window": 8, "batch_size": 20}
    )
    found, pools = [], []

    class Pool(ThreadPoolExecutor):
        def __init__(self, n: int, **settings: Any) -> None:
            pools.append(n)
            super().__init__(n, **settings)

    monkeypatch.setattr("policies.models.parts.ThreadPoolExecutor", Pool)
    for n in (1, 2, 3):
        monkeypatch.setattr("policies.models.parts.n_threads", lambda n=n: n)
        found.append(train([keys], LstmRecipe(settings), 5, CPU).model.state_dict())
    assert pools == [2, 3]
    for other in found[1:]:
        assert all(torch.equal(weights, other[name]) for name, weights in found[0].items())


def test_cores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores among three processes: two threads each; never none."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "_n_beside", 1)
    assert threads.n_threads() == 8
    threads.share_cores(3)
    assert threads.n_threads() == 2
    threads.share_cores(20)
    assert threads.n_threads() == 1
