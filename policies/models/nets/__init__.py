"""Networks that come with it, one file each: made with ``n_inputs``, ``n_scores`` and their settings, as anybody's."""
