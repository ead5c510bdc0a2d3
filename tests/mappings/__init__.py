"""Tests of `mappings`: golden cases and contract tests run for every provider. What one platform does is tested in its folder."""
