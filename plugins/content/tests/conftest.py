import os

import pytest

from menos_vault import ModelUnavailable, Vault, open_vault


@pytest.fixture(scope="session")
def loaded_model():
    """The real model, fetched once into the user's cache folder, and loaded once."""
    try:
        embeddings = Vault().embeddings
        embeddings.prepare()
    except ModelUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the model cannot be fetched: {error}")
    return embeddings


@pytest.fixture
def model(bus, loaded_model):
    """The real model; the vault of this test's bus has it loaded."""
    open_vault().embeddings._runtime = loaded_model._runtime
    return loaded_model
