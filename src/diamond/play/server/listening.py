"""Where a server listens."""

import ipaddress
import socket

from diamond.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine and nothing else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, so that a port that is taken is known at once.

    Raises:
        ConfigError: the port is taken or the host is not this machine's.
    """
    try:
        if not 0 <= port < 2**16:
            raise OverflowError("ports are 0 to 65535")
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        raise ConfigError(
            f"cannot listen on --host {host} --port {port} ({reason}): choose another --port, 0 for any that is free"
        ) from None
