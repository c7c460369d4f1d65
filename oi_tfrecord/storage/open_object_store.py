"""Makes clients of object stores and web servers with the settings of Beam's flags, of the environment and of files."""

import configparser
import datetime
import os
import pathlib
from typing import Any

from oi_tfrecord.storage.object_store import ObjectStore

_TIMEOUT = datetime.timedelta(seconds=60)

_CLIENT: dict[str, Any] = {"timeout": _TIMEOUT, "connect_timeout": datetime.timedelta(seconds=10)}

# `storage.retry` sends requests again, and counts them.
_NO_RETRY: Any = {"max_retries": 0, "retry_timeout": _TIMEOUT}

_AWS_SOURCES = (
    "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
"""Variables by which the client itself finds credentials."""


def open_store(root: str, options: Any, anonymous: bool) -> ObjectStore:
    """Returns the store of a bucket or server; nothing is requested yet.

    Args:
        root: scheme and bucket, such as `s3://bucket`, or scheme and host.
        options: Beam's PipelineOptions.
        anonymous: whether requests are sent without credentials.
    """
    scheme, _, bucket = root.partition("://")
    if scheme == "s3":
        return ObjectStore(_open_s3(bucket, options, anonymous))
    if scheme == "gs":
        return ObjectStore(_open_gcs(bucket, options, anonymous))
    if scheme == "az":
        return ObjectStore(_open_azure(bucket, anonymous))
    return ObjectStore(_open_http(root))


def _open_s3(bucket: str, options: Any, anonymous: bool) -> Any:
    from apache_beam.options.pipeline_options import S3Options
    from obstore.store import S3Store

    flags = options.view_as(S3Options)
    endpoint = flags.s3_endpoint_url or os.environ.get("AWS_ENDPOINT_URL") or ""
    if flags.s3_disable_ssl:
        endpoint = (endpoint or f"https://s3.{flags.s3_region_name or 'us-east-1'}.amazonaws.com").replace(
            "https", "http"
        )
    client: Any = {**_CLIENT, "allow_http": endpoint.startswith("http://")}
    if str(flags.s3_verify).lower() in ("false", "0"):
        client["allow_invalid_certificates"] = True
    elif isinstance(flags.s3_verify, str) and os.path.isfile(flags.s3_verify):
        client["root_certificate"] = pathlib.Path(flags.s3_verify).read_bytes()
    settings = {
        "endpoint": endpoint,
        "region": flags.s3_region_name,
        "access_key_id": flags.s3_access_key_id,
        "secret_access_key": flags.s3_secret_access_key,
        "session_token": flags.s3_session_token,
    }
    if anonymous:
        settings = {name: settings[name] for name in ("endpoint", "region")} | {"skip_signature": True}
    elif not flags.s3_access_key_id and not any(os.environ.get(name) for name in _AWS_SOURCES):
        settings |= _read_aws_profile()
    given = {name: value for name, value in settings.items() if value}
    return S3Store(bucket, **given, client_options=client, retry_config=_NO_RETRY)


def _read_aws_profile() -> dict[str, Any]:
    """Returns what the profile of the AWS tools gives.

    boto3 knows all forms of a profile (single sign-on, assumed roles); without it, keys in the file are enough.
    """
    home = pathlib.Path.home() / ".aws"
    credentials = pathlib.Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials")
    config = pathlib.Path(os.environ.get("AWS_CONFIG_FILE") or home / "config")
    if not credentials.is_file() and not config.is_file():
        return {}
    profile = os.environ.get("AWS_PROFILE") or "default"
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read([config, credentials], encoding="utf-8")
    found = dict(parsed.items(f"profile {profile}")) if parsed.has_section(f"profile {profile}") else {}
    found |= dict(parsed.items(profile)) if parsed.has_section(profile) else {}
    if "aws_access_key_id" in found:
        return {
            "access_key_id": found["aws_access_key_id"],
            "secret_access_key": found.get("aws_secret_access_key"),
            "session_token": found.get("aws_session_token"),
            **({"region": found["region"]} if "region" in found else {}),
        }
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider

        return {"credential_provider": Boto3CredentialProvider()}
    except (ImportError, ValueError):
        return {}


def _open_gcs(bucket: str, options: Any, anonymous: bool) -> Any:
    from apache_beam.options.pipeline_options import GoogleCloudOptions
    from obstore.store import GCSStore

    emulator = os.environ.get("STORAGE_EMULATOR_HOST") or ""
    if emulator:
        # Emulators leave out headers that the client of the real store insists on.
        return _open_http(f"{emulator if '://' in emulator else 'http://' + emulator}/{bucket}")
    no_auth = anonymous or options.view_as(GoogleCloudOptions).no_auth
    settings: dict[str, Any] = {"skip_signature": True} if no_auth else {}
    client: Any = _CLIENT
    return GCSStore(bucket, **settings, client_options=client, retry_config=_NO_RETRY)


def _open_azure(container: str, anonymous: bool) -> Any:
    from obstore.store import AzureStore

    settings: dict[str, Any] = {"skip_signature": True} if anonymous else {}
    client: Any = _CLIENT
    return AzureStore(container, **settings, client_options=client, retry_config=_NO_RETRY)


def _open_http(root: str) -> Any:
    from obstore.store import HTTPStore

    client: Any = {**_CLIENT, "allow_http": root.startswith("http://")}
    return HTTPStore(root, client_options=client, retry_config=_NO_RETRY)
