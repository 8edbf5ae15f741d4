import subprocess
import sys

import menos_vault

HEAVY = {"numpy", "openvino", "tokenizers", "surrealdb", "safetensors", "minio", "httpx"}


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, menos_vault, menos_vault.records.surreal, menos_vault.embeddings.local, "
        "menos_vault.embeddings.ollama, menos_vault.objects.files, menos_vault.objects.s3; "
        "menos_vault.Vault().embeddings; "
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (answer.stdout.strip(), answer.stderr) == ("[]", "")


def test_the_public_names_are_these() -> None:
    assert menos_vault.__all__ == [
        "Chunk",
        "ChunkSet",
        "Content",
        "ContentNotFound",
        "Counts",
        "EmbeddingMismatch",
        "Filters",
        "Health",
        "Hit",
        "InvalidContent",
        "InvalidKey",
        "InvalidSettings",
        "ModelCorrupt",
        "ModelFailed",
        "ModelMissing",
        "ModelUnavailable",
        "NewChunks",
        "NotFound",
        "ObjectNotFound",
        "ObjectsRefused",
        "ObjectsUnavailable",
        "Passage",
        "RecordsConflict",
        "RecordsFailed",
        "RecordsLocked",
        "RecordsUnavailable",
        "Statistics",
        "Vault",
        "VaultClosed",
        "VaultError",
        "VaultSettings",
        "close_vault",
        "content_id",
        "open_vault",
        "why_one_process",
    ]
    assert all(hasattr(menos_vault, name) for name in menos_vault.__all__)


def test_each_error_has_a_code_of_its_own_and_survives_pickling() -> None:
    import pickle

    errors = [
        value
        for value in vars(menos_vault).values()
        if isinstance(value, type) and issubclass(value, menos_vault.VaultError)
    ]

    assert len({error.code for error in errors}) == len(errors)
    for error in errors:
        copy = pickle.loads(pickle.dumps(error("x")))
        assert (type(copy), str(copy)) == (error, str(error("x")))
