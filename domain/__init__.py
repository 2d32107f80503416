"""The rules of the service: values in `model`, use cases in `services`. No I/O, no wire shapes, no frameworks."""
