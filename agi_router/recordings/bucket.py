"""
Sealed recordings in a bucket of an S3-compatible store, by botocore (``agi_router[s3]``).

An object is called as its file is in a directory: a folder by the first letters of its name, and
its name. It is there whole or not at all, so whoever is killed does it again. ``name`` tells what
the bucket is called on record.

Rules for the editor:

1. Only what is sealed goes there. Whoever has the bucket, and all of its versions, hears nothing.
2. botocore reads no setting of its own: what is not given here is not looked for in files and
   variables of AWS, but for a proxy's address.
3. It is imported with the first request: a program that asks for nothing does not pay for it.
"""

import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from agi_router.errors import RecordingDamaged, RecordingsUnusable, SettingsError
from agi_router.keys.segments import FileCipher
from agi_router.recordings.model import is_name
from agi_router.recordings.vault import checked, new_vault_name, opened_segments, place_of

__all__ = ["PART", "Bucket", "BucketAddress"]

PART: Final = 8 << 20
"""Octets up to which an object is brought in one request; a longer one in pieces of as many."""

_NAMED: Final = "name"
_TRIES: Final = 2
_CONNECT: Final = 5
_READ: Final = 30
# What stores answer where there is no such object.
_NOT_THERE: Final = frozenset({"404", "NoSuchKey", "NotFound"})
# Where a condition does not hold, and where none is known.
_TAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NotImplemented"})
_NO_UPLOAD: Final = frozenset({"NoSuchUpload", "404"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketAddress:
    """
    Where a bucket is, and by which access key it is asked.

    Attributes:
        endpoint: URL of the store.
        bucket: The bucket.
        region: Its region.
        access_key: Reads id and secret of the access key; again after each failure.
        in_path: Whether the bucket's name stands in the path, and not in front of the host.
        ca_file: Certificates that are believed; :obj:`None`: those of the system.
    """

    endpoint: str
    bucket: str
    region: str
    access_key: Callable[[], tuple[str, str]]
    in_path: bool = True
    ca_file: Path | None = None

    def __str__(self) -> str:
        return f"the bucket {self.bucket} at {self.endpoint}"


class Bucket:
    """
    Sealed recordings in a bucket.

    Args:
        address: Where it is.
    """

    def __init__(self, address: BucketAddress) -> None:
        self.address = address
        """Where it is."""
        self._asked: Any = None
        self._name: str | None = None

    def prepare(self) -> None:
        """
        Have it tell what it is called on record, if it does not yet.

        Raises:
            RecordingsUnusable: It cannot be asked, or written to.
        """
        if self._name is not None:
            return
        name = self._told_name()
        # Of two that come at once the second is refused, by stores that know conditions.
        for condition in ({"IfNoneMatch": "*"}, {}):
            if name is None:
                with contextlib.suppress(_Expected), self._in_words(but=_TAKEN):
                    self._put(_NAMED, new_vault_name().encode("ascii"), **condition)
                name = self._told_name()
        if name is None:
            raise RecordingsUnusable(f"{self.address} does not keep what is written to it")
        self._name = name

    @property
    def name(self) -> str:
        """
        What it is called on record, wherever it is copied; of letters.

        Raises:
            RecordingsUnusable: It was not prepared.
        """
        if self._name is None:
            raise RecordingsUnusable(f"{self.address} was not asked for its name")
        return self._name

    def put(self, name: str, file: BinaryIO) -> None:
        """
        Bring a sealed file; it may be there already. It is whole when this returns.

        Args:
            name: Its name; it never stands for anything else.
            file: What it says, from its beginning.

        Raises:
            RecordingsUnusable: It cannot be brought.
        """
        key, size = place_of(checked(name)), file.seek(0, os.SEEK_END)
        file.seek(0)
        with self._in_words():
            if size <= PART:
                # As cheap as to ask whether it is there.
                self._put(key, file.read())
            elif self._size(key) != size:
                self._put_in_parts(key, file)
                if self._size(key) != size:
                    raise RecordingsUnusable(f"{self.address} has another file than was brought")

    def read(self, name: str, cipher: FileCipher, key: bytes) -> Iterator[bytes]:
        """
        What a recording says, some at a time, each checked.

        Raises:
            RecordingDamaged: It is not there, or not as it was sealed.
            RecordingsUnusable: It cannot be asked.
        """
        with contextlib.suppress(_Expected), self._in_words(but=_NOT_THERE):
            found = self._ask("get_object", Key=place_of(checked(name)))
            with contextlib.closing(_Whole(found["Body"])) as sealed:
                yield from opened_segments(sealed.read, name, cipher, key)
                return
        raise RecordingDamaged(f"its file is not in {self.address}")

    def erase(self, name: str) -> None:
        """
        Remove a sealed file, if it is there.

        Raises:
            RecordingsUnusable: It cannot be.
        """
        with self._in_words():
            self._ask("delete_object", Key=place_of(checked(name)))

    def names(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """
        Those of a folder, and since when they are there.

        Raises:
            RecordingsUnusable: It cannot be asked.
        """
        more: dict[str, str] = {}
        while True:
            with self._in_words():
                page = self._ask("list_objects_v2", Prefix=f"{folder}/", **more)
            for each in page.get("Contents", ()):
                name = each["Key"].rpartition("/")[2]
                if is_name(name) and each["Key"] == place_of(name):
                    yield name, each["LastModified"]
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def abort_left(self, before: datetime) -> int:
        """
        Give up what somebody has begun to bring in pieces before a time, and never ended.

        Returns:
            How many there were.

        Raises:
            RecordingsUnusable: It cannot be asked.
        """
        with self._in_words():
            begun = self._ask("list_multipart_uploads").get("Uploads", ())
        return sum(self._abort(each) for each in begun if each["Initiated"] < before)

    def faults(self) -> Iterator[str]:
        """
        What is wrong with it, to stand behind its address; a file is written and removed for it.
        """
        probe = "doctor/" + new_vault_name()
        content = secrets.token_bytes(64)
        try:
            with self._in_words():
                self._put(probe, content)
                try:
                    if self._ask("get_object", Key=probe)["Body"].read() != content:
                        yield "tells another file than was written"
                    stranger, which = self._client(stranger=True), {"Bucket": self._bucket}
                    for what, asked in (
                        ("read", lambda: stranger.get_object(**which, Key=probe)),
                        ("listed", lambda: stranger.list_objects_v2(**which)),
                        ("written to", lambda: stranger.put_object(**which, Key=probe, Body=b"")),
                    ):
                        if _is_granted(asked):
                            yield f"can be {what} by everybody: make it private"
                finally:
                    self._ask("delete_object", Key=probe)
        except RecordingsUnusable as error:
            yield str(error).removeprefix(f"{self.address} ")

    @property
    def _bucket(self) -> str:
        return self.address.bucket

    def _told_name(self) -> str | None:
        with contextlib.suppress(_Expected), self._in_words(but=_NOT_THERE):
            told = self._ask("get_object", Key=_NAMED)["Body"].read(64)
            return str(told, "ascii", "replace")
        return None

    def _size(self, key: str) -> int | None:
        with contextlib.suppress(_Expected), self._in_words(but=_NOT_THERE):
            return int(self._ask("head_object", Key=key)["ContentLength"])
        return None

    def _put(self, key: str, content: bytes, **more: str) -> None:
        kind = "application/octet-stream"
        self._ask("put_object", Key=key, Body=content, ContentType=kind, **more)

    def _put_in_parts(self, key: str, file: BinaryIO) -> None:
        # Of the same file, by a process that was killed: nobody else brings this one.
        for each in self._ask("list_multipart_uploads", Prefix=key).get("Uploads", ()):
            if each["Key"] == key:
                self._abort(each)
        upload = {
            "Key": key,
            "UploadId": self._ask("create_multipart_upload", Key=key)["UploadId"],
        }
        try:
            parts = [
                {"PartNumber": number, "ETag": self._put_part(upload, number, some)}
                for number, some in enumerate(iter(lambda: file.read(PART), b""), start=1)
            ]
            self._ask("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts})
        except Exception:
            with contextlib.suppress(RecordingsUnusable):
                self._abort(upload)
            raise

    def _put_part(self, upload: dict[str, str], number: int, some: bytes) -> str:
        told = self._ask("upload_part", **upload, PartNumber=number, Body=some)
        return str(told["ETag"])

    def _abort(self, upload: dict[str, Any]) -> int:
        with contextlib.suppress(_Expected), self._in_words(but=_NO_UPLOAD):
            which = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
            self._ask("abort_multipart_upload", **which)
            return 1
        return 0

    def _ask(self, operation: str, **given: Any) -> Any:
        # Of two threads one may forget the client while the other asks.
        asked = self._asked
        if asked is None:
            asked = self._asked = self._client()
        return getattr(asked, operation)(Bucket=self._bucket, **given)

    def _client(self, *, stranger: bool = False) -> Any:
        import botocore  # noqa: PLC0415 - an extra
        from botocore.config import Config  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415

        # In detail they tell all that is sent, signatures and contents.
        for name in ("botocore", "urllib3"):
            logging.getLogger(name).setLevel(logging.WARNING)
        address = self.address
        try:
            key_id, secret = address.access_key()
        except SettingsError as error:
            raise RecordingsUnusable(f"{address} cannot be asked: {error}") from None
        # Neither a profile nor a file of AWS of the account that happens to run this.
        nowhere = (None, None, os.devnull, None)
        nobody = (None, None, None, None)
        session = Session({"config_file": nowhere, "credentials_file": nowhere, "profile": nobody})
        config = Config(
            signature_version=botocore.UNSIGNED if stranger else "s3v4",
            retries={"total_max_attempts": _TRIES, "mode": "standard"},
            connect_timeout=_CONNECT,
            read_timeout=_READ,
            # Checksums that other stores than Amazon's do not know; the signature has one.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={
                "addressing_style": "path" if address.in_path else "virtual",
                "payload_signing_enabled": True,
            },
        )
        try:
            return session.create_client(
                "s3",
                endpoint_url=address.endpoint,
                region_name=address.region,
                aws_access_key_id=key_id,
                aws_secret_access_key=secret,
                verify=str(address.ca_file) if address.ca_file else _system_certificates(),
                config=config,
            )
        except ValueError:
            # An underscore in the name of a host, for one.
            raise RecordingsUnusable(
                f"{address} cannot be asked: botocore takes no such endpoint or region"
            ) from None

    @contextlib.contextmanager
    def _in_words(self, *, but: frozenset[str] = frozenset()) -> Iterator[None]:
        """
        Errors in our words; where the store answers one of *but*, :class:`_Expected`.
        """
        try:
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        except ImportError:
            raise RecordingsUnusable(
                f"{self.address} needs botocore: install docker/pins/s3.txt"
                " (docs/recordings.md, In a bucket)"
            ) from None
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "no reason"))
            if code in but:
                raise _Expected from None
            # Whoever mends the file of the access key needs no restart.
            self._asked = None
            raise RecordingsUnusable(f"{self.address} refuses: {code}") from None
        except BotoCoreError as error:
            # Their texts quote what was asked.
            why = type(error).__name__
            raise RecordingsUnusable(f"{self.address} cannot be reached: {why}") from None


class _Expected(Exception):  # noqa: N818 - no error
    """
    The store has answered what the one who asks knows what to do with.
    """


class _Whole:
    """
    What a store sends, as many octets at a time as are asked for.

    Args:
        body: As botocore gives it.
    """

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, count: int) -> bytes:
        """So many octets, fewer at the end alone."""
        some = bytearray()
        while len(some) < count and (more := self._body.read(count - len(some))):
            some += more
        return bytes(some)

    def close(self) -> None:
        """Let go of the connection."""
        self._body.close()


def _is_granted(asked: Any) -> bool:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        asked()
    except ClientError:
        return False
    return True


def _system_certificates() -> str | bool:
    """
    Where this system keeps the certificates that it believes; else those of botocore.
    """
    import ssl  # noqa: PLC0415 - for who asks a store

    return ssl.get_default_verify_paths().cafile or True
