"""Which addresses the gateway connects to when a client, a model or a page names the host."""

import ipaddress
from collections.abc import Sequence

from responses_gateway.hosted.interface import HostedError
from responses_gateway.upstream.http_client import all_addresses

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NOT_FOR_EVERYBODY = (ipaddress.ip_network("fec0::/10"), ipaddress.ip_network("3fff::/20"))
"""What `is_global` of some Pythons lets through: site-local addresses (RFC 3879) and documentation (RFC 9637)."""


class CheckedAddresses:
    """Resolves names, and gives public addresses only.

    `private_hosts` (`host` or `host:port`) may be reached although their addresses are not public.
    """

    def __init__(self, private_hosts: Sequence[str] = ()) -> None:
        self._private_hosts = frozenset(host.lower() for host in private_hosts)

    async def of(self, host: str, port: int) -> list[str]:
        """The addresses to connect to; a name is not to be resolved again after that. Raises HostedError, OSError."""
        addresses = await all_addresses(host, port)
        if self._private_hosts & {host, f"{host}:{port}"}:
            return addresses
        public = [address for address in addresses if is_public(address)]
        if not public:
            raise HostedError(f"{host} is not on the public internet")
        return public


def is_public(address: str) -> bool:
    """Whether an IP address is one that anybody on the internet would reach: not private, loopback, link-local,
    multicast, reserved or a way around that (an IPv4 address inside an IPv6 one)."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if any(ip in network for network in _NOT_FOR_EVERYBODY):
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)
