"""A model on its way to the Hugging Face Hub."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import p2pkit
from p2pkit.errors import ModelError, Problem, first_line
from p2pkit.exporting.folder import export
from p2pkit.inference.names import fetch_model
from p2pkit.programs.exported import is_exported
from p2pkit.registry import Registry
from p2pkit.untyped import Json, Untyped

_OWN = (".gitattributes",)
"""What a repository has from its first day."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def push(
    model: str | Path,
    repository: str,
    *,
    public: bool = False,
    overwrite: bool = False,
    license: str = "",
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
    **overrides: Json,
) -> str:
    """Put a model on the Hugging Face Hub, from where `load("hf://OWNER/NAME")` takes it.

    The token is that of `hf auth login`, or of HF_TOKEN; it is never shown.

    Args:
        model: As for `load`; a folder that `export` has written goes there as it is.
        repository: `OWNER/NAME`; made if it is not there.
        public: Whether everybody sees a repository that is made; else its owner alone does.
        overwrite: Whether a repository that holds files already gets these as its next commit.
        license: The model's licence, for its card; by default what the model's own card says.
        registry: The names in force.
        plugins: One-file plugins to load beside those of this environment.
        trust: Whether one-file plugins that the model brings along, and that are none of yours, may be run.
        **overrides: Keys to change, for instance `**{"evaluate.dropout": "off"}`.

    Returns:
        The model's address.

    Raises:
        ModelError: No token is set, the repository holds something already, or the hub refuses it.
        PluginError: The model brings code along that is not trusted.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ModelError(Problem("repository", f"{repository!r} is not of the form OWNER/NAME"))
    hub, token = _hub()
    with _told(repository, token):
        there = hub.repo_exists(repository)
        held = [name for name in hub.list_repo_files(repository) if name not in _OWN] if there else []
    if held and not overwrite:
        cause = f"holds {len(held)} files already, for instance {held[0]}"
        raise ModelError(Problem(f"hf://{repository}", cause, "choose another name, or say --overwrite"))
    local = Path(fetch_model(model))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "model")
        if is_exported(local):
            folder = local
        else:
            options: dict[str, Json] = {"registry": registry, "plugins": plugins, "trust": trust, **overrides}
            export(local, folder, format="hub", license=license, called=f"hf://{repository}", **options)
        with _told(repository, token):
            hub.create_repo(repository, private=not public, exist_ok=True)
            hub.upload_folder(repo_id=repository, folder_path=folder, commit_message=f"p2pkit {p2pkit.__version__}")
    return f"{hub.endpoint}/{repository}"


def _hub() -> tuple[Untyped, str]:
    """Return what speaks to the hub, and the token that it uses."""
    try:
        import huggingface_hub
    except ImportError:
        cause = "huggingface_hub is not installed"
        raise ModelError(Problem("push", cause, "pip install 'p2pkit[hub]'")) from None
    token = huggingface_hub.get_token()
    if not token:
        cause = "no token of the Hugging Face Hub is set"
        raise ModelError(Problem("push", cause, "hf auth login, or set HF_TOKEN to one that may write"))
    return huggingface_hub.HfApi(token=token), token


@contextmanager
def _told(repository: str, token: str) -> Iterator[None]:
    """Context in which the hub is asked: what it refuses is an error for users, in which no token is."""
    try:
        yield
    except Exception as error:  # of the network, and of the hub
        why = " ".join(first_line(each) for each in (error, error.__cause__) if each is not None)
        cause = f"the hub does not take it: {why.replace(token, '***')}"
        remedy = "may your token write there? is the name free?"
        raise ModelError(Problem(f"hf://{repository}", cause, remedy)) from None
