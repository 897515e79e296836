"""What a running PyTorch model asks of embedding tables, experts and KV blocks, as a trace (``docs/recording.md``)."""

from tierfetch.record.recorder import Recorder as Recorder
