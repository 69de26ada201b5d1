"""The ASGI application: which path is answered by what, behind which gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ui.api.chat import chat_completions
from ui.api.embeddings import embeddings
from ui.api.errors import ApiRefusal, error_response
from ui.api.gate import ApiLimits, Gate
from ui.api.keys import Keys
from ui.api.models import Models, unknown

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
DEFAULT_LIMITS = ApiLimits()
CREATED = 1_700_000_000
"""Clients want a date of each model; ours have none that would mean anything."""

Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    models: Models,
    keys: Keys = Keys(),  # noqa: B008  # frozen
    limits: ApiLimits = DEFAULT_LIMITS,
    origins: tuple[str, ...] = (),
    hosts: frozenset[str] = LOCAL_HOSTS,
) -> Starlette:
    """The application. It closes `models` when it ends; the decoder is the caller's.

    Args:
        keys: who may ask; without any, whoever reaches it: listen on loopback alone then.
        origins: web pages that may ask (CORS); none by default.
        hosts: names that a server without keys answers to.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        models.close()

    middleware = [Middleware(Gate, keys=keys, limits=limits, hosts=hosts, origins=origins)]
    if origins:
        allowed = ["Authorization", "Content-Type"]
        cors = Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=allowed)
        middleware.insert(0, cors)
    app = Starlette(
        routes=[
            Route("/health", _answered(health)),
            Route("/v1/models", _answered(list_models)),
            Route("/v1/models/{model:path}", _answered(show_model)),
            Route("/v1/chat/completions", _answered(chat_completions), methods=["POST"]),
            Route("/v1/embeddings", _answered(embeddings), methods=["POST"]),
        ],
        middleware=middleware,
        exception_handlers={HTTPException: _no_route},
        lifespan=lifespan,
    )
    app.state.models, app.state.limits = models, limits
    return app


async def health(request: Request) -> Response:
    """That the server is up; it says nothing else, and needs no key."""
    return JSONResponse({"status": "ok"})


async def list_models(request: Request) -> Response:
    """The models that may be asked."""
    ids = await asyncio.to_thread(request.app.state.models.ids)
    return JSONResponse({"object": "list", "data": [_model(each) for each in ids]})


async def show_model(request: Request) -> Response:
    """One model; raises ApiRefusal (404)."""
    asked, models = request.path_params["model"], request.app.state.models
    ids = await asyncio.to_thread(models.ids)
    if asked not in ids and f"kb:{asked}" not in ids and asked != models.embedder.name:
        raise unknown(asked)
    return JSONResponse(_model(asked))


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "hearth"}


def _answered(handler: Handler) -> Handler:
    """The handler with its errors as responses."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001  # the one place where every error becomes a response
            return error_response(error)

    return answer


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    cause = "this path does not take this method" if status == 405 else "there is nothing at this path"
    headers = getattr(error, "headers", None)
    return error_response(
        ApiRefusal(status, cause, "method_not_allowed" if status == 405 else "not_found", None, headers)
    )
