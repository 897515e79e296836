"""The model: tiers, links, the inference server and the books. Knows no policy, workload or file format."""
