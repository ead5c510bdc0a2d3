"""The tests, in the same tree as the code. `faults/` and `benchmarks/` take minutes and run only when asked for."""
