"""What is known of products: looked up, kept for a while, and put into orders before they are rendered."""
