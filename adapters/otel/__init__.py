"""Traces by OpenTelemetry: spans of requests and turns, and their way to a collector. OpenTelemetry stays in here."""
