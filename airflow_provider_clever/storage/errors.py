"""Explains a store's error to the user, from any library, and says whether trying again can help."""

import errno
from typing import Final

_NEXT_STEPS: Final[tuple[tuple[frozenset[str], str], ...]] = (
    (
        frozenset({"ENOSPC", "EDQUOT", "EFBIG"}),
        "there is no space left: free some or raise the quota, then run again; what had landed before is intact",
    ),
    (
        frozenset({"EACCES", "EPERM", "EROFS", "PermissionError", "403", "401"}),
        "permission denied: give these credentials the right to list, read and write below the destination",
    ),
    (
        frozenset(
            {
                "NoCredentialsError",
                "PartialCredentialsError",
                "DefaultCredentialsError",
                "ClientAuthenticationError",
                "CredentialUnavailableError",
                "ProfileNotFound",
                "TokenRetrievalError",
                "RefreshError",
            }
        ),
        "no usable credentials: put them into the Airflow connection that the destination names (scheme://conn_id@…)",
    ),
    (
        frozenset({"ENOENT", "FileNotFoundError", "404", "ResourceNotFoundError"}),
        "there is no such bucket, container or folder: create it, or correct the destination",
    ),
    (
        frozenset({"ENOTDIR", "EISDIR", "NotADirectoryError", "IsADirectoryError", "ENAMETOOLONG", "EXDEV", "ELOOP"}),
        "something else stands at this path: move it away, or choose another destination",
    ),
)
_TRY_LATER: Final = "the store did not do it: look at its state, then run again; what had landed before is intact"


def _facts(error: BaseException) -> set[str]:
    code = getattr(error, "errno", None)
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, OSError) and str(error).startswith("Forbidden"):  # gcsfs' text for 403
        kinds.add("403")
    return kinds | {errno.errorcode.get(code, "") if isinstance(code, int) else "", str(status)}


def is_permanent(error: BaseException) -> bool:
    """Whether the same call would fail again until a person changes something."""
    facts = _facts(error)
    return any(facts & kinds for kinds, _ in _NEXT_STEPS)


def described(action: str, path: str, error: BaseException) -> str:
    """Say what happened to which path, and what to do, without the store's own text, which may quote a request."""
    facts = _facts(error)
    next_step = next((step for kinds, step in _NEXT_STEPS if facts & kinds), _TRY_LATER)
    code = getattr(error, "errno", None)
    name = errno.errorcode.get(code, "") if isinstance(code, int) else ""
    return f"could not {action} {path} ({' '.join(filter(None, (type(error).__name__, name)))}): {next_step}"
