"""Measurements, run by hand or by `make bench`; each prints its figures. Not tests: they take minutes, and a busy machine is no fault."""
