"""COCO data sets: every category is a prompt, also where there is nothing of it.

file.json, folder of images -> dataset[i] -> ImageExample with one prompt per category
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from sam3_hf.datasets.coco_files import CocoAnnotation, CocoError, CocoImage, read_coco
from sam3_hf.datasets.coco_masks import mask_of
from sam3_hf.datasets.examples import ImageExample, PromptExample
from sam3_hf.inputs.images import read_image


class CocoDataset(Dataset):
    """Images of a COCO file, in the order of their ids, with prompts in the order of the categories' ids.

    Crowds are left out; a category of which nothing else is in an image is a negative prompt there.

    Args:
        path: The COCO file.
        images: Folder that the file names start from; that of the file if not given.
        masks: Whether to give masks; if not given, whether the file has any.
        prompts: Texts to ask with instead of the categories' names, by category id, for all of them.

    Raises:
        CocoError: An entry cannot be used, an image is missing, or `prompts` lacks a category.
    """

    def __init__(
        self,
        path: str | Path,
        images: str | Path | None = None,
        masks: bool | None = None,
        prompts: Mapping[int, str] | None = None,
    ) -> None:
        self.file = read_coco(path)
        self.folder = Path(images) if images is not None else self.file.path.parent
        self.masks = self.has_masks if masks is None else masks
        self.prompts = dict(self.file.categories if prompts is None else prompts)
        self._check()

    @property
    def has_masks(self) -> bool:
        """Whether any object has a segmentation."""
        return any(map(_is_masked, self.file.images))

    @property
    def has_negatives(self) -> bool:
        """Whether any category is absent from an image."""
        return any(len(_present(image)) < len(self.file.categories) for image in self.file.images)

    def __len__(self) -> int:
        return len(self.file.images)

    def __getitem__(self, index: int) -> ImageExample:
        """Image and prompts; the image is read now.

        Raises:
            CocoError: The image cannot be read or has another size than the file says, or a mask is damaged.
        """
        image = self.file.images[index]
        picture = self._read(image)
        prompts = tuple(self._prompt(image, category) for category in self.file.categories)
        return ImageExample(picture, prompts, image.id)

    def _check(self) -> None:
        missing = [str(id) for id in self.file.categories if id not in self.prompts]
        if missing:
            raise CocoError(f"{self.file.path}: prompts lacks the categories {', '.join(missing)}.")
        absent = [image.file_name for image in self.file.images if not (self.folder / image.file_name).is_file()]
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise CocoError(f"{self.file.path}: {self.folder} lacks the image {absent[0]}{more}.")

    def _read(self, image: CocoImage) -> Image.Image:
        """Upright, unless it was annotated as it lies in the file."""
        path = self.folder / image.file_name
        try:
            upright = Image.fromarray(read_image(str(path), None, True).permute(1, 2, 0).numpy())
            if (upright.height, upright.width) == image.size:
                return upright
            with Image.open(path) as file:
                lying = Image.fromarray(np.asarray(file.convert("RGB")))
        except (ValueError, TypeError) as error:
            raise CocoError(f"{self.file.path}: image {image.id}, {path}, cannot be read: {error}") from error
        if (lying.height, lying.width) != image.size:
            found = f"{upright.width} x {upright.height}"
            told = f"{image.size[1]} x {image.size[0]}"
            raise CocoError(f"{self.file.path}: image {image.id}, {path}, is {found} pixels, but the file says {told}.")
        return lying

    def _prompt(self, image: CocoImage, category: int) -> PromptExample:
        objects = [one for one in image.annotations if one.category == category and not one.is_crowd]
        boxes = np.array([one.box_xywh_px for one in objects], dtype=np.float32).reshape(-1, 4)
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        height, width = image.size
        inside = corners.clip(0, np.array([width, height, width, height], dtype=np.float32))
        if not self.masks:
            return PromptExample(self.prompts[category], inside)
        masks = [self._mask(image, one) for one in objects]
        stacked = np.stack(masks) if masks else np.zeros((0, height, width), dtype=bool)
        valid = np.array([one.segmentation is not None for one in objects], dtype=bool)
        return PromptExample(self.prompts[category], inside, stacked, valid)

    def _mask(self, image: CocoImage, annotation: CocoAnnotation) -> np.ndarray:
        if annotation.segmentation is None:
            return np.zeros(image.size, dtype=bool)
        try:
            return mask_of(annotation, image.size)
        except (ValueError, IndexError) as error:
            where = f"annotation {annotation.id} of image {image.id}"
            raise CocoError(f"{self.file.path}: the segmentation of {where} cannot be used: {error}.") from error


def _is_masked(image: CocoImage) -> bool:
    """Whether any object of it has a segmentation."""
    return any(one.segmentation is not None and not one.is_crowd for one in image.annotations)


def _present(image: CocoImage) -> set[int]:
    """Categories of which something is in it."""
    return {one.category for one in image.annotations if not one.is_crowd}
