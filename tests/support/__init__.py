"""What tests in several packages share: an adapter to test, golden cases, shoppers, terminals. No tests are here."""
