"""An OpenID Connect provider on loopback that lets one person in without asking."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "pedigree-dashboard", "a-client-secret"


def _provider(email: str, url: list[str]) -> type[BaseHTTPRequestHandler]:
    key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}, auto_kid=False)
    nonces: dict[str, str] = {}

    class Provider(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            asked = dict(urllib.parse.parse_qsl(query))
            if path == "/authorize":
                assert asked["client_id"] == CLIENT
                nonces["code-1"] = asked.get("nonce", "")
                back = urllib.parse.urlencode({"code": "code-1", "state": asked["state"]})
                self.send_response(302)
                self.send_header("Location", f"{asked['redirect_uri']}?{back}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif path == "/keys":
                self._tell({"keys": [key.as_dict(private=False)]})
            else:
                self._tell(
                    {
                        "issuer": url[0],
                        "authorization_endpoint": f"{url[0]}/authorize",
                        "token_endpoint": f"{url[0]}/token",
                        "jwks_uri": f"{url[0]}/keys",
                        "response_types_supported": ["code"],
                        "subject_types_supported": ["public"],
                        "id_token_signing_alg_values_supported": ["RS256"],
                    }
                )

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            given = dict(urllib.parse.parse_qsl(body))
            secret = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            assert self.headers["authorization"] == f"Basic {secret}"
            now = int(time.time())
            claims = {
                "iss": url[0], "sub": "1", "aud": CLIENT, "iat": now, "exp": now + 600,
                "email": email, "nonce": nonces[given["code"]],
            }  # fmt: skip
            token = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, key)
            self._tell({"access_token": "a", "token_type": "Bearer", "id_token": token})

        def _tell(self, content: object) -> None:
            data = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Provider


@contextmanager
def provider(email: str) -> Iterator[str]:
    """Its address, while it runs."""
    url: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _provider(email, url))
    url.append(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield url[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
