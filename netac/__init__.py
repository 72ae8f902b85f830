"""netac."""
