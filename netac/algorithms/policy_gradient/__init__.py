"""What policy-gradient methods share, as pure functions: advantages, surrogates, divergences, minibatches, trust regions."""
