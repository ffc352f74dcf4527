"""Addresses of databases and servers: of which kind they are, and what may be shown of them."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

__all__ = ["is_postgresql", "public_uri", "scheme_of", "without_secrets"]


def scheme_of(uri: str) -> str:
    """Returns what stands before the first colon, in small letters; empty without one."""
    scheme, separator, _ = uri.partition(":")
    return scheme.lower() if separator else ""


def is_postgresql(uri: str) -> bool:
    """Whether a database is on PostgreSQL, whatever driver its address names."""
    return scheme_of(uri).partition("+")[0] == "postgresql"


def public_uri(uri: str) -> str:
    """Returns the URI without user, password and query, fit for messages and files.

    A query may hold a password under any name, as ``?password=`` and ``?sslkey=`` do.
    """
    address, _, _ = uri.partition("?")
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    if scheme.partition("+")[0] == "sqlite":
        return address
    # Up to the last "@": a password that nobody has encoded may have a slash in it.
    return f"{scheme}://{rest.rpartition('@')[2]}"


def without_secrets(text: str, uri: str) -> str:
    """Returns a text of a driver without what :func:`public_uri` leaves out.

    Args:
        text: it may quote the URI, or parts of it.
        uri: of the store.
    """
    text = text.replace(uri, public_uri(uri))
    address, _, query = uri.partition("?")
    user = address.partition("://")[2].rpartition("@")[0]
    values = [user.partition(":")[2], *(value for _, value in parse_qsl(query))]
    secrets = {form for value in values for form in (value, unquote(value)) if len(form) > 2}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
