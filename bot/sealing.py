"""Sealing what must not lie in the journal in clear: AES-256-GCM, bound to its place. The door of cryptography.

A key is any long secret text; several, one a line, let a key be changed: the first seals, every one opens.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.errors import SealedError, UsageError

SHORTEST = 16
_NONCE_BYTES = 12  # as NIST SP 800-38D recommends for GCM


@dataclass(frozen=True, slots=True, repr=False)
class Seal:
    """Seals and opens with keys that were derived from secret texts; `_keys` by their public names."""

    _keys: Mapping[str, bytes]

    def close(self, plain: bytes, place: str) -> dict[str, str]:
        """Seals bytes for a place: elsewhere they can't be opened. Gives a JSON object that names the key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  30 ms that only who seals pays

        name, key = next(iter(self._keys.items()))
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, plain, place.encode())
        return {"sealed": base64.b64encode(sealed).decode(), "key": name}

    def open(self, sealed: Mapping[str, Any], place: str) -> bytes:
        """Opens what was sealed for this place. Raises SealedError if the key is another one, or somebody changed it."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        key = self._keys.get(str(sealed.get("key")))
        if key is None:
            raise SealedError(
                "A response in the journal is sealed with another key.",
                why=f"It was sealed with the key {sealed.get('key')}; there {'is' if len(self._keys) == 1 else 'are'} "
                f"{', '.join(self._keys)}.",
                advice="Give the journal's key as it was; an old one may stand in a second line.",
            )
        data = base64.b64decode(str(sealed["sealed"]))
        try:
            return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place.encode())
        except InvalidTag as error:
            raise SealedError(
                "A sealed response in the journal was changed.",
                why="It does not open with its key at its place.",
                advice="Find out who else writes to the journal; `rerun: force` begins anew.",
            ) from error


def seal_of(text: str) -> Seal:
    """Secret texts, one a line -> a Seal. Raises UsageError when one is too short to be a secret."""
    secrets = [line.strip() for line in text.splitlines() if line.strip()]
    if not secrets or min(map(len, secrets)) < SHORTEST:
        raise UsageError(f"The journal's key has fewer than {SHORTEST} characters.", advice="Make one with: openssl rand -hex 32")
    return Seal({_name(key): key for key in map(_derived, secrets)})


def _derived(secret: str) -> bytes:
    """By scrypt (RFC 7914), slow on purpose: somebody may have made the text up. The salt only sets this use apart."""
    return hashlib.scrypt(secret.encode(), salt=b"migration-rehearsal journal", n=2**14, r=8, p=1, dklen=32)


def _name(key: bytes) -> str:
    """What a key is called in the open."""
    return hashlib.blake2b(key, digest_size=4, person=b"rehearsal-name").hexdigest()
