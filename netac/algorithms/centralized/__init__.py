"""Trainers with a centre, one module each, named as in an experiment file, and the pure functions that they compose."""
