"""One plain request to a server, for its management; generation goes through `client.py`.

Uses http.client, which reads no proxy settings: a server of ours is reached directly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from decoder.errors import ConnectFailed, MalformedResponse

MAX_BODY = 32 * 2**20


def request(
    base_url: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    api_key: str = "",
    timeout: float = 10.0,
) -> tuple[int, str]:
    """GET, or POST of JSON where there is a body. Returns the status and the text.

    Args:
        base_url: with its `/v1`.
        path: from the server's root, such as `/health`.
        timeout: seconds for each wait on the socket.

    Raises:
        ConnectFailed: no server answered, or it broke off.
    """
    import http.client
    import urllib.parse

    address = urllib.parse.urlsplit(base_url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection = kind(address.hostname or "", address.port, timeout=timeout)
    root = address.path.rstrip("/").removesuffix("/v1")
    try:
        data = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", root + path, data, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_BODY).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = f"{base_url} does not answer: {error or type(error).__name__}"
        raise ConnectFailed("asking the server", cause, "See `hearth serve --status`") from error
    finally:
        connection.close()


def model_names(base_url: str, *, api_key: str = "", timeout: float = 10.0) -> list[str]:
    """Names of the models and adapters that the server lists, the base model first.

    Raises:
        ConnectFailed, MalformedResponse: the answer is no list of models.
    """
    status, text = request(base_url, "/v1/models", api_key=api_key, timeout=timeout)
    try:
        return [str(entry["id"]) for entry in json.loads(text)["data"]]
    except (ValueError, TypeError, KeyError) as error:
        cause = f"{base_url}/models answered HTTP {status} without a list of models"
        raise MalformedResponse("listing models", cause, "Is it an OpenAI-compatible server?") from error


def error_message(text: str) -> str:
    """The message of an OpenAI-style error body, or the beginning of whatever it is, on one line."""
    try:
        message = json.loads(text)["error"]["message"]
    except (ValueError, TypeError, KeyError):
        message = text
    return " ".join(str(message).split())[:300]
