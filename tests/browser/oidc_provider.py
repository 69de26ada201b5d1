"""A small OpenID Connect provider on loopback for the sign-in journey: two users, real redirects, real signatures."""

import asyncio
import secrets
import threading
import time
from urllib.parse import urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey


class Provider:
    """`with Provider() as provider`: `.url`; its page at /authorize asks who one is: Ann or Bob."""

    client_id, client_secret = "hearth", "not-a-real-secret"

    def __init__(self):
        self._key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self._codes, self._loop, self.url = {}, asyncio.new_event_loop(), ""

    def __enter__(self):
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self):
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._configuration)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_get("/as/{user}", self._chosen)
        app.router.add_post("/token", self._token)
        app.router.add_get("/jwks", self._jwks)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"

    async def _configuration(self, request):
        return web.json_response(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def _authorize(self, request):
        assert request.query["client_id"] == self.client_id
        links = "".join(f'<p><a href="/as/{user}?{request.query_string}">{user}</a></p>' for user in ("ann", "bob"))
        return web.Response(text=f"<h1>Who are you?</h1>{links}", content_type="text/html")

    async def _chosen(self, request):
        code = secrets.token_hex(8)
        self._codes[code] = request.match_info["user"], request.query.get("nonce")
        back = urlencode({"code": code, "state": request.query["state"]})
        raise web.HTTPFound(f"{request.query['redirect_uri']}?{back}")

    async def _token(self, request):
        form = await request.post()
        user, nonce = self._codes.pop(form["code"])
        claims = {"iss": self.url, "sub": f"id-of-{user}", "aud": self.client_id, "name": user.capitalize()}
        claims |= {"iat": int(time.time()), "exp": int(time.time()) + 600, "email": f"{user}@example.org"}
        claims |= {"nonce": nonce} if nonce else {}
        token = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self._key)
        return web.json_response({"access_token": "a", "token_type": "Bearer", "expires_in": 600, "id_token": token})

    async def _jwks(self, request):
        return web.json_response({"keys": [self._key.as_dict(private=False)]})
