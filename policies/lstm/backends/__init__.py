"""Ways to run one trained model fast, one file each."""
