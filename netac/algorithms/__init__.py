"""Learning algorithms: decentralized ones, central trainers, and the policy-gradient functions they are made of."""
