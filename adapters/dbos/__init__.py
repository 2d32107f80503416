"""Durable tasks on DBOS, an engine that keeps its queues in the same database as the state."""
