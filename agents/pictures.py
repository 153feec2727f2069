"""What there is to see in an observation, as a model behind a URL takes it."""

from __future__ import annotations

import base64
import io
from typing import Any

from agentgym.core.errors import ConfigError


def pictures(observation: Any) -> tuple[str, ...]:
    """Return the `image` of an observation (uint8, height x width x 3) as a `data:` URL of a PNG; none of a text.

    Raises `ConfigError` where Pillow is missing.
    """
    if isinstance(observation, str) or observation.get("image") is None:
        return ()
    try:
        from PIL import Image
    except ImportError:
        raise ConfigError(
            "Observations with pictures need Pillow to be shown to a model; install it with `pip install pillow`."
        ) from None
    stream = io.BytesIO()
    Image.fromarray(observation["image"]).save(stream, "PNG")
    return (f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}",)
