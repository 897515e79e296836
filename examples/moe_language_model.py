"""The routing of a language model with experts, recorded: trained here, on the sources of Python's standard library.

A small one, in minutes on a CPU: four layers, eight experts in each, two of them a token, bytes for tokens. It learns
how code looks, and its routers learn to divide tokens among experts; it is no stand-in for a large model.
"""

import argparse
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import tierfetch

WIDTH, HEADS, LAYERS, EXPERTS, TOP_K, CONTEXT, PROMPT = 128, 4, 4, 8, 2, 256, 64


class Mixture(nn.Module):
    """Experts, of which each token goes through two; ``balance`` is the last call's loss by Fedus et al. (2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)) for _ in range(EXPERTS)
        )
        self.chosen = self.balance = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:  # (B, T, WIDTH)
        """Each token's two, weighted."""
        flat = x.reshape(-1, WIDTH)
        shares = self.gate(flat).softmax(-1)
        weights, self.chosen = shares.topk(TOP_K, dim=-1)  # (B T, TOP_K)
        weights = weights / weights.sum(-1, keepdim=True)
        used = F.one_hot(self.chosen, EXPERTS).sum(1).float().mean(0) / TOP_K
        self.balance = EXPERTS * (used * shares.mean(0)).sum()
        out = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            token, place = (self.chosen == number).nonzero(as_tuple=True)
            if len(token):
                out = out.index_add(0, token, expert(flat[token]) * weights[token, place, None])
        return out.view_as(x)


class Layer(nn.Module):
    """Attention, then experts. ``past`` has the keys and values of the tokens before, while text is generated."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mixture = Mixture()
        self.past: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor, keep: bool) -> Tensor:
        """With ``keep`` what comes next sees these tokens."""
        q, k, v = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.qkv(self.norms[0](x)).chunk(3, dim=-1)
        )  # (B, HEADS, T, WIDTH / HEADS)
        if self.past is not None:
            k, v = torch.cat([self.past[0], k], dim=2), torch.cat([self.past[1], v], dim=2)
        if keep:
            self.past = k, v
        # One token sees all before it, several at once see those before each.
        found = F.scaled_dot_product_attention(q, k, v, is_causal=q.shape[2] > 1)
        x = x + self.out(found.transpose(1, 2).flatten(2))
        return x + self.mixture(self.norms[1](x))


class LanguageModel(nn.Module):
    """Bytes in, scores of the next byte out."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(256, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 256))

    def forward(self, tokens: Tensor, first: int = 0, keep: bool = False) -> Tensor:  # (B, T) -> (B, T, 256)
        """``first`` is the place of the first token."""
        x = self.tokens(tokens) + self.places(torch.arange(first, first + tokens.shape[1]))
        for layer in self.layers:
            x = layer(x, keep)
        out: Tensor = self.head(x)
        return out

    def generate(self, prompts: Tensor) -> Iterator[Tensor]:  # (B, PROMPT), then (B,) again and again
        """Text for several requests side by side, a token of each at a time, until the context is full."""
        for layer in self.layers:
            layer.past = None
        scores = self(prompts, keep=True)[:, -1]
        for place in range(prompts.shape[1], CONTEXT):
            tokens = (scores / 0.8).softmax(-1).multinomial(1)
            scores = self(tokens, place, keep=True)[:, -1]
            yield tokens[:, 0]


def text(most_bytes: int = 6_000_000) -> Tensor:
    """Sources of the standard library, one after another."""
    found = bytearray()
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        found += path.read_bytes()
    return torch.tensor(list(found[:most_bytes]))


def train(model: LanguageModel, data: Tensor, steps: int, batch: int = 8) -> float:
    """By AdamW; gives the loss of the last tenth, in nats a byte."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    start, losses, length = time.monotonic(), [], CONTEXT // 2
    for step in range(steps):
        at = torch.randint(len(data) - length - 1, (batch, 1)) + torch.arange(length + 1)
        tokens = data[at]
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        balance = torch.stack([layer.mixture.balance for layer in model.layers]).mean()
        optimizer.zero_grad()
        (loss + 0.01 * balance).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % max(steps // 10, 1) == 0:
            print(f"step {step + 1}: {losses[-1]:.2f} nats a byte, {time.monotonic() - start:.0f} s", flush=True)
    return sum(losses[-max(steps // 10, 1) :]) / max(steps // 10, 1)


@torch.no_grad()
def record(model: LanguageModel, data: Tensor, out: Path, rounds: int, batch: int) -> list[float]:
    """Generate text and record which experts it takes; gives each layer's persistence.

    That is how often a token's first expert is the one of the token before it.
    """
    same, n_pairs = torch.zeros(LAYERS), 0
    with tierfetch.Recorder(out, force=True) as r:
        for number, layer in enumerate(model.layers):
            # What the requests of a batch need of a layer is needed at once, and once for all of them.
            r.experts(layer.mixture.gate, top_k=TOP_K, layer=number, expert=layer.mixture.experts[0], distinct=True)
        for _ in range(rounds):
            at = torch.randint(len(data) - PROMPT, (batch, 1)) + torch.arange(PROMPT)
            before: Tensor | None = None
            for _ in model.generate(data[at]):
                first = torch.stack([layer.mixture.chosen[:, 0] for layer in model.layers])  # (LAYERS, B)
                if before is not None:
                    same += (first == before).float().sum(1)
                    n_pairs += batch
                before = first
    print(f"{out}: {sum(space.n_accesses for space in r.spaces):,} accesses to experts of {LAYERS} layers")
    return (same / n_pairs).tolist()


def main(
    out: str = "moe.parquet", steps: int = 400, seed: int = 0, rounds: int = 24, batch: int = 2
) -> tuple[float, list[float]]:
    """Train, record, say what came out: the loss, and the persistence of each layer."""
    torch.manual_seed(seed)
    # All operations are small: a second thread would mostly wait, busily.
    torch.set_num_threads(1)
    model, data = LanguageModel(), text()
    n_train = len(data) * 9 // 10
    loss = train(model.train(), data[:n_train], steps)
    found = record(model.eval(), data[n_train:], Path(out), rounds, batch)
    said = ", ".join(f"{share:.3f}" for share in found)
    print(f"first expert as of the token before, by layer: {said} (chance: {1 / EXPERTS:.3f})")
    return loss, found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="moe.parquet", help="the trace to write")
    parser.add_argument("--steps", type=int, default=400, help="of training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=24, help="of generating text")
    parser.add_argument("--batch", type=int, default=2, help="requests side by side")
    main(**vars(parser.parse_args()))
