"""What the adapter reports about itself: metrics, alerts, error reports, logs. Decisions about orders are made elsewhere."""
