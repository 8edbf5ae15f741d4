"""Where a callback may go: public addresses, and what the operator has put on the allow-list.

A caller chooses the URL, the bus sends the request from inside the network: without this check a
callback could reach a database, a cloud's metadata service or the bus itself.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, Final

Resolve = Callable[..., Sequence[tuple[Any, ...]]]
"""Looks a name up, with the arguments and the answer of :func:`socket.getaddrinfo`."""

LONGEST_URL: Final = 2048
_PORTS: Final = {"http": 80, "https": 443}
_URL: Final = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]*))?")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Not `ipaddress.is_global`: it takes multicast and several forms that wrap an IPv4 address for
# global ones.
_DENIED: Final = tuple(
    (ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "an address of this host"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a provider's internal address"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "a cloud's internal address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "an address for documentation"),
        ("192.88.99.0/24", "a reserved address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address for benchmarks"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an address of this host"),
        ("::1/128", "a loopback address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("ff00::/8", "a multicast address"),
        ("2001::/23", "a reserved address"),  # Teredo among others: wraps an IPv4 address
        ("2001:db8::/32", "an address for documentation"),
        ("2002::/16", "a 6to4 address"),  # wraps an IPv4 address
        ("3fff::/20", "an address for documentation"),
        # All but 2000::/3, the only part that is handed out.
        ("::/3", "a reserved address"),
        ("4000::/2", "a reserved address"),
        ("8000::/1", "a reserved address"),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")


class Forbidden(ValueError):
    """A callback may not go there. The message says why, and never shows the whole URL."""


@dataclass(frozen=True)
class Target:
    """The parts of a URL.

    Attributes:
        scheme: ``http`` or ``https``.
        host: a name in lower case or an address, without brackets or a dot at its end.
        port: the given one, or the scheme's.
        path: path and query, as given.
    """

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Target:
        """Take a URL apart.

        There is one parser for the check and for the request, and it takes only what all parsers
        read alike: whoever reads a URL in two ways checks one host and connects to another.

        Raises:
            Forbidden: it is not a plain http or https URL; says what is wrong with it.
        """
        if len(url) > LONGEST_URL:
            raise Forbidden(f"has more than {LONGEST_URL} characters")
        if not re.fullmatch(r"[!-\[\]-~]*", url):
            raise Forbidden(
                "has a space, a backslash, a control character or one beyond ASCII: percent-encode "
                "it, or write the host in its xn-- form"
            )
        parts = _URL.fullmatch(url)
        if parts is None:
            raise Forbidden("must start with http:// or https://")
        scheme, authority, path = parts[1].lower(), parts[2].lower(), parts[3]
        if "@" in authority:
            raise Forbidden("has a user name or password before the host: take it out")
        found = _AUTHORITY.fullmatch(authority)
        if found is None:
            raise Forbidden("has a port that is no number, or a host that is not well-formed")
        host, port = _host(found["host"]), _port(found["port"] or str(_PORTS[scheme]))
        return cls(scheme, host, port, path if path.startswith("/") else f"/{path}")

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class _Allowed:
    """An entry of the allow-list: a name or a network, at one port or at every port."""

    host: str | IPv4Network | IPv6Network
    port: int | None

    @classmethod
    def of(cls, entry: str) -> _Allowed:
        text = entry.strip().lower()
        bracketed = re.fullmatch(r"\[([^\[\]]+)\](?::([^:]*))?", text)
        if bracketed:
            host, port = bracketed[1], bracketed[2]
            if ":" not in host:
                raise ValueError("only an IPv6 address stands in brackets")
        elif text.count(":") == 1:
            host, port = text.split(":")
        else:
            host, port = text, None
        number = None if port is None else _port(port)
        if "%" in host:
            raise ValueError("an address has no zone here")
        if "/" in host or ":" in host or _ends_in_number(host):
            return cls(ip_network(host), number)
        return cls(_host(host), number)

    def has(self, host: str | IPv4Address | IPv6Address, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if isinstance(self.host, str) or isinstance(host, str):
            return self.host == host
        return host in self.host


class Guard:
    """Decides where a callback may go.

    Args:
        allow: what is allowed besides public addresses: ``host:port``, ``host`` (at any port), an
            address, a network such as ``10.1.0.0/16`` or ``10.1.0.0/16:5678``; IPv6 with a port in
            brackets, ``[fd00::/8]:5678``. A name passes whatever it resolves to.
        resolve: looks names up.

    Raises:
        ValueError: an entry is none of these; names it.
    """

    def __init__(self, allow: Sequence[str], resolve: Resolve = socket.getaddrinfo) -> None:
        self._allowed = []
        for entry in allow:
            try:
                self._allowed.append(_Allowed.of(entry))
            except ValueError as error:
                raise ValueError(
                    f"{entry!r}: {error}; give host:port, host, an address or a network (CIDR), "
                    "IPv6 with a port as [address]:port"
                ) from None
        self._resolve = resolve

    def check(self, url: str) -> None:
        """Say what can be said of a URL without looking its name up.

        Raises:
            Forbidden: no callback may go there; says why.
        """
        target = Target.of(url)
        if self._has(target.host, target.port):
            return
        address = _address(target.host)
        if address is not None:
            self._judge(target.host, address, target.port)
        elif _is_local(target.host):
            raise Forbidden(f"{target.host} is this machine; {_hint(target.host, target.port)}")

    def addresses(self, host: str, port: int) -> list[str]:
        """Look a host up and give its addresses, to be connected to as they are.

        A second look-up could give others.

        Raises:
            Forbidden: one of the addresses, whichever, is not allowed; says why.
            OSError: the name does not resolve.
        """
        records = self._resolve(host, port, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(str(record[4][0]) for record in records))
        if not self._has(host, port):
            for address in found:
                self._judge(host, ip_address(address), port)
        return found

    def _judge(self, host: str, address: IPv4Address | IPv6Address, port: int) -> None:
        address = _reached(address)
        if self._has(address, port):
            return
        for network, what in _DENIED:
            if address in network:
                leads = "" if host == str(address) else f" leads to {address}, which"
                raise Forbidden(f"{host}{leads} is {what}; {_hint(host, port)}")

    def _has(self, host: str | IPv4Address | IPv6Address, port: int) -> bool:
        return any(entry.has(host, port) for entry in self._allowed)


def _reached(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address where packets really go: IPv6 can wrap an IPv4 address."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        # What a network with IPv6 only gives for every public IPv4 host.
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _host(text: str) -> str:
    """A host in one spelling.

    Raises:
        Forbidden: it is no name and no address, or an address in an unusual spelling.
    """
    if text.startswith("["):
        try:
            if "%" in text:
                raise ValueError
            return str(IPv6Address(text[1:-1]))
        except ValueError:
            raise Forbidden(f"{text} is no IPv6 address (without a zone)") from None
    host = text.removesuffix(".")
    if not host:
        raise Forbidden("names no host")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise Forbidden(f"{host!r} is no host name")
    if _ends_in_number(host) and not isinstance(_address(host), IPv4Address):
        # 0x7f.1, 2130706433, 0177.0.0.1: resolvers disagree about them.
        raise Forbidden(f"{host!r} is no host name, and as an address it has four decimal numbers")
    return host


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise Forbidden("the port must be a number from 1 to 65535")
    return int(text)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _ends_in_number(host: str) -> bool:
    """Whether resolvers take it for an IPv4 address rather than for a name."""
    return _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]) is not None


def _is_local(host: str) -> bool:
    last = host.rpartition(".")[2]
    return last in ("localhost", "localdomain") or host in ("ip6-localhost", "ip6-loopback")


def _hint(host: str, port: int) -> str:
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"the operator can put {shown} on the allow-list"
