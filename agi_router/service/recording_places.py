"""
Where the settings say that sealed recordings lie.
"""

from agi_router.recordings.bucket import Bucket, BucketAddress
from agi_router.recordings.places import Places
from agi_router.recordings.vault import Vault
from agi_router.settings import Settings

__all__ = ["bucket_of", "places_of"]


def bucket_of(settings: Settings) -> Bucket | None:
    """
    The bucket that they are brought to; :obj:`None`: none is set.
    """
    if settings.s3_endpoint is None or settings.s3_bucket is None:
        return None
    return Bucket(
        BucketAddress(
            endpoint=settings.s3_endpoint,
            bucket=settings.s3_bucket,
            region=settings.s3_region,
            access_key=settings.load_s3_credentials,
            in_path=settings.s3_addressing == "path",
            ca_file=settings.s3_ca_file,
        )
    )


def places_of(settings: Settings) -> Places:
    """
    The directory, and the bucket if one is set.
    """
    return Places(Vault(settings.recordings_sealed), bucket_of(settings))
