"""Whether a Hub repository can be had, asked with one short request instead of the many that loading makes.

Hub id -> nothing, or one sentence that says why not and what to do
"""

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

_FIRST_FILE = "config.json"
_TIMEOUT = 10.0
_SERVER_ERRORS = 500


def problem_with(repo: str) -> str | None:
    """Why a model cannot be loaded from this repository; `None` if nothing speaks against it."""
    try:
        get_hf_file_metadata(hf_hub_url(repo, _FIRST_FILE), timeout=_TIMEOUT)
    except Exception as error:  # among others, what the HTTP library of the client's version raises
        if isinstance(error, HfHubHTTPError) and error.response.status_code < _SERVER_ERRORS:
            return _refusal(repo, error)
        if not isinstance(try_to_load_from_cache(repo, _FIRST_FILE), str):
            return f"{repo} is not in the cache, and the Hub cannot be reached ({_name(error)}); pass a folder."
    return None


def _refusal(repo: str, error: HfHubHTTPError) -> str:
    # A gated repository counts as not found too.
    if isinstance(error, GatedRepoError):
        page = f"{constants.ENDPOINT}/{repo}"
        return f"{repo} is a gated model: request access on its page, {page}, then log in with `hf auth login`."
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"There is no folder {repo} here and no such model on the Hub; "
            "if it is private, log in with `hf auth login`."
        )
    if isinstance(error, EntryNotFoundError):
        return f"{repo} is no model: it holds no {_FIRST_FILE}."
    return f"The Hub does not hand out {repo}: {error}"


def _name(error: Exception) -> str:
    return f"server error {error.response.status_code}" if isinstance(error, HfHubHTTPError) else type(error).__name__
