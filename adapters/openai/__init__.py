"""Any server with OpenAI's chat API as a backend: its models are agents."""
