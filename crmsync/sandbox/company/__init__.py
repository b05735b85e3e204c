"""A seeded, believable company for the Salesforce sandbox."""

from crmsync.sandbox.company.company import Company, Rows, make_company

__all__ = ["Company", "Rows", "make_company"]
