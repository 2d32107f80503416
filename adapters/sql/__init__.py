"""What the service must remember, in a SQL database."""
