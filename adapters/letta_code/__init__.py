"""Letta Code's App Server (0.34.12) as a backend: one WebSocket protocol of JSON frames, which nothing else knows."""
