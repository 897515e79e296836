"""Ways to run anybody's network, one file each."""
