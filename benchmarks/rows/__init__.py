"""What is measured: each module says on how many PROCESSES, and its `measure(comm)` answers `Row`s."""
