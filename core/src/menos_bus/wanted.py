"""What an argument must be, in words: for checks that would answer with a regular expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Wanted:
    """Says what is wanted where an argument fails the checks that stand before it.

    It goes last into the annotation, ``Annotated[str, Field(pattern=…), Wanted("a colour such as
    `#ff0000`")]``, and leaves the JSON Schema as it is. Callers then read ``must be a colour such
    as `#ff0000` ``.

    Attributes:
        what: in words and with an example; it follows "must be".
    """

    what: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Pydantic's: put the words in the place of every error of the checks before."""
        return core_schema.custom_error_schema(
            handler(source),
            custom_error_type="wanted",
            custom_error_message="must be {what}",
            custom_error_context={"what": self.what},
        )
