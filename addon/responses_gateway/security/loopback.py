"""Which hosts are this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a name or an address means this machine, and no other can be reached by it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (inner or address).is_loopback


def leads_here(host: str) -> bool:
    """Whether a client that connects to a host reaches its own machine: the unspecified address does so, too."""
    return is_loopback(host) or host in ("0.0.0.0", "::")  # noqa: S104 (nothing is bound)
