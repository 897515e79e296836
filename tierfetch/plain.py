"""Values from Python as a config has them, and tables as Python has them."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def plain(value: Any) -> Any:
    """The same in dicts, lists, numbers and text where it is made of what stands for these; all else as it is."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple | range):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, PurePath) else value


def frame_of(table: Any) -> "pd.DataFrame":
    """A ``pyarrow.Table`` as pandas. What has no value somewhere stays whole: keys are numbers of 64 bits."""
    import pandas as pd
    import pyarrow as pa

    whole = {pa.uint64(): pd.UInt64Dtype(), pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas()
    for field in table.schema:
        column = table[field.name]
        if field.type in whole and column.null_count:
            frame[field.name] = column.to_pandas(types_mapper=whole.get)
    return frame
