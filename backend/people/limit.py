"""The option that limits the number of people."""

from __future__ import annotations

from backend.errors import BadInput
from backend.protocol import MAX_PEOPLE


def people_limit(people: str) -> int | None:
    """Largest number of people: None for `all`, 1 for `largest`, N for `N`.  Raises BadInput `bad_people`."""
    if people == "all":
        return None
    if people == "largest":
        return 1
    if people.isdecimal() and 1 <= int(people) <= MAX_PEOPLE:
        return int(people)
    hint = f"Use all, largest, or a number from 1 to {MAX_PEOPLE}."
    raise BadInput("bad_people", f"People cannot be {people!r}.", hint)
