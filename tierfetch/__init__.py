"""Does a learned prefetcher pay for its own thinking? What is public of a simulator of GPU caches over memory tiers."""
