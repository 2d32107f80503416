"""What the workers of one machine have from their parent."""
