"""Reads stored webhooks and sends orders to Drip: one request at a time per account, each order's states in sequence.

What a person asks for is in `adapter.operations`; the SQL is in `adapter.inbox`.
"""
