"""Built-in networks, one file each, and the checks any network goes through.

A network is a module with `Settings` (its options) and `make(settings, observation, outputs, joint, gain)`, a torch
module whose `forward(observation)`, or with `joint` > 0 `forward(observation, joint)`, gives (M, outputs).  It may have
`kernel(settings, observation, outputs, joint)`, too: what computes the same faster (`_kernel.Kernel`), or None.
"""
