"""Tests of `adapter.inbox`. They run on SQLite and on PostgreSQL."""
