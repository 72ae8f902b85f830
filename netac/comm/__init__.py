"""Agents as processes: placement, consensus between neighbours, traffic, checkpoints, launch and abort."""
