"""What trainers that keep costs within limits must be told."""

LIMITS = {name: {"cost_limit": 0.5} for name in ("macpo", "mappo-lagrangian")}
