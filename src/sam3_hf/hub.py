"""Loading from the Hub: what was downloaded is what was announced, and an error says what to do.

Hub id -> the loading of transformers, watched -> new files in the cache, compared with their SHA-256
               \\-> its error, whatever it is -> `HubError`, one sentence about the cause
A local path passes as if this were not here.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, is_offline_mode, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

_FIRST_FILE = "config.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REFUSED = 401
_SERVER_ERRORS = 500
_KEPT_TOKEN = "_token_of_hub"
_BROKEN_OFF = "Consistency check failed"
# What huggingface_hub before 1.31 says when it tries again after a failed connection.
_NOT_CONNECTED = "client has been closed"


class HubError(OSError):
    """A Hub repository cannot be loaded; the message says why and what to do, the cause is the client's own error."""


class LoadsFromHub:
    """Mixed into classes of transformers: their `from_pretrained`, with errors that say what to do."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load from a folder or the Hub; arguments as in transformers.

        Raises:
            HubError: The Hub does not give the files, or gives others than it announced.
            OSError: A file is not there.
        """
        source = pretrained_model_name_or_path
        with from_hub(source, **hub_options(kwargs)):
            return super().from_pretrained(source, *args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]


def hub_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """What `from_hub` should know of the arguments of `from_pretrained`."""
    return {name: options[name] for name in ("revision", "cache_dir", "token", "local_files_only") if name in options}


class ConfigFromHub(LoadsFromHub):
    """The same for configurations."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load from a folder or the Hub; arguments and errors as for the other classes."""
        # transformers 5.8 forgets the token before it opens the file; under another name it comes through.
        kept = {_KEPT_TOKEN: kwargs["token"]} if "token" in kwargs else {}
        return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs, **kept)

    @classmethod
    def get_config_dict(cls, *args: Any, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The fields of a file, and the arguments that were not used, as `transformers.PreTrainedConfig` has it."""
        if _KEPT_TOKEN in kwargs:
            kwargs["token"] = kwargs.pop(_KEPT_TOKEN)
        return super().get_config_dict(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]


@contextmanager
def from_hub(
    source: Any,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Iterator[None]:
    """Watch over what is loaded inside; nothing to do if `source` is a local path or `None`.

    Args:
        source: What is loaded.
        revision: Branch, tag or commit that was asked for.
        cache_dir: The cache, if not the usual one.
        token: The token, if not the one of `hf auth login`.
        local_files_only: Whether only the cache is asked, as it is with HF_HUB_OFFLINE.

    Raises:
        HubError: The Hub does not give the files, or gives others than it announced; the latter are removed.
    """
    if source is None or os.path.exists(source):
        yield
        return
    blobs = Path(cache_dir or constants.HF_HUB_CACHE) / f"models--{str(source).replace('/', '--')}" / "blobs"
    before = _files(blobs)
    try:
        yield
    except HubError:
        raise
    except Exception as error:
        _check_downloads(source, blobs, before)
        said = _explanation(str(source), revision, error)
        # transformers keeps many an error of the Hub to itself, and only says that a file is missing.
        if said is None and isinstance(error, (OSError, HFValidationError)):
            said = _said_offline(str(source)) if local_files_only else _asked(str(source), revision, token)
        if said is None:
            raise
        raise HubError(said) from error
    _check_downloads(source, blobs, before)


def problem_with(repo: str) -> str | None:
    """Why a model cannot be had, asked with one request, not repeated; `None` if it can, or is in the cache."""
    return None if isinstance(try_to_load_from_cache(repo, _FIRST_FILE), str) else _asked(repo, None, None)


def _files(blobs: Path) -> dict[Path, int]:
    """The files that the client keeps under their SHA-256, and when they were written."""
    if not blobs.is_dir():
        return {}
    return {path: path.stat().st_mtime_ns for path in blobs.iterdir() if _SHA256.fullmatch(path.name)}


def _check_downloads(source: Any, blobs: Path, before: dict[Path, int]) -> None:
    """The client compares sizes; here the content of what is new is compared too."""
    for path, written in _files(blobs).items():
        if before.get(path) != written and _sha256(path) != path.name:
            path.unlink()
            raise HubError(
                f"A file of {source} arrived with other content than {constants.ENDPOINT} announced (SHA-256 "
                f"{path.name[:12]}...). It was removed: load again. If that happens again, a proxy or mirror on the "
                "way alters files."
            )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _explanation(repo: str, revision: str | None, error: BaseException) -> str | None:
    """What the user should know, if the error or one behind it tells of the Hub or the way there."""
    for cause in _behind(error):
        if isinstance(cause, HfHubHTTPError):
            if not isinstance(cause, EntryNotFoundError):
                return _said_of_answer(repo, revision, cause)
        # The client's HTTP library is another one in each of its major versions; all are named so.
        elif type(cause).__module__.startswith("http") or _BROKEN_OFF in str(cause) or _NOT_CONNECTED in str(cause):
            return _said_of_connection(repo, cause)
    return None


def _asked(repo: str, revision: str | None, token: str | bool | None) -> str | None:
    """What the user should know after a single question to the Hub; `None` if it answers."""
    try:
        validate_repo_id(repo)
    except HFValidationError:
        return f"There is no folder {repo} here, and a model on the Hub cannot have this name (owner/name)."
    if is_offline_mode():
        return _said_offline(repo)
    try:
        address = hf_hub_url(repo, _FIRST_FILE, revision=revision)
        get_hf_file_metadata(address, token=token, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except EntryNotFoundError:
        return f"{repo} is no model: it holds no {_FIRST_FILE}."
    except Exception as error:  # among others, what the client's HTTP library raises
        return _explanation(repo, revision, error) or f"{repo} cannot be had: {error}"
    return None


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it came from; the first one last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _said_offline(repo: str) -> str:
    return (
        f"{repo} is not in the cache, or not completely, and the Hub may not be asked (HF_HUB_OFFLINE or "
        "local_files_only): load it once online, or pass a local folder."
    )


def _said_of_answer(repo: str, revision: str | None, error: HfHubHTTPError) -> str:
    hub, status = constants.ENDPOINT, error.response.status_code
    if isinstance(error, GatedRepoError):
        return _said_of_gate(repo, known=status != _REFUSED)
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"There is no folder {repo} here and no such model on the Hub ({hub}), or none that you may see: check the "
            "name; if it is private, log in with `hf auth login` or pass token=..."
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} has no revision {revision!r}: its branches and tags are listed on {hub}/{repo}/tree/main."
    if status == _REFUSED:
        return (
            f"{hub} does not accept your token (error 401): log in again with `hf auth login`, or mend what HF_TOKEN "
            "or token= holds."
        )
    if status >= _SERVER_ERRORS:
        return f"{hub} cannot give {repo} now (server error {status}): try again later, or pass a local folder."
    return f"{hub} does not hand out {repo}: {error}"


def _said_of_gate(repo: str, known: bool) -> str:
    page = f"{constants.ENDPOINT}/{repo}"
    if not known:
        return (
            f"{repo} is a gated model: request access on its page, {page}, then log in with `hf auth login` or pass "
            "token=..."
        )
    return (
        f"{repo} is a gated model, and the account of your token has no access: request it on its page, {page}, and "
        "wait until it is granted; a fine-grained token must also allow reading gated repositories."
    )


def _said_of_connection(repo: str, error: BaseException) -> str:
    if _BROKEN_OFF in str(error) or "Protocol" in type(error).__name__:
        return f"The download of {repo} broke off ({type(error).__name__}). Nothing damaged is kept: load again."
    return (
        f"{constants.ENDPOINT} cannot be reached ({type(error).__name__}), and {repo} is not in the cache: check the "
        "connection, or pass a local folder."
    )
