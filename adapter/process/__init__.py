"""Processes and HTTP: the supervisor, gunicorn, requests with deadlines, the wake-up signal, replay of sample webhooks.

Nothing here touches the database or decides what is sent.
"""
