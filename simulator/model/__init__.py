"""The model itself, plain Python on SimPy: the definition that the compiled engine is held to.

Read ``links`` (instants, channels), ``memory`` (tiers, transfers), ``accesses`` (look up, wait, be served; streams),
``asking`` (the inference server, what answers bring) and ``model`` (all together), in this order. The numbers in
brackets are the rules of ``docs/rules.md``. ``simulator.evictions`` says who must go, ``simulator.ledger`` counts.
"""
