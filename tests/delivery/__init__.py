"""Tests of `adapter.delivery`. `simulation` runs the real pacing code on a simulated clock."""
