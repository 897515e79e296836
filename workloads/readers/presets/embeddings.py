"""Look-ups of recommendation models in their embedding tables."""

from typing import ClassVar, Literal

from workloads.readers.layout import Layout
from workloads.readers.presets.embedding_table import BagTable
from workloads.readers.raw import RawTable
from workloads.readers.row_format import Preset, PresetFormat


class DlrmConfig(PresetFormat):
    """Meta's DLRM embedding look-ups, as .pt files of (indices, offsets, lengths), read without pickle.

    The key is table * 2**44 + index, of 512 bytes unless ``block`` says another size; the table is a feature.
    ``request`` says what is looked up at once: a ``sample`` over all tables, or each ``bag`` (a sample in one table).
    """

    kind: Literal["dlrm"]
    request: Literal["sample", "bag"] = "sample"
    """What is looked up at once: a `sample` over all tables, or each `bag`, a sample in one table."""
    name_parts: ClassVar[tuple[str, ...]] = ("fbgemm_t",)
    default_bytes: ClassVar[int] = 512
    preset: ClassVar[Preset] = Preset(
        source="https://github.com/facebookresearch/dlrm_datasets",
        example="binary: torch.save of (indices, offsets, lengths), of tables * samples bags",
        layout=Layout(key=("keys",), request=("request",), features={"table": "table"}),
        reading="the files go table by table; samples are served one by one, each over all tables, so that is the "
        "order here; a row is taken for 128 numbers of 32 bits",
    )

    def table(self) -> RawTable:
        """The bags."""
        return BagTable(self.file, self.request)
