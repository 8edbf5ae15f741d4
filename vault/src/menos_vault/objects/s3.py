"""Objects in a bucket of an S3 server, through the `minio` client."""

import io
import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar
from xml.etree.ElementTree import ParseError

from menos_vault.errors import InvalidContent, ObjectNotFound, ObjectsRefused, ObjectsUnavailable
from menos_vault.models import Health
from menos_vault.objects.keys import check_key
from menos_vault.objects.s3_errors import advice, may_pass, told
from menos_vault.settings import VaultSettings

if TYPE_CHECKING:
    from minio import Minio

T = TypeVar("T")

_TRIES = 3
_WAIT = 0.2  # seconds before the second try, at most; then three times as many
_CONNECT = 5.0  # seconds for a connection
_HEALTH = 3.0  # seconds of silence when somebody only asks how it is: one try
_CONNECTIONS = 16  # kept open for the threads of one process
_SMALLEST_PART = 5 << 20  # bytes; the client splits what is larger than a part
_LONGEST_LINK = 7 * 24 * 3600  # seconds, the signature's own limit
_TYPES = {"json": "application/json", "txt": "text/plain; charset=utf-8"}


class S3Objects:
    """The object store of a fleet. See `menos_vault.objects.Objects`.

    The bucket is made at the first put that misses it.
    """

    def __init__(self, settings: VaultSettings) -> None:
        """Remember where; nothing is asked yet. Raises ObjectsRefused without the client."""
        place = settings.s3_place
        assert place is not None
        self._settings = settings
        self._bucket, self._prefix = place
        self._client = _client(settings, settings.s3_endpoint, settings.s3_timeout)

    def put(self, key: str, data: bytes) -> None:
        """Send it in one request, so that it is whole or not there."""
        name = self._name(key)

        def send() -> None:
            self._client.put_object(
                self._bucket,
                name,
                io.BytesIO(data),
                len(data),
                content_type=_TYPES.get(key.rpartition(".")[2], "application/octet-stream"),
                part_size=max(len(data), _SMALLEST_PART),
            )

        try:
            self._try(send, f"write object {key!r}")
        except _Missing:
            self._make_bucket()
            try:
                self._try(send, f"write object {key!r}")
            except _Missing as missing:
                raise ObjectsRefused(f"{missing}; check MENOS_VAULT_OBJECTS") from None

    def get(self, key: str) -> bytes:
        """Read the whole object; an answer that was cut off counts as none."""
        name = self._name(key)

        def receive() -> bytes:
            response = self._client.get_object(self._bucket, name)
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

        try:
            return self._try(receive, f"read object {key!r}")
        except _Missing:
            raise ObjectNotFound(key) from None

    def exists(self, key: str) -> bool:
        """Ask for the object's head."""
        name = self._name(key)
        try:
            self._try(lambda: self._client.stat_object(self._bucket, name), f"look for {key!r}")
        except _Missing:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove the object."""
        name = self._name(key)
        try:
            self._try(lambda: self._client.remove_object(self._bucket, name), f"delete {key!r}")
        except _Missing:
            return

    def keys(self, folder: str) -> list[str]:
        """List the bucket; a page of a thousand is one request."""
        name = self._name(folder)

        def ask() -> list[str]:
            found = self._client.list_objects(self._bucket, prefix=f"{name}/", recursive=True)
            return [item.object_name for item in found if item.object_name is not None]

        try:
            names = self._try(ask, f"list the objects below {folder!r}")
        except _Missing:
            return []
        return sorted(found.removeprefix(f"{self._prefix}/") for found in names)

    def link(self, key: str, seconds: int) -> str | None:
        """Sign a URL; nothing is asked for that."""
        name = self._name(key)
        if not 1 <= seconds <= _LONGEST_LINK:
            raise InvalidContent(f"a link lasts 1 to {_LONGEST_LINK} seconds, not {seconds}")
        client = self._client
        if self._settings.s3_public_endpoint:
            client = _client(self._settings, self._settings.s3_public_endpoint, _CONNECT)
        return client.presigned_get_object(self._bucket, name, expires=timedelta(seconds=seconds))

    def health(self) -> Health:
        """Ask for the bucket's head, once and with little patience."""
        client = _client(self._settings, self._settings.s3_endpoint, _HEALTH)
        place = f"{self._settings.objects} at {self._settings.s3_endpoint}"
        doing = f"look for {self._settings.objects}"
        try:
            there = self._try(lambda: client.bucket_exists(self._bucket), doing, tries=1)
        except (ObjectsUnavailable, ObjectsRefused, _Missing) as error:
            return Health.failed("objects", error)
        state = "is there" if there else "will be made at the first write"
        return Health("objects", True, f"{place} {state}")

    def _name(self, key: str) -> str:
        check_key(key)
        name = f"{self._prefix}/{key}" if self._prefix else key
        check_key(name)  # with its prefix it may be too long
        return name

    def _make_bucket(self) -> None:
        region = self._settings.s3_region

        def make() -> None:
            if not self._client.bucket_exists(self._bucket):
                self._client.make_bucket(self._bucket, region)

        try:
            self._try(make, f"make the bucket {self._bucket!r}")
        except _Missing as missing:
            raise ObjectsRefused(f"{missing}; check MENOS_VAULT_S3_ENDPOINT") from None

    def _try(self, work: Callable[[], T], doing: str, tries: int = _TRIES) -> T:
        """Run one request, again if it may pass by itself.

        Raises _Missing for status 404, ObjectsUnavailable, ObjectsRefused.
        """
        from minio.error import MinioException
        from urllib3.exceptions import HTTPError

        longest = _WAIT
        while True:
            tries -= 1
            try:
                return work()
            except (MinioException, HTTPError, OSError, ParseError) as error:
                status, said = told(error)
                trouble = f"cannot {doing} at {self._settings.s3_endpoint}: {said}"
                if status == 404:
                    raise _Missing(trouble) from error
                if status is not None and not may_pass(status):
                    raise ObjectsRefused(f"{trouble}; {advice(status)}") from error
                if tries <= 0:
                    raise ObjectsUnavailable(
                        f"{trouble}; see that the server runs and that MENOS_VAULT_S3_ENDPOINT is "
                        "right, then try again"
                    ) from error
            # Full jitter, so that those who met do not meet again.
            time.sleep(random.uniform(0, longest))  # noqa: S311 - no secret
            longest *= 3


class _Missing(Exception):
    """The server answered 404: no such object, or no such bucket."""


def _client(settings: VaultSettings, endpoint: str, silence: float) -> "Minio":
    """Make a client. Its own retries are off: they would not know which errors may pass."""
    try:
        import urllib3
        from minio import Minio
    except ImportError as error:
        raise ObjectsRefused(
            f"MENOS_VAULT_OBJECTS is {settings.objects}, and the client for it is not installed; "
            "pip install 'menos-vault[s3]'"
        ) from error
    scheme, _, host = endpoint.partition("://")
    return Minio(
        host,
        settings.s3_access_key,
        settings.s3_secret_key.get_secret_value(),
        secure=scheme == "https",
        region=settings.s3_region,
        http_client=urllib3.PoolManager(
            maxsize=_CONNECTIONS,
            timeout=urllib3.Timeout(connect=min(_CONNECT, silence), read=silence),
            retries=False,
            cert_reqs="CERT_REQUIRED",
        ),
    )
