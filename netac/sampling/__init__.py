"""Joint samples for the algorithms: samplers, environment hosts, action encoding, rollouts and the replay."""
