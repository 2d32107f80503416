"""The use cases. They get ports in the constructor and know neither HTTP nor Letta."""
