"""The org as people see it: plain web pages, served at `/` of the sandbox."""
