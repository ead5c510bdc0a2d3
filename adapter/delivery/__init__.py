"""Reading what was kept, and sending it to Drip: in order for each order, one request at a time for each account."""
