"""SeaweedFS, as it is to be had: a server of S3 that a test starts, stops and starts again."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

from agi_router.recordings.bucket import Bucket, BucketAddress
from harness.free_port import free_port
from testpbx.waiting import until

__all__ = ["OPEN", "SeaweedFs"]

OPEN = "opened"
"""A bucket that everybody may read."""

_SOON = 60.0
_PARTS = ("master", "volume", "filer", "s3")


class SeaweedFs:
    """
    One that runs in a block, with a bucket that everybody may read.

    Args:
        home: An empty directory.
        tls: Certificate and key, where it is to serve TLS too.
    """

    def __init__(self, home: Path, *, tls: tuple[Path, Path] | None = None) -> None:
        self._home = home
        self.key_id, self.secret = secrets.token_hex(8), secrets.token_hex(16)
        """Of its access key."""
        self._ports = {part: (free_port(), free_port()) for part in _PARTS}
        self._tls_port = free_port()
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        (self._home / "data").mkdir()
        everybody = {"name": "anonymous", "actions": [f"Read:{OPEN}", f"List:{OPEN}"]}
        key = {"accessKey": self.key_id, "secretKey": self.secret}
        ours = {"name": "ours", "credentials": [key], "actions": ["Admin"]}
        access = json.dumps({"identities": [everybody, ours]})
        (self._home / "access.json").write_text(access, "utf-8")
        self.start()
        self.make(OPEN)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._ports['s3'][0]}"

    @property
    def tls_endpoint(self) -> str:
        """The same by TLS."""
        return f"https://127.0.0.1:{self._tls_port}"

    def start(self) -> None:
        """Let it run, with what it had."""
        words = [
            *("server", f"-dir={self._home / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *("-master.volumeSizeLimitMB=64", "-volume.max=100", "-filer", "-s3"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"),
            f"-s3.config={self._home / 'access.json'}",
            f"-s3.localSocket={self._home / 's3.sock'}",
            "-s3.autoCreateBucket=false",
        ]
        for part, (http, grpc) in self._ports.items():
            words += [f"-{part}.port={http}", f"-{part}.port.grpc={grpc}"]
        if self._tls is not None:
            certificate, key = self._tls
            words += [f"-s3.port.https={self._tls_port}"]
            words += [f"-s3.cert.file={certificate}", f"-s3.key.file={key}"]
        (program,) = Path(os.environ["PBX_CLIENTS"]).glob(
            "venv/lib/python3*/site-packages/bin/weed"
        )
        # A bucket has a file of its own to begin with, and not seven.
        env = {"HOME": str(self._home), "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen([program, *words], stdout=log, stderr=log, env=env)
        assert until(self._serves, timeout=_SOON), (self._home / "log").read_text()

    def kill(self) -> None:
        """Let it end at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(_SOON)

    def make(self, name: str) -> Bucket:
        """A new bucket."""
        # Not what is tested: a bucket is the operator's to make.
        self._client().create_bucket(Bucket=name)
        return Bucket(self.address(name))

    def has(self, bucket: str, name: str) -> bool:
        """Whether an object lies in a bucket."""
        return bool(self._client().list_objects_v2(Bucket=bucket, Prefix=name)["KeyCount"])

    def address(self, bucket: str, **other: Any) -> BucketAddress:
        """Where a bucket is, and how it is asked for."""
        given: dict[str, Any] = {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key": lambda: (self.key_id, self.secret),
        }
        return BucketAddress(**{**given, "bucket": bucket, **other})

    def _client(self) -> Any:
        return Bucket(self.address("none"))._client()

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._home / "log").read_text()
        with contextlib.suppress(Exception):
            self._client().list_buckets()
            # The gateway is up before it has a volume to write to.
            return self._writes()
        return False

    def _writes(self) -> bool:
        client = self._client()
        there = client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou
        with contextlib.suppress(*there):
            client.create_bucket(Bucket="first")
        client.put_object(Bucket="first", Key="x", Body=b"x")
        return True
