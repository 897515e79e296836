"""Which experts of a mixture each token was sent to, layer by layer."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from simulator.errors import InputError
from workloads.readers.json_table import JsonTable, Record
from workloads.readers.layout import Layout
from workloads.readers.peek import first_record
from workloads.readers.raw import RawTable
from workloads.readers.row_format import Preset, PresetFormat

_LAYERS = ("layer_idx", "layer", "layer_id")
_EXPERTS = ("selected_ids", "topk_ids", "topk_experts", "selected_experts", "expert_ids")
_TOKENS = ("token_idx", "token", "token_id")
_SESSIONS = ("req_id", "request_id")


def _one_of(names: Sequence[str], record: Any) -> str | None:
    return next((name for name in names if name in record), None)


def _routes() -> Callable[[Record], list[Record]]:
    """Rows of a token and a layer each, of any of the shapes; what is said of the model has none."""

    def routes(record: Record) -> list[Record]:
        if record.get("type", "route") != "route":
            return []
        layer, experts = _one_of(_LAYERS, record), _one_of(_EXPERTS, record)
        token, session = _one_of(_TOKENS, record), _one_of(_SESSIONS, record)
        made = {
            "layer": record[layer] if layer is not None else None,
            "experts": record[experts] if experts is not None else None,
            "token": record[token] if token is not None else None,
            "session": record[session] if session is not None else None,
        }
        made = {name: value for name, value in made.items() if value is not None}
        lists = made.get("experts")
        if not isinstance(lists, list) or not lists or not all(isinstance(some, list) for some in lists):
            return [made]
        # A batch of tokens at one layer: a list each.
        tokens = record.get("origin_rows", range(len(lists)))
        if not isinstance(tokens, list | range) or len(tokens) != len(lists):
            return [{name: value for name, value in made.items() if name != "token"}]
        return [{**made, "token": token, "experts": some} for token, some in zip(tokens, lists, strict=True)]

    return routes


class MoeConfig(PresetFormat):
    """Expert routing of mixtures of experts, as JSON lines: layer, token, ids of the chosen experts, by usual names.

    The key is layer and expert, a request the experts of a token in a layer; ``layer``, ``token`` and, if there is one,
    ``session`` (the request's id there) are features. The size of an expert is ``block``.
    """

    kind: Literal["moe"]
    default_bytes: ClassVar[int] = 64 << 20
    preset: ClassVar[Preset] = Preset(
        source="no standard; https://github.com/TotaniYash/vllm_moe_routelogging_patch and logs alike",
        example='{"layer_idx": 0, "token_idx": 0, "selected_ids": [3, 17], "gate_weights": [0.6, 0.4]}',
        layout=Layout(
            key=("layer", "experts"), features={"layer": "layer", "token": "token", "session": "session"},
        ),
        reading="rows are taken in the order of the file; a row of lists is a batch of tokens at one layer, each a "
        "request, numbered by origin_rows or from 0; rows of another type than route say nothing of accesses",
    )  # fmt: skip

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By the names in its first line."""
        record = first_record(path)
        is_route = _one_of(_LAYERS, record) is not None and _one_of(_EXPERTS, record) is not None
        return is_route or (record.get("type") == "meta" and "layers_logged" in record)

    def table(self) -> RawTable:
        """The lines."""
        if _is_plain(first_record(self.file)):
            return JsonTable(self.file)
        return JsonTable(self.file, _routes)

    def columns_of(self, names: Sequence[str]) -> Layout:
        """By the names in the first line. Raises InputError if there are no layers, or no experts."""
        layer, experts = _one_of(_LAYERS, names), _one_of((*_EXPERTS, "experts"), names)
        if layer is None or experts is None:
            raise InputError(
                f"{self.path}: has {', '.join(names) or 'no rows of experts'}; expected a layer ({', '.join(_LAYERS)}) "
                f"and its experts ({', '.join(_EXPERTS)})"
            )
        known = {"layer": layer, "token": _one_of(_TOKENS, names), "session": _one_of((*_SESSIONS, "session"), names)}
        features = {name: column for name, column in known.items() if column is not None}
        return replace(self.preset.layout, key=(layer, experts), features=features)


def _is_plain(record: Record) -> bool:
    """Whether a row is of a token and a layer: such are read as they are, which is faster."""
    experts = record.get(_one_of(_EXPERTS, record) or "")
    return isinstance(experts, list) and not any(isinstance(item, list) for item in experts) and "type" not in record
