"""Network conditions, a file each: messages that are lost, late, compressed, noisy or untrue, or mixed otherwise.

A module's docstring begins with what it does.  `Settings` are its options, the first of which a plain value in its
place stands for, and `make(settings, around)` gives the `netac.comm.exchange.Condition`.
"""
