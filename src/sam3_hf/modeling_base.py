"""What every model shares: initial weights, loading that is whole or not at all, a record of what its layers return."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from pickle import UnpicklingError
from typing import Any, ClassVar, TypeVar

from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel
from transformers import initialization as init

from sam3_hf.configuration_sam3 import Sam3Config
from sam3_hf.hub import from_hub, hub_options
from sam3_hf.loaded_weights import check_finite, check_names, missing_parts
from sam3_hf.ops.tiled_attention import BACKEND
from sam3_hf.released_names import GARBLED, without_renaming_there
from sam3_hf.weight_files import check_source
from sam3_hf.weight_values import largest, looking_at

Model = TypeVar("Model", bound="Sam3PreTrainedModel")

# Carries the largest magnitude of the files from where they are known to where they are judged; no longer.
_LARGEST = "_largest_in_files"


class Sam3PreTrainedModel(PreTrainedModel):
    """Base class of the models: loading, saving, and what backends they run on."""

    config_class = Sam3Config
    base_model_prefix = "detector_model"
    main_input_name = "pixel_values"
    input_modalities: ClassVar[list[str]] = ["image", "text"]
    supports_gradient_checkpointing = True
    _supports_attention_backend = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_sdpa = True
    _no_split_modules: ClassVar[list[str]] = [
        "Embeddings",
        "ViTLayer",
        "TextEmbeddings",
        "TextLayer",
        "GeometryEncoder",
        "DetrEncoderLayer",
        "DetrDecoder",
        "MaskDecoder",
    ]
    # The allow-list of `from_pretrained`: the tracker beside the detector in the released layout, and a buffer that
    # CLIP text encoders once stored. Everything else must match, name by name.
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        r"^tracker_model\.",
        r"^tracker_neck\.",
        r"embeddings\.position_ids$",
    ]

    def set_attn_implementation(self, attn_implementation: str | dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Choose the attention backend of every part; a dictionary names one per sub-configuration."""
        for part in {"": attn_implementation} if isinstance(attn_implementation, str) else attn_implementation:
            name = attn_implementation if isinstance(attn_implementation, str) else attn_implementation[part]
            config = getattr(self.config, part) if part else self.config
            config._attn_implementation = self._check_and_adjust_attn_implementation(name, False)

    def get_correct_attn_implementation(self, requested_attention: str | None, *args: Any, **kwargs: Any) -> str:
        """The attention backend that is asked for, or this package's own."""
        return super().get_correct_attn_implementation(requested_attention or BACKEND, *args, **kwargs)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.LayerNorm):  # transformers knows them by the names of their classes
            init.ones_(module.weight)
            init.zeros_(module.bias)
        positions = getattr(module, "position_embeddings", None)
        if isinstance(positions, nn.Parameter):
            init.normal_(positions, mean=0.0, std=self.config.initializer_range)

    @classmethod
    def from_pretrained(
        cls: type[Model],
        pretrained_model_name_or_path: Any,
        *args: Any,
        allow_missing: str | Sequence[str] = (),
        **kwargs: Any,
    ) -> Model:
        """Load a model, whole or not at all; arguments as `transformers.PreTrainedModel.from_pretrained`.

        Args:
            pretrained_model_name_or_path: Folder or Hub id.
            allow_missing: Parts, such as "mask_decoder", that the checkpoint may lack as a whole. Such a part gets
                initial weights, a warning says so, and `output_loading_info` lists its tensors as missing.

        Raises:
            ValueError: A tensor of the model is missing from the checkpoint, has another shape there, or is not
                finite; the checkpoint holds a tensor that the model does not know; its files are damaged.
            HubError: The Hub does not give the files, or gives others than it announced.
        """
        source = pretrained_model_name_or_path
        check_source(source, kwargs.get("subfolder", ""), kwargs.get("variant"), kwargs.get("config") is None)
        with from_hub(source, **hub_options(kwargs)):
            return cls._load(source, source, *args, allow_missing=allow_missing, **kwargs)

    @classmethod
    def _load(
        cls: type[Model], called: Any, source: Any, *args: Any, allow_missing: str | Sequence[str], **kwargs: Any
    ) -> Model:
        """Load from a folder, a Hub id, or from `state_dict` if `source` is `None`; errors say what was `called`."""
        wants_info = kwargs.pop("output_loading_info", False)
        allowed = (allow_missing,) if isinstance(allow_missing, str) else allow_missing
        # Sizes are compared here, by name, instead of in a log message.
        kwargs |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
        kwargs["key_mapping"] = GARBLED | (kwargs.get("key_mapping") or {})
        try:
            model, info = super().from_pretrained(source, *args, **kwargs)  # pyright: ignore
        except SafetensorError as error:
            raise ValueError(f"A weight file of {called} is damaged ({error}): download it again.") from error
        except UnpicklingError as error:
            raise ValueError(f"A weight file of {called} holds more than weights; code in it was not run.") from error
        check_names(cls.__name__, called, info, missing_parts(model, called, info["missing_keys"], allowed))
        # Weights that were not in the files have initial values, which the look at the files says nothing about.
        reach = vars(model).pop(_LARGEST, inf)
        check_finite(model, called, inf if info["missing_keys"] else reach)
        return (model, info) if wants_info else model  # pyright: ignore[reportReturnType]

    @staticmethod
    def _load_pretrained_model(
        model: nn.Module, state_dict: Any, checkpoint_files: Any, load_config: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """As transformers, with names mapped by the tables here alone, which are the same for all of its releases.

        While it is busy with that, the values in the files are looked at; `_load` asks what was seen.
        """
        load_config = replace(load_config, weight_mapping=without_renaming_there(load_config.weight_mapping or ()))
        given = (model, state_dict, checkpoint_files, load_config, *args)
        with looking_at(checkpoint_files) as look:
            loaded = PreTrainedModel._load_pretrained_model(*given, **kwargs)  # pyright: ignore
        vars(model)[_LARGEST] = largest(look.result())
        return loaded

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Save under the model's own names, wherever they came from; arguments as `transformers.PreTrainedModel`."""
        # transformers would undo all renaming of its tables, also that which never took place.
        kwargs.setdefault("save_original_format", False)
        super().save_pretrained(*args, **kwargs)

    @classmethod
    def _of_original(
        cls: type[Model], checkpoint: Any, original: Any, allow_missing: Sequence[str] = (), **options: Any
    ) -> Model:
        """Build what `conversion` read from a checkpoint of the original: `config`, `weights`, `dtype`."""
        made_of = {"config": original.config, "state_dict": original.weights, "dtype": original.dtype}
        return cls._load(checkpoint, None, allow_missing=allow_missing, **made_of, **options)


class Recording:
    """What layers of the given classes returned, in the order they ran."""

    def __init__(self, model: nn.Module, layers: dict[str, type[nn.Module]]) -> None:
        self.model = model
        self.layers = layers
        self.records: dict[str, list[Any]] = {kind: [] for kind in layers}
        self.handles: list[RemovableHandle] = []

    def __enter__(self) -> "Recording":
        if not self.layers:
            return self
        for module in self.model.modules():
            if isinstance(module, self.layers.get("hidden_states", ())):
                self.handles.append(module.register_forward_pre_hook(self._before))
                self.handles.append(module.register_forward_hook(self._after))
            if isinstance(module, self.layers.get("attentions", ())):
                self.handles.append(module.register_forward_hook(self._attended))
        return self

    def __exit__(self, *failure: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _before(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not self.records["hidden_states"]:
            self.records["hidden_states"].append(inputs[0])

    def _after(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        self.records["hidden_states"].append(output)

    def _attended(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self.records["attentions"].append(output.weights)

    def states(self, view: Callable[[Tensor], Tensor] = lambda state: state) -> tuple[Tensor, ...] | None:
        """The input of the first layer and the output of each, or `None` if not asked for."""
        if "hidden_states" not in self.records:
            return None
        return tuple(view(state) for state in self.records["hidden_states"])

    def weights(self, view: Callable[[Tensor], Tensor] = lambda weight: weight) -> tuple[Tensor, ...] | None:
        """The attention weights, or `None` if not asked for."""
        if "attentions" not in self.records:
            return None
        return tuple(view(weight) for weight in self.records["attentions"])


def recording(
    model: nn.Module, layers: dict[str, type[nn.Module]], states: bool | None, weights: bool | None
) -> Recording:
    """Record, inside a `with` block, what `layers` ("hidden_states" and "attentions") of `model` return.

    Args:
        model: The part to watch; `model.config` decides where a flag is `None`.
        layers: The class whose outputs count as states, and the class whose outputs have weights.
        states: Whether to record states.
        weights: Whether to record attention weights.

    Raises:
        ValueError: Weights are wanted of a backend that does not give any.
    """
    config: Any = model.config
    states = config.output_hidden_states if states is None else states
    weights = config.output_attentions if weights is None else weights
    if weights and config._attn_implementation != "eager":
        raise ValueError(
            f"output_attentions=True needs attn_implementation='eager', not {config._attn_implementation!r}. "
            "Call model.set_attn_implementation('eager') first."
        )
    wanted = {"hidden_states": states, "attentions": weights}
    return Recording(model, {kind: layer for kind, layer in layers.items() if wanted[kind]})
