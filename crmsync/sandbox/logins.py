"""Ways of logging in with a password, which an admin can open and close."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Logins:
    """New orgs have the OAuth password flow closed; SOAP `login()` is open for versions below 65."""

    oauth_password: bool = False
    soap: bool = True
