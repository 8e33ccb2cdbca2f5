"""The version of the binding, and of the header that it was made from."""

__version__ = "0.1.0"
