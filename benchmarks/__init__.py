"""netac against the fastest natural programs without it: `python -m benchmarks` measures every row of RESULTS.md."""
