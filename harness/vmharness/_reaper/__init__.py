"""A detached process that takes over its owner's ledger when the owner dies.

`spawn` starts it, `wait` is what it is until then, `reap` what it becomes.
"""
