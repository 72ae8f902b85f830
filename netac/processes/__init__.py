"""Agents as processes: placement, consensus between neighbours, the environment host, checkpoints, failure."""
