"""What the page may ask for, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nearfield.server.page.conditions import Condition, Join
from nearfield.server.refusal import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_QUESTION = 8_000
MAX_MARKED = 150
"""Three ways of searching with 50 results each."""
MAX_COMPARED = 40
MAX_COMPARED_CHARACTERS = 20_000

Mode = Literal["vector", "text", "hybrid"]
Name = Annotated[str, Field(max_length=1_000)]
Question = Annotated[str, Field(min_length=1, max_length=MAX_QUESTION)]
Compared = Annotated[str, Field(min_length=1, max_length=MAX_COMPARED_CHARACTERS)]


class Body(BaseModel):
    """A request's body; a name that is not known is refused."""

    model_config: ClassVar[ConfigDict] = {"extra": "forbid"}


class ConditionBody(Body):
    """A condition as the page writes it; see :class:`Condition`."""

    key: Name
    operator: Literal["==", "!=", "<", "<=", ">", ">=", "in", "has", "is_empty"] = "=="
    value: Annotated[str, Field(max_length=4_000)] = ""

    def condition(self) -> Condition:
        """Give the condition."""
        return Condition(self.key, self.operator, self.value)


class Filtered(Body):
    """A question, and what results must satisfy."""

    query: Question
    filters: Annotated[list[ConditionBody], Field(max_length=32)] = []
    join: Join = "and"

    @property
    def conditions(self) -> list[Condition]:
        """The conditions."""
        return [each.condition() for each in self.filters]


class SearchBody(Filtered):
    """A search."""

    modes: Annotated[list[Mode], Field(min_length=1, max_length=3)] = ["vector"]
    top_k: Annotated[int, Field(ge=1, le=50)] = 10
    rerank: Name | None = None


class MarksBody(Body):
    """A question and its results."""

    query: Question
    node_ids: Annotated[list[Name], Field(max_length=MAX_MARKED)]


class WhyBody(Filtered):
    """A question and one of its results."""

    node_id: Name


class SimilarityBody(Body):
    """Texts to compare."""

    texts: Annotated[list[Compared], Field(min_length=1, max_length=MAX_COMPARED)]
    model: Name | None = None
    question_first: bool = False


B = TypeVar("B", bound=Body)


async def body_of(request: Request, kind: type[B]) -> B:
    """Read a request's body.

    Args:
        request: The request.
        kind: What it must be.

    Returns:
        The body.

    Raises:
        Refusal: It is something else; the message names the field, and never its value.
    """
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "The body"
        raise Refusal(400, f"{place}: {first['msg']}.", param=place) from None
