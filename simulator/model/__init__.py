"""The model itself, plain Python on SimPy: the definition that the compiled engine is held to.

Read it in this order: ``instants`` (the order of what happens at one time), ``links`` (channels), ``transfers`` (a block
on its way), ``memory`` (tiers, and what comes in and goes), ``accesses`` (look up, wait, be served), ``asking`` (the
inference server and what answers bring), ``streams`` (who issues when), ``model`` (all together), ``ledger`` (what is
counted). The numbers in brackets are the rules of ``docs/rules.md``.
"""
