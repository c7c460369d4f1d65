"""What a process knows of object stores: Beam's flags, and settings that a caller gives for one bucket.

Beam's flags come from the command line, and in a worker from the options of the job. What neither flags nor a caller
give is found in the environment and in the files of the clouds' own tools (`open_object_store`).
"""

import dataclasses
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from oi_tfrecord.errors import ConfigError, nearest


@dataclasses.dataclass(frozen=True)
class StoreSettings:
    """How a store is reached; an empty value is looked for in the environment.

    Attributes:
        endpoint: URL of a server in place of the cloud's own.
        region: region of the bucket, for s3://.
        access_key_id: name of the key, for s3://; the account, for az://.
        secret_access_key: the key.
        session_token: token of temporary keys, for s3://.
        verify: `false` trusts any certificate; else the path of a file of certificates, for s3://.
        anonymous: whether requests are sent without credentials.
        requester_pays: whether the account that asks pays for the requests, which some buckets demand.
        project: project that pays for requests to gs://.
        impersonate: service accounts that act for the caller, for gs://.
        connection_string: of an account of az://.
        client_id: managed identity, for az://.
    """

    endpoint: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = dataclasses.field(default="", repr=False)
    session_token: str = dataclasses.field(default="", repr=False)
    verify: str = ""
    anonymous: bool = False
    requester_pays: bool = False
    project: str = ""
    impersonate: str = ""
    connection_string: str = dataclasses.field(default="", repr=False)
    client_id: str = ""


def parse_storage_options(options: Mapping[str, Any]) -> StoreSettings:
    """Returns the settings that a caller gives by name, as `{"endpoint": "http://host", "anonymous": True}`.

    Raises:
        ConfigError: for an unknown name, or a value of another type.
    """
    fields = {field.name: field.type for field in dataclasses.fields(StoreSettings)}
    for name, value in options.items():
        if name not in fields:
            raise ConfigError("storage_options", f"{name!r} is no setting of a store{nearest(name, fields)}")
        if not isinstance(value, bool if fields[name] is bool else str):
            kind = "True or False" if fields[name] is bool else "a text"
            raise ConfigError("storage_options", f"{name} must be {kind}, not {value!r}")
    return StoreSettings(**options)


@dataclasses.dataclass
class _Process:
    """What `use_options`, `use_store` and `start_command` set.

    Attributes:
        flags: Beam's flags.
        has_new_flags: whether Beam's filesystems do not have these flags yet.
        settings: by scheme, made from the flags.
        of_stores: settings of one store, by its root.
        runs_command: whether a command started in this process, and not in the parent of a worker.
    """

    flags: tuple[str, ...] = ()
    has_new_flags: bool = False
    settings: dict[str, StoreSettings] = dataclasses.field(default_factory=dict)
    of_stores: dict[str, StoreSettings] = dataclasses.field(default_factory=dict)
    runs_command: bool = False


_process = _Process()

lock = threading.RLock()
"""Guards the settings and what is made from them."""


def use_options(beam_arguments: Sequence[str]) -> None:
    """Sets Beam's flags, among them those of filesystems, for this process."""
    with lock:
        _process.flags = tuple(beam_arguments)
        _process.has_new_flags = True
        _process.settings = {}


def start_command(beam_arguments: Sequence[str]) -> None:
    """Sets Beam's flags; a store that refuses the first requests of this process is given up soon."""
    use_options(beam_arguments)
    _process.runs_command = True


def runs_command() -> bool:
    """Returns whether a user waits for the first requests of this process."""
    return _process.runs_command


def given_options() -> tuple[str, ...]:
    """Returns the flags that `use_options` set last in this process."""
    return _process.flags


def take_new_flags() -> tuple[str, ...] | None:
    """Returns the flags if `use_options` set them after the last call, else None."""
    if not _process.has_new_flags:
        return None
    _process.has_new_flags = False
    return _process.flags


def use_settings(root: str, settings: StoreSettings) -> None:
    """Sets how this process reaches one store, in place of the flags.

    Args:
        root: scheme and bucket, such as `s3://bucket`.
        settings: all settings of the store.
    """
    with lock:
        _process.of_stores[root] = settings


def settings_of(root: str) -> StoreSettings:
    """Returns how this process reaches a store.

    Args:
        root: scheme and bucket, or scheme and host.
    """
    with lock:
        if root in _process.of_stores:
            return _process.of_stores[root]
        scheme = root.partition("://")[0]
        if scheme not in _process.settings:
            _process.settings[scheme] = _of_flags(scheme)
        return _process.settings[scheme]


def _of_flags(scheme: str) -> StoreSettings:
    # Without flags and without a pipeline Beam knows nothing, and its import takes a second.
    if not _process.flags and "apache_beam.options.value_provider" not in sys.modules:
        return StoreSettings()
    if scheme not in ("s3", "gs", "az"):
        return StoreSettings()
    options = pipeline_options()
    from oi_tfrecord.storage.store_flags import StoreFlags

    found = {"s3": _of_s3_flags, "gs": _of_gs_flags, "az": _of_az_flags}[scheme](options)
    return dataclasses.replace(found, requester_pays=bool(options.view_as(StoreFlags).requester_pays))


def _of_s3_flags(options: Any) -> StoreSettings:
    from apache_beam.options.pipeline_options import S3Options

    flags = options.view_as(S3Options)
    endpoint = flags.s3_endpoint_url or ""
    if flags.s3_disable_ssl:
        endpoint = endpoint or f"https://s3.{flags.s3_region_name or 'us-east-1'}.amazonaws.com"
        endpoint = endpoint.replace("https://", "http://")
    return StoreSettings(
        endpoint=endpoint,
        region=flags.s3_region_name or "",
        access_key_id=flags.s3_access_key_id or "",
        secret_access_key=flags.s3_secret_access_key or "",
        session_token=flags.s3_session_token or "",
        verify="" if flags.s3_verify is None else str(flags.s3_verify),
    )


def _of_gs_flags(options: Any) -> StoreSettings:
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    flags = options.view_as(GoogleCloudOptions)
    return StoreSettings(
        anonymous=bool(flags.no_auth),
        project=flags.project or "",
        impersonate=flags.impersonate_service_account or "",
    )


def _of_az_flags(options: Any) -> StoreSettings:
    from apache_beam.options.pipeline_options import AzureOptions

    flags = options.view_as(AzureOptions)
    return StoreSettings(
        endpoint=flags.blob_service_endpoint or "",
        connection_string=flags.azure_connection_string or "",
        client_id=flags.azure_managed_identity_client_id or "",
    )


def pipeline_options() -> Any:
    """Returns the PipelineOptions that Beam's filesystems get (`FileSystems.get_filesystem`)."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.options.value_provider import RuntimeValueProvider

    from oi_tfrecord.storage import store_flags as store_flags

    if _process.flags:
        return PipelineOptions(list(_process.flags))
    from apache_beam.io.filesystems import FileSystems

    options = FileSystems._pipeline_options or RuntimeValueProvider.runtime_options
    return options if isinstance(options, PipelineOptions) else PipelineOptions.from_dictionary(options or {})
