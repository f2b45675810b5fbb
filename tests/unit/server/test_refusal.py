"""A failure is answered by a status that tells a client whose fault it is and what to do."""

from __future__ import annotations

import pytest

from nearfield.errors import (
    BadRequestError,
    ConfigError,
    CorruptStoreError,
    InputTooLongError,
    ModelMismatchError,
    NotSupportedError,
    ProviderUnavailableError,
    StoreError,
    StoreLockedError,
    StoreUnavailableError,
    UnknownModelError,
)
from nearfield.server.refusal import refusal_of

pytestmark = pytest.mark.server


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("x"), 400),
        (InputTooLongError("x"), 400),
        (NotSupportedError("x"), 400),
        (BadRequestError("x"), 400),
        (UnknownModelError("x"), 404),
        (ProviderUnavailableError("x"), 502),
        (StoreUnavailableError("x"), 503),
        (StoreLockedError("x"), 503),
        (ModelMismatchError("x"), 503),
        (CorruptStoreError("x"), 500),
        (StoreError("x"), 500),
        (ValueError("x"), 500),
    ],
)
def test_each_error_has_its_status(error, status):
    assert refusal_of(error).status == status


def test_an_index_that_is_held_just_now_is_to_be_asked_again():
    refusal = refusal_of(StoreLockedError("/secret/place is held by process 17."))

    assert refusal.headers == {"retry-after": "1"}
    assert "Ask again" in str(refusal)
    assert "secret" not in str(refusal)
