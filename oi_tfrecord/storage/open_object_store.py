"""Makes clients of object stores and web servers with given settings, those of the environment and of files."""

import configparser
import datetime
import importlib.util
import json
import os
import pathlib
from typing import Any

from oi_tfrecord.errors import InputError
from oi_tfrecord.storage.governor import FIRST_PATIENCE_SECONDS, PATIENCE_SECONDS, Governor
from oi_tfrecord.storage.object_store import ObjectStore
from oi_tfrecord.storage.optional_imports import install_command
from oi_tfrecord.storage.store_settings import StoreSettings, runs_command


def _seconds(number: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=number)


_READER = {"timeout": _seconds(60), "connect_timeout": _seconds(10)}

_LOOKER = {"timeout": _seconds(10), "connect_timeout": _seconds(5)}
"""For requests that a user waits for."""

_WRITER = {"timeout": _seconds(300), "connect_timeout": _seconds(10)}

# `storage.retry` sends requests again, and counts them.
_NO_RETRY: Any = {"max_retries": 0, "retry_timeout": _seconds(60)}

# Only the client can send a part of an upload again. Its waits double up to their bound, so a longer one would leave a
# store idle that takes some requests a second.
_WRITER_RETRY: Any = {
    "max_retries": 1000,
    "retry_timeout": _seconds(PATIENCE_SECONDS),
    "backoff": {"init_backoff": _seconds(0.1), "max_backoff": _seconds(2), "base": 2},
}

_AWS_SOURCES = (
    "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
"""Variables by which the client itself finds credentials."""

_GOOGLE_KINDS = ("service_account", "authorized_user")
"""Kinds of credentials that the client itself takes."""


def open_store(root: str, settings: StoreSettings) -> ObjectStore:
    """Returns the store of a bucket or server; nothing is requested yet.

    Args:
        root: scheme and bucket, such as `s3://bucket`, or scheme and host.
        settings: how the store is reached.
    """
    from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

    scheme, _, bucket = root.partition("://")
    kind: Any
    if scheme == "s3":
        kind, name, arguments, client = S3Store, bucket, _s3_arguments(settings), _s3_client(settings)
    elif scheme == "gs" and os.environ.get("STORAGE_EMULATOR_HOST"):
        # Emulators leave out headers that the client of the real store insists on.
        host = os.environ["STORAGE_EMULATOR_HOST"]
        kind, name, arguments = HTTPStore, f"{host if '://' in host else 'http://' + host}/{bucket}", {}
        client = {"allow_http": name.startswith("http://")}
    elif scheme == "gs":
        kind, name, arguments, client = GCSStore, bucket, _gcs_arguments(settings, root), _gcs_client(settings)
    elif scheme == "az":
        kind, name, arguments = AzureStore, bucket, _azure_arguments(settings)
        client = {"allow_http": str(arguments.get("endpoint", "")).startswith("http://")}
    else:
        kind, name, arguments, client = HTTPStore, root, {}, {"allow_http": root.startswith("http://")}
    reader, looker, writer = (
        kind(name, **arguments, client_options={**client, **times}, retry_config=retry)
        for times, retry in ((_READER, _NO_RETRY), (_LOOKER, _NO_RETRY), (_WRITER, _WRITER_RETRY))
    )
    first_patience = FIRST_PATIENCE_SECONDS if runs_command() else PATIENCE_SECONDS
    return ObjectStore(root, reader, looker, writer, kind is not HTTPStore, Governor(first_patience=first_patience))


def _s3_arguments(settings: StoreSettings) -> dict[str, Any]:
    given: dict[str, Any] = {
        "endpoint": _s3_endpoint(settings),
        "region": settings.region,
        "request_payer": settings.requester_pays,
    }
    if settings.anonymous:
        given["skip_signature"] = True
    elif settings.access_key_id:
        names = ("access_key_id", "secret_access_key", "session_token")
        given |= {name: getattr(settings, name) for name in names}
    elif not any(os.environ.get(name) for name in _AWS_SOURCES):
        given |= _read_aws_profile()
    return {name: value for name, value in given.items() if value}


def _s3_endpoint(settings: StoreSettings) -> str:
    return settings.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _s3_client(settings: StoreSettings) -> dict[str, Any]:
    client: dict[str, Any] = {"allow_http": _s3_endpoint(settings).startswith("http://")}
    if settings.verify.lower() in ("false", "0"):
        client["allow_invalid_certificates"] = True
    elif os.path.isfile(settings.verify):
        client["root_certificate"] = pathlib.Path(settings.verify).read_bytes()
    return client


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


def _gcs_arguments(settings: StoreSettings, root: str) -> dict[str, Any]:
    given: dict[str, Any] = {"base_url": settings.endpoint} if settings.endpoint else {}
    if settings.anonymous:
        return {**given, "skip_signature": True}
    if settings.impersonate or _google_kind() not in ("", *_GOOGLE_KINDS):
        return {**given, "credential_provider": _google_provider(settings, root)}
    return given


def _gcs_client(settings: StoreSettings) -> dict[str, Any]:
    client: dict[str, Any] = {"allow_http": settings.endpoint.startswith("http://")}
    if settings.requester_pays and settings.project:
        client["default_headers"] = {"x-goog-user-project": settings.project}
    return client


def _google_kind() -> str:
    """Returns the kind of the credentials that Google's tools would take, empty if no file has any."""
    default = pathlib.Path.home() / ".config" / "gcloud" / "application_default_credentials.json"
    path = pathlib.Path(os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") or default)
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("type", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _google_provider(settings: StoreSettings, root: str) -> Any:
    """Returns what asks Google's own library for tokens, for the kinds of credentials that the client does not take."""
    if importlib.util.find_spec("google.auth") is None:
        raise InputError(root, "its credentials need Google's own library", f"Run: {install_command('gcp')}")
    import google.auth
    from google.auth import impersonated_credentials
    from obstore.auth.google import GoogleCredentialProvider

    scopes = ["https://www.googleapis.com/auth/devstorage.read_write"]
    credentials, _ = google.auth.default(scopes=scopes)
    if settings.impersonate:
        *delegates, principal = settings.impersonate.split(",")
        credentials = impersonated_credentials.Credentials(credentials, principal, scopes, delegates)
    return GoogleCredentialProvider(credentials)


def _azure_arguments(settings: StoreSettings) -> dict[str, Any]:
    parts = dict(part.split("=", 1) for part in settings.connection_string.split(";") if "=" in part)
    endpoint = settings.endpoint or parts.get("BlobEndpoint", "")
    host = endpoint.partition("://")[2].partition("/")[0]
    given = {
        "endpoint": endpoint,
        "account_name": settings.access_key_id or parts.get("AccountName") or _account_of(host),
        "account_key": settings.secret_access_key or parts.get("AccountKey", ""),
        "sas_key": parts.get("SharedAccessSignature", ""),
        "client_id": settings.client_id,
        "skip_signature": settings.anonymous,
    }
    return {name: value for name, value in given.items() if value}


def _account_of(host: str) -> str:
    return host.partition(".")[0] if host.endswith(".blob.core.windows.net") else ""
