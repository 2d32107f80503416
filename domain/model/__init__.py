"""Values and rules; they import only the standard library and msgspec."""
