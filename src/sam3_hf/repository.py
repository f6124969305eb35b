"""Complete repositories: what is saved or pushed can be loaded, used and understood by others.

model (+ processor) -> weights, configuration, processor files and a model card, in a folder or on the Hub
"""

import tempfile
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, HfApi
from transformers import PreTrainedModel, ProcessorMixin

from sam3_hf.model_card import CardDetails, model_card

_CARD = "README.md"


class CompleteRepository(PreTrainedModel):
    """Saves and pushes a model together with its processor and a model card."""

    def save_pretrained(
        self,
        save_directory: str | Path,
        *args: Any,
        processor: ProcessorMixin | None = None,
        card: CardDetails | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Write a folder that `from_pretrained` loads; arguments as `transformers.PreTrainedModel.save_pretrained`.

        Args:
            save_directory: The folder.
            processor: Written beside the model if given.
            card: What the model card says beyond the model itself. A card that is already there stays.
            push_to_hub: Push as well, to `repo_id`, or under the name of the folder.
        """
        pushing: dict[str, Any] = {
            key: kwargs.pop(key) for key in ("repo_id", "private", "token", "commit_message") if key in kwargs
        }
        super().save_pretrained(save_directory, *args, **kwargs)
        folder = Path(save_directory)
        if processor is not None:
            processor.save_pretrained(folder)
        if not (folder / _CARD).exists():
            model_card(folder.name, card).save(folder / _CARD)
        if push_to_hub:
            pushing.setdefault("repo_id", folder.name)
            self.push_to_hub(**pushing, processor=processor, card=card)

    def push_to_hub(  # noqa: PLR0913
        self,
        repo_id: str,
        *,
        processor: ProcessorMixin | None = None,
        card: CardDetails | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        commit_message: str = "Upload model",
        commit_description: str | None = None,
        **saving: Any,
    ) -> CommitInfo:
        """Upload a complete repository.

        Args:
            repo_id: Repository, created if it does not exist.
            processor: Uploaded beside the model if given.
            card: What the model card says beyond the model itself. A card that the repository has stays.
            private: Whether a new repository is private.
            token: Access token; the stored one if not given.
            revision: Branch to upload to.
            create_pr: Whether to open a pull request instead.
            commit_message: Title of the commit.
            commit_description: Body of the commit.
            saving: Arguments of `save_pretrained`, such as `max_shard_size`.
        """
        hub = HfApi(token=token)
        repository = hub.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            self.save_pretrained(folder, processor=processor, **saving)
            model_card(repository, card).save(folder / _CARD)
            if hub.file_exists(repository, _CARD, revision=revision):
                (folder / _CARD).unlink()
            return hub.upload_folder(
                repo_id=repository,
                folder_path=folder,
                revision=revision,
                create_pr=create_pr,
                commit_message=commit_message,
                commit_description=commit_description,
            )
