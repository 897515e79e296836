"""A sweep: one config as the many experiments that its keys span.

``axes`` reads what a key takes, ``condition`` which combinations count, ``points`` makes these, and ``spread`` turns
them into variants and arms, which is all that anybody else sees of a sweep.
"""
