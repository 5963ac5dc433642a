"""An issuer of JSON Web Tokens, as tests need one: it signs whatever is asked of it."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from certificates import write

jwt = pytest.importorskip("jwt", reason="JWTs are made by python3-jwt")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization", reason="keys are made by python3-cryptography")
from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: E402

NAME, AUDIENCE = "https://issuer.example", "gleaner"
SECRET = b"a secret of more than thirty-two bytes, for HS256"


def part(value):
    """One part of a token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header, claims, secret=b""):
    """A token that no library would make."""
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{part(hmac.digest(secret, text.encode(), hashlib.sha256)) if secret else ''}"


class Issuer:
    """Its key is in the file `key`; `args` are what a broker has to be told."""

    def __init__(self, folder, algorithm="RS256"):
        self.algorithm, self.key = algorithm, folder / f"{algorithm}.key"
        if algorithm == "HS256":
            self.secret, self.public = SECRET, SECRET
        else:
            self.secret = rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())
            self.public = self.secret.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        write(self.key, self.public)
        self.args = ["--jwt-key", self.key, "--jwt-algorithm", algorithm, "--jwt-issuer", NAME, "--jwt-audience", AUDIENCE]

    def claims(self, role="admin", sub="alice", seconds=3600, **more):
        """Those of a good token; None takes one out."""
        told = {"iss": NAME, "aud": AUDIENCE, "exp": int(time.time()) + seconds, "sub": sub, "role": role, **more}
        return {name: value for name, value in told.items() if value is not None}

    def token(self, role="admin", sub="alice", seconds=3600, headers=None, **more):
        return jwt.encode(self.claims(role, sub, seconds, **more), self.secret, self.algorithm, headers)
