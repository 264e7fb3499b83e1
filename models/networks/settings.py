"""Which network, and where its first weights come from."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import model_validator

from models.settings import Settings

Family = Literal["unet", "tiny_resnet", "tiny_dla"]
Head = Literal["softmax3", "sigmoid2"]
NAMED_WEIGHTS = ("imagenet", "random")
"""First weights that are known by a name; all others are the path of a file."""


class NetworkSettings(Settings):
    """One network."""

    family: Family = "unet"
    """`unet` is a U-Net over any encoder of smp or timm (Li: ResNet-34 and DLA-34); the two
    tiny ones are of the same two families, with 0.3 million parameters, for the CPU."""
    encoder: str = "resnet34"
    """Encoder of `unet`, by its smp name or, with `tu-` in front, its timm name (`tu-dla34`)."""
    weights: str = "imagenet"
    """First weights of the encoder: `imagenet` (default of `unet`), `random` (the only choice of
    the tiny ones) or the path of a safetensors file. The decoder always starts at random."""
    head: Head = "softmax3"
    """`softmax3`: one softmax over background, edge and inner. `sigmoid2`: edge and inner each
    yes or no, the literal form of Li, equation (1)."""

    @model_validator(mode="before")
    @classmethod
    def _tiny_networks_start_at_random(cls, data: Any) -> Any:  # noqa: ANN401  # pydantic's contract
        if isinstance(data, dict) and "weights" not in data:
            tiny = str(data.get("family", "unet")).startswith("tiny_")
            return {**data, "weights": "random" if tiny else "imagenet"}
        return data

    @model_validator(mode="after")
    def _only_unet_takes_weights(self) -> Self:
        if self.family != "unet" and self.weights != "random":
            raise ValueError(
                f"there are no pretrained weights for {self.family}, but weights is "
                f"{self.weights!r}; set weights to random."
            )
        return self
