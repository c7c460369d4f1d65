"""What the errors of `obstore` mean: what may pass, and a line with a remedy for what does not.

`obstore` reports most faults as one class of exceptions, whose text has the status of HTTP and the code of the store.
Codes: docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, which the XML API of Google Cloud Storage shares.
"""

import re

from oi_tfrecord.errors import StorageError

_STATUS = re.compile(r"status code: (\d{3})")

_CODE = re.compile(r"<Code>(\w+)</Code>")

_TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504))

_REFUSED = frozenset((429, 503))

_TRANSIENT_TEXTS = ("error sending request", "request or response body error", "operation timed out")

_TRANSIENT_CODES = frozenset(("RequestTimeout", "SlowDown"))

_TOKEN_TEXTS = ("169.254.169.254", "169.254.170.2", "metadata.google.internal", "token request", "credential")
"""Parts of errors of requests for credentials, which go to the servers of a cloud machine if none are given."""

_KEYS = {
    "s3": "--s3_access_key_id and --s3_secret_access_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or run: gcloud auth application-default login",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}

_FAULTS = {
    "ExpiredToken": ("the credentials have expired", "Get new ones, and give {keys}"),
    "TokenRefreshRequired": ("the credentials have expired", "Get new ones, and give {keys}"),
    "InvalidAccessKeyId": ("the store does not know the access key", "Check {keys}"),
    "SignatureDoesNotMatch": ("the secret key is wrong", "Check {keys}"),
    "InvalidToken": ("the session token is wrong", "Check --s3_session_token or AWS_SESSION_TOKEN"),
    "NoSuchBucket": ("there is no such bucket", "Check its name, and --s3_endpoint_url if it is given"),
    "PermanentRedirect": ("the bucket is in another region", "Give --s3_region_name or AWS_REGION"),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", "Give --s3_region_name or AWS_REGION"),
}
"""Code of the store to (problem, remedy)."""


def may_pass(error: BaseException) -> bool:
    """Returns whether a request that failed may succeed when it is sent again."""
    text = _first_lines(error)
    if _is_of_credentials(text):
        return False
    if (code := _code_of(text)) in _TRANSIENT_CODES:
        return True
    status = _status_of(text)
    return status in _TRANSIENT if status or code else any(part in text for part in _TRANSIENT_TEXTS)


def is_refusal(error: BaseException) -> bool:
    """Returns whether the store has too many requests, and would take the same request later."""
    text = _first_lines(error)
    return _status_of(text) in _REFUSED or _code_of(text) == "SlowDown"


def is_silent(error: BaseException) -> bool:
    """Returns whether no answer came, which may pass."""
    return may_pass(error) and not _status_of(_first_lines(error))


def is_missing(error: BaseException) -> bool:
    """Returns whether the store has no such object, or no such bucket."""
    return isinstance(error, FileNotFoundError) or _status_of(_first_lines(error)) == 410


def is_past_end(error: BaseException) -> bool:
    """Returns whether a read begins at or after the end of the object."""
    text = _first_lines(error)
    return _status_of(text) == 416 or "Wanted range starting at" in text


def explain(error: Exception, path: str) -> Exception:
    """Returns what a caller of `storage` gets for an error.

    Args:
        error: raised by `obstore`.
        path: of the object.

    Returns:
        FileNotFoundError if there is no such object, else StorageError, which names a remedy; the error itself if
        `obstore` did not raise it.
    """
    if not isinstance(error, FileNotFoundError) and not type(error).__module__.startswith("obstore"):
        return error
    text = _first_lines(error)
    keys = _KEYS.get(path.partition("://")[0], "")
    status, code = _status_of(text), _code_of(text)
    if code in _FAULTS:
        problem, remedy = _FAULTS[code]
        return StorageError(path, problem, remedy.format(keys=keys))
    if is_missing(error):
        return FileNotFoundError(2, "no such object", path)
    if "must be specified" in text:
        return StorageError(path, f"its account is not given: {_short(text)}", f"Give {keys}")
    if _is_of_credentials(text):
        return StorageError(path, "no credentials are found", f"Give {keys}; or --anonymous for a public bucket")
    if status in (401, 403):
        remedy = f"Give other credentials ({keys}), or --anonymous for a public bucket" if keys else "Check the address"
        return StorageError(path, f"access is denied (HTTP {status})", remedy)
    if not status:
        what = "breaks off its answers" if "response body error" in text else "does not answer"
        problem = f"its host {what}: {_short(text)}"
        return StorageError(path, problem, "Check the address and the network; then run the same command again")
    return StorageError(path, f"its store fails: {_short(text)}", "Run the same command again later")


def _first_lines(error: BaseException) -> str:
    return str(error).partition("\n\nDebug source")[0]


def _short(text: str) -> str:
    """Returns the end of an error's text, which is more exact than its start, in one line."""
    line = " ".join(text.split()).rstrip(":. ")
    return line.rpartition(" - ")[2][:300]


def _status_of(text: str) -> int:
    found = _STATUS.search(text)
    return int(found[1]) if found else 0


def _code_of(text: str) -> str:
    if "redirect without LOCATION" in text:
        return "PermanentRedirect"
    found = _CODE.search(text)
    return found[1] if found else ""


def _is_of_credentials(text: str) -> bool:
    return any(part in text for part in _TOKEN_TEXTS)
