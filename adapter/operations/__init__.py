"""What people ask for, for commands and pages alike: health, history, checks, retries, past orders, erasure.

Nothing here runs on its own, and nothing prints or renders.
"""
