"""What a class of one's own must keep to, as rules that say in words how one is broken; no pytest in sight."""
