"""Learning algorithms: decentralized ones, central trainers, and the policy-gradient functions that both are made of."""
