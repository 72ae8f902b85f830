"""How agents' processes talk: placement, consensus between neighbours, trainer links, the launch, checkpoints."""
