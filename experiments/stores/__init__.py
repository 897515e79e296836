"""Results in object stores: written and read in folders of this machine, which are brought in line with the store."""
