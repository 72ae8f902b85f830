"""Pure functions of the policy-gradient methods: advantages, surrogates, divergences, minibatches, trust regions."""
