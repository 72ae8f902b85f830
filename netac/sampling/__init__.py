"""Who steps the environments: samplers, environment hosts, action encoding, rollout and replay buffers."""
