"""How many people are wanted."""

from __future__ import annotations

from backend.errors import BadInput
from backend.protocol import MAX_PEOPLE


def people_limit(people: str) -> int | None:
    """`all` -> None, `largest` -> 1, `N` -> N.  Raises BadInput `bad_people`."""
    if people == "all":
        return None
    if people == "largest":
        return 1
    if people.isdecimal() and 1 <= int(people) <= MAX_PEOPLE:
        return int(people)
    raise BadInput(
        "bad_people",
        f"People cannot be {people!r}.",
        f"Use all, largest, or a number from 1 to {MAX_PEOPLE}.",
    )
