"""Any class of networks as the trainer wants it."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from policies.given import Accesses
from policies.models.call import Runnable, checked, module_run
from policies.models.codecs.base import Codec, Vocabularies
from policies.models.codecs.names import files_of
from policies.models.codecs.registry import codec_of
from policies.models.config import ModelConfig
from policies.models.encoder import CodecEncoder, EncoderCodec
from policies.models.loading import new_module
from policies.models.nets.settings import NETS
from policies.models.network import Wrapped


class ModelRecipe:
    """See ``policies.models.schedule.Recipe``. ``fresh`` makes an encoder that is not fitted yet."""

    name = "model"

    def __init__(self, config: ModelConfig, fresh: Callable[[], Any]) -> None:
        self.config = config
        self.schedule = config.schedule
        self._fresh = fresh

    def learn(self, sequences: Sequence[Accesses]) -> Codec:
        """The encoder's, fitted."""
        encoder = self._fresh()
        encoder.fit(sequences)
        return encoder.codec if isinstance(encoder, CodecEncoder) else EncoderCodec(encoder)

    def restored(self, vocabularies: Vocabularies, sequences: Sequence[Accesses]) -> Codec:
        """From vocabularies; anybody's own encoder is fitted again, which is the same."""
        if not self.config.is_ours:
            return self.learn(sequences)
        return codec_of(self.config.encoder, vocabularies, self.config.columns)

    def network(self, codec: Codec) -> Wrapped:
        """Made for the codec, and tried with it."""
        widths = codec.n_outputs(self.config.horizon)
        module = new_module(self.config, codec.n_inputs, sum(widths)).eval()
        ends = np.cumsum([0, *widths]).tolist()
        spans = {self.config.horizon: list(pairwise(ends))}
        runnable = Runnable(
            self.config.model, module, None, self.config.window, len(codec.n_inputs), tuple(codec.n_inputs)
        )
        scores_each, _, _ = checked(runnable, module_run(runnable), sum(widths), self.config.encoder)
        return Wrapped(module, spans, is_carried=self.config.is_carried, scores_each=scores_each)

    def shaping(self) -> dict[str, Any]:
        """See the config."""
        return self.config.shaping()

    def sources(self) -> list[bytes]:
        """Of network and encoder."""
        here = Path(__file__).parent
        found = [self.config.fingerprint().encode()]
        if self.config.is_net:
            module = NETS[self.config.model][0].partition(":")[0].rpartition(".")[2]
            found += [(here / "nets" / f"{name}.py").read_bytes() for name in ("fields", "recurrent", module)]
        if self.config.is_ours:
            names = [*files_of(self.config.encoder), *(["columns"] if self.config.columns else [])]
            found += [(here / "codecs" / f"{name}.py").read_bytes() for name in names]
        return found
