"""What the ports need to remember, kept in memory for as long as the process lives."""
