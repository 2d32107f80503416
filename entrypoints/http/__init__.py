"""The HTTP API. OpenAI's wire shapes live in here; what they mean is decided in the domain."""
