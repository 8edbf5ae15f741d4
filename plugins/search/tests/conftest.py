import os

import pytest

from menos_vault import ModelUnavailable, Vault


@pytest.fixture(scope="session")
def model():
    """The real model, fetched once into the user's cache folder."""
    try:
        embeddings = Vault().embeddings
        embeddings.prepare()
    except ModelUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the model cannot be fetched: {error}")
    return embeddings
