"""Why an access took so long, or a prefetch came when it did, from the rows of a run."""
