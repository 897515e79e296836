"""The rows that a click model looks up, recorded: a small one in the manner of DLRM, trained here on generated clicks.

Users have interests: each likes the items of one cluster, the popular ones most, and comes again after a while with
what was seen meanwhile in the history. How often users come and items are seen follows Zipf's law (Naumov et al., 2019,
has the model). Clicks are made up, so what is learned says nothing of real ones; which rows are asked for is what a
model of that form asks for.
"""

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import tierfetch

USERS, ITEMS, CLUSTERS, SEEN, WIDTH = 2_000, 20_000, 100, 8, 32


class ClickModel(nn.Module):
    """Rows of user, item and history, and how they go together: dot products of all pairs, then an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(USERS, WIDTH), nn.Embedding(ITEMS, WIDTH)
        self.history = nn.EmbeddingBag(ITEMS, WIDTH, mode="mean")
        self.bottom = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, WIDTH), nn.ReLU())
        self.top = nn.Sequential(nn.Linear(6 + WIDTH, 64), nn.ReLU(), nn.Linear(64, 1))
        for table in (self.user, self.item, self.history):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, user: Tensor, item: Tensor, seen: Tensor, offsets: Tensor, dense: Tensor) -> Tensor:
        """Scores, the higher the likelier a click."""
        low = self.bottom(dense)
        rows = torch.stack([low, self.user(user), self.item(item), self.history(seen, offsets)], dim=1)  # (B, 4, WIDTH)
        first, second = torch.triu_indices(4, 4, 1)
        pairs = (rows @ rows.transpose(1, 2))[:, first, second]  # (B, 6)
        out: Tensor = self.top(torch.cat([pairs, low], dim=1))[:, 0]
        return out


class Clicks:
    """Who comes, what is shown and whether it is clicked, batch by batch; histories go on from one to the next."""

    def __init__(self, seed: int) -> None:
        self._rng = torch.Generator().manual_seed(seed)
        of_cluster = ITEMS // CLUSTERS
        # Items of a cluster are not neighbours in the table.
        self._items = torch.randperm(ITEMS, generator=self._rng).view(CLUSTERS, of_cluster)
        self._likes = torch.randint(CLUSTERS, (USERS,), generator=self._rng)
        self._popularity = 1 / torch.arange(1, of_cluster + 1).float()
        self._comes = 1 / torch.arange(1, USERS + 1).float() ** 0.8
        self._seen = self._draw(self._likes[:, None].expand(-1, SEEN).flatten()).view(USERS, SEEN)

    def _draw(self, clusters: Tensor) -> Tensor:
        places = self._popularity.multinomial(len(clusters), replacement=True, generator=self._rng)
        return self._items[clusters, places]

    def batch(self, n: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """What the model is given, and the clicks."""
        user = self._comes.multinomial(n, replacement=False, generator=self._rng)
        is_liked = torch.rand(n, generator=self._rng) < 0.5
        cluster = torch.where(is_liked, self._likes[user], torch.randint(CLUSTERS, (n,), generator=self._rng))
        item, dense = self._draw(cluster), torch.randn(n, 2, generator=self._rng)
        chance = torch.sigmoid(3.0 * is_liked - 2.0 + dense[:, 0])
        seen, offsets = self._seen[user].flatten(), torch.arange(n) * SEEN
        self._seen[user] = torch.cat([self._seen[user][:, 1:], item[:, None]], dim=1)
        clicks = (torch.rand(n, generator=self._rng) < chance).float()
        return (user, item, seen, offsets, dense), clicks


def train(model: ClickModel, clicks: Clicks, steps: int, batch: int = 256) -> float:
    """By Adam; gives the share of pairs of new samples, one clicked and one not, that it ranks right (AUC)."""
    optimizer, start = torch.optim.Adam(model.parameters(), lr=3e-3), time.monotonic()
    for step in range(steps):
        given, is_clicked = clicks.batch(batch)
        loss = F.binary_cross_entropy_with_logits(model(*given), is_clicked)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % max(steps // 10, 1) == 0:
            print(f"step {step + 1}: loss {loss.item():.3f}, {time.monotonic() - start:.0f} s", flush=True)
    with torch.no_grad():
        given, is_clicked = clicks.batch(USERS // 2)
        scores = model(*given)
    pairs = scores[is_clicked == 1][:, None] - scores[is_clicked == 0]
    return float((pairs > 0).float().mean() + (pairs == 0).float().mean() / 2)


@torch.no_grad()
def record(model: ClickModel, clicks: Clicks, out: Path, requests: int, batch: int) -> None:
    """Serve requests and record their rows: what a request asks of all tables is asked for at once."""
    with tierfetch.Recorder(out, force=True) as r:
        r.embeddings(model)
        for number in range(requests):
            given, _ = clicks.batch(batch)
            with r.request(number):
                model(*given)
    for space in r.spaces:
        print(f"{out}: {space.n_accesses:,} accesses to {space.n_ids:,} rows of {space.id_bytes} bytes ({space.name})")


def main(out: str = "clicks.parquet", steps: int = 1500, seed: int = 0, requests: int = 2000, batch: int = 2) -> float:
    """Train, record, say what came out: the share of pairs that are ranked right."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    model, clicks = ClickModel(), Clicks(seed)
    found = train(model, clicks, steps)
    print(f"pairs ranked right: {found:.3f} (chance: 0.500)")
    record(model.eval(), clicks, Path(out), requests, batch)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="clicks.parquet", help="the trace to write")
    parser.add_argument("--steps", type=int, default=1500, help="of training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--requests", type=int, default=2000, help="to serve and record")
    parser.add_argument("--batch", type=int, default=2, help="samples of a request")
    main(**vars(parser.parse_args()))
