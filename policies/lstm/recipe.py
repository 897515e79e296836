"""The LSTM as the trainer wants it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import policies.models as shared
from policies.given import Accesses
from policies.lstm.config import LstmConfig
from policies.lstm.model import LstmModel
from policies.models.codecs.base import Codec, Vocabularies
from policies.models.codecs.names import files_of
from policies.models.codecs.registry import CODECS


class LstmRecipe:
    """See ``policies.models.schedule.Recipe``."""

    name = "lstm"

    def __init__(self, config: LstmConfig) -> None:
        self.schedule = config

    def learn(self, sequences: Sequence[Accesses]) -> Codec:
        """The encoding's."""
        return CODECS[self.schedule.encoding].learn([sequence.keys for sequence in sequences], self.schedule)

    def restored(self, vocabularies: Vocabularies, sequences: Sequence[Accesses]) -> Codec:
        """From the vocabularies alone."""
        return CODECS[self.schedule.encoding](vocabularies)

    def network(self, codec: Codec) -> LstmModel:
        """With a head for every horizon."""
        return LstmModel(codec, self.schedule)

    def shaping(self) -> dict[str, Any]:
        """See the config."""
        return self.schedule.shaping()

    def sources(self) -> list[bytes]:
        """Network and encoding."""
        there = Path(str(shared.__file__)).parent
        files = ["nets/fields.py", "nets/recurrent.py", "nets/lstm.py"]
        files += [f"codecs/{name}.py" for name in files_of(self.schedule.encoding)]
        return [Path(__file__).with_name("model.py").read_bytes(), *[(there / name).read_bytes() for name in files]]
