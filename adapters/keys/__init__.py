"""Where the API key is kept: in an environment variable, or in a file."""
