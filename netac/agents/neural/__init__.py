"""Agents that are torch modules, in three layers: modules bound to rows of a flat buffer, the networks of all agents,
and the policies and critics that algorithms ask.  Only the modules of this package load torch."""
