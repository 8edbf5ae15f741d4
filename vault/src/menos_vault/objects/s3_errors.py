"""What an S3 server means by its errors."""

import re

# Time-outs, other writers, too many requests.
_PASSING = frozenset({408, 409, 425, 429})


def may_pass(status: int) -> bool:
    """Say whether an error of this status may pass by itself."""
    return status in _PASSING or (status >= 500 and status != 501)


def told(error: Exception) -> tuple[int | None, str]:
    """Return the status of an answer, None if there was none, and what it says.

    By status and not by class: a server that writes its errors as text and not as XML makes the
    client raise another class.
    """
    from minio.error import InvalidResponseError, S3Error, ServerError

    if isinstance(error, S3Error):
        words = filter(None, (error.code, error.message))
        return error.response.status, f"status {error.response.status}, {': '.join(words)}"
    if isinstance(error, ServerError):
        return error.status_code, f"status {error.status_code}"
    if isinstance(error, InvalidResponseError):
        status = error._code  # it has no public name for it
        found = re.findall(r"<(?:Code|Message)>([^<]+)", error._body or "")
        return status, f"status {status}, {': '.join(found) or 'not in the words of S3'}"
    return None, str(error) or type(error).__name__


def advice(status: int) -> str:
    """Say what to do about an error that does not pass."""
    if status in (401, 403):
        return (
            "check MENOS_VAULT_S3_ACCESS_KEY and MENOS_VAULT_S3_SECRET_KEY, and that this user may "
            "read and write in the bucket"
        )
    if status in (301, 307, 400):
        return "check MENOS_VAULT_S3_REGION and MENOS_VAULT_S3_ENDPOINT"
    return "check MENOS_VAULT_S3_ENDPOINT and MENOS_VAULT_OBJECTS"
