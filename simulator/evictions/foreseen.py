next_uses = None
