"""Measurements, run by `make bench`; each prints its figures. They are not tests: a busy machine makes them slower, not wrong."""
