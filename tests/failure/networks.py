"""Machines of one network on this machine: namespaces on a bridge, whose cables can be pulled."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from clusters import Host


@dataclass(frozen=True)
class Network:
    """Some hosts, and this machine, which they know under the address gateway."""

    gateway: str
    hosts: list[Host]
    cables: list[str]
    """This machine's end of each host's."""

    def cut(self, number: int) -> None:
        """From now on a host hears from nobody, and nobody from it; nothing is told."""
        _ip("link", "set", self.cables[number], "down")

    def mend(self, number: int) -> None:
        _ip("link", "set", self.cables[number], "up")


@contextmanager
def network(num_hosts: int) -> Iterator[Network]:
    """A new one, gone afterwards. Skips the test where it cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("only root can make network namespaces")
    if shutil.which("ip") is None:
        pytest.skip("no ip command here: apt-get install iproute2")
    # The range set aside for tests of networks; names of interfaces have at most 15 characters.
    name, net = f"lab{secrets.token_hex(3)}", f"198.18.{secrets.randbelow(256)}"
    bridge = f"{name}br"
    with ExitStack() as made:
        _ip("link", "add", bridge, "type", "bridge")
        made.callback(_ip, "link", "del", bridge)
        _ip("addr", "add", f"{net}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        hosts, cables = [], []
        for number in range(num_hosts):
            space, cable, inside = (f"{name}{end}{number}" for end in ("n", "c", "i"))
            _ip("netns", "add", space)
            made.callback(_ip, "netns", "del", space)
            _ip("link", "add", cable, "type", "veth", "peer", "name", inside, "netns", space)
            _ip("link", "set", cable, "master", bridge, "up")
            enter = ("ip", "netns", "exec", space)
            host = Host(f"{net}.{number + 2}", enter)
            _ip("-n", space, "addr", "add", f"{host.ip}/24", "dev", inside)
            for link in ("lo", inside):
                _ip("-n", space, "link", "set", link, "up")
            hosts.append(host)
            cables.append(cable)
        yield Network(f"{net}.1", hosts, cables)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
