"""Tests of `adapter.stores` over real HTTP. What one platform does is tested in its folder, against its server in `tests/stand_ins`."""
