"""Between uvicorn and the application: what a client may send, how slowly, and over how many connections."""
