"""One kernel from the classes of new accesses to the best classes: a program (CTA) for each stream that asks.

What each program is to do it is told by an order, a row of int64 (``fused_layout``). H is the hidden size and C the
classes of all fields, both rounded up to a multiple of 16, with zeros in the padding: they stay zeros. HP and the like
are powers of two, what Triton's blocks must be; what lies between is masked.

A state is (2, layers, H): outputs, then cells. Threads of a block share no variables but through memory, so what one
reads and another writes has a barrier between; nothing here is an atomic, and sums are in the same order each time.
"""

import triton
import triton.language as tl

from policies.lstm.backends import fused_layout as layout

STATE, ACCESSES, WANTED = tl.constexpr(layout.STATE), tl.constexpr(layout.ACCESSES), tl.constexpr(layout.WANTED)
INVERSE_TEMPERATURE, IS_NEW = tl.constexpr(layout.INVERSE_TEMPERATURE), tl.constexpr(layout.IS_NEW)
HEADER = tl.constexpr(layout.HEADER)
_NO_CLASS = tl.constexpr(2**30)


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _tanh(x):
    return 2.0 * _sigmoid(2.0 * x) - 1.0


@triton.jit
def _add_row(gates, row, H: tl.constexpr, HP: tl.constexpr):
    """The four gates (HP,) += a row (4, H)."""
    i, f, g, o = gates
    j = tl.arange(0, HP)
    i += tl.load(row + j, mask=j < H, other=0.0)
    f += tl.load(row + H + j, mask=j < H, other=0.0)
    g += tl.load(row + 2 * H + j, mask=j < H, other=0.0)
    o += tl.load(row + 3 * H + j, mask=j < H, other=0.0)
    return i, f, g, o


@triton.jit
def _add_product(gates, x, weights, H: tl.constexpr, HP: tl.constexpr, ROWS: tl.constexpr):
    """The four gates (HP,) += x (H,) @ weights (H, 4, H), ROWS at a time; summed over rows once, at the end."""
    i, f, g, o = gates
    k, j = tl.arange(0, ROWS), tl.arange(0, HP)
    of_i = tl.zeros((ROWS, HP), tl.float32)
    of_f, of_g, of_o = of_i, of_i, of_i
    for first in range(0, H, ROWS):
        row = first + k
        y = tl.load(x + row, mask=row < H, other=0.0)[:, None]
        at = weights + row[:, None] * (4 * H) + j[None, :]
        inside = (row < H)[:, None] & (j < H)[None, :]
        of_i += y * tl.load(at, mask=inside, other=0.0)
        of_f += y * tl.load(at + H, mask=inside, other=0.0)
        of_g += y * tl.load(at + 2 * H, mask=inside, other=0.0)
        of_o += y * tl.load(at + 3 * H, mask=inside, other=0.0)
    return i + tl.sum(of_i, axis=0), f + tl.sum(of_f, axis=0), g + tl.sum(of_g, axis=0), o + tl.sum(of_o, axis=0)


@triton.jit
def _choose(scores, classes, confidences, wanted, inverse_temperature, WIDTH: tl.constexpr, TILE: tl.constexpr):
    """The best classes but class 0 of one field (WIDTH,), with their softmax probabilities; as ``top.best`` has it."""
    t = tl.arange(0, TILE)
    highest = -float("inf")
    for first in range(0, WIDTH, TILE):
        q = first + t
        highest = tl.maximum(highest, tl.max(tl.load(scores + q, mask=q < WIDTH, other=-float("inf")), axis=0))
    total = 0.0
    for first in range(0, WIDTH, TILE):
        q = first + t
        score = tl.load(scores + q, mask=q < WIDTH, other=-float("inf"))
        total += tl.sum(tl.exp((score - highest) * inverse_temperature), axis=0)
    before, before_class = float("inf"), 0
    for place in range(wanted):
        best, best_class = -float("inf"), _NO_CLASS
        for first in range(0, WIDTH, TILE):
            q = first + t
            score = tl.load(scores + q, mask=q < WIDTH, other=-float("inf"))
            # Ranked by (score, class): among equals the smaller class comes first.
            is_next = (q > 0) & (q < WIDTH) & ((score < before) | ((score == before) & (q > before_class)))
            score = tl.where(is_next, score, -float("inf"))
            in_tile, at = tl.max(score, axis=0, return_indices=True, return_indices_tie_break_left=True)
            best_class = tl.where(in_tile > best, first + at, best_class)
            best = tl.maximum(best, in_tile)
        tl.store(classes + place, best_class)
        tl.store(confidences + place, tl.exp((best - highest) * inverse_temperature) / total)
        before, before_class = best, best_class


@triton.jit
def answer(
    orders_ptr, kept_ptr, first_ptr, inner_ptr, bias_ptr, head_ptr, head_bias_ptr, scores_ptr, classes_ptr,
    confidences_ptr,
    LAYERS: tl.constexpr, IN_FIELDS: tl.constexpr, WIDTHS: tl.constexpr, H: tl.constexpr, C: tl.constexpr,
    ORDER: tl.constexpr, MOST: tl.constexpr, HP: tl.constexpr, ROWS: tl.constexpr, HEAD_ROWS: tl.constexpr,
    HEAD_TILE: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Orders (B, ORDER) -> scores (B, C), classes and confidences (B, fields, MOST).

    Orders, classes and confidences lie on the host, all else on the device: ``kept_ptr`` (B, ORDER), where orders are
    kept; ``first_ptr``, the rows (4, H) of the first layer's input products; ``inner_ptr`` (layers, 2, H, 4, H), the
    weights of lower output and own state; ``bias_ptr`` (layers, 4, H); ``head_ptr`` (H, C). ROWS of the H rows are
    multiplied at a time; HEAD_ROWS of them, by HEAD_TILE columns, in the head.
    """
    program = tl.program_id(0)
    m = tl.arange(0, ORDER)
    order = kept_ptr + program * ORDER
    # Once over the bus.
    tl.store(order + m, tl.load(orders_ptr + program * ORDER + m))
    tl.debug_barrier()
    n_accesses = tl.load(order + ACCESSES)
    if n_accesses == 0:
        return
    outputs = tl.load(order + STATE).to(tl.pointer_type(tl.float32))
    cells = outputs + LAYERS * H
    j = tl.arange(0, HP)
    if tl.load(order + IS_NEW) != 0:
        nothing = tl.zeros((HP,), tl.float32)
        for part in tl.static_range(2 * LAYERS):
            tl.store(outputs + part * H + j, nothing, mask=j < H)
        tl.debug_barrier()
    for access in range(n_accesses):
        for layer in tl.static_range(LAYERS):
            nothing = tl.zeros((HP,), tl.float32)
            gates = _add_row((nothing, nothing, nothing, nothing), bias_ptr + layer * 4 * H, H, HP)
            if layer == 0:
                for field in tl.static_range(IN_FIELDS):
                    row = tl.load(order + HEADER + access * IN_FIELDS + field)
                    gates = _add_row(gates, first_ptr + row * (4 * H), H, HP)
            else:
                lower = inner_ptr + layer * 2 * (4 * H * H)
                gates = _add_product(gates, outputs + (layer - 1) * H, lower, H, HP, ROWS)
            own = inner_ptr + (layer * 2 + 1) * (4 * H * H)
            i, f, g, o = _add_product(gates, outputs + layer * H, own, H, HP, ROWS)
            cell = tl.load(cells + layer * H + j, mask=j < H, other=0.0)
            cell = _sigmoid(f) * cell + _sigmoid(i) * _tanh(g)
            # All have read what is written now, and what was written is there before it is read.
            tl.debug_barrier()
            tl.store(cells + layer * H + j, cell, mask=j < H)
            tl.store(outputs + layer * H + j, _sigmoid(o) * _tanh(cell), mask=j < H)
            tl.debug_barrier()
    wanted = tl.load(order + WANTED)
    if wanted < 0:
        return
    top = outputs + (LAYERS - 1) * H
    scores = scores_ptr + program * C
    k, q = tl.arange(0, HEAD_ROWS), tl.arange(0, HEAD_TILE)
    for first in range(0, C, HEAD_TILE):
        column = first + q
        tile = tl.zeros((HEAD_ROWS, HEAD_TILE), tl.float32)
        for first_row in range(0, H, HEAD_ROWS):
            row = first_row + k
            y = tl.load(top + row, mask=row < H, other=0.0)[:, None]
            inside = (row < H)[:, None] & (column < C)[None, :]
            tile += y * tl.load(head_ptr + row[:, None] * C + column[None, :], mask=inside, other=0.0)
        bias = tl.load(head_bias_ptr + column, mask=column < C, other=0.0)
        tl.store(scores + column, bias + tl.sum(tile, axis=0), mask=column < C)
    tl.debug_barrier()
    inverse_temperature = tl.load(order + INVERSE_TEMPERATURE).to(tl.int32).to(tl.float32, bitcast=True)
    for field in tl.static_range(len(WIDTHS)):
        at = (program * len(WIDTHS) + field) * MOST
        _choose(scores, classes_ptr + at, confidences_ptr + at, wanted, inverse_temperature, WIDTHS[field], TILE)
        scores += WIDTHS[field]
