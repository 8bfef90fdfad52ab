"""Which Docker engine: the text that names it and opens it again. It knows no client and no machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

__all__ = ["DEFAULT_URL", "Endpoint"]

DEFAULT_URL: Final = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One engine's address; as text, `unix:///path` or `tcp://host:port`, with `?cert=FOLDER` for TLS.

    Attributes:
        url: The socket or port.
        certs: Folder of `ca.pem`, `cert.pem` and `key.pem`; "" = no TLS. Never what is in them.
        verify: Whether the engine's certificate is checked.
    """

    url: str = DEFAULT_URL
    certs: str = ""
    verify: bool = True

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Return what an endpoint's text stands for, or raise ValueError."""
        url, _, query = text.partition("?") if text.startswith("tcp:") else (text, "", "")
        options = parse_qs(query)
        return cls(
            url=_checked(url),
            certs=options.get("cert", [""])[0],
            verify=options.get("verify", ["1"])[0] != "0",
        )

    @classmethod
    def of_environ(cls, url: str | None, environ: Mapping[str, str]) -> Endpoint:
        """Return the engine at an URL, with TLS if Docker's variables ask for it, or raise ValueError.

        Args:
            url: As in DOCKER_HOST; None = the default socket.
            environ: Holds DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, read as Docker's clients do.
        """
        url = _checked(url or DEFAULT_URL)
        verify = bool(environ.get("DOCKER_TLS_VERIFY"))
        certs = environ.get("DOCKER_CERT_PATH", "")
        if not url.startswith("tcp:") or not (verify or certs):
            return cls(url=url)
        return cls(url=url, certs=certs or str(Path("~/.docker").expanduser()), verify=verify)

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        if not self.certs:
            return self.url
        options = {"cert": self.certs} if self.verify else {"cert": self.certs, "verify": "0"}
        return f"{self.url}?{urlencode(options, safe='/')}"


def _checked(url: str) -> str:
    """Return the URL in its usual form, or raise ValueError."""
    url = url.strip()
    if url in ("", "unix://"):
        return DEFAULT_URL
    if "://" not in url:
        url = f"tcp://{url}"
    parts = urlsplit(url)
    if parts.scheme == "http":  # Docker's clients take it for tcp
        url = url.replace("http:", "tcp:", 1)
    elif parts.scheme == "ssh":
        # docker-py's ssh connections ignore time-outs: a call could hang for ever.
        raise ValueError(
            f"{url!r} has no deadlines; forward the engine's socket, "
            "`ssh -NL /tmp/docker.sock:/var/run/docker.sock HOST`, and set DOCKER_HOST=unix:///tmp/docker.sock"
        )
    elif parts.scheme not in ("unix", "tcp"):
        raise ValueError(f"{url!r} is neither unix://PATH nor tcp://HOST:PORT")
    if "@" in parts.netloc:
        raise ValueError(f"an address must carry no user or password, as that at {parts.hostname!r} does")
    return url.rstrip("/")
