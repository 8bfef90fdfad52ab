"""Machines that others make by an engine's own command: front-ends, first on PATH, that record first.

`folder` makes them, `front` is what each of them is.
"""
