"""What the adapter reports about itself: metrics, alerts, error reports, the log. Nothing here changes an order or a delivery."""
