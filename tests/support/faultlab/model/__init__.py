"""A small world to judge vmharness in: engines, owners, strangers and a clock, and what is true of them.

What is true is known here by what was done, and by what the engines' own stores say. No judgement of the
product's is asked for: neither its proofs nor its reading of ledgers.
"""
