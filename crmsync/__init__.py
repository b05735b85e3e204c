"""crmsync: levels the partners of a CRM by a program written as configuration."""

__version__ = "0.1.0"
