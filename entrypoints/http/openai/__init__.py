"""The room of OpenAI's API: chat completions and models, and what is known of the clients that speak it."""
