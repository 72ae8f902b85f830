"""What an agent is made of: policy, critics, feature maps and the flat buffer of their parameters."""
