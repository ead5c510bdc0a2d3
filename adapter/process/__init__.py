"""Processes and how they talk: supervisor, gunicorn, HTTP with deadlines, the wake-up signal, replayed webhooks.

Nothing here reads a table or maps an order.
"""
