"""From an experiment file to a run folder: configuration, building the parts, the run loop, comparisons, evaluation."""
