"""What a person asks or does, for commands and pages alike: health, history, checks, retries, past orders, erasure.

Nothing here runs on its own, and nothing here prints or renders.
"""
