"""What the adapter serves over HTTP: webhooks, health, metrics, and the dashboard.

A webhook request is only verified and stored here; everything after that is in `adapter.delivery`.
"""
