"""What the web sees: webhooks, health, and the placeholder picture."""
